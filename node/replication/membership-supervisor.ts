/**
 * Makes what the members of the catalog want come about; only where this node leads, and again wherever the next one does.
 *
 *   members ──► nextMembers ──► consensus: learner, voter, learner, none
 *           ──► ReplicaMoves: what a leaving node has goes to others ──► nothing left ──► forget-member
 *
 * Everything it does can be done twice or given up in the middle: the catalog says at any time what is still to be done.
 */
import type { Clock } from "../base/clock.ts";
import { repeatedly } from "../base/clock.ts";
import { DepositoError } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { storingMembers, unsettledNodes } from "../catalog/members.ts";
import type { MemberRecord } from "../catalog/types.ts";
import { isVoter } from "../raft/configuration.ts";
import type { MembershipRefusal, WantedMembers } from "../raft/types.ts";
import { ReplicaMoves } from "./replica-moves.ts";
import type { Gossip, Replication } from "./types.ts";
import { nextMembers } from "./wanted-members.ts";

/** The replicated catalog, as its supervisor uses it. */
export interface SupervisedGroup
  extends Pick<Replication, "catalog" | "configuration" | "members" | "onGroupChange" | "propose" | "raft" | "totals"> {
  changeMembership(wanted: WantedMembers): MembershipRefusal | undefined;
}

export interface MembershipSupervisorOptions {
  readonly self: NodeId;
  readonly group: SupervisedGroup;
  readonly heard: Gossip["of"];
  readonly clock: Clock;
  readonly logger: Logger;
  /** A bug came to light: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** How often it looks by itself: at learners that catch up, and at replicas that are on their way. */
const lookEveryMs = 250;
/** After going over the rows of a leaving node, this many times as long passes before it does so again. */
const pausePerPass = 4;
const sayEveryMs = 10_000;

export class MembershipSupervisor {
  readonly #options: MembershipSupervisorOptions;
  readonly #moves: ReplicaMoves;
  #stopped = false;
  #endings: readonly (() => void)[] = [];
  #moving: Promise<void> | undefined;
  #nextPassMs = 0;
  #saidMs = Number.NEGATIVE_INFINITY;
  /** The nodes that every file was offered to already. */
  #toppedUp = "";

  constructor(options: MembershipSupervisorOptions) {
    this.#options = options;
    this.#moves = new ReplicaMoves(options);
  }

  start(): void {
    const { clock, group } = this.#options;
    this.#endings = [group.onGroupChange(() => this.#look()), repeatedly(clock, lookEveryMs, () => this.#look())];
  }

  /** Resolves when nothing is proposed any more; `propose` must not keep it waiting. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const end of this.#endings) end();
    await this.#moving;
  }

  #look(): void {
    const { group, onFatal } = this.#options;
    if (this.#stopped) return;
    if (group.raft().role !== "leader") {
      this.#toppedUp = "";
      return;
    }
    this.#follow();
    if (this.#moving !== undefined) return;
    this.#moving = this.#move().then(
      () => {
        this.#moving = undefined;
      },
      (error: unknown) => {
        this.#moving = undefined;
        onFatal(error);
      },
    );
  }

  /** Consensus follows the members, one step at a time. */
  #follow(): void {
    const { self, group, logger } = this.#options;
    if (unsettledNodes(group.members(), group.configuration()).length === 0) return;
    const { configuration, progress } = group.raft();
    const isActive = (node: NodeId) => node === self || progress.get(node)?.isActive === true;
    const wanted = nextMembers(group.members(), configuration, isActive);
    if (wanted === undefined) return;
    const refusal = group.changeMembership(wanted);
    if (refusal === undefined) logger.info(wanted, "the members of consensus change");
    else logger.debug({ ...wanted, refusal }, "the members of consensus do not change yet");
  }

  async #move(): Promise<void> {
    const { clock, group, logger } = this.#options;
    const leaving = group.members().find(({ state }) => state !== "member");
    const storing = storingMembers(group.members()).map(({ id, life }) => `${id} ${life}`);
    const beganMs = clock.monotonicMs();
    if (beganMs < this.#nextPassMs) return;
    try {
      if (leaving !== undefined) await this.#drain(leaving);
      else if (group.totals().unplaced > 0 && this.#toppedUp !== storing.join()) {
        await this.#moves.topUp();
        this.#toppedUp = storing.join();
      } else return;
    } catch (error) {
      // No majority, or the catalog is being installed anew: whoever leads then goes on.
      if (!(error instanceof DepositoError)) throw error;
      logger.debug({ err: error }, "replicas could not be moved yet");
    }
    const nowMs = clock.monotonicMs();
    this.#nextPassMs = nowMs + pausePerPass * (nowMs - beganMs);
  }

  async #drain(leaving: MemberRecord): Promise<void> {
    const { group } = this.#options;
    const { id: node, life } = leaving;
    const count = await this.#moves.drain(leaving);
    if (count > 0) this.#say(node, count);
    // Rows of a leaving node only ever go, so none seen is none left.
    else if (!isVoter(group.configuration(), node)) await group.propose({ type: "forget-member", node, life });
  }

  #say(node: NodeId, replicas: number): void {
    const { clock, logger } = this.#options;
    if (clock.monotonicMs() - this.#saidMs < sayEveryMs) return;
    this.#saidMs = clock.monotonicMs();
    logger.info({ leaving: node, replicas }, "a leaving node stays until other nodes have its replicas");
  }
}
