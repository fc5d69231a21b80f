import { z } from "zod";
import { parseClusterId, parseIncarnation, parseNodeId, staged } from "../base/ids.ts";
import type { Hello } from "./types.ts";

/** A node's introduction as JSON. */
export function encodeHello(hello: Hello): string {
  return JSON.stringify(hello);
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
const member = z.strictObject({
  id: parsed(parseNodeId),
  incarnation: parsed(parseIncarnation),
  role: z.enum(["voter", "storage"]),
  zone: z.string().max(255),
  api: address,
  peer: address,
  sweptUpTo: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).transform(staged),
});
const founding = z.strictObject({
  clusterId: parsed(parseClusterId),
  clusterName: z.string().max(255),
  members: z.array(member).max(1_000),
});
const helloSchema: z.ZodType<Hello> = z
  .strictObject({ self: member, founding: founding.optional() })
  .transform((hello) => ({ self: hello.self, founding: hello.founding }));
