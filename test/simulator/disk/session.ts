import type { Clock, Random } from "../../../node/base/clock.ts";
import {
  type DiskLock,
  type LevelCut,
  LevelDamagedError,
  type LevelHandle,
  LevelLockedError,
  type StorageDisk,
} from "../../../node/storage/disk.ts";
import type { DiskEvents } from "./disk-events.ts";
import { type ArmedFaults, systemError } from "./disk-faults.ts";
import { type DiskLatency, type DiskWork, drawLatency } from "./disk-latency.ts";
import { SimulatedLevelHandle } from "./level-handle.ts";
import { type Platter, sizeOf } from "./platter.ts";
import { SimulatedDirectory, type Thing } from "./simulated-directory.ts";
import { pageBytes, SimulatedFile } from "./simulated-file.ts";
import { SimulatedLevel } from "./simulated-level.ts";

type Access = "read" | "write" | "update";

/** What a session, and the LevelDBs opened in it, share with the machine. */
export interface Machine {
  readonly clock: Pick<Clock, "after">;
  readonly random: Random;
  readonly platter: Platter;
  readonly faults: ArmedFaults;
  readonly events: DiskEvents;
  readonly latency: DiskLatency;
  /** Every latency is so many times as long. */
  slowness: number;
  /** Bytes of a file of a LevelDB's write-ahead log, before another one is begun. */
  readonly walBytes: number;
  /** Folders that are locked. */
  readonly locked: Set<Thing>;
}

/**
 * The disk as one life of a process sees it. Every call ends at a moment that the clock gives; once the session is off,
 * none ends any more and none has an effect: who still runs in that life talks to nobody.
 */
