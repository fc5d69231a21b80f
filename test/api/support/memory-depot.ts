import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../../../node/base/clock.ts";
import { DepositoError } from "../../../node/base/errors.ts";
import {
  type ClientId,
  logIndex,
  type NodeId,
  newBlobId,
  newClientId,
  newIncarnation,
  parseNodeId,
  parseReplicaCount,
  parseSha256,
  type ReplicaCount,
  type Sha256,
  staged,
  version,
} from "../../../node/base/ids.ts";
import type { FileName } from "../../../node/catalog/names.ts";
import { fileTag, recordTag, refuseByPreconditions } from "../../../node/catalog/preconditions.ts";
import type { Address, ClientRecord, FileRecord, Preconditions } from "../../../node/catalog/types.ts";
import type {
  ClusterEvent,
  ClusterStatus,
  DepositAnswer,
  DepositRequest,
  Depot,
  EditRequest,
  ListPage,
  ListRequest,
  NodeMembership,
  Retrieval,
} from "../../../node/depot/types.ts";

interface StoredFile {
  readonly record: FileRecord;
  readonly bytes: Buffer;
}

/** How the bytes of the next retrieval come, where a test wants it otherwise than whole. */
export type ReadScript = (bytes: Buffer, signal: AbortSignal) => AsyncIterable<Uint8Array>;

export const memoryNodes = ["n1", "n2", "n3"].map(nodeIdOf);

