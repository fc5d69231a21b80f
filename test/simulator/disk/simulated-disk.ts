import type { Clock, Random } from "../../../node/base/clock.ts";
import { invariant } from "../../../node/base/invariant.ts";
import type { StorageDisk } from "../../../node/storage/disk.ts";
import { DiskEvents } from "./disk-events.ts";
import { ArmedFaults } from "./disk-faults.ts";
import { type DiskLatency, defaultLatency } from "./disk-latency.ts";
import { Platter } from "./platter.ts";
import { textOf } from "./rows.ts";
import { type Machine, Session } from "./session.ts";
import type { SimulatedDirectory, Thing } from "./simulated-directory.ts";
import type { SimulatedFile } from "./simulated-file.ts";
import type { SimulatedLevel } from "./simulated-level.ts";

export interface SimulatedDiskOptions {
  /** Gives the moment at which each call ends; nothing else ever waits. */
  readonly clock: Pick<Clock, "after">;
  /** Everything that is left to chance; the same numbers give the same disk, bit for bit. */
  readonly random: Random;
  readonly latency?: Partial<DiskLatency>;
  /** Room for files and rows; undefined: without end. */
  readonly capacityBytes?: number;
  /** How much of a LevelDB's write-ahead log goes into one file; a table takes its place a while later. */
  readonly walBytes?: number;
}

/** A file or LevelDB that can be damaged. */
export interface DiskContent {
  readonly path: string;
  readonly type: "file" | "level";
  /** Where a bit of it can be flipped: its bytes, or its rows. */
  readonly places: number;
}

/**
 * A disk in memory that tells what is written from what is synced.
 *
 *   boot() ──► a StorageDisk for one life of a process ──► crash(): no call of that life ends any more
 *     ▲                                                       │ what was not synced may be gone, torn, or have holes
 *     └───────────────────────────────────────────────────────┘
 *
 * | what was not synced | after a power cut |
 * | --- | --- |
 * | pages of a file | each of 4 KiB by itself old or new, the last write torn between sectors of 512 bytes, the file shorter |
 * | names of a directory | each by itself old or new; so a renamed file has the old name, the new one, both or neither |
 * | batches of a LevelDB | a beginning of them, or pieces with holes between; `cutLevel` makes a beginning of it |
 *
 * A failed sync condemns what it was for: later syncs succeed, and it is gone all the same. A LevelDB of which one write
 * failed takes all further ones and keeps none.
 */
export class SimulatedDisk {
  readonly events = new DiskEvents();
  readonly #machine: Machine;
  #session: Session | undefined;

