/** A catalog in a map, and builders of commands for it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  type BlobId,
  type ClientId,
  type ClusterId,
  type CommandId,
  type Incarnation,
  type LogIndex,
  logIndex,
  type NodeId,
  type ReplicaCount,
  type Sha256,
  staged,
  term,
} from "../../node/base/ids.ts";
import { type AppliedEntries, applyEntries, type CatalogMeta, foundingWrites } from "../../node/catalog/apply.ts";
import { encodeProposal } from "../../node/catalog/codec.ts";
import { type KeyRange, keyText } from "../../node/catalog/keys.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import { type Row, readClient, readFile, readHolder } from "../../node/catalog/tables.ts";
import type {
  CatalogView,
  ClientRecord,
  Command,
  FileRecord,
  Founding,
  HolderRow,
  MemberFacts,
  Outcome,
  Preconditions,
  Write,
} from "../../node/catalog/types.ts";
import { encodeConfiguration } from "../../node/raft/configuration.ts";
import type { Configuration, Entry } from "../../node/raft/types.ts";

export const ann = id<ClientId>(1);
export const bob = id<ClientId>(2);
/** Of every founding member. */
export const founderLife = logIndex(1);
export const noPreconditions: Preconditions = { ifMatch: undefined, ifNoneMatch: undefined };

