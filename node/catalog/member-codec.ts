/** The list of members as the catalog keeps it, and one node's description of itself as a command carries it. */
import { parseIncarnation } from "../base/ids.ts";
import {
  addressOf,
  choiceOf,
  decodeFields,
  distinctOf,
  encodeFields,
  type Fields,
  fieldsOf,
  logIndexOf,
  nodeIdOf,
  stagedOf,
  textOf,
  uuidOf,
} from "./fields.ts";
import type { MemberFacts, MemberRecord, MemberRole, MemberState } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

const roles: readonly MemberRole[] = ["voter", "storage"];
const states: readonly MemberState[] = ["member", "leaving", "lost"];

export function encodeMembers(members: readonly MemberRecord[]): Uint8Array {
  return encodeFields(
    members.map((member) => [memberFactsFields(member), states.indexOf(member.state), member.life, member.sweptUpTo]),
  );
}

/** @throws {DepositoError} `catalog-damaged` */
export function decodeMembers(value: Uint8Array): readonly MemberRecord[] {
  return decodeFields(value, "catalog-damaged", "the list of members", (fields) =>
    distinctOf(fields, memberOf, ({ id }) => id),
  );
}

export function memberFactsFields({ id, incarnation, role, zone, api, peer }: MemberFacts): Fields {
  return [id, uuidToBytes(incarnation), roles.indexOf(role), zone, api.host, api.port, peer.host, peer.port];
}

export function memberFactsOf(value: unknown): MemberFacts {
  const [id, incarnation, role, zone, apiHost, apiPort, peerHost, peerPort] = fieldsOf(value, 8);
  return {
    id: nodeIdOf(id),
    incarnation: uuidOf(incarnation, parseIncarnation),
    role: choiceOf(role, roles),
    zone: textOf(zone, 255),
    api: addressOf(apiHost, apiPort),
    peer: addressOf(peerHost, peerPort),
  };
}

function memberOf(value: unknown): MemberRecord {
  const [facts, state, life, sweptUpTo] = fieldsOf(value, 4);
  return {
    ...memberFactsOf(facts),
    state: choiceOf(state, states),
    life: logIndexOf(life),
    sweptUpTo: stagedOf(sweptUpTo),
  };
}
