import { createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";

/** Bytes that were acknowledged under a name. */
interface Acknowledged {
  readonly sha256: string;
  readonly replicas: number;
  readonly beganMs: number;
  readonly atMs: number;
}

export interface LoadOptions {
  readonly client: ApiClient;
  /** Which node to ask next; may answer one that is dead. */
  readonly nodes: readonly string[];
  readonly writers: number;
  readonly replicas: number;
  readonly sizeBytes: number;
}

const readers = 16;
/** After a refusal: else a writer would do nothing but find its node gone, and leave nobody else a turn. */
const refusedPauseMs = 10;

/** Writers that deposit fresh files as fast as they are acknowledged, through all nodes, until stopped. */
export class DepositLoad {
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Refused, broken or timed out: their outcome is unknown. */
  failed = 0;
  readonly #options: LoadOptions;
  readonly #writers: Promise<void>[];
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#writers = Array.from({ length: options.writers }, (_, writer) => this.#write(writer));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writers);
  }

  /** When the first deposit was acknowledged that was begun after `ms`: others may have been decided before. */
  firstAfter(ms: number): number | undefined {
    const later = [...this.acknowledged.values()].filter(({ beganMs }) => beganMs > ms);
    return later.length === 0 ? undefined : Math.min(...later.map(({ atMs }) => atMs));
  }

  /** Names whose acknowledged bytes do not come back from `node`, with what came instead. */
  async lostFrom(node: string): Promise<string[]> {
    const lost: string[] = [];
    const waiting = [...this.acknowledged];
    const reader = async () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const [name, { sha256 }] = next;
        const reply = await this.#options.client.retrieve(node, name);
        const found = createHash("sha256").update(reply.bytes).digest("hex");
        if (reply.status !== 200 || found !== sha256) lost.push(`${name}: ${reply.status} ${found}`);
      }
    };
    await Promise.all(Array.from({ length: readers }, reader));
    return lost;
  }

  async #write(writer: number): Promise<void> {
    const { client, nodes, replicas, sizeBytes } = this.#options;
    for (let turn = 0; !this.#stopped; turn++) {
      const name = `load/${writer}/${turn}`;
      const bytes = randomBytes(sizeBytes);
      const node = nodes[(writer + turn) % nodes.length] ?? "n1";
      const beganMs = performance.now();
      try {
        const reply = await client.deposit(node, name, bytes, { replicas, limitMs: 10_000 });
        if (reply.status === 201) {
          const sha256 = createHash("sha256").update(bytes).digest("hex");
          this.acknowledged.set(name, { sha256, replicas, beganMs, atMs: performance.now() });
          continue;
        }
      } catch {
        // a dead node: what became of the deposit is unknown
      }
      this.failed++;
      await delay(refusedPauseMs);
    }
  }
}
