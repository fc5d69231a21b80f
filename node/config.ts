import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { DepositoError } from "./base/errors.ts";
import { type NodeId, parseNodeId } from "./base/ids.ts";
import type { Limits, RaftSettings, RepairSettings } from "./base/settings.ts";
import type { Address, MemberRole } from "./catalog/types.ts";

/** One node as the configuration file describes it; `dataDir` is absolute. */
export interface NodeConfig {
  readonly id: NodeId;
  readonly role: MemberRole;
  readonly zone: string;
  readonly dataDir: string;
  readonly api: Address;
  readonly peer: Address;
}

/** The validated configuration file, with every default filled in. */
export interface Config {
  readonly cluster: string;
  /** Nodes prove membership with it. */
  readonly secret: string;
  /** Operators' bearer token. */
  readonly adminToken: string;
  readonly registration: "open" | "admin";
  readonly defaultReplicas: number;
  readonly nodes: readonly NodeConfig[];
  readonly raft: RaftSettings;
  readonly repair: RepairSettings;
  readonly limits: Limits;
}

/** Which setting each environment variable overrides, so that no secret needs to be in a file. */
const overrides = { DEPOSITO_SECRET: "secret", DEPOSITO_ADMIN_TOKEN: "adminToken" } as const;

const secret = z.string().min(16, "must have at least 16 characters");
const address = z.strictObject({ host: z.string().min(1), port: z.int().min(1).max(65_535) });
const node = z.strictObject({
  id: z.string().transform((text, context): NodeId => {
    const id = parseNodeId(text);
    if (id !== undefined) return id;
    context.addIssue({ code: "custom", message: "must be 1 to 32 of a-z, 0-9 and -, not starting with -" });
    return z.NEVER;
  }),
  role: z.enum(["voter", "storage"]).default("voter"),
  zone: z.string().min(1).max(64).default("default"),
  dataDir: z.string().min(1),
  api: address,
  peer: address,
});

const schema = z
  .strictObject({
    cluster: z.string().min(1).max(64),
    secret,
    adminToken: secret,
    registration: z.enum(["open", "admin"]).default("open"),
    defaultReplicas: z.int().min(1).default(2),
    nodes: z.array(node).min(1),
    raft: z
      .strictObject({
        heartbeatMs: z.int().min(5).default(50),
        electionTimeoutMs: z.int().min(20).default(500),
      })
      .prefault({}),
    repair: z
      .strictObject({
        graceMs: z.int().min(0).default(30_000),
        scrubIntervalHours: z.number().positive().default(168),
        maxMiBPerSecond: z.number().positive().default(64),
      })
      .prefault({}),
    limits: z
      .strictObject({
        maxFileBytes: z.int().min(1).default(1_099_511_627_776),
        uploadIdleMs: z.int().min(100).default(30_000),
        minFreeBytes: z.int().min(0).default(268_435_456),
      })
      .prefault({}),
  })
  .superRefine((config, context) => {
    const report = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
    if (!config.nodes.some(({ role }) => role === "voter")) report(["nodes"], "needs at least one voter");
    if (config.raft.electionTimeoutMs < 3 * config.raft.heartbeatMs)
      report(["raft", "electionTimeoutMs"], "must be at least three times raft.heartbeatMs");
    const seen = new Map<string, string>();
    for (const [index, { id, api, peer, dataDir }] of config.nodes.entries()) {
      const claims = { id, dataDir, api: `${api.host}:${api.port}`, peer: `${peer.host}:${peer.port}` };
      for (const [key, value] of Object.entries(claims)) {
        const kind = key === "api" || key === "peer" ? "address" : key;
        const earlier = seen.get(`${kind} ${value}`);
        if (earlier !== undefined) report(["nodes", index, key], `${value} is also ${earlier}`);
        else seen.set(`${kind} ${value}`, `nodes[${index}].${key}`);
      }
    }
  });

/**
 * Reads and validates a configuration file.
 * @throws {DepositoError} `config-invalid`: every problem with its path in the file, all at once.
 */
export function loadConfig(path: string, environment: NodeJS.ProcessEnv): Config {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new DepositoError("config-invalid", `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new DepositoError("config-invalid", `${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  return validateConfig(withOverrides(parsed, environment), path);
}

function withOverrides(parsed: unknown, environment: NodeJS.ProcessEnv): unknown {
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return parsed;
  const overridden: Record<string, unknown> = { ...parsed };
  for (const [variable, key] of Object.entries(overrides)) {
    const value = environment[variable];
    if (value !== undefined) overridden[key] = value;
  }
  return overridden;
}

function validateConfig(parsed: unknown, path: string): Config {
  const result = schema.safeParse(parsed);
  if (!result.success) throw new DepositoError("config-invalid", `${path}: ${describe(result.error.issues)}`);
  const folder = dirname(resolve(path));
  return {
    ...result.data,
    nodes: result.data.nodes.map((each) => ({ ...each, dataDir: resolve(folder, each.dataDir) })),
  };
}

function describe(issues: readonly z.core.$ZodIssue[]): string {
  return issues.flatMap((issue) => problemsOf(issue)).join("; ");
}

function problemsOf(issue: z.core.$ZodIssue): readonly string[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => `${pathText([...issue.path, key])}: unknown key`);
  const path = pathText(issue.path);
  const variable = Object.entries(overrides).find(([, key]) => key === path)?.[0];
  const isMissing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
  if (isMissing && variable !== undefined) return [`${path}: missing; put it in the file or in ${variable}`];
  return [`${path}: ${isMissing ? "missing" : issue.message}`];
}

/** `nodes[0].api.port`, as a person would write it. */
function pathText(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
  return text.replace(/^\./, "") || "(file)";
}
