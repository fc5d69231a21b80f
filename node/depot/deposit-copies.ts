import { DepositoError } from "../base/errors.ts";
import type { BlobId, LogIndex, NodeId, Staged } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { memberInLife } from "../catalog/members.ts";
import type { BlobFacts, Copy } from "../catalog/types.ts";
import { attemptEach } from "./attempts.ts";
import type { BodyReader, ReceivedFacts } from "./body-reader.ts";
import { CopyFanOut, type FailedCopy, type MadeCopy } from "./copy-fan-out.ts";
import type { DepotOptions } from "./options.ts";

/** Where the bytes of a deposit go. */
export interface CopyPlan {
  readonly blobId: BlobId;
  /** Live nodes with room, best first; more than `count` are spares. */
  readonly takers: readonly NodeId[];
  /** Every node that stores, by preference, for replicas that no copy covers. */
  readonly ranking: readonly NodeId[];
  readonly lives: ReadonlyMap<NodeId, LogIndex>;
  /** How many copies are wanted. */
  readonly count: number;
  /** How many must be durable before the deposit may be ordered. */
  readonly enough: number;
}

/** Copies on disk that no command has named yet. */
export interface DurableCopies {
  readonly blob: BlobFacts;
  readonly copies: readonly Copy[];
  /** Nodes that were tried and failed. */
  readonly failed: readonly FailedCopy[];
}

/**
 * Stores a small body, held in memory, on the chosen nodes at once; on spare ones too where too many of them fail.
 * @throws {DepositoError} `not-enough-nodes`, `not-enough-space`; nothing is kept then.
 */
export async function storeCopies(
  options: DepotOptions,
  plan: CopyPlan,
  received: ReceivedFacts,
  bytes: Uint8Array,
): Promise<DurableCopies> {
  const blob: BlobFacts = { blobId: plan.blobId, ...received };
  const first = await attemptEach(plan.takers.slice(0, plan.count), (node) => storeOn(options, node, blob, bytes));
  const made: DurableCopies = {
    blob,
    copies: first.succeeded.map(({ target, result }) => copyOf(plan, { node: target, staged: result })),
    failed: first.failed.map(({ target, error }) => ({ node: target, error })),
  };
  noteFailures(options, made.failed);
  return topUp(options, plan, made, (node) => storeOn(options, node, blob, bytes));
}

/**
 * Streams a body of any size to the chosen nodes, never holding more than a few chunks of it. Where too many fail, spare
 * nodes pull from one that did not.
 * @throws {DepositoError} what the body ends with, `not-enough-nodes`, `not-enough-space`; nothing is kept then.
 */
export async function streamCopies(
  options: DepotOptions,
  plan: CopyPlan,
  body: BodyReader,
  expectedBytes: number | undefined,
): Promise<DurableCopies> {
  const { blobId } = plan;
  const fanOut = new CopyFanOut();
  try {
    await fanOut.open(plan.takers, plan.count, (node) =>
      node === options.self ? options.holder.openSink(blobId, expectedBytes) : options.peers.openSink(node, blobId),
    );
    const refuseDry = () => {
      if (fanOut.isDry) throw tooFewCopies(plan, 0, fanOut.failed);
    };
    refuseDry();
    let chunk = await body.next();
    while (chunk !== undefined) {
      // The next chunk is gathered while this one travels. One that never comes must not hold up the refusal.
      [chunk] = await Promise.all([body.next(), fanOut.write(chunk).then(refuseDry)]);
    }
    const blob: BlobFacts = { blobId, ...body.facts };
    const copies = (await fanOut.commit(blob)).map((copy) => copyOf(plan, copy));
    const made: DurableCopies = { blob, copies, failed: fanOut.failed };
    if (made.copies.length === 0) throw tooFewCopies(plan, 0, fanOut.failed);
    return await topUp(options, plan, made, (node, copies) => pullTo(options, node, copies, blob));
  } catch (error) {
    await fanOut.abort();
    throw error;
  } finally {
    noteFailures(options, fanOut.failed);
  }
}