/** A depot of one process with the semantics of the contract, so that the door can be tested by itself. */
export class MemoryDepot implements Depot {
  readonly #clock: Clock;
  readonly #clients = new Map<ClientId, { record: ClientRecord; secret: string }>();
  readonly #files = new Map<string, StoredFile>();
  #version = 0;
  /** Thrown by the next verb instead of doing anything. */
  failure: Error | undefined;
  readScript: ReadScript | undefined;
  /** Settles `deposit` only after this; for tests of what happens meanwhile. */
  beforeDecision: Promise<void> = Promise.resolve();
  /** The same for `authenticate`. */
  beforeCredentials: Promise<void> = Promise.resolve();
  /** Who follows events; a test tells them. */
  readonly eventListeners = new Set<(event: ClusterEvent) => void>();
  /** What operators asked for. */
  readonly changes: unknown[] = [];
  /** Deposits that were begun and have not ended. */
  depositsUnderWay = 0;
  /** The errors deposits ended with, in order. */
  readonly depositErrors: unknown[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get storedFiles(): number {
    return this.#files.size;
  }

  async registerClient(label: string | undefined): Promise<{ client: ClientRecord; secret: string }> {
    this.#failIfTold();
    const secret = randomBytes(32).toString("base64url");
    const record: ClientRecord = {
      clientId: newClientId(),
      secretHash: sha256Of(secret),
      label,
      files: 0,
      bytes: 0,
      replicaBytes: 0,
      createdAt: this.#clock.wallMs(),
    };
    this.#clients.set(record.clientId, { record, secret });
    return { client: record, secret };
  }

  async authenticate(clientId: string, secret: string): Promise<ClientRecord> {
    await this.beforeCredentials;
    const client = this.#clients.get(clientId as ClientId);
    if (client === undefined || client.secret !== secret) {
      throw new DepositoError("unauthenticated", "the client is unknown or the secret is wrong");
    }
    const files = [...this.#files.values()].filter(({ record }) => record.clientId === client.record.clientId);
    const sum = (of: (file: FileRecord) => number): number =>
      files.reduce((total, { record }) => total + of(record), 0);
    return {
      ...client.record,
      files: files.length,
      bytes: sum(({ blob }) => blob.sizeBytes),
      replicaBytes: sum(({ blob, replicas }) => blob.sizeBytes * replicas),
    };
  }

  async rotateSecret(clientId: ClientId): Promise<{ secret: string }> {
    this.#failIfTold();
    const client = this.#clients.get(clientId);
    if (client === undefined) throw new DepositoError("unauthenticated", "the client is gone");
    client.secret = randomBytes(32).toString("base64url");
    return { secret: client.secret };
  }

  async deposit(request: DepositRequest): Promise<DepositAnswer> {
    this.depositsUnderWay++;
    try {
      return await this.#deposit(request);
    } catch (error) {
      this.depositErrors.push(error);
      throw error;
    } finally {
      this.depositsUnderWay--;
    }
  }

  async #deposit(request: DepositRequest): Promise<DepositAnswer> {
    this.#failIfTold();
    const count = replicaCountOf(request.replicas);
    const standing = this.#files.get(keyOf(request.clientId, request.name));
    refuseUnless(request.preconditions, standing && fileTag(standing.record.blob.sha256));
    if (request.bodyAwaited && request.declaredSha256 !== undefined) {
      const known = this.#keepBytes(request, standing, request.declaredSha256, count);
      if (known !== undefined) return known;
    }
    request.wantBody();
    const chunks: Uint8Array[] = [];
    for await (const chunk of request.body) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const digest = sha256Of(bytes);
    if (request.declaredBytes !== undefined && request.declaredBytes !== bytes.length) {
      throw new DepositoError("size-mismatch", `declared ${request.declaredBytes} bytes, received ${bytes.length}`);
    }
    if (request.declaredSha256 !== undefined && request.declaredSha256 !== digest) {
      throw new DepositoError("digest-mismatch", `declared ${request.declaredSha256}, received ${digest}`);
    }
    await this.beforeDecision;
    return this.#keepBytes(request, standing, digest, count) ?? this.#storeBytes(request, standing, bytes, count);
  }

  #keepBytes(
    request: DepositRequest,
    standing: StoredFile | undefined,
    digest: Sha256,
    count: ReplicaCount | undefined,
  ): DepositAnswer | undefined {
    if (standing?.record.blob.sha256 !== digest) return undefined;
    if (count === undefined || count === standing.record.replicas)
      return { outcome: "unchanged", record: standing.record };
    const record = this.#put(
      request,
      { ...standing.record, replicas: count, holders: holdersOf(count) },
      standing.bytes,
    );
    return { outcome: "replicas-changed", record };
  }

  #storeBytes(
    request: DepositRequest,
    standing: StoredFile | undefined,
    bytes: Buffer,
    count: ReplicaCount | undefined,
  ): DepositAnswer {
    const replicas = count ?? standing?.record.replicas ?? requireCount(2);
    const now = this.#clock.wallMs();
    const record = this.#put(
      request,
      {
        clientId: request.clientId,
        name: request.name,
        blob: { blobId: newBlobId(), sizeBytes: bytes.length, sha256: sha256Of(bytes) },
        contentType: request.contentType ?? standing?.record.contentType ?? "application/octet-stream",
        replicas,
        version: version(0),
        createdAt: standing?.record.createdAt ?? now,
        updatedAt: now,
        holders: holdersOf(replicas),
      },
      bytes,
    );
    return { outcome: standing === undefined ? "created" : "replaced", record };
  }

  async retrieve(clientId: ClientId, name: FileName): Promise<Retrieval> {
    const { record, bytes } = this.#stored(clientId, name);
    const script = this.readScript ?? wholeBytes;
    return { record, read: ({ start, end }, signal) => script(bytes.subarray(start, end), signal) };
  }

  async record(clientId: ClientId, name: FileName): Promise<FileRecord> {
    return this.#stored(clientId, name).record;
  }

  async edit(request: EditRequest): Promise<FileRecord> {
    const { record, bytes } = this.#stored(request.clientId, request.name);
    const replicas = replicaCountOf(request.replicas) ?? record.replicas;
    refuseUnless(request.preconditions, recordTag(record.version));
    const contentType = request.contentType ?? record.contentType;
    return this.#put(request, { ...record, replicas, contentType, holders: holdersOf(replicas) }, bytes);
  }

  async remove(clientId: ClientId, name: FileName, preconditions: Preconditions): Promise<void> {
    const { record } = this.#stored(clientId, name);
    refuseUnless(preconditions, fileTag(record.blob.sha256));
    this.#files.delete(keyOf(clientId, name));
  }

  async list({ clientId, prefix, delimiter, after, limit }: ListRequest): Promise<ListPage> {
    this.#failIfTold();
    const entries = new Map<string, FileRecord | undefined>();
    const own = [...this.#files.values()].filter(({ record }) => record.clientId === clientId);
    for (const { record } of own) {
      if (!record.name.startsWith(prefix)) continue;
      const at = delimiter === undefined ? -1 : record.name.indexOf(delimiter, prefix.length);
      const group = at === -1 ? undefined : record.name.slice(0, at + (delimiter?.length ?? 0));
      entries.set(group ?? record.name, group === undefined ? record : undefined);
    }
    const names = [...entries.keys()].sort(byUtf8).filter((name) => after === undefined || byUtf8(name, after) > 0);
    const page = names.slice(0, limit);
    return {
      records: page.flatMap((name) => entries.get(name) ?? []),
      prefixes: page.filter((name) => entries.get(name) === undefined),
      next: names.length > page.length ? page.at(-1) : undefined,
    };
  }

  async clusterStatus(): Promise<ClusterStatus> {
    const replicas = [...this.#files.values()].flatMap(({ record }) => record.holders).length;
    return {
      cluster: "memory",
      leader: memoryNodes[0],
      term: 3,
      commitIndex: this.#version,
      nodes: memoryNodes.map((id, at) => ({
        member: {
          id,
          incarnation: newIncarnation(),
          role: "voter",
          zone: "a",
          api: { host: "127.0.0.1", port: 4001 + at },
          peer: { host: "127.0.0.1", port: 4101 + at },
          state: "member",
          life: logIndex(1),
          sweptUpTo: staged(0),
        },
        membership: "voter",
        state: "unknown",
        status: undefined,
        lastSeenWallMs: undefined,
      })),
      totals: { files: this.#files.size, bytes: 0, wanted: replicas, present: replicas, missing: 0, unplaced: 0 },
      trouble: undefined,
    };
  }

  clusterEvents(listener: (event: ClusterEvent) => void): () => void {
    listener({ type: "leader", leader: memoryNodes[0], term: 3 });
    this.eventListeners.add(listener);
    return () => this.eventListeners.delete(listener);
  }

  async addMember(node: NodeId, peer: Address): Promise<NodeMembership> {
    this.#failIfTold();
    this.changes.push({ add: node, peer });
    return { node, membership: "learner" };
  }

  async removeMember(node: NodeId, { acceptLoss }: { readonly acceptLoss: boolean }): Promise<NodeMembership> {
    this.#failIfTold();
    this.changes.push({ remove: node, acceptLoss });
    return { node, membership: "leaving" };
  }

  async moveLeadership(to: NodeId): Promise<{ term: number }> {
    this.#failIfTold();
    this.changes.push({ lead: to });
    return { term: 4 };
  }

  #stored(clientId: ClientId, name: FileName): StoredFile {
    this.#failIfTold();
    const stored = this.#files.get(keyOf(clientId, name));
    if (stored === undefined) throw new DepositoError("file-not-found", `there is no file '${name}'`);
    return stored;
  }

  #put(at: { clientId: ClientId; name: FileName }, record: FileRecord, bytes: Buffer): FileRecord {
    const stored = { record: { ...record, version: version(++this.#version) }, bytes };
    this.#files.set(keyOf(at.clientId, at.name), stored);
    return stored.record;
  }

  #failIfTold(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }
}

async function* wholeBytes(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

function refuseUnless(preconditions: Preconditions, tag: string | undefined): void {
  const refusal = refuseByPreconditions(preconditions, tag);
  if (refusal?.type === "refused") throw new DepositoError("precondition-failed", refusal.detail);
}

function replicaCountOf(replicas: number | undefined): ReplicaCount | undefined {
  if (replicas === undefined) return undefined;
  const count = parseReplicaCount(replicas);
  if (count === undefined || count > memoryNodes.length) {
    throw new DepositoError("replicas-out-of-range", `${replicas} replicas; 1 to ${memoryNodes.length} are possible`);
  }
  return count;
}

function requireCount(value: number): ReplicaCount {
  const count = parseReplicaCount(value);
  if (count === undefined) throw new Error(`no replica count: ${value}`);
  return count;
}

function holdersOf(count: number): FileRecord["holders"] {
  return memoryNodes.slice(0, count).map((node) => ({ node, state: "present", staged: staged(1) }));
}

function nodeIdOf(text: string): NodeId {
  const id = parseNodeId(text);
  if (id === undefined) throw new Error(`no node id: ${text}`);
  return id;
}

function sha256Of(bytes: string | Uint8Array): Sha256 {
  const digest = parseSha256(createHash("sha256").update(bytes).digest("hex"));
  if (digest === undefined) throw new Error("no digest");
  return digest;
}

function byUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function keyOf(clientId: ClientId, name: FileName): string {
  return `${clientId} ${name}`;
}
