import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ClientId,
  type CommandId,
  type LogIndex,
  logIndex,
  type NodeId,
  newClientId,
  newCommandId,
  newIncarnation,
  type Sha256,
  term,
} from "../../../node/base/ids.ts";
import { silentLogger } from "../../../node/base/logger.ts";
import { foundingWrites, readMeta } from "../../../node/catalog/apply.ts";
import { encodeProposal } from "../../../node/catalog/codec.ts";
import type { Command, Founding, MemberFacts } from "../../../node/catalog/types.ts";
import type { Entry } from "../../../node/raft/types.ts";
import { foundingOf } from "../../../node/replication/founding.ts";
import { openDataDirectory } from "../../../node/storage/data-directory.ts";
import { systemDisk } from "../../../node/storage/system/system-disk.ts";
import type { CatalogStore, DataDirectory, OpenedStores } from "../../../node/storage/types.ts";

/** A folder that goes away when `scope` ends. */
export function temporaryFolder(scope: { after(end: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "deposito-replication-"));
  scope.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function member(id: string): MemberFacts {
  const address = { host: "127.0.0.1", port: 1 };
  return {
    id: id as NodeId,
    incarnation: newIncarnation(),
    role: "voter",
    zone: "a",
    api: address,
    peer: address,
  };
}

/** The founding of a group of `ids`. */
export function groupOf(...ids: readonly string[]): Founding {
  return foundingOf("test", ids.map(member));
}

/** Opens the directory of one founding member, which is made where there is none. */
export async function openNodeDirectory(path: string, founding: Founding, id: NodeId): Promise<DataDirectory> {
  const directory = await openDirectory(path, id);
  if (directory.identity === undefined) {
    const incarnation = founding.members.find((each) => each.id === id)?.incarnation;
    await directory.claim(incarnation ?? newIncarnation());
    const { writes, meta } = foundingWrites(founding);
    await directory.found(founding, writes, meta.applied);
  }
  return directory;
}

/** A directory in the life that `self` tells of, which belongs to no group yet. */
export async function openBlankDirectory(path: string, self: MemberFacts): Promise<DataDirectory> {
  const directory = await openDirectory(path, self.id);
  await directory.claim(self.incarnation);
  return directory;
}

function openDirectory(path: string, nodeId: NodeId): Promise<DataDirectory> {
  return openDataDirectory({
    path,
    nodeId,
    disk: systemDisk,
    logger: silentLogger,
    appliedOf: (catalog) => readMeta(catalog).applied,
  });
}

/** One node's disk in use, for the length of `work`. */
export async function withDisk<T>(
  path: string,
  founding: Founding,
  work: (stores: OpenedStores & { readonly catalog: CatalogStore }) => Promise<T>,
): Promise<T> {
  const directory = await openNodeDirectory(path, founding, founding.members[0]?.id as NodeId);
  try {
    const stores = await directory.open();
    const { catalog, log } = stores;
    if (catalog === undefined) throw new Error("no usable catalog");
    const [installCatalog, condemnCatalog] = [() => stores.installCatalog(), () => stores.condemnCatalog()];
    return await work({ catalog, log, installCatalog, condemnCatalog });
  } finally {
    await directory.close();
  }
}

export function registerClient(clientId: ClientId = newClientId(), label = "a client"): Command {
  return { type: "register-client", clientId, secretHash: "0".repeat(64) as Sha256, label, at: 1 };
}

/** A committed command at `index`. */
export function commandEntry(
  index: number,
  command: Command = registerClient(),
  id: CommandId = newCommandId(),
): Entry {
  const basis: LogIndex = logIndex(index - 1);
  return { index: logIndex(index), term: term(1), kind: "command", data: encodeProposal({ id, basis, command }) };
}

/** Commands that register clients, from `first` to `last`. */
export function commandEntries(first: number, last: number): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, at) => commandEntry(first + at));
}