/** Removes copies that no command names, where they can be reached; what stays is litter for the sweeper. */
export async function discardCopies(options: DepotOptions, made: DurableCopies): Promise<void> {
  const { self, holder, peers, logger } = options;
  const blobIds = [made.blob.blobId];
  const { failed } = await attemptEach(made.copies, ({ node }) =>
    node === self ? holder.discard(blobIds) : peers.discard(node, blobIds),
  );
  for (const { target, error } of failed) {
    logger.warn({ holder: target.node, blob: made.blob.blobId, err: error }, "a copy that is not needed stays for now");
  }
}

/**
 * Lets spare nodes make copies until there are enough; what lies on a node that left meanwhile counts no more.
 * @throws {DepositoError} when there are not; the copies that were made are discarded then.
 */
async function topUp(
  options: DepotOptions,
  plan: CopyPlan,
  made: DurableCopies,
  make: (node: NodeId, copies: readonly Copy[]) => Promise<Staged>,
): Promise<DurableCopies> {
  const copies = [...made.copies];
  const failed = [...made.failed];
  const tried = new Set([...copies, ...failed].map(({ node }) => node));
  const spares = plan.takers.filter((node) => !tried.has(node));
  const lacking = () => plan.enough - countUsable(options, copies);
  while (lacking() > 0 && spares.length > 0) {
    const attempts = await attemptEach(spares.splice(0, lacking()), (node) => make(node, copies));
    copies.push(...attempts.succeeded.map(({ target, result }) => copyOf(plan, { node: target, staged: result })));
    const more = attempts.failed.map(({ target, error }) => ({ node: target, error }));
    noteFailures(options, more);
    failed.push(...more);
  }
  if (lacking() <= 0) return { blob: made.blob, copies, failed };
  await discardCopies(options, { blob: made.blob, copies, failed });
  throw tooFewCopies(plan, copies.length, failed);
}

function countUsable({ replication }: DepotOptions, copies: readonly Copy[]): number {
  const members = replication.members();
  return copies.filter(({ node, life }) => memberInLife(members, node, life)?.state === "member").length;
}

function copyOf(plan: CopyPlan, { node, staged }: MadeCopy): Copy {
  const life = plan.lives.get(node);
  invariant(life !== undefined, () => `node ${node} made a copy, but was not chosen`);
  return { node, life, staged };
}

async function storeOn(options: DepotOptions, node: NodeId, blob: BlobFacts, bytes: Uint8Array): Promise<Staged> {
  if (node !== options.self) return options.peers.storeSmall(node, blob, bytes);
  const [stored] = await options.holder.storeSmall([{ facts: blob, bytes }]);
  invariant(stored !== undefined, () => `no result for blob ${blob.blobId}`);
  if ("failed" in stored) throw new DepositoError(stored.failed, `blob ${blob.blobId} changed on its way to the disk`);
  return stored.staged;
}

async function pullTo(options: DepotOptions, node: NodeId, copies: readonly Copy[], blob: BlobFacts): Promise<Staged> {
  const [source] = copies;
  invariant(source !== undefined, () => `blob ${blob.blobId} has no copy to pull from`);
  return node === options.self
    ? options.holder.pull(source.node, blob)
    : options.peers.askToPull(node, source.node, blob);
}

/** A deposit goes on without the nodes that failed. */
function noteFailures({ logger }: DepotOptions, failed: readonly FailedCopy[]): void {
  for (const { node, error } of failed) logger.warn({ holder: node, err: error }, "a chosen node took no copy");
}

/** Space is to blame where the nodes that only lacked room would have made enough copies. */
function tooFewCopies(plan: CopyPlan, made: number, failed: readonly FailedCopy[]): DepositoError {
  const full = failed.filter(({ error }) => error.code === "not-enough-space");
  const code = full.length > 0 && made + full.length >= plan.enough ? "not-enough-space" : "not-enough-nodes";
  const reasons = failed.map(({ node, error }) => `${node}: ${error.code}`).join("; ");
  const message = `${made} of at least ${plan.enough} copies could be made${reasons === "" ? "" : ` (${reasons})`}`;
  return new DepositoError(code, message, { cause: failed[0]?.error });
}
