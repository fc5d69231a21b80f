import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { logIndex, type NodeId, newIncarnation, parseClusterId, parseNodeId, term } from "../../node/base/ids.ts";
import { invariant } from "../../node/base/invariant.ts";
import { silentLogger } from "../../node/base/logger.ts";
import type { CatalogView, Founding, Write } from "../../node/catalog/types.ts";
import type { Entry, EntryKind, HardState, LogPosition } from "../../node/raft/types.ts";
import { openDataDirectory } from "../../node/storage/data-directory.ts";
import type { StorageDisk } from "../../node/storage/disk.ts";
import { layoutOf } from "../../node/storage/layout.ts";
import type { StorageTuning } from "../../node/storage/place.ts";
import { systemDisk } from "../../node/storage/system/system-disk.ts";
import type { DataDirectory, LogStore, OpenedStores } from "../../node/storage/types.ts";

export function node(id: string): NodeId {
  const parsed = parseNodeId(id);
  invariant(parsed !== undefined, () => id);
  return parsed;
}

const clusterId = parseClusterId("00000000-0000-0000-0000-000000000001");
invariant(clusterId !== undefined, () => "cluster id");
export const founding: Founding = { clusterId, clusterName: "test", members: [] };
export const base: LogPosition = { index: logIndex(1), term: term(1) };

/** A folder that goes away with the test file; `name` inside it does not exist yet. */
export async function temporaryDirectory(name = "data"): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "deposito-storage-"));
  after(() => rm(parent, { recursive: true, force: true }));
  return join(parent, name);
}

const appliedKey = Buffer.from("applied");

/** The row in which these tests' catalogs say what is applied. */
export function appliedRow(position: LogPosition): Write {
  return { key: appliedKey, value: Buffer.from(JSON.stringify(position)) };
}

function appliedOf(catalog: CatalogView): LogPosition {
  const value = catalog.get(appliedKey);
  if (value === undefined) throw new DepositoError("catalog-damaged", "the applied row is missing");
  return JSON.parse(Buffer.from(value).toString());
}

export interface Opening {
  readonly tuning?: Partial<StorageTuning>;
  readonly nodeId?: string;
  readonly disk?: StorageDisk;
}

export function openDirectory(path: string, opening: Opening = {}): Promise<DataDirectory> {
  return openDataDirectory({
    path,
    nodeId: node(opening.nodeId ?? "n1"),
    disk: opening.disk ?? systemDisk,
    logger: silentLogger,
    appliedOf,
    tuning: opening.tuning,
  });
}

/** A directory in use, with its stores. */
export interface InUse extends OpenedStores {
  readonly directory: DataDirectory;
}

/** Claims and founds `path` when it is blank, and opens its stores. */
export async function use(path: string, opening: Opening = {}): Promise<InUse> {
  const directory = await openDirectory(path, opening);
  try {
    if (directory.identity === undefined) await directory.claim(newIncarnation());
    if (directory.identity?.clusterId === undefined) await directory.found(founding, [appliedRow(base)], base);
    const stores = await directory.open();
    return {
      directory,
      log: stores.log,
      catalog: stores.catalog,
      installCatalog: () => stores.installCatalog(),
      condemnCatalog: () => stores.condemnCatalog(),
    };
  } catch (error) {
    await directory.close();
    throw error;
  }
}

/** Uses `path` for the length of `work`. */
export async function withStores<T>(
  path: string,
  work: (stores: InUse) => Promise<T>,
  opening: Opening = {},
): Promise<T> {
  const stores = await use(path, opening);
  try {
    return await work(stores);
  } finally {
    await stores.directory.close();
  }
}

export function entry(index: number, inTerm: number, data: string | Uint8Array = `entry ${index} of ${inTerm}`): Entry {
  const kind: EntryKind = index % 5 === 0 ? "noop" : "command";
  return {
    index: logIndex(index),
    term: term(inTerm),
    kind,
    data: typeof data === "string" ? Buffer.from(data) : data,
  };
}

export function entries(from: number, through: number, inTerm: number): Entry[] {
  return Array.from({ length: through - from + 1 }, (_, offset) => entry(from + offset, inTerm));
}

export function position(index: number, inTerm: number): LogPosition {
  return { index: logIndex(index), term: term(inTerm) };
}

export function vote(inTerm: number, votedFor?: string): HardState {
  return { term: term(inTerm), votedFor: votedFor === undefined ? undefined : node(votedFor) };
}

/** Everything in the log, as text: one line per entry. */
export async function contentOf(log: LogStore, from: number, through: number): Promise<string[]> {
  const lines: string[] = [];
  for (let next = from; next <= through; ) {
    const read = await log.read(logIndex(next), 1 << 20);
    if (read.length === 0) break;
    for (const one of read) lines.push(lineOf(one));
    next += read.length;
  }
  return lines;
}

export function lineOf(one: Entry): string {
  return `${one.index}/${one.term} ${one.kind} ${Buffer.from(one.data).toString()}`;
}

/** Where things lie in `path`. */
export const layout = layoutOf;
