/**
 * How a group begins, without a vote and without trusting an empty disk.
 *
 *   blank ──claim──► claimed: the incarnation is durable, peers may hear of it
 *     claimed ──hellos from every seed──► the roster: all seeds with their incarnations
 *     claimed ──hello from a founded seed──► its roster, if it has this node in this very life
 *   roster ──found──► every seed writes the same first catalog, at index 1 of term 1
 *
 * The first start needs every seed once, so every seed founds with the same roster. A node whose disk was emptied later
 * comes with a new incarnation, meets peers that know the old one, and refuses to start: it can never vote twice.
 */
import { createHash } from "node:crypto";
import { pause, unlessAborted } from "../base/aborting.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError, hasCode } from "../base/errors.ts";
import { type NodeId, parseClusterId, staged } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Logger } from "../base/logger.ts";
import type { Address, Founding, MemberRecord } from "../catalog/types.ts";
import type { Hello } from "../transport/types.ts";

export interface FoundingOptions {
  readonly clusterName: string;
  /** This node, in the life that its claimed directory gave it. */
  readonly self: MemberRecord;
  /** Every node of the configuration. */
  readonly seeds: readonly { readonly id: NodeId; readonly peer: Address }[];
  readonly hello: (address: Address) => Promise<Hello>;
  /** Tells the peer API what to answer a hello with. */
  readonly introduce: (hello: Hello) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const retryMs = 100;
/** How often a node that waits for its seeds says so. */
const sayEveryMs = 5000;

/**
 * Finds out what this group was, or is being, founded with. Rejects with the signal's reason when it aborts.
 * @throws {DepositoError} `not-a-member`, `data-directory-foreign`: the peers know this node in another life, or not at all.
 */
export async function agreeOnFounding(options: FoundingOptions): Promise<Founding> {
  const { self } = options;
  options.introduce({ self, founding: undefined });
  const founding = await roster(options, self);
  invariant(
    founding.members.some(({ id, incarnation }) => id === self.id && incarnation === self.incarnation),
    () => `roster without ${self.id}`,
  );
  return founding;
}

async function roster(options: FoundingOptions, self: MemberRecord): Promise<Founding> {
  const { clock, signal } = options;
  const others = options.seeds.filter(({ id }) => id !== self.id);
  let saidMs = clock.monotonicMs();
  for (;;) {
    signal.throwIfAborted();
    const hellos = await unlessAborted(signal, Promise.all(others.map((seed) => askHello(options, seed))));
    // Only what was said in this round counts: a seed heard before may have founded since, and then been emptied.
    const known = new Map<NodeId, MemberRecord>([[self.id, self]]);
    for (const hello of hellos) {
      if (hello === undefined) continue;
      if (hello.founding !== undefined) return joinFounded(hello.founding, self);
      known.set(hello.self.id, hello.self);
    }
    const missing = options.seeds.filter(({ id }) => !known.has(id)).map(({ id }) => id);
    if (missing.length === 0) return foundingOf(options.clusterName, [...known.values()]);
    const nowMs = clock.monotonicMs();
    if (nowMs - saidMs >= sayEveryMs) {
      saidMs = nowMs;
      options.logger.info({ missing }, "first start: waiting for every node of the configuration");
    }
    await pause(clock, retryMs, signal);
  }
}

/** A seed that does not answer is simply not there yet; one that refuses us knows us otherwise. */
async function askHello(
  { hello, logger }: FoundingOptions,
  seed: { readonly id: NodeId; readonly peer: Address },
): Promise<Hello | undefined> {
  try {
    const answer = await hello(seed.peer);
    if (answer.self.id === seed.id) return answer;
    throw new DepositoError(
      "config-invalid",
      `${seed.peer.host}:${seed.peer.port} is configured as ${seed.id}, but ${answer.self.id} answers there`,
    );
  } catch (error) {
    if (!hasCode(error, "peer-unreachable") && !hasCode(error, "peer-refused")) throw error;
    logger.debug({ peer: seed.id, error: error.message }, "no hello yet");
    return undefined;
  }
}

function joinFounded(founding: Founding, self: MemberRecord): Founding {
  const member = founding.members.find(({ id }) => id === self.id);
  if (member === undefined)
    throw new DepositoError(
      "not-a-member",
      `the group ${founding.clusterName} was founded without node ${self.id}: add it to the group, or give it the right configuration`,
    );
  if (member.incarnation !== self.incarnation)
    throw new DepositoError(
      "data-directory-foreign",
      `node ${self.id} is a known member of ${founding.clusterName}, but its data directory is new or was emptied: ` +
        "bring the old directory back, or remove the node from the group and add it again under another id",
    );
  // A seed that comes late must write exactly the first catalog, so what has changed in the roster since is undone.
  const first = foundingOf(
    founding.clusterName,
    founding.members.map((each) => ({ ...each, sweptUpTo: staged(0) })),
  );
  if (first.clusterId === founding.clusterId) return first;
  throw new DepositoError(
    "not-a-member",
    `the members of ${founding.clusterName} have changed before node ${self.id} ever started: remove it and add it again`,
  );
}

/** The same on every seed: sorted by id, and the group's id is a digest of all of it. */
export function foundingOf(clusterName: string, members: readonly MemberRecord[]): Founding {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const facts = sorted.map(({ id, incarnation, role, zone, api, peer }) => [
    id,
    incarnation,
    role,
    zone,
    api.host,
    api.port,
    peer.host,
    peer.port,
  ]);
  const digest = createHash("sha256")
    .update(JSON.stringify([clusterName, facts]))
    .digest("hex");
  const text = [8, 12, 16, 20, 32].map((end, i, ends) => digest.slice(ends[i - 1] ?? 0, end)).join("-");
  const clusterId = parseClusterId(text);
  invariant(clusterId !== undefined, () => `no cluster id from ${digest}`);
  return { clusterId, clusterName, members: sorted };
}
