import { createHash } from "node:crypto";
import type { Clock } from "../../node/base/clock.ts";
import { DepositoError } from "../../node/base/errors.ts";
import type { ClientId, NodeId } from "../../node/base/ids.ts";
import type { Depot } from "../../node/depot/types.ts";
import type { World } from "./world.ts";

/** What a client learns of a call through a door. */
export type Answer<T> =
  | { readonly type: "done"; readonly value: T }
  | { readonly type: "failed"; readonly error: DepositoError }
  /** Nobody listened: certainly without effect. */
  | { readonly type: "not-sent" }
  /** The connection broke, or no answer came in time. */
  | { readonly type: "lost" };

export interface Credentials {
  readonly clientId: ClientId;
  readonly secret: string;
}

/** Longer than a node takes to give up by itself. */
const patienceMs = 12_000;

/**
 * Calls a door as the API would: in that node's process, with its errors for answers. A process that ends leaves the client
 * without one.
 */
export function callDoor<T>(
  world: World,
  node: NodeId,
  work: (depot: Depot, clock: Clock) => Promise<T>,
): Promise<Answer<T>> {
  const { hosts, timeline } = world;
  const { promise, resolve } = Promise.withResolvers<Answer<T>>();
  const client = "client";
  const answer = (of: Answer<T>) => hosts.links.carry(node, client, () => resolve(of));
  const cancel = timeline.after(patienceMs, () => resolve({ type: "lost" }));
  hosts.links.carry(client, node, () => {
    const door = hosts.doors.get(node);
    if (door === undefined) {
      answer({ type: "not-sent" });
      return;
    }
    const { life, options } = door;
    const forget = life.onEnd(() => answer({ type: "lost" }));
    life.run(() => {
      const settle = (of: Answer<T>) => {
        forget();
        if (!life.isDead) answer(of);
      };
      work(options.depot, life.clock).then(
        (value) => settle({ type: "done", value }),
        (error: unknown) => {
          if (error instanceof DepositoError) {
            if (error.code === "storage-failed" || error.code === "catalog-damaged") {
              options.onFatal(error);
              settle({ type: "lost" });
            } else settle({ type: "failed", error });
          } else hosts.onBug(`a request at ${node}`, error);
        },
      );
    });
  });
  return promise.finally(cancel);
}

/** The bytes that stand for a value: no two values have the same. The empty value is the empty file. */
export function bytesOf(value: string): Buffer {
  if (value === "") return Buffer.alloc(0);
  const digest = createHash("sha256").update(value).digest();
  const [kind = 0, size = 0] = digest;
  const line = `${value}\n`;
  if (kind < 4) return Buffer.from(line.repeat(Math.ceil((300_000 + size) / line.length)));
  if (kind < 14) return Buffer.from(line.repeat(Math.ceil((66_000 + size) / line.length)));
  return Buffer.from(line.repeat(1 + (size >> 3)));
}
