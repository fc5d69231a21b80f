import { z } from "zod";
import { logIndex, parseBackupId, parseClusterId, parseIncarnation, parseNodeId } from "../base/ids.ts";
import type { MemberFacts } from "../catalog/types.ts";
import type { Hello } from "./types.ts";

/** A node's introduction as JSON: what is asked for and nothing else, since whoever reads it refuses anything else. */
export function encodeHello({ self, roster, restored }: Hello): string {
  if (roster === undefined) return JSON.stringify({ self: factsOf(self), restored });
  const members = roster.members.map((member) => ({ ...factsOf(member), state: member.state }));
  const { clusterId, clusterName, applied } = roster;
  return JSON.stringify({ self: factsOf(self), roster: { clusterId, clusterName, applied, members } });
}

function factsOf({ id, incarnation, role, zone, api, peer }: MemberFacts): MemberFacts {
  return { id, incarnation, role, zone, api, peer };
}

/** The introduction, or undefined when the text is anything else. */
export function parseHello(text: string): Hello | undefined {
  try {
    return helloSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // not JSON
  }
}

/** A text that one of the parsers of `base/ids.ts` takes. */
function parsed<T>(parse: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue("not what it should be");
    return z.NEVER;
  });
}

const address = z.strictObject({ host: z.string().min(1).max(255), port: z.number().int().min(0).max(65_535) });
const facts = z.strictObject({
  id: parsed(parseNodeId),
  incarnation: parsed(parseIncarnation),
  role: z.enum(["voter", "storage"]),
  zone: z.string().max(255),
  api: address,
  peer: address,
});
const roster = z.strictObject({
  clusterId: parsed(parseClusterId),
  clusterName: z.string().max(255),
  applied: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).transform(logIndex),
  members: z.array(facts.extend({ state: z.enum(["member", "leaving", "lost"]) })).max(1_000),
});
const helloSchema: z.ZodType<Hello> = z
  .strictObject({ self: facts, roster: roster.optional(), restored: parsed(parseBackupId).optional() })
  .transform(({ self, roster, restored }) => ({ self, roster, ...(restored === undefined ? {} : { restored }) }));