export class Session implements StorageDisk {
  readonly machine: Machine;
  isOff = false;
  readonly #open = new Map<number, { readonly path: string; readonly thing: Thing; readonly access: Access }>();
  #lastFd = 2;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Does it, and ends, when the work is done. */
  perform<T>(work: DiskWork, effect: () => T): Promise<T> {
    if (this.isOff) return new Promise<never>(() => undefined);
    const { clock, latency, random, slowness } = this.machine;
    return new Promise((resolve, reject) => {
      clock.after(slowness * drawLatency(latency[work], random), () => {
        if (this.isOff) return;
        try {
          resolve(effect());
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  /** Like `perform`, with the effect at its beginning or at its end: whoever is interrupted does not know whether it was. */
  change<T>(work: DiskWork, effect: () => T): Promise<T> {
    if (this.isOff || this.machine.random() < 0.5) return this.perform(work, effect);
    let value: T;
    try {
      value = effect();
    } catch (error) {
      return this.perform(work, () => {
        throw error;
      });
    }
    return this.perform(work, () => value);
  }

  create(path: string): Promise<number> {
    return this.change("names", () => {
      const { directory, name } = this.machine.platter.place(path);
      if (directory.get(name) !== undefined) throw systemError("EEXIST", path);
      this.#requireRoom(path);
      const file = new SimulatedFile();
      directory.set(name, file);
      return this.#opened(path, file, "write");
    });
  }

  open(path: string, access: "read" | "update"): Promise<number> {
    return this.perform("read", () => {
      const thing = this.machine.platter.at(path);
      if (thing === undefined) throw systemError("ENOENT", path);
      return this.#opened(path, thing, access);
    });
  }

  write(fd: number, parts: readonly Uint8Array[], position: number): Promise<void> {
    const { path, file } = this.#file(fd, "read");
    return this.change("write", () => {
      const { faults, events, platter } = this.machine;
      if (faults.take("write", path)) {
        events.note("write-failed");
        throw systemError("EIO", `write, ${path}`);
      }
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      const missing = platter.takeRoom(Math.max(0, position + length - file.size));
      const at = faults.take("misdirect", path) ? this.#elsewhere(file, position) : position;
      if (missing === 0) return file.write(parts, at);
      file.write([Buffer.concat(parts).subarray(0, length - missing)], at);
      events.note("disk-full");
      throw systemError("ENOSPC", `write, ${path}`);
    });
  }

  read(fd: number, into: Buffer, position: number): Promise<number> {
    const { file } = this.#file(fd, "write");
    return this.perform("read", () => file.read(into, position));
  }

  sizeOf(fd: number): number {
    return this.#file(fd).file.size;
  }

  sizeAt(path: string): Promise<number | undefined> {
    return this.perform("read", () => {
      const thing = this.machine.platter.at(path);
      return thing?.type === "file" ? thing.size : undefined;
    });
  }

  syncFile(fd: number): Promise<void> {
    const { path, file } = this.#file(fd);
    return this.#sync(path, file);
  }

  syncDirectory(fd: number): Promise<void> {
    const { path, thing } = this.#opening(fd);
    if (thing.type === "directory") return this.#sync(path, thing);
    return this.perform("sync", () => undefined);
  }

  close(fd: number): void {
    this.#opening(fd);
    this.#open.delete(fd);
  }

  names(path: string): Promise<readonly string[]> {
    return this.perform("read", () =>
      this.machine.platter
        .directory(path)
        .entries()
        .map(([name]) => name),
    );
  }

  makeDirectory(path: string): Promise<void> {
    return this.change("names", () => {
      this.#requireRoom(path);
      this.#makeDirectory(path);
    });
  }

  removeTree(path: string): Promise<void> {
    return this.change("names", () => {
      if (this.machine.platter.at(path) !== undefined) this.#take(path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.change("names", () => {
      const { platter } = this.machine;
      const source = platter.place(from);
      const target = platter.place(to);
      const thing = source.directory.get(source.name);
      if (thing === undefined) throw systemError("ENOENT", from);
      const replaced = target.directory.get(target.name);
      if (replaced !== undefined) platter.giveRoom(sizeOf(replaced));
      target.directory.set(target.name, thing);
      source.directory.set(source.name, undefined);
    });
  }

  unlink(path: string): Promise<boolean> {
    return this.change("names", () => {
      const thing = this.machine.platter.at(path);
      if (thing === undefined) return false;
      if (thing.type !== "file") throw systemError("EISDIR", path);
      this.#take(path);
      return true;
    });
  }

  freeBytes(_path: string): Promise<number> {
    return this.perform("read", () => Math.min(this.machine.platter.freeBytes, 2 ** 40));
  }

  lock(path: string): Promise<DiskLock> {
    return this.change("names", () => {
      const { locked } = this.machine;
      const parts = path.split("/");
      for (let depth = 2; depth < parts.length; depth += 1) this.#makeDirectory(parts.slice(0, depth).join("/"));
      const folder = this.#makeDirectory(path);
      if (locked.has(folder)) throw new LevelLockedError(path, "this process");
      locked.add(folder);
      return {
        release: () =>
          this.perform("names", () => {
            locked.delete(folder);
          }),
      };
    });
  }

  async createLevel(path: string): Promise<LevelHandle> {
    const level = new SimulatedLevel();
    level.damage = "it was never quite there";
    const directory = await this.change("names", () => {
      const place = this.machine.platter.place(path);
      if (place.directory.get(place.name) !== undefined) throw systemError("EEXIST", path);
      this.#requireRoom(path);
      place.directory.set(place.name, level);
      return place.directory;
    });
    await this.#sync(path, directory);
    level.damage = undefined;
    level.open();
    return new SimulatedLevelHandle(this, path, level);
  }

  cutLevel(path: string): Promise<LevelCut | undefined> {
    return this.perform("read", () => {
      const thing = this.machine.platter.at(path);
      const cut = thing?.type === "level" && thing.damage === undefined ? thing.cut(path) : undefined;
      if (cut !== undefined) this.machine.events.note("level-cut");
      return cut;
    });
  }

  openLevel(path: string): Promise<LevelHandle> {
    return this.perform("read", () => {
      const { platter, events } = this.machine;
      const thing = platter.at(path);
      if (thing?.type !== "level" || thing.damage !== undefined) {
        events.note("level-damaged");
        throw new LevelDamagedError(`${path}: ${thing?.type === "level" ? thing.damage : "it is gone"}`);
      }
      if (thing.isOpen) throw new LevelLockedError(path, "this process");
      if (platter.freeBytes === 0) throw new Error(`IO error: ${path}: No space left on device`);
      thing.open();
      return new SimulatedLevelHandle(this, path, thing);
    });
  }

  /** What was changed before the call is durable when it resolves. */
  #sync(path: string, thing: SimulatedFile | SimulatedDirectory): Promise<void> {
    const { faults, events } = this.machine;
    const end = syncBegun(thing);
    return this.perform("sync", () => {
      const hasFailed = faults.take("sync", path);
      end(hasFailed);
      if (!hasFailed) return;
      events.note("sync-failed");
      throw systemError("EIO", `sync, ${path}`);
    });
  }

  #makeDirectory(path: string): SimulatedDirectory {
    const { directory, name } = this.machine.platter.place(path);
    const there = directory.get(name);
    if (there?.type === "directory") return there;
    if (there !== undefined) throw systemError("EEXIST", path);
    const made = new SimulatedDirectory();
    directory.set(name, made);
    return made;
  }

  #take(path: string): void {
    const { platter } = this.machine;
    const { directory, name } = platter.place(path);
    const thing = directory.get(name);
    if (thing !== undefined) platter.giveRoom(sizeOf(thing));
    directory.set(name, undefined);
  }

  #requireRoom(path: string): void {
    if (this.machine.platter.freeBytes > 0) return;
    this.machine.events.note("disk-full");
    throw systemError("ENOSPC", path);
  }

  #elsewhere(file: SimulatedFile, position: number): number {
    if (file.size < 2 * pageBytes) return position;
    this.machine.events.note("write-misdirected");
    return position >= pageBytes ? position - pageBytes : position + pageBytes;
  }

  #opened(path: string, thing: Thing, access: Access): number {
    this.#lastFd += 1;
    this.#open.set(this.#lastFd, { path, thing, access });
    return this.#lastFd;
  }

  #opening(fd: number): { readonly path: string; readonly thing: Thing; readonly access: Access } {
    const opening = this.#open.get(fd);
    if (opening === undefined) throw systemError("EBADF", String(fd));
    return opening;
  }

  #file(fd: number, notFor?: Access): { readonly path: string; readonly file: SimulatedFile } {
    const { path, thing, access } = this.#opening(fd);
    if (access === notFor) throw systemError("EBADF", `${path} is open to ${access}`);
    if (thing.type !== "file") throw systemError("EISDIR", path);
    return { path, file: thing };
  }
}

/** Begins a sync; the result ends it. */
function syncBegun(thing: SimulatedFile | SimulatedDirectory): (hasFailed: boolean) => void {
  if (thing.type === "file") {
    const through = thing.beginSync();
    return (hasFailed) => (hasFailed ? thing.failSync(through) : thing.endSync(through));
  }
  const through = thing.beginSync();
  return (hasFailed) => (hasFailed ? thing.failSync(through) : thing.endSync(through));
}
