/**
 * What an operator does to the group: nodes come and go, one at a time. Each verb only has the log decide that it shall be
 * so; the leader then makes it so, and `clusterStatus` shows how far it is.
 */
import { DepositoError, hasCode } from "../base/errors.ts";
import type { NodeId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { storingMembers } from "../catalog/members.ts";
import type { Address, Command } from "../catalog/types.ts";
import type { Hello } from "../transport/types.ts";
import { membershipOf } from "./cluster-status.ts";
import type { DepotOptions } from "./options.ts";
import { refusalError } from "./refusal.ts";
import type { NodeMembership } from "./types.ts";

/**
 * Takes in the blank node that answers at `peer`. Who asks for it names its id, so that a wrong address adds nobody.
 * @throws {DepositoError} `node-unreachable`; `node-mismatch`: it is another node, of another cluster, or not blank;
 *   `already-a-member`, `node-busy`, `no-quorum`.
 */
export async function addMember(options: DepotOptions, id: NodeId, peer: Address): Promise<NodeMembership> {
  const { self, roster } = await hello(options, peer);
  if (self.id !== id) throw new DepositoError("node-mismatch", `at ${textOf(peer)} answers node ${self.id}, not ${id}`);
  const known = options.replication.members().find((member) => member.id === id);
  // A present member is told so by the log.
  if (roster !== undefined && known?.incarnation !== self.incarnation)
    throw new DepositoError(
      "node-mismatch",
      `node ${id} has the data directory of a former membership: stop it, empty the directory, and start it again`,
    );
  return change(options, id, { type: "add-member", member: { ...self, peer } });
}

/**
 * Takes a node out. It stays until other nodes have its replicas; with `acceptLoss`, what only it holds is given up.
 * @throws {DepositoError} `node-not-found`, `last-voter`, `node-busy`, `node-unreachable`: too few voters would be left that
 *   can be reached; `no-quorum`.
 */
export async function removeMember(
  options: DepotOptions,
  id: NodeId,
  { acceptLoss }: { readonly acceptLoss: boolean },
): Promise<NodeMembership> {
  requireVotersWithout(options, id);
  return change(options, id, { type: "remove-member", node: id, acceptLoss });
}

async function change(options: DepotOptions, node: NodeId, command: Command): Promise<NodeMembership> {
  const { replication } = options;
  const outcome = await replication.propose(command);
  if (outcome.type === "refused") throw refusalError(outcome);
  invariant(outcome.type === "done", () => `${command.type} of ${node}: ${outcome.type}`);
  const member = replication.members().find(({ id }) => id === node);
  // Forgotten already, or taken back by somebody else.
  if (member === undefined) return { node, membership: "removed" };
  return { node, membership: membershipOf(member, replication.configuration()) };
}

async function hello({ peers }: DepotOptions, peer: Address): Promise<Hello> {
  try {
    return await peers.hello(peer);
  } catch (error) {
    if (hasCode(error, "not-a-member")) throw new DepositoError("node-mismatch", error.message, { cause: error });
    if (!hasCode(error, "peer-unreachable") && !hasCode(error, "peer-refused")) throw error;
    const detail = `no node can be spoken to at ${textOf(peer)}: start it first (${error.message})`;
    throw new DepositoError("node-unreachable", detail, { cause: error });
  }
}

/** A removal that leaves a majority of voters out of reach would only stop the group. */
function requireVotersWithout({ self, replication, gossip }: DepotOptions, id: NodeId): void {
  const voters = storingMembers(replication.members()).filter((member) => member.role === "voter" && member.id !== id);
  const silent = voters.filter((voter) => voter.id !== self && gossip.of(voter.id)?.alive !== true);
  if (voters.length === 0 || 2 * (voters.length - silent.length) > voters.length) return;
  const names = silent.map((voter) => voter.id).join(", ");
  throw new DepositoError(
    "node-unreachable",
    `without ${id} most voters could not be reached: bring ${names} back, or remove what is gone for good first`,
  );
}

function textOf({ host, port }: Address): string {
  return `${host}:${port}`;
}
