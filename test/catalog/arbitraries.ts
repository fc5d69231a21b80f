/** Values for property tests of the catalog. */
import fc from "fast-check";
import {
  type BlobId,
  type ClientId,
  type CommandId,
  type Incarnation,
  logIndex,
  type NodeId,
  parseNodeId,
  parseReplicaCount,
  type ReplicaCount,
  type Sha256,
  type Staged,
  staged,
  version,
} from "../../node/base/ids.ts";
import { type FileName, parseFileName } from "../../node/catalog/names.ts";
import type {
  ClientRecord,
  Command,
  FileRecord,
  Holder,
  HolderRow,
  Match,
  MemberRecord,
  Outcome,
  Preconditions,
  Proposal,
  Reassignment,
  ReplicaReport,
} from "../../node/catalog/types.ts";

/** `fc.record` with plain objects only, as the decoders make them. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const uuid = fc.uuid({ version: 4 });
export const anyClientId = uuid as fc.Arbitrary<string> as fc.Arbitrary<ClientId>;
export const anyBlobId = uuid as fc.Arbitrary<string> as fc.Arbitrary<BlobId>;
const anyCommandId = uuid as fc.Arbitrary<string> as fc.Arbitrary<CommandId>;
const anyIncarnation = uuid as fc.Arbitrary<string> as fc.Arbitrary<Incarnation>;
export const anySha256 = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("hex") as Sha256);

/** Names of all planes, long ones too. */
export const anyName: fc.Arbitrary<FileName> = fc
  .string({ unit: "binary", minLength: 1, maxLength: 40 })
  .map((text) => text.replaceAll(/[\p{Cc}]/gu, "~"))
  .map((text) => text.replaceAll(/(^|\/)(?=\/|$)/gu, "$1_").replaceAll(/(^|\/)(\.{1,2})(?=\/|$)/gu, "$1$2_"))
  .map(parseFileName);

export const anyNode: fc.Arbitrary<NodeId> = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/).map((text) => {
  const node = parseNodeId(text);
  if (node === undefined) throw new Error(`no node id: ${text}`);
  return node;
});

const anyWhole = fc.maxSafeNat();
const anyLife = anyWhole.map(logIndex);
const anyStaged: fc.Arbitrary<Staged> = anyWhole.map(staged);
const anyCount: fc.Arbitrary<ReplicaCount> = fc.integer({ min: 1, max: 2 ** 40 }).map((value) => {
  const count = parseReplicaCount(value);
  if (count === undefined) throw new Error(`no count: ${value}`);
  return count;
});
const anyText = fc.string({ unit: "binary", maxLength: 80 });
function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

export const anyClient: fc.Arbitrary<ClientRecord> = record({
  clientId: anyClientId,
  secretHash: anySha256,
  label: optional(anyText),
  files: anyWhole,
  bytes: anyWhole,
  replicaBytes: anyWhole,
  createdAt: anyWhole,
});

const anyHolder: fc.Arbitrary<Holder> = fc.oneof(
  record({ node: anyNode, state: fc.constant("present" as const), staged: anyStaged }),
  record({ node: anyNode, state: fc.constant("missing" as const) }),
);

const anyFacts = record({ blobId: anyBlobId, sizeBytes: anyWhole, sha256: anySha256 });

export const anyFile: fc.Arbitrary<FileRecord> = record({
  clientId: anyClientId,
  name: anyName,
  blob: anyFacts,
  contentType: anyText,
  replicas: anyCount,
  version: anyWhole.map(version),
  createdAt: anyWhole,
  updatedAt: anyWhole,
  holders: fc.uniqueArray(anyHolder, { selector: ({ node }) => node, maxLength: 5 }),
});

export const anyHolderRow: fc.Arbitrary<HolderRow> = record({
  node: anyNode,
  blob: anyFacts,
  clientId: anyClientId,
  name: anyName,
  state: fc.constantFrom("present", "missing", "doomed"),
});

const anyAddress = record({ host: fc.string({ maxLength: 40 }), port: fc.nat(65_535) });
const memberFacts = {
  id: anyNode,
  incarnation: anyIncarnation,
  role: fc.constantFrom("voter" as const, "storage" as const),
  zone: fc.string({ maxLength: 20 }),
  api: anyAddress,
  peer: anyAddress,
};
export const anyMembers: fc.Arbitrary<readonly MemberRecord[]> = fc.uniqueArray(
  record({
    ...memberFacts,
    state: fc.constantFrom("member" as const, "leaving" as const, "lost" as const),
    life: anyLife,
    sweptUpTo: anyStaged,
  }),
  { selector: ({ id }) => id, maxLength: 5 },
);

