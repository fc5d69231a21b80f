import { setTimeout as delay } from "node:timers/promises";
import type { ClusterMember } from "../support/cluster-member.ts";

/** A node that ended although nobody held it down. */
export interface UnaskedEnd {
  readonly member: ClusterMember;
  /** How it ended, and the last it said. */
  readonly text: string;
}

const removedText = /was removed from the cluster/;
const superviseMs = 50;
/** As a service manager would wait. */
const restartAfterMs = 250;

/**
 * The hands of all faults on one node. Faults overlap: it is down while any of them holds it down, paused while any holds it
 * paused, and runs again when the last one lets go.
 */
export class NodeGrip {
  readonly member: ClusterMember;
  #down = 0;
  #paused = 0;
  #isStopping = false;
  #mayLeave = false;

  constructor(member: ClusterMember) {
    this.member = member;
  }

  get id(): string {
    return this.member.id;
  }
  get isHeldDown(): boolean {
    return this.#down > 0;
  }

  /**
   * `kill -9`, or SIGTERM; resolves once it is gone. Every call needs its own `letUp`.
   * @throws when it did not obey SIGTERM in time; then it is not held down.
   */
  async takeDown(how: "kill" | "stop"): Promise<void> {
    this.#down++;
    if (how === "kill") return await this.member.kill();
    this.#isStopping = true;
    try {
      await this.member.stop();
    } catch (error) {
      this.letUp();
      throw error;
    } finally {
      this.#isStopping = false;
    }
  }

  letUp(): void {
    this.#down--;
    if (this.#down === 0) this.start();
  }

  /** SIGSTOP. Every call needs its own `resume`. */
  pause(): void {
    this.#paused++;
    // A node that is asked to stop is measured by how long that takes.
    if (this.member.isRunning && !this.#isStopping) this.member.pause();
  }

  resume(): void {
    this.#paused--;
    if (this.#paused === 0) this.member.resume();
  }

  /** It is being removed from the group: it may end by itself, and then stays so. */
  mayLeave(): void {
    this.#mayLeave = true;
  }

  /** It does not take part any more: it is killed, and nobody starts it. */
  async leave(): Promise<void> {
    await this.takeDown("kill");
    this.#mayLeave = false;
  }

  /** It takes part again after `leave`. */
  enter(): void {
    this.letUp();
  }

  /** Whether an end like this is that of a node which was removed. */
  isRemoval(text: string): boolean {
    return this.#mayLeave && removedText.test(text);
  }

  /** Starts it unless it runs or somebody holds it down. */
  start(): void {
    if (this.member.isRunning || this.#down > 0) return;
    this.member.start();
    if (this.#paused > 0) this.member.pause();
  }
}

/**
 * Starts nodes again that ended although nobody holds them down, until `end`; hands each such end to `judge`. A node that was
 * removed from the group ends for good.
 */
export async function supervise(
  grips: readonly NodeGrip[],
  judge: (end: UnaskedEnd) => void,
  end: AbortSignal,
): Promise<void> {
  while (!end.aborted) {
    for (const grip of grips) {
      for (const text of grip.member.takeCrashes()) {
        if (grip.isRemoval(text)) continue;
        judge({ member: grip.member, text });
        await delay(restartAfterMs);
        grip.start();
      }
    }
    await delay(superviseMs);
  }
}
