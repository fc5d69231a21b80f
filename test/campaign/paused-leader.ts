import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient, Reply } from "../support/api-client.ts";
import type { Cluster } from "../support/cluster.ts";

const name = "paused/leader";
/** Sent while the leader is paused, so that it finds them all when it wakes up, before anything its peers have to say. */
const waitingReads = 4;
/** Until they lie in the paused node's sockets; nothing tells when. */
const sentMs = 20;

/** What the woken leader answered. */
export interface WokenLeader {
  readonly answered: number;
  /** Refused, or its leadership was lost in the middle: the client may ask another node. */
  readonly refused: number;
  /** Answers with what had stood there before. */
  readonly stale: readonly string[];
}

/** Lays down the file that `pauseLeader` works on. */
export async function depositForPauses(client: ApiClient, through: string): Promise<void> {
  const reply = await client.deposit(through, name, "bytes", { replicas: 3 });
  if (reply.status !== 201) throw new Error(`${reply.status} ${reply.bytes.toString()}`);
}

/** Pauses the leader until another one has acknowledged a change, and reads through it as it wakes up. */
export async function pauseLeader(cluster: Cluster, client: ApiClient, round: number): Promise<WokenLeader> {
  const leader = await cluster.waitForLeader();
  leader.pause();
  const other = await cluster.waitForLeader(leader);
  const expected = `text/x-round-${round}`;
  // A change of the record alone: bytes for a paused node would only make the other one wait.
  const changed = await client.edit(other.id, name, { contentType: expected });
  if (changed.status !== 200) throw new Error(`${changed.status} ${changed.bytes.toString()}`);
  const waiting = Array.from({ length: waitingReads }, () => read(client, leader.id));
  await delay(sentMs);
  leader.resume();
  const replies = [...(await Promise.all(waiting)), await read(client, leader.id)];
  await cluster.waitReady();
  const answered = replies.filter((reply) => reply?.status === 200);
  const stale = answered.filter((reply) => reply?.header("content-type") !== expected);
  return {
    answered: answered.length,
    refused: replies.length - answered.length,
    stale: stale.map((reply) => `${leader.id} answered ${reply?.header("content-type")} instead of ${expected}`),
  };
}

async function read(client: ApiClient, node: string): Promise<Reply | undefined> {
  try {
    return await client.retrieve(node, name);
  } catch {
    return undefined; // broken off: no answer is never a stale one
  }
}