export const anyOutcome: fc.Arbitrary<Outcome> = fc.oneof(
  record({ type: fc.constant("done" as const) }),
  record({ type: fc.constant("bytes-needed" as const) }),
  record({
    type: fc.constant("deposited" as const),
    how: fc.constantFrom("created" as const, "replaced" as const, "replicas-changed" as const, "unchanged" as const),
    record: anyFile,
  }),
  record({ type: fc.constant("edited" as const), record: anyFile }),
  record({
    type: fc.constant("refused" as const),
    code: fc.constantFrom(
      "precondition-failed" as const,
      "file-not-found" as const,
      "replicas-out-of-range" as const,
      "unauthenticated" as const,
      "behind-fence" as const,
      "expired" as const,
      "node-busy" as const,
      "node-not-found" as const,
      "already-a-member" as const,
      "last-voter" as const,
    ),
    detail: anyText,
  }),
);

const anyMatch: fc.Arbitrary<Match> = fc.oneof(
  record({ type: fc.constant("any" as const) }),
  record({ type: fc.constant("tags" as const), tags: fc.array(anyText, { maxLength: 4 }) }),
);
const anyPreconditions: fc.Arbitrary<Preconditions> = record({
  ifMatch: optional(anyMatch),
  ifNoneMatch: optional(anyMatch),
});
const anyRanking = fc.uniqueArray(anyNode, { maxLength: 5 });
const anyReassignment: fc.Arbitrary<Reassignment> = record({
  clientId: anyClientId,
  name: anyName,
  blobId: anyBlobId,
  ranking: anyRanking,
});
const anyReport: fc.Arbitrary<ReplicaReport> = fc.oneof(
  record({ type: fc.constant("made" as const), blobId: anyBlobId, staged: anyStaged }),
  record({ type: fc.constant("lost" as const), blobId: anyBlobId }),
  record({ type: fc.constant("dropped" as const), blobId: anyBlobId }),
);

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  record({
    type: fc.constant("register-client" as const),
    clientId: anyClientId,
    secretHash: anySha256,
    label: optional(anyText),
    at: anyWhole,
  }),
  record({
    type: fc.constant("rotate-secret" as const),
    clientId: anyClientId,
    secretHash: anySha256,
    at: anyWhole,
  }),
  record({
    type: fc.constant("deposit" as const),
    clientId: anyClientId,
    name: anyName,
    blobId: optional(anyBlobId),
    sizeBytes: anyWhole,
    sha256: anySha256,
    contentType: optional(anyText),
    replicas: optional(anyCount),
    defaultReplicas: anyCount,
    copies: fc.uniqueArray(record({ node: anyNode, life: anyLife, staged: anyStaged }), {
      selector: ({ node }) => node,
      maxLength: 4,
    }),
    ranking: anyRanking,
    preconditions: anyPreconditions,
    at: anyWhole,
  }),
  record({
    type: fc.constant("edit" as const),
    clientId: anyClientId,
    name: anyName,
    replicas: optional(anyCount),
    contentType: optional(anyText),
    ranking: anyRanking,
    preconditions: anyPreconditions,
    at: anyWhole,
  }),
  record({
    type: fc.constant("remove" as const),
    clientId: anyClientId,
    name: anyName,
    preconditions: anyPreconditions,
    at: anyWhole,
  }),
  record({
    type: fc.constant("report-replicas" as const),
    node: anyNode,
    life: anyLife,
    reports: fc.array(anyReport, { maxLength: 4 }),
  }),
  record({ type: fc.constant("sweep-fence" as const), node: anyNode, life: anyLife, upTo: anyStaged }),
  record({ type: fc.constant("add-member" as const), member: record(memberFacts) }),
  record({ type: fc.constant("remove-member" as const), node: anyNode, acceptLoss: fc.boolean() }),
  record({ type: fc.constant("reassign-replicas" as const), files: fc.array(anyReassignment, { maxLength: 4 }) }),
  record({
    type: fc.constant("forget-replicas" as const),
    node: anyNode,
    life: anyLife,
    blobIds: fc.array(anyBlobId, { maxLength: 4 }),
  }),
  record({ type: fc.constant("forget-member" as const), node: anyNode, life: anyLife }),
);

export const anyProposal: fc.Arbitrary<Proposal> = record({
  id: anyCommandId,
  basis: anyWhole.map(logIndex),
  command: anyCommand,
});
