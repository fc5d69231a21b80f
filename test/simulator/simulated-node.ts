import { DepositoError, hasCode } from "../../node/base/errors.ts";
import { type BlobId, logIndex, type NodeId } from "../../node/base/ids.ts";
import type { Config } from "../../node/config.ts";
import { runUntilStopped } from "../../node/node.ts";
import { baseKey, decodeAlone, decodeBase, entryKey } from "../../node/storage/entry-codec.ts";
import { decodeSlot, slotBytes } from "../../node/storage/hard-state-slot.ts";
import { SimulatedDisk } from "./disk/simulated-disk.ts";
import { pageBytes } from "./disk/simulated-file.ts";
import { Life } from "./life.ts";
import { chanceOf, Lots } from "./lots.ts";
import { networkOf } from "./network/network.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

const empty = new Uint8Array();

/** Room on each disk, unless a fault takes it. */
export const capacityBytes = 256 << 20;

/** One node of the world: a disk that stays, and one process after the other on it. */
export class SimulatedNode {
  readonly id: NodeId;
  readonly #world: World;
  readonly #config: Config;
  readonly #lots: Lots;
  readonly #diskLots: Lots;
  readonly #skewMs: number;
  #lives = 0;
  #life: Life | undefined;
  /** Why the last process ended by itself. */
  endedBy: unknown;
  /** Its data directory is not the one that peers know, or not to be known as it: it may never take part again. */
  isLost = false;
  /** Nobody knows it yet. */
  isBlank = false;
  /** Something on its disk was changed behind its back. */
  isDamaged = false;
  #disk: SimulatedDisk;

  constructor(world: World, id: NodeId, config: Config) {
    this.id = id;
    this.#world = world;
    this.#config = config;
    this.#lots = new Lots(world.plan.seed, `chance of ${id}`);
    this.#skewMs = this.#lots.between(-2000, 2000);
    this.#diskLots = new Lots(world.plan.seed, `disk of ${id}`);
    this.#disk = this.#newDisk();
  }

  get disk(): SimulatedDisk {
    return this.#disk;
  }

  #newDisk(): SimulatedDisk {
    const { timeline, plan } = this.#world;
    return new SimulatedDisk({
      // What a disk has done reaches the process that asked for it, and no other.
      clock: {
        after: (delayMs, task) => {
          const life = this.#life;
          return timeline.after(delayMs, () => life?.run(task));
        },
      },
      random: () => this.#diskLots.next(),
      walBytes: plan.walBytes,
      capacityBytes,
    });
  }

  /** The process that runs; undefined when none does. */
  get life(): Life | undefined {
    return this.#life;
  }

  start(): void {
    if (this.#life !== undefined) return;
    const { timeline, hosts, plan, trace, checks } = this.#world;
    this.#lives += 1;
    this.endedBy = undefined;
    const life: Life = new Life({
      node: this.id,
      number: this.#lives,
      timeline,
      skewMs: this.#skewMs,
      onThrow: (error) => this.#die(life, error),
    });
    this.#life = life;
    trace.note("start", this.id);
    checks.started(this.id);
    const { clock } = life;
    const chance = chanceOf(this.#lots);
    life.run(() => {
      runUntilStopped({
        config: this.#config,
        nodeId: this.id,
        logger: this.#world.loggerOf(this.id),
        surroundings: {
          clock,
          chance,
          network: networkOf(hosts, life),
          disk: this.disk.boot(),
          tuning: plan.tuning,
          witness: checks.witnessOf(this.id),
        },
        batching: true,
        stop: life.stop.signal,
        die: (error) => this.#die(life, error),
      }).then(
        () => this.#end(life, "kill", "stopped"),
        (error: unknown) => this.#die(life, error),
      );
    });
  }

  /** Asks the process to stop in order. */
  stop(): void {
    const life = this.#life;
    life?.run(() => life.stop.abort(new DepositoError("no-quorum", "this node is stopping")));
  }

  /** `kill -9`: what the process wrote is still in the hands of the operating system. A power cut takes that, too. */
  crash(how: "kill" | "power-cut"): void {
    if (this.#life !== undefined) this.#end(this.#life, how);
    else this.disk.crash(how);
  }

  /** The term of a log entry that outlives a power cut; undefined: there is none. Unknown of one that was trimmed, and of a
   *  disk that was damaged. */
  durableTermOf(index: number): number | undefined | "unknown" {
    if (this.isDamaged) return "unknown";
    for (const { path, type } of this.#disk.contents()) {
      if (type !== "level" || !path.includes("/log-")) continue;
      const base = decodeBase(this.#disk.durableRow(path, baseKey) ?? empty);
      if (base !== undefined && base.index >= index) return "unknown"; // trimmed: it is in the catalog
      const row = this.#disk.durableRow(path, entryKey(index));
      const stored = row && decodeAlone(row, logIndex(index));
      if (stored !== undefined && !("damage" in stored)) return stored.at.term;
    }
    return undefined;
  }

  /** Term and vote as they outlive a power cut. Unknown of a disk that was damaged. */
  durableVote(): { readonly term: number; readonly votedFor: NodeId | undefined } | undefined | "unknown" {
    if (this.isDamaged) return "unknown";
    const bytes = this.#disk.durableBytes(`/${this.id}/hard-state`);
    if (bytes === undefined) return undefined;
    const slots = [0, pageBytes].map((at) => decodeSlot(bytes.subarray(at, at + slotBytes)));
    return slots.toSorted((one, other) => (other?.sequence ?? 0) - (one?.sequence ?? 0))[0]?.state;
  }

  /** Whether a blob outlives a power cut here. A damaged disk is not asked. */
  hasDurably(blobId: BlobId): boolean {
    return this.isDamaged || this.#disk.isDurable(`/${this.id}/blobs/${blobId.slice(0, 2)}/${blobId}`);
  }

  /** Another disk is put in, on which nothing is. */
  replaceDisk(): void {
    this.#disk = this.#newDisk();
    this.isBlank = true;
    this.isDamaged = false;
  }

  /** Somebody removes the data directory, and makes a new one, while the node is down. */
  emptyDisk(): void {
    this.#disk = this.#newDisk();
    this.isLost = true;
    this.isDamaged = true;
  }

  #die(life: Life, error: unknown): void {
    if (life.isDead) return;
    this.endedBy = error;
    if (error instanceof Violation) this.#world.fail(error);
    else if (hasCode(error, "storage-failed")) this.#world.coverage.count("node ended by its disk");
    else if (error instanceof DepositoError) this.#refused(error);
    else this.#world.fail(new Violation("NoBug", `${this.id} ended with ${String(error)}`, { cause: error }));
    this.#end(life, "kill", `ended by itself: ${String(error)}`);
  }

  #refused(error: DepositoError): void {
    const { coverage, damagedNodes } = this.#world;
    coverage.count("node refused to start");
    if (error.code === "data-directory-foreign" && damagedNodes.includes(this)) this.isLost = true;
  }

  #end(life: Life, how: "kill" | "power-cut", why: string = how): void {
    if (life.isDead) return;
    this.#world.trace.note("end", this.id, why);
    life.end();
    this.disk.crash(how);
    this.#life = undefined;
    this.#world.checks.ended(this.id);
  }
}
