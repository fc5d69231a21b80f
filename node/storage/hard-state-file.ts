import { DepositoError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { syncDirectory } from "./directories.ts";
import { type StorageDisk, systemCode } from "./disk.ts";
import type { FailStop } from "./fail-stop.ts";
import { decodeSlot, encodeSlot, type StoredState, slotBytes } from "./hard-state-slot.ts";
import type { Layout } from "./layout.ts";

/**
 * The hard-state file: two slots in different pages, written in turn, each write synced before the next.
 *
 *      0  slot of even sequence numbers, 512 bytes        a write that did not finish
 *   4096  slot of odd sequence numbers, 512 bytes         leaves the other slot whole
 *   8192  end; never grows or shrinks, so that a sync is one disk write
 *
 * Term, vote, identity and generations are written to both slots before they are relied on: the loss of one slot can
 * then never bring back a vote or a removed generation, only an older claim.
 */
const fileBytes = 8192;
const pageBytes = 4096;

/** What reading the file found. */
export interface LoadedHardState {
  readonly file: HardStateFile;
  /** One slot is not whole, or the disk has put the other one in its place: what it said is unknown. */
  readonly slotDamaged: boolean;
}

interface Parts {
  readonly disk: StorageDisk;
  readonly failStop: FailStop;
}

/** Creates the file with `state` in both slots; it appears under its name whole and synced, or not at all. */
export async function createHardState(layout: Layout, state: StoredState, parts: Parts): Promise<HardStateFile> {
  const { disk, failStop } = parts;
  return failStop.guard("creating the hard-state file", async () => {
    await disk.unlink(layout.newHardState);
    const fd = await disk.create(layout.newHardState);
    try {
      const bytes = Buffer.alloc(fileBytes);
      encodeSlot(0, state).copy(bytes, 0);
      encodeSlot(1, state).copy(bytes, pageBytes);
      await disk.write(fd, [bytes], 0);
      await disk.syncFile(fd);
    } finally {
      disk.close(fd);
    }
    await disk.rename(layout.newHardState, layout.hardState);
    await syncDirectory(disk, layout.root);
    return new HardStateFile(await disk.open(layout.hardState, "update"), { sequence: 1, state }, parts);
  });
}

/**
 * Reads the file; undefined when there is none.
 * @throws {DepositoError} `data-directory-foreign` when neither slot is whole; `storage-failed`.
 */
export async function loadHardState(layout: Layout, parts: Parts): Promise<LoadedHardState | undefined> {
  const { disk, failStop } = parts;
  const fd = await failStop.guard(`opening ${layout.hardState}`, () => openExisting(disk, layout.hardState));
  if (fd === undefined) return undefined;
  try {
    const slots = await failStop.guard(`reading ${layout.hardState}`, async () => [
      await readSlot(disk, fd, 0),
      await readSlot(disk, fd, 1),
    ]);
    const [newest] = slots.filter((slot) => slot !== undefined).sort((one, other) => other.sequence - one.sequence);
    if (newest === undefined) {
      throw new DepositoError(
        "data-directory-foreign",
        `${layout.hardState} is damaged: what this node voted for and promised is lost. Remove the node from the ` +
          "cluster, move its data directory away, and add it again.",
      );
    }
    const { place, state } = newest;
    // The next write must not be made over the newest slot, wherever the disk has put that.
    const sequence = newest.sequence + (isInPlace(newest) ? 0 : 1);
    invariant((sequence + 1) % 2 !== place, () => `slot ${sequence + 1} would replace the newest one`);
    return {
      file: new HardStateFile(fd, { sequence, state }, parts),
      slotDamaged: !slots.every((slot) => slot !== undefined && isInPlace(slot)),
    };
  } catch (error) {
    disk.close(fd);
    throw error;
  }
}

async function openExisting(disk: StorageDisk, path: string): Promise<number | undefined> {
  try {
    return await disk.open(path, "update");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

interface FoundSlot {
  /** Number of the page that it lies in. */
  readonly place: number;
  readonly sequence: number;
  readonly state: StoredState;
}

async function readSlot(disk: StorageDisk, fd: number, place: number): Promise<FoundSlot | undefined> {
  const bytes = Buffer.alloc(slotBytes);
  const filled = await disk.read(fd, bytes, place * pageBytes);
  const slot = decodeSlot(bytes.subarray(0, filled));
  return slot && { place, ...slot };
}

/** A whole slot in the place of the other was misdirected by the disk: it counts, but what lay there is lost. */
function isInPlace({ place, sequence }: FoundSlot): boolean {
  return sequence % 2 === place;
}

/** The open file. Updates may be asked for by several owners at once; they take effect one after the other. */
export class HardStateFile {
  readonly #fd: number;
  readonly #disk: StorageDisk;
  readonly #failStop: FailStop;
  #sequence: number;
  #state: StoredState;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(fd: number, at: { readonly sequence: number; readonly state: StoredState }, parts: Parts) {
    this.#fd = fd;
    this.#disk = parts.disk;
    this.#failStop = parts.failStop;
    this.#sequence = at.sequence;
    this.#state = at.state;
  }

  /** What is on disk, as of the last update that finished. */
  get state(): StoredState {
    return this.#state;
  }

  /**
   * Makes the changed fields durable, all at once. A change of the claim alone is one write, any other two.
   * @throws {DepositoError} `storage-failed`
   */
  update(change: Partial<StoredState>): Promise<void> {
    const done = this.#turn.then(() => this.#apply(change));
    // The next update runs whatever became of this one; the failure is this caller's, and the fail-stop's memory.
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await this.#turn;
    this.#disk.close(this.#fd);
  }

  async #apply(change: Partial<StoredState>): Promise<void> {
    const next = { ...this.#state, ...change };
    invariant(
      next.term > this.#state.term ||
        (next.term === this.#state.term &&
          (this.#state.votedFor === undefined || this.#state.votedFor === next.votedFor)),
      () => `from vote ${this.#state.votedFor} in ${this.#state.term} to ${next.votedFor} in ${next.term}`,
    );
    await this.#write(next);
    if (Object.keys(change).some((field) => field !== "promised")) await this.#write(next);
    this.#state = next;
  }

  async #write(state: StoredState): Promise<void> {
    const sequence = this.#sequence + 1;
    const slot = encodeSlot(sequence, state);
    await this.#failStop.guard("writing the hard-state file", async () => {
      await this.#disk.write(this.#fd, [slot], (sequence % 2) * pageBytes);
      await this.#disk.syncFile(this.#fd);
    });
    this.#sequence = sequence;
  }
}