/** The UUID v4 number `n`. */
export function id<T extends string>(n: number): T {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}` as T;
}
export function nodes(count: number): readonly NodeId[] {
  return Array.from({ length: count }, (_, i) => `n${i + 1}` as NodeId);
}
export function sha(content: string): Sha256 {
  return createHash("sha256").update(content).digest("hex") as Sha256;
}
export function count(value: number): ReplicaCount {
  return value as ReplicaCount;
}

export function founding(members: readonly NodeId[], storageOnly: readonly NodeId[] = []): Founding {
  return {
    clusterId: id<ClusterId>(7),
    clusterName: "test",
    members: members.map(
      (node, i): MemberFacts => ({
        id: node,
        incarnation: id<Incarnation>(100 + i),
        role: storageOnly.includes(node) ? "storage" : "voter",
        zone: "a",
        api: { host: "127.0.0.1", port: 4001 + i },
        peer: { host: "127.0.0.1", port: 4101 + i },
      }),
    ),
  };
}

type Fields<T extends Command["type"]> = Partial<Omit<Extract<Command, { type: T }>, "type" | "name">> & {
  readonly name?: string;
};

/** A deposit of `content` whose copies lie on `on`. */
export function deposit(
  content: string,
  blob: number | undefined,
  on: readonly NodeId[],
  fields: Fields<"deposit"> = {},
): Command {
  return {
    type: "deposit",
    clientId: ann,
    blobId: blob === undefined ? undefined : id<BlobId>(blob),
    sizeBytes: content.length,
    sha256: sha(content),
    contentType: undefined,
    replicas: undefined,
    defaultReplicas: count(Math.max(1, on.length)),
    copies: on.map((node) => ({ node, life: founderLife, staged: staged(blob ?? 1) })),
    ranking: [],
    preconditions: noPreconditions,
    at: 1000 + (blob ?? 0),
    ...fields,
    name: parseFileName(fields.name ?? "a"),
  };
}
export function edit(fields: Fields<"edit">): Command {
  return {
    type: "edit",
    clientId: ann,
    replicas: undefined,
    contentType: undefined,
    ranking: [],
    preconditions: noPreconditions,
    at: 5000,
    ...fields,
    name: parseFileName(fields.name ?? "a"),
  };
}
export function remove(fields: Fields<"remove"> = {}): Command {
  return {
    type: "remove",
    clientId: ann,
    preconditions: noPreconditions,
    at: 6000,
    ...fields,
    name: parseFileName(fields.name ?? "a"),
  };
}
export function register(clientId: ClientId): Command {
  return { type: "register-client", clientId, secretHash: sha(`secret of ${clientId}`), label: undefined, at: 1 };
}
export function made(node: NodeId, blob: number, stagedAs: number, life = founderLife): Command {
  return {
    type: "report-replicas",
    node,
    life,
    reports: [{ type: "made", blobId: id<BlobId>(blob), staged: staged(stagedAs) }],
  };
}
export function report(node: NodeId, blob: number, type: "lost" | "dropped", life = founderLife): Command {
  return { type: "report-replicas", node, life, reports: [{ type, blobId: id<BlobId>(blob) }] };
}

export function fence(node: NodeId, upTo: number, life = founderLife): Command {
  return { type: "sweep-fence", node, life, upTo: staged(upTo) };
}

/** A founded catalog with the client `ann`; every command goes through the log, under an id of its own. */
export class TestCatalog implements CatalogView {
  readonly rows = new Map<string, Row>();
  meta: CatalogMeta;
  #commands = 0;

  constructor(founders: Founding = founding(nodes(3)), clients: readonly ClientId[] = [ann]) {
    const { writes, meta } = foundingWrites(founders);
    this.meta = meta;
    this.write(writes);
    for (const clientId of clients) this.apply(register(clientId));
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(keyText(key))?.value;
  }

  write(writes: readonly Write[]): void {
    for (const { key, value } of writes) {
      if (value === undefined) this.rows.delete(keyText(key));
      else this.rows.set(keyText(key), { key, value });
    }
  }

  get next(): LogIndex {
    return logIndex(this.meta.applied.index + 1);
  }

  entry(command: Command, commandId?: CommandId, basis: number = this.meta.applied.index): Entry {
    const proposal = {
      id: commandId ?? id<CommandId>(0xffff_0000 + ++this.#commands),
      basis: logIndex(basis),
      command,
    };
    return { index: this.next, term: term(1), kind: "command", data: encodeProposal(proposal) };
  }

  applyEntries(entries: readonly Entry[]): AppliedEntries {
    const applied = applyEntries(this, this.meta, entries);
    this.write(applied.writes);
    this.meta = applied.meta;
    return applied;
  }

  apply(command: Command): Outcome {
    const { results } = this.applyEntries([this.entry(command)]);
    return onlyOne(results).outcome;
  }

  /** Applies a deposit that must succeed. */
  deposited(command: Command): { readonly how: string; readonly record: FileRecord } {
    const outcome = this.apply(command);
    assert.equal(outcome.type, "deposited", JSON.stringify(outcome));
    return outcome as Extract<Outcome, { type: "deposited" }>;
  }

  /** The entry by which consensus gets another configuration. */
  configure(configuration: Partial<Configuration>): void {
    const data = encodeConfiguration({ voters: [], outgoing: [], learners: [], learnersNext: [], ...configuration });
    this.applyEntries([{ index: this.next, term: term(1), kind: "configuration", data }]);
  }

  noops(many: number): void {
    const entries: Entry[] = [];
    for (let i = 0; i < many; i++) {
      entries.push({ index: logIndex(this.next + i), term: term(1), kind: "noop", data: new Uint8Array() });
    }
    this.applyEntries(entries);
  }

  file(name = "a", clientId = ann): FileRecord | undefined {
    return readFile(this, clientId, parseFileName(name));
  }
  client(clientId = ann): ClientRecord | undefined {
    return readClient(this, clientId);
  }
  holder(node: NodeId, blob: number): HolderRow["state"] | undefined {
    return readHolder(this, node, id<BlobId>(blob))?.state;
  }
  /** Rows in key order, as the store gives them. */
  range({ from, before }: KeyRange): readonly Row[] {
    return [...this.rows.values()]
      .filter(({ key }) => Buffer.compare(from, key) <= 0 && Buffer.compare(key, before) < 0)
      .toSorted((a, b) => Buffer.compare(a.key, b.key));
  }
}

/** Holders as text: `n1` present, `n2?` missing. */
export function holdersText(record: FileRecord | undefined): string {
  assert.ok(record);
  return record.holders.map(({ node, state }) => (state === "present" ? node : `${node}?`)).join(" ");
}

export function onlyOne<T>(list: readonly T[]): T {
  const [first, ...rest] = list;
  assert.ok(first !== undefined && rest.length === 0, `one expected, not ${list.length}`);
  return first;
}

export function refusal(outcome: Outcome): string {
  assert.equal(outcome.type, "refused", JSON.stringify(outcome));
  return (outcome as Extract<Outcome, { type: "refused" }>).code;
}
