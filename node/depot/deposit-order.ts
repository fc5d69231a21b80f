import type { BlobId, ReplicaCount, Sha256 } from "../base/ids.ts";
import { parseReplicaCount } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { storingMembers } from "../catalog/members.ts";
import { enoughCopies } from "../catalog/replica-count.ts";
import type { Command, FileRecord, Outcome } from "../catalog/types.ts";
import { chooseNodes, requireTakers } from "./choose-nodes.ts";
import { type CopyPlan, type DurableCopies, discardCopies } from "./deposit-copies.ts";
import type { DepotOptions } from "./options.ts";
import { refusalError } from "./refusal.ts";
import type { DepositAnswer, DepositRequest } from "./types.ts";

type DepositCommand = Extract<Command, { readonly type: "deposit" }>;

/** One deposit on its way into the log. */
export class DepositOrder {
  readonly #options: DepotOptions;
  readonly #request: DepositRequest;
  /** What stood under the name when the request came; it may have changed since. */
  readonly #standing: FileRecord | undefined;
  readonly #count: ReplicaCount | undefined;

  constructor(
    options: DepotOptions,
    request: DepositRequest,
    standing: FileRecord | undefined,
    count: ReplicaCount | undefined,
  ) {
    this.#options = options;
    this.#request = request;
    this.#standing = standing;
    this.#count = count;
  }

  /** The answer where identical bytes stand under the name; undefined where the bytes are needed. */
  async withoutBytes(facts: {
    readonly sha256: Sha256;
    readonly sizeBytes: number | undefined;
  }): Promise<DepositAnswer | undefined> {
    const blob = this.#standing?.blob;
    if (blob?.sha256 !== facts.sha256 || (facts.sizeBytes ?? blob.sizeBytes) !== blob.sizeBytes) return undefined;
    const { ranking } = chooseNodes(this.#options, blob.blobId, blob.sizeBytes);
    const { sha256, sizeBytes } = blob;
    const outcome = await this.#propose({ blobId: undefined, sha256, sizeBytes, copies: [], ranking });
    if (outcome.type === "bytes-needed") return undefined;
    if (outcome.type === "refused") throw refusalError(outcome);
    return answerOf(outcome);
  }

  /**
   * Where the bytes shall go.
   * @throws {DepositoError} `not-enough-nodes`, `not-enough-space`
   */
  plan(blobId: BlobId, sizeBytes: number): CopyPlan {
    const { replication, defaultReplicas } = this.#options;
    const members = replication.members();
    // A count that stood there when there were more nodes stays wanted, but there cannot be more copies than nodes now.
    const wanted = this.#count ?? this.#standing?.replicas ?? defaultReplicas;
    const count = Math.min(wanted, storingMembers(members).length);
    const enough = enoughCopies(count, members);
    const chosen = chooseNodes(this.#options, blobId, sizeBytes);
    requireTakers(chosen, enough, sizeBytes);
    const { takers, ranking, lives } = chosen;
    return { blobId, takers, ranking, lives, count, enough };
  }

  /**
   * Orders the deposit whose copies are durable; copies that it does not use are deleted.
   * @throws {DepositoError} `no-quorum`: the deposit may still happen, so the copies stay.
   */
  async withCopies(plan: CopyPlan, made: DurableCopies): Promise<DepositAnswer> {
    const { blob, copies, failed } = made;
    const hasFailed = (node: string) => failed.some((failure) => failure.node === node);
    // A node that just failed is a worse choice for what is still missing than one that was not tried.
    const ranking = [...plan.takers.filter((node) => !hasFailed(node)), ...plan.ranking];
    const outcome = await this.#propose({ ...blob, copies, ranking: [...new Set(ranking)] });
    if (outcome.type !== "refused") return answerOf(outcome);
    const isDecided = outcome.code !== "behind-fence" && outcome.code !== "expired";
    // An older command may have named the copies in the other cases: the sweeper will tell.
    if (isDecided) await discardCopies(this.#options, made);
    throw refusalError(outcome);
  }

  async #propose(
    bytes: Pick<DepositCommand, "blobId" | "sizeBytes" | "sha256" | "copies" | "ranking">,
  ): Promise<Outcome> {
    const { replication, clock, defaultReplicas } = this.#options;
    const { clientId, name, contentType, preconditions } = this.#request;
    const standard = parseReplicaCount(defaultReplicas);
    invariant(standard !== undefined, () => `default replica count ${defaultReplicas}`);
    return replication.propose({
      type: "deposit",
      clientId,
      name,
      contentType,
      replicas: this.#count,
      defaultReplicas: standard,
      preconditions,
      at: clock.wallMs(),
      ...bytes,
    });
  }
}

function answerOf(outcome: Outcome): DepositAnswer {
  invariant(outcome.type === "deposited", () => `a deposit was answered with ${outcome.type}`);
  return { outcome: outcome.how, record: outcome.record };
}
