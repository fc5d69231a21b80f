import { describe } from "node:test";
import type { StorageDisk } from "../../node/storage/disk.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";
import { seeded } from "../raft/support.ts";
import { SelfWindingClock } from "../simulator/disk/self-winding-clock.ts";
import { SimulatedDisk } from "../simulator/disk/simulated-disk.ts";
import { temporaryDirectory } from "./support.ts";

/** A place for a data directory that does not exist yet, and the disk that it is on. */
export interface DiskPlace {
  readonly path: string;
  readonly disk: StorageDisk;
}

/** Defines the same tests for the real disk and for the simulated one: the simulator proves what it resembles. */
export function onEachDisk(define: (newPlace: () => Promise<DiskPlace>) => void): void {
  describe("on the real disk", () => define(async () => ({ path: await temporaryDirectory(), disk: systemDisk })));
  describe("on the simulated disk", () => define(async () => simulatedPlace()));
}

let seed = 0;

/** A simulated disk that nobody has used. */
export function simulatedPlace(): DiskPlace {
  seed += 1;
  const simulated = new SimulatedDisk({ clock: new SelfWindingClock(), random: seeded(seed), walBytes: 20_000 });
  return { path: "/data", disk: simulated.boot() };
}

/** The bytes of a file, from its start. */
export async function bytesOf(disk: StorageDisk, path: string, sizeBytes: number): Promise<Buffer> {
  const fd = await disk.open(path, "read");
  const bytes = Buffer.alloc(sizeBytes);
  await disk.read(fd, bytes, 0);
  disk.close(fd);
  return bytes;
}

/** Puts a file of these bytes in the place of another, or of none. */
export async function putFile(disk: StorageDisk, path: string, bytes: Uint8Array): Promise<void> {
  await disk.unlink(path);
  const fd = await disk.create(path);
  await disk.write(fd, [bytes], 0);
  disk.close(fd);
}

/** Flips one bit of a file. */
export async function flipByte(disk: StorageDisk, path: string, offset: number): Promise<void> {
  const fd = await disk.open(path, "update");
  const byte = Buffer.alloc(1);
  await disk.read(fd, byte, offset);
  byte.writeUInt8(byte.readUInt8() ^ 0x10);
  await disk.write(fd, [byte], offset);
  disk.close(fd);
}