  constructor(options: SimulatedDiskOptions) {
    const { clock, random, latency, capacityBytes, walBytes = 1 << 20 } = options;
    this.#machine = {
      clock,
      random,
      latency: { ...defaultLatency, ...latency },
      walBytes,
      platter: new Platter(),
      faults: new ArmedFaults(),
      events: this.events,
      slowness: 1,
      locked: new Set(),
    };
    if (capacityBytes !== undefined) this.#machine.platter.capacityBytes = capacityBytes;
  }

  /** The disk, as the process sees it that starts now; the one before must have crashed, or have let go of everything. */
  boot(): StorageDisk {
    invariant(this.#machine.locked.size === 0, () => "a process still has a folder locked");
    this.#end();
    this.#session = new Session(this.#machine);
    return this.#session;
  }

  /** Ends the process that runs on it. `power-cut`: what was not synced may be lost; `kill`: nothing written is. */
  crash(how: "power-cut" | "kill"): void {
    this.events.note(how);
    this.#end();
    const { platter, faults, random } = this.#machine;
    faults.clear();
    if (how === "power-cut") this.#forget(platter.root, [0.1, 0.5, 0.9, 1][Math.floor(random() * 4)] ?? 1);
    platter.measure();
  }

  /** The next sync of something whose path has `path` in it fails, and what it was for is lost with the power. */
  failNextSync(path = ""): void {
    this.#machine.faults.arm({ on: "sync", path });
  }

  /** The next write to something whose path has `path` in it fails. */
  failNextWrite(path = ""): void {
    this.#machine.faults.arm({ on: "write", path });
  }

  /** The next write to a file of more than a page, whose path has `path` in it, lands a page beside its place. */
  misdirectNextWrite(path: string): void {
    this.#machine.faults.arm({ on: "misdirect", path });
  }

  /** Nothing is armed any more. */
  clearFaults(): void {
    this.#machine.faults.clear();
  }

  /** Leaves room for so many bytes. */
  fill(leaveBytes: number): void {
    this.#machine.platter.capacityBytes = this.#machine.platter.usedBytes + leaveBytes;
  }

  /** The size of the disk from now on. */
  set capacityBytes(bytes: number) {
    this.#machine.platter.capacityBytes = bytes;
  }

  get usedBytes(): number {
    return this.#machine.platter.usedBytes;
  }

  /** Everything takes `times` as long from now on. */
  slowDown(times: number): void {
    this.#machine.slowness = times;
  }

  /** Files and LevelDBs, in the order of their paths. */
  contents(): readonly DiskContent[] {
    return this.#machine.platter.contents().map(({ path, thing }) => ({
      path,
      type: thing.type,
      places: thing.type === "file" ? thing.size : thing.keys.length,
    }));
  }

  /** Whether a whole file of that path, this one or the one that it replaces, is there after a power cut. */
  isDurable(path: string): boolean {
    let things: readonly (Thing | undefined)[] = [this.#machine.platter.root];
    for (const name of path.split("/").filter((part) => part !== ""))
      things = things.flatMap((thing) => (thing?.type === "directory" ? thing.possibly(name) : [undefined]));
    return things.every((thing) => thing?.type === "file" && thing.isDurable);
  }

  /** What the file of that path holds after a power cut that takes everything that was not synced. */
  durableBytes(path: string): Buffer | undefined {
    const thing = this.#machine.platter.at(path);
    return thing?.type === "file" ? thing.durableBytes() : undefined;
  }

  /** What a row of the LevelDB of that path holds after a power cut that takes everything that was not synced. */
  durableRow(path: string, key: Uint8Array): Uint8Array | undefined {
    const thing = this.#machine.platter.at(path);
    return thing?.type === "level" ? thing.durableRow(textOf(key))?.value : undefined;
  }

  /**
   * Flips one bit where it lies: in a file at `at`, or of a row of a LevelDB, the `at`-th. A damaged table serves the wrong value
   * until it is opened again, and is then refused; damage in the write-ahead log is met at the next start. False: nothing
   * lies there.
   */
  flip(path: string, at: number, bit: number): boolean {
    const thing = this.#machine.platter.at(path);
    if (thing?.type === "file") return this.#flipFile(thing, at, bit);
    return thing?.type === "level" && this.#flipRow(thing, at, bit);
  }

  #flipFile(file: SimulatedFile, offset: number, bit: number): boolean {
    if (offset >= file.size) return false;
    file.flip(offset, bit & 7);
    this.events.note("file-flipped");
    return true;
  }

  #flipRow(level: SimulatedLevel, row: number, bit: number): boolean {
    const key = level.keys[row];
    const hit = key === undefined ? undefined : level.flip(key, bit);
    if (hit !== undefined) this.events.note(hit === "log" ? "log-flipped" : "table-flipped");
    return hit !== undefined;
  }

  #end(): void {
    const { platter, locked } = this.#machine;
    if (this.#session !== undefined) this.#session.isOff = true;
    this.#session = undefined;
    locked.clear();
    for (const { thing } of platter.contents()) if (thing.type === "level") thing.rest();
  }

  #forget(directory: SimulatedDirectory, share: number): void {
    const { random } = this.#machine;
    const fellBack = directory.forget(random, share);
    this.events.note("name-lost", fellBack.length);
    for (const { thing } of fellBack) if (thing?.type === "level") this.#comesBack(thing);
    for (const [, thing] of directory.entries()) {
      if (thing.type === "directory") this.#forget(thing, share);
      else if (thing.type === "file") this.#forgetBytes(thing, share);
      else this.#forgetBatches(thing, share);
    }
  }

  /** A LevelDB that was being removed: its files go one after the other. */
  #comesBack(level: SimulatedLevel): void {
    if (this.#machine.random() < 0.5) return;
    level.damage = "CURRENT is gone";
    this.events.note("level-half-removed");
  }

  #forgetBytes(file: SimulatedFile, share: number): void {
    const { pages, isTorn } = file.forget(this.#machine.random, share);
    this.events.note("page-lost", pages);
    if (isTorn) this.events.note("write-torn");
  }

  #forgetBatches(level: SimulatedLevel, share: number): void {
    const { batches, isHole } = level.forget(this.#machine.random, share);
    this.events.note("batch-lost", batches);
    if (isHole) this.events.note("batch-hole");
  }
}
