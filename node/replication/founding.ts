/**
 * How a node comes into its group, without a vote and without trusting an empty disk.
 *
 *   blank ──claim──► claimed: the incarnation is durable, peers may hear of it
 *     claimed ──hellos from every seed──► the roster: all seeds with their incarnations
 *     claimed ──a group that has this very life──► as it was founded: its first roster; changed since: join it
 *     claimed ──a group that has not──► wait until an operator adds this node
 *   roster ──found──► every seed writes the same first catalog, at index 1 of term 1
 *   group  ──join───► the directory is bound to it; the catalog comes from a peer
 *   restored: like claimed, but every seed brings the same backup, and it becomes the first catalog
 *
 * The first start needs every seed once, so every seed founds with the same roster. A node whose disk was emptied later
 * comes with a new incarnation, meets peers that know the old one, and refuses to start: it can never vote twice.
 */
import { createHash } from "node:crypto";
import { pause, unlessAborted } from "../base/aborting.ts";
import type { Clock } from "../base/clock.ts";
import { DepositoError, hasCode } from "../base/errors.ts";
import { type BackupId, type NodeId, parseClusterId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import type { Logger } from "../base/logger.ts";
import type { Address, Founding, MemberFacts } from "../catalog/types.ts";
import type { Hello, Roster } from "../transport/types.ts";

export interface FoundingOptions {
  readonly clusterName: string;
  /** This node, in the life that its claimed directory gave it. */
  readonly self: MemberFacts;
  /** The backup that this node's catalog came from; undefined: it brings none. */
  readonly restored?: BackupId | undefined;
  /** Every node of the configuration. */
  readonly seeds: readonly { readonly id: NodeId; readonly peer: Address }[];
  readonly hello: (address: Address) => Promise<Hello>;
  /** Tells the peer API what to answer a hello with. */
  readonly introduce: (hello: Hello) => void;
  /** Told what is waited for, whenever that is looked at. */
  readonly onWaiting: (reason: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What a node without a group found out. */
export type Beginning =
  | { readonly type: "found"; readonly founding: Founding }
  | { readonly type: "join"; readonly roster: Roster };

const retryMs = 100;
/** How often a node that waits says for what. */
const sayEveryMs = 5000;

/**
 * Finds out what this group was, or is being, founded with, or waits until it has this node. Rejects with the signal's
 * reason when it aborts.
 * @throws {DepositoError} `data-directory-foreign`: the peers know this node in another life; `config-invalid`: they are
 *   others than the configuration says.
 */
export async function agreeOnFounding(options: FoundingOptions): Promise<Beginning> {
  const { self, restored, clock, signal } = options;
  options.introduce({ self, roster: undefined, restored });
  const others = options.seeds.filter(({ id }) => id !== self.id);
  const say = waitingVoice(options);
  for (;;) {
    signal.throwIfAborted();
    // Only what is said in this round counts: a seed heard before may have founded since, and then been emptied.
    const asked = await unlessAborted(signal, Promise.all(others.map((seed) => askHello(options, seed))));
    const hellos = asked.filter((hello) => hello !== undefined);
    const roster = newest(hellos.flatMap((each) => each.roster ?? []));
    if (roster !== undefined) {
      const beginning = placeIn(roster, options);
      if (beginning !== undefined) return beginning;
      say.joining(roster);
    } else {
      const seen = new Map([self, ...hellos.map((hello) => hello.self)].map((facts) => [facts.id, facts]));
      const missing = options.seeds.filter(({ id }) => !seen.has(id)).map(({ id }) => id);
      const differing = hellos.filter((hello) => hello.restored !== restored).map((hello) => hello.self.id);
      if (missing.length === 0 && differing.length === 0)
        return { type: "found", founding: foundingOf(options.clusterName, [...seen.values()], restored) };
      if (differing.length > 0) say.differing(differing);
      else say.founding(missing);
    }
    await pause(clock, retryMs, signal);
  }
}

/** Says what is waited for: a first start after a while, an operator's word at once; then from time to time. */
function waitingVoice({ self, onWaiting, clock, logger }: FoundingOptions) {
  let dueMs = clock.monotonicMs() + sayEveryMs;
  let isJoining = false;
  const isDue = (): boolean => {
    const nowMs = clock.monotonicMs();
    if (nowMs < dueMs) return false;
    dueMs = nowMs + sayEveryMs;
    return true;
  };
  return {
    founding(missing: readonly NodeId[]): void {
      const reason = "first start: waiting for every node of the configuration";
      onWaiting(`${reason}; ${missing.join(", ")} did not answer yet`);
      if (isDue()) logger.info({ missing }, reason);
    },
    differing(nodes: readonly NodeId[]): void {
      const reason =
        `first start: ${nodes.join(", ")} bring another catalog than this node, or none: ` +
        "restore all of them from one backup, or none";
      onWaiting(reason);
      if (isDue()) logger.warn({ nodes }, reason);
    },
    joining({ clusterName }: Roster): void {
      if (!isJoining) dueMs = Number.NEGATIVE_INFINITY;
      isJoining = true;
      const body = JSON.stringify({ id: self.id, peer: self.peer });
      const reason = `not in the group yet: add this node with POST /v1/cluster/nodes ${body} on a node of the group`;
      onWaiting(reason);
      if (isDue()) logger.info({ cluster: clusterName }, reason);
    },
  };
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

function newest(rosters: readonly Roster[]): Roster | undefined {
  return rosters.reduce<Roster | undefined>(
    (best, roster) => (best !== undefined && best.applied >= roster.applied ? best : roster),
    undefined,
  );
}

/** What a group means to this node; undefined while it has to be added. */
function placeIn(roster: Roster, options: FoundingOptions): Beginning | undefined {
  const { self, clusterName, restored } = options;
  if (roster.clusterName !== clusterName)
    throw new DepositoError(
      "config-invalid",
      `this node is configured for the cluster ${clusterName}, but the nodes it names are of ${roster.clusterName}`,
    );
  if (restored !== undefined) return placeOfRestored(roster, options, restored);
  const member = roster.members.find(({ id }) => id === self.id);
  // One that is leaving makes room for a new life of its id.
  if (member === undefined || (member.incarnation !== self.incarnation && member.state !== "member")) return undefined;
  if (member.incarnation !== self.incarnation)
    throw new DepositoError(
      "data-directory-foreign",
      `node ${self.id} is a known member of ${clusterName}, but its data directory is new or was emptied: bring the old ` +
        `directory back, or remove the node with DELETE /v1/cluster/nodes/${self.id}, start it, and add it again`,
    );
  // While nothing has changed since, the first catalog needs nobody: a seed that comes late writes it by itself.
  const founding = foundingOf(clusterName, roster.members);
  return founding.clusterId === roster.clusterId ? { type: "found", founding } : { type: "join", roster };
}

/**
 * A node that was restored only ever founds: to any other group its catalog is of no use, and joining would give it up.
 * Nodes of the former group that the new one does not have stand in its roster as lost.
 */
function placeOfRestored(roster: Roster, { self, clusterName }: FoundingOptions, restored: BackupId): Beginning {
  const founders = roster.members.filter(({ state }) => state === "member");
  const founding = foundingOf(clusterName, founders, restored);
  if (founding.clusterId === roster.clusterId) return { type: "found", founding };
  throw new DepositoError(
    "config-invalid",
    `node ${self.id} was restored from a backup to found a new group, but nodes it names already run in another one, ` +
      `${roster.clusterId}: stop them, and restore them as well`,
  );
}

/** The same on every seed: sorted by id, and the group's id is a digest of all of it, the backup it begins with included. */
export function foundingOf(clusterName: string, members: readonly MemberFacts[], restored?: BackupId): Founding {
  const sorted = members
    .map(({ id, incarnation, role, zone, api, peer }): MemberFacts => ({ id, incarnation, role, zone, api, peer }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
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
    .update(JSON.stringify([clusterName, facts, ...(restored === undefined ? [] : [restored])]))
    .digest("hex");
  const text = [8, 12, 16, 20, 32].map((end, i, ends) => digest.slice(ends[i - 1] ?? 0, end)).join("-");
  const clusterId = parseClusterId(text);
  invariant(clusterId !== undefined, () => `no cluster id from ${digest}`);
  return { clusterId, clusterName, members: sorted };
}
