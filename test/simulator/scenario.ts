import type { NodeId } from "../../node/base/ids.ts";
import { digestHex } from "../../node/catalog/digest.ts";
import { checkHistory } from "../linearizability/checker.ts";
import type { FileOperation } from "../linearizability/file-model.ts";
import { type Credentials, callDoor } from "./client.ts";
import { strikeUntil } from "./faults/strike.ts";
import { Lots } from "./lots.ts";
import { must, Violation } from "./violation.ts";
import { Workload } from "./workload.ts";
import type { World } from "./world.ts";

const startLimitMs = 30_000;
/** Replicas that must be moved wait for slow retries, whose waits have grown while the faults lasted. */
const quietLimitMs = 120_000;
/** A node that finds its disk bad says so while it starts. */
const lostSettleMs = 3000;
const lookEveryMs = 100;
const withoutLots = { frameLoss: 0, frameDuplication: 0, frameReordering: 0, callBreaks: 0 };

/** The life of one world: founded, used while faults strike, healed, and found whole. */
export async function playScenario(world: World): Promise<void> {
  for (const node of world.nodes) node.start();
  await until(world, "the cluster is founded", startLimitMs, () => world.nodes.every(({ id }) => isReady(world, id)));
  const lots = new Lots(world.plan.seed, "scenario");
  const credentials = await register(world, lots);
  const workload = new Workload(world, credentials);
  const working = workload.run();
  const endMs = world.timeline.nowMs + world.plan.durationMs;
  await strikeUntil(world, endMs);
  workload.end();
  await working;
  await quietEnd(world, workload);
}

async function register(world: World, lots: Lots): Promise<Credentials> {
  for (;;) {
    const { id } = lots.pick(world.nodes);
    const answer = await callDoor(world, id, (depot) => depot.registerClient("simulated"));
    if (answer.type === "done") return { clientId: answer.value.client.clientId, secret: answer.value.secret };
    await world.timeline.pause(lookEveryMs);
  }
}

/** Everything is healed: within a bound there is one leader, one catalog, every wanted replica, and every door works. */
async function quietEnd(world: World, workload: Workload): Promise<void> {
  world.hosts.links.mendAll();
  world.hosts.habits = { ...world.plan.network, ...withoutLots };
  for (const node of world.nodes) {
    node.life?.resume();
    node.start();
  }
  world.trace.note("quiet");
  await untilLostAreKnown(world);
  await until(world, "membership is settled", quietLimitMs, () => settledMembers(world) !== undefined);
  const members = settledMembers(world) ?? [];
  await until(
    world,
    "every node serves",
    quietLimitMs,
    () => members.every((id) => isReady(world, id)),
    () => members.map((id) => `${id}: ${stateOf(world, id)}`).join("; "),
  );
  await until(
    world,
    "one leader, equal catalogs, all replicas",
    quietLimitMs,
    () => isWhole(world, members),
    () => members.map((id) => `${id}: ${stateOf(world, id)}`).join("; "),
  );
  for (const id of members) {
    const value = `fresh-${id}`;
    await performInQuiet(world, workload, { id, name: `fresh-${id}`, operation: { type: "deposit", value } });
  }
  for (const name of [...workload.names, ...members.map((id) => `fresh-${id}`)])
    for (const id of members) {
      await performInQuiet(world, workload, { id, name, operation: { type: "retrieve" } });
    }
  const verdict = checkHistory(workload.history, { maxSteps: 2_000_000, maxMs: Number.POSITIVE_INFINITY });
  if (verdict.type === "violation")
    throw new Violation(
      "Linearizable",
      `${verdict.name}: ${JSON.stringify({ placed: verdict.placed, stuck: verdict.stuck })}`,
    );
  must("Linearizable", verdict.type === "linearizable", () => `undecided after ${verdict.steps} steps`);
}

/** The nodes that take part, by the newest catalog, those left out that never can again; undefined while that is changing. */
function settledMembers(world: World): readonly NodeId[] | undefined {
  const metas = world.nodes.map(({ id }) => world.checks.metaOf(id)).filter((meta) => meta !== undefined);
  const newest = metas.toSorted((one, other) => other.applied.index - one.applied.index)[0];
  if (newest === undefined) return undefined;
  const { voters, outgoing, learners, learnersNext } = newest.configuration;
  if (outgoing.length + learners.length + learnersNext.length > 0) return undefined;
  return voters.filter((id) => !world.node(id).isLost);
}

/** Succeeds, if not at once: damage that lay still is only found by who reads it, and mended then. */
async function performInQuiet(
  world: World,
  workload: Workload,
  { id, name, operation }: { readonly id: NodeId; readonly name: string; readonly operation: FileOperation },
): Promise<void> {
  const lots = new Lots(world.plan.seed, `quiet ${id} ${name}`);
  const endMs = world.timeline.nowMs + quietLimitMs;
  while ((await workload.perform("quiet", id, name, operation, lots)) === undefined) {
    must("Liveness", world.timeline.nowMs < endMs, () => `${operation.type} of ${name} through ${id} fails for ever`);
    await world.timeline.pause(lookEveryMs);
  }
}

/** A node that may never take part again must not: it is refused, or never gets as far as to serve. */
async function untilLostAreKnown(world: World): Promise<void> {
  await world.timeline.pause(lostSettleMs);
  for (const { id, isLost } of world.nodes)
    must(
      "LostStaysOut",
      !isLost || !world.hosts.doors.has(id),
      () => `${id} came back without what it knew, and serves`,
    );
}

function isReady(world: World, node: NodeId): boolean {
  return world.hosts.doors.get(node)?.options.replication.readiness().ready === true;
}

function isWhole(world: World, members: readonly NodeId[]): boolean {
  const views = members.map((id) => ({
    raft: world.hosts.doors.get(id)?.options.replication.raft(),
    meta: world.checks.metaOf(id),
  }));
  const [first] = views;
  if (first?.raft?.leader === undefined || first.meta === undefined) return false;
  const { leader, term } = first.raft;
  const digest = digestHex(first.meta.digest);
  const index = first.meta.applied.index;
  return (
    (first.meta.totals.missing === 0 || world.nodes.some(({ isLost }) => isLost)) &&
    views.every(
      ({ raft, meta }) =>
        raft?.leader === leader &&
        raft.term === term &&
        meta?.applied.index === index &&
        digestHex(meta.digest) === digest,
    )
  );
}

function stateOf(world: World, node: NodeId): string {
  const door = world.hosts.doors.get(node);
  const meta = world.checks.metaOf(node);
  if (door === undefined)
    return `no door, ${world.node(node).life === undefined ? `down by ${String(world.node(node).endedBy)}` : "starting"}`;
  const { role, term, leader, commitIndex } = door.options.replication.raft();
  const readiness = door.options.replication.readiness().reasons.join(", ");
  return `${role} of ${leader} in ${term}, commit ${commitIndex}, applied ${meta?.applied.index}, missing ${meta?.totals.missing} ${readiness}`;
}

async function until(
  world: World,
  what: string,
  limitMs: number,
  isTrue: () => boolean,
  state: () => string = () => "",
): Promise<void> {
  const endMs = world.timeline.nowMs + limitMs;
  while (!isTrue()) {
    must("Liveness", world.timeline.nowMs < endMs, () => `${what}: not within ${limitMs} ms. ${state()}`);
    await world.timeline.pause(lookEveryMs);
  }
}
