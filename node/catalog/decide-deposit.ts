import { type LogIndex, version } from "../base/ids.ts";
import { isClient, refuseUnknownClient } from "./decide-client.ts";
import type { Draft } from "./draft.ts";
import { countPresent, growHolders } from "./holders.ts";
import { holderKey } from "./keys.ts";
import { memberInLife } from "./members.ts";
import { fileTag, refuse, refuseByPreconditions } from "./preconditions.ts";
import { defaultCount, enoughCopies, recountHolders, refuseByCount } from "./replica-count.ts";
import { readFile, readMembers } from "./tables.ts";
import type { BlobFacts, Command, Copy, FileRecord, Holder, MemberRecord, Outcome } from "./types.ts";

type Deposit = Extract<Command, { type: "deposit" }>;
type DepositWithBytes = Deposit & { readonly blobId: BlobFacts["blobId"] };

const defaultContentType = "application/octet-stream";

/**
 * A deposit. What would be refused whatever stands there comes before the preconditions (RFC 9110 §13.2.1). Identical
 * bytes are kept where they are; only if every replica of them was lost do the new ones take their place.
 */
export function decideDeposit(draft: Draft, index: LogIndex, deposit: Deposit): Outcome {
  if (!isClient(draft, deposit.clientId)) return refuseUnknownClient();
  const members = readMembers(draft);
  const standing = readFile(draft, deposit.clientId, deposit.name);
  const tag = standing === undefined ? undefined : fileTag(standing.blob.sha256);
  const refusal = refuseByCount(deposit.replicas, members) ?? refuseByPreconditions(deposit.preconditions, tag);
  if (refusal !== undefined) return refusal;
  if (standing !== undefined && hasBytes(standing, deposit) && countPresent(standing.holders) > 0)
    return keepBytes(draft, index, deposit, standing, members);
  if (!bringsBytes(deposit)) return { type: "bytes-needed" };
  return storeBytes(draft, index, deposit, standing, members);
}

/**
 * The same bytes: count and content type change, the blob does not. Answers `replicas-changed` when the count changed,
 * `replaced` when only the content type did (the file is another one to whoever fetches it), else `unchanged`.
 */
function keepBytes(
  draft: Draft,
  index: LogIndex,
  deposit: Deposit,
  standing: FileRecord,
  members: readonly MemberRecord[],
): Outcome {
  if (bringsBytes(deposit)) doomCopies(draft, deposit, usableCopies(deposit, members));
  const replicas = deposit.replicas ?? standing.replicas;
  const contentType = deposit.contentType ?? standing.contentType;
  if (replicas === standing.replicas && contentType === standing.contentType)
    return { type: "deposited", how: "unchanged", record: standing };
  const record: FileRecord = {
    ...standing,
    contentType,
    replicas,
    version: version(index),
    updatedAt: deposit.at,
    holders: recountHolders(standing, replicas, deposit.ranking, members),
  };
  draft.changeFile(standing, record);
  return { type: "deposited", how: replicas === standing.replicas ? "replaced" : "replicas-changed", record };
}

/** Other bytes, or the first: what stood there is doomed, and so are copies beyond the count. */
function storeBytes(
  draft: Draft,
  index: LogIndex,
  deposit: DepositWithBytes,
  standing: FileRecord | undefined,
  members: readonly MemberRecord[],
): Outcome {
  const copies = usableCopies(deposit, members);
  const replicas = deposit.replicas ?? standing?.replicas ?? defaultCount(deposit.defaultReplicas, members);
  const refusal = refuseByCopies(draft, deposit, copies, members) ?? refuseTooFew(deposit, copies, replicas, members);
  if (refusal !== undefined) return refusal;
  const present = copies.slice(0, replicas).map(({ node, staged }): Holder => ({ node, state: "present", staged }));
  const record: FileRecord = {
    clientId: deposit.clientId,
    name: deposit.name,
    blob: factsOf(deposit),
    contentType: deposit.contentType ?? standing?.contentType ?? defaultContentType,
    replicas,
    version: version(index),
    createdAt: standing?.createdAt ?? deposit.at,
    updatedAt: deposit.at,
    holders: growHolders(present, replicas, deposit.ranking, members),
  };
  draft.changeFile(standing, record);
  doomCopies(draft, deposit, copies.slice(replicas));
  return { type: "deposited", how: standing === undefined ? "created" : "replaced", record };
}

/**
 * Copies that must not be named any more: swept already, perhaps, or named by an earlier command and perhaps deleted
 * since. A blob is named once; a retry has the same command id and never comes here.
 */
function refuseByCopies(
  draft: Draft,
  deposit: DepositWithBytes,
  copies: readonly Copy[],
  members: readonly MemberRecord[],
): Outcome | undefined {
  if (copies.length === 0) return refuse("behind-fence", "no copy lies on a node that stays: deposit again");
  for (const { node, staged } of copies) {
    const sweptUpTo = members.find(({ id }) => id === node)?.sweptUpTo ?? 0;
    if (staged <= sweptUpTo)
      return refuse("behind-fence", `the copy ${staged} on ${node} may be swept, up to ${sweptUpTo}: deposit again`);
    if (isNamed(draft, deposit, node)) return refuse("behind-fence", "the blob was named before: deposit again");
  }
  return undefined;
}

/**
 * A door makes enough copies. But where it was given no count, the one that stood when it began may have been raised
 * since; and nodes that made one may have left.
 */
function refuseTooFew(
  deposit: Deposit,
  copies: readonly Copy[],
  replicas: number,
  members: readonly MemberRecord[],
): Outcome | undefined {
  const areAllUsable = copies.length === deposit.copies.length;
  if (deposit.replicas !== undefined && areAllUsable) return undefined;
  if (copies.length >= enoughCopies(replicas, members)) return undefined;
  return refuse("too-few-copies", `${copies.length} copies are too few for ${replicas} replicas: deposit again`);
}

/** Dooms copies that no file needs, so that their nodes delete them now and not with the next sweep. */
function doomCopies(draft: Draft, deposit: DepositWithBytes, copies: readonly Copy[]): void {
  const { clientId, name } = deposit;
  for (const { node } of copies) {
    if (isNamed(draft, deposit, node)) continue;
    draft.putHolder({ node, blob: factsOf(deposit), clientId, name, state: "doomed" });
  }
}

function isNamed(draft: Draft, { blobId }: DepositWithBytes, node: Copy["node"]): boolean {
  return draft.get(holderKey(node, blobId)) !== undefined;
}

/** Those on nodes that stay: a leaving node gets no new replicas, and an earlier life of one has nothing any more. */
function usableCopies(deposit: Deposit, members: readonly MemberRecord[]): readonly Copy[] {
  return deposit.copies.filter(({ node, life }) => memberInLife(members, node, life)?.state === "member");
}

function bringsBytes(deposit: Deposit): deposit is DepositWithBytes {
  return deposit.blobId !== undefined;
}

function hasBytes({ blob }: FileRecord, { sizeBytes, sha256 }: Deposit): boolean {
  return blob.sizeBytes === sizeBytes && blob.sha256 === sha256;
}

function factsOf({ blobId, sizeBytes, sha256 }: DepositWithBytes): BlobFacts {
  return { blobId, sizeBytes, sha256 };
}
