import { type NodeId, parseNodeId } from "../../node/base/ids.ts";
import type { Logger } from "../../node/base/logger.ts";
import type { Config } from "../../node/config.ts";
import { Checks } from "./checkers/checks.ts";
import { Coverage } from "./coverage.ts";
import { DamagedNodes } from "./faults/disks.ts";
import { loggerInto } from "./logger.ts";
import { Lots } from "./lots.ts";
import type { SimulatedHosts } from "./network/hosts.ts";
import { Links } from "./network/links.ts";
import type { Plan } from "./plan.ts";
import { SimulatedNode } from "./simulated-node.ts";
import { Timeline } from "./timeline.ts";
import { Trace } from "./trace.ts";
import { must, Violation } from "./violation.ts";

/** Turns of the real event loop are only taken now and then: each step drains the promises it settles without one. */
const stepsPerTurn = 4096;
/** More than any world needs: one that takes more turns in a circle. */
const maxSteps = 3_000_000;

/** One cluster in virtual time, from the seed of its plan. */
export class World {
  readonly plan: Plan;
  readonly timeline = new Timeline();
  readonly trace: Trace;
  readonly coverage = new Coverage();
  readonly hosts: SimulatedHosts;
  readonly checks: Checks;
  /** Every node that takes part, or once did. */
  readonly nodes: SimulatedNode[];
  /** One that does not, until it is added. */
  readonly spare: SimulatedNode;
  readonly damagedNodes: DamagedNodes;
  steps = 0;
  faultsUnderWay = 0;
  #violation: Violation | undefined;

  constructor(plan: Plan, options: { readonly keepsTrace: boolean }) {
    this.plan = plan;
    this.trace = new Trace(() => this.timeline.nowMs, options.keepsTrace);
    const lots = new Lots(plan.seed, "network");
    this.checks = new Checks(this);
    this.hosts = {
      timeline: this.timeline,
      links: new Links(this.timeline, lots, plan.network),
      lots,
      habits: plan.network,
      coverage: this.coverage,
      trace: this.trace,
      ports: new Map(),
      doors: new Map(),
      streams: new Map(),
      onSent: (from, to, frame) => this.checks.sent(from, to, frame),
      onBug: (where, error) => this.fail(asViolation(where, error)),
    };
    const ids = Array.from({ length: plan.nodes }, (_, at) => parseNodeId(`n${at + 1}`) as NodeId);
    const config = configOf(plan, ids);
    this.nodes = ids.map((id) => new SimulatedNode(this, id, config));
    const spareId = parseNodeId(`n${plan.nodes + 1}`) as NodeId;
    this.spare = new SimulatedNode(this, spareId, configOf(plan, [...ids, spareId]));
    this.spare.isBlank = true;
    this.damagedNodes = new DamagedNodes(this, new Lots(plan.seed, "damaged nodes"));
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** The first violation counts; what comes after it is only its consequence. */
  fail(violation: Violation): void {
    this.#violation ??= violation;
  }

  /** From now on faults strike it, and clients ask it, like any other. */
  takeIn(node: SimulatedNode): void {
    if (!this.nodes.includes(node)) this.nodes.push(node);
  }

  /** Nobody may go on living when it is over. */
  end(): void {
    for (const { life } of this.nodes) life?.end();
  }

  node(id: NodeId): SimulatedNode {
    const found = this.nodes.find((node) => node.id === id);
    if (found === undefined) throw new RangeError(`no node ${id}`);
    return found;
  }

  loggerOf(node: NodeId): Logger {
    return loggerInto(this.trace, node);
  }

  /** Lets virtual time pass until `scenario` has ended, or something was violated. */
  run(scenario: Promise<void>): Promise<void> {
    let isDone = false;
    return new Promise((resolve, reject) => {
      scenario.then(
        () => {
          isDone = true;
        },
        (error: unknown) => {
          isDone = true;
          if (error instanceof Violation) this.fail(error);
          else this.fail(asViolation("the scenario", error));
        },
      );
      // In production it ends the process; here only a bug leaves a promise without anybody who waits for it.
      const onUnhandled = (error: unknown) => this.fail(asViolation("a promise nobody waits for", error));
      process.on("unhandledRejection", onUnhandled);
      const end = (settle: () => void) => {
        process.off("unhandledRejection", onUnhandled);
        settle();
      };
      const step = () => {
        if (isDone || this.#violation !== undefined) return end(resolve);
        this.steps += 1;
        try {
          must("Liveness", this.timeline.step(), () => "nothing will ever happen any more");
          must("Liveness", this.steps < maxSteps, () => `it goes on for ever: ${maxSteps} steps`);
        } catch (error) {
          if (error instanceof Violation) this.fail(error);
          else return end(() => reject(error));
        }
        if (this.steps % stepsPerTurn === 0) setImmediate(step);
        // From a microtask, so that every promise that this step settles has had its turn before the next tick.
        else queueMicrotask(() => process.nextTick(step));
      };
      step();
    });
  }
}

function asViolation(where: string, error: unknown): Violation {
  return error instanceof Violation ? error : new Violation("NoBug", `${where}: ${String(error)}`, { cause: error });
}

function configOf(plan: Plan, ids: readonly NodeId[]): Config {
  return {
    cluster: "simulated",
    secret: "the secret of a simulated cluster",
    adminToken: "the token of a simulated operator",
    registration: "open",
    defaultReplicas: Math.max(2, plan.minReplicas),
    nodes: ids.map((id, at) => ({
      id,
      role: "voter",
      zone: `z${at % 3}`,
      dataDir: `/${id}`,
      api: { host: id, port: 1 },
      peer: { host: id, port: 2 },
    })),
    raft: plan.raft,
    repair: { graceMs: 5000, scrubIntervalHours: 1, maxMiBPerSecond: 64 },
    limits: { maxFileBytes: 1 << 24, uploadIdleMs: 5000, minFreeBytes: 1 << 16 },
  };
}
