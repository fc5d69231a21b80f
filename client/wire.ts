import { z } from "zod";

/**
 * What travels between clients and nodes as JSON: one schema for each request and reply of the contract, and its type.
 * Nodes validate requests with them, the OpenAPI document is made from them, and the SDK reads replies through them.
 */

const time = z.iso
  .datetime()
  .meta({ description: "RFC 3339, UTC, with milliseconds", example: "2026-03-01T12:00:00.000Z" });
const clientId = z.uuidv4().meta({ description: "Names a depositor" });
const nodeId = z.string().meta({ description: "A node's name in the configuration", example: "n1" });
const wholeNumber = z.int().min(0);

/** `type/subtype` with optional parameters (RFC 9110 §8.3.1), printable ASCII, at most 255 characters. */
export const mediaType = z
  .string()
  .max(255)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*;[\t\x20-\x7e]*)?$/)
  .meta({ description: "A media type", example: "image/jpeg" });

/** The body of every refusal (RFC 9457). */
export const problemDocument = z
  .object({
    type: z
      .string()
      .meta({ description: "The path of a page about this kind of problem", example: "/problems/file-not-found" }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: "What happened to this request" }),
    instance: z.string().meta({ description: "The request id, as in X-Request-Id" }),
  })
  .meta({ id: "Problem" });
export type ProblemDocument = z.infer<typeof problemDocument>;

/** The optional body of `POST /v1/clients`. */
export const registerClientRequest = z
  .strictObject({
    label: z
      .string()
      .min(1)
      .max(200)
      .refine((label) => label.isWellFormed(), "has an unpaired surrogate")
      .optional(),
  })
  .meta({ id: "RegisterClientRequest" });
export type RegisterClientRequest = z.infer<typeof registerClientRequest>;

/** The answer of `POST /v1/clients`. */
export const registeredClient = z
  .object({
    clientId,
    secret: z.string().meta({ description: "Shown this once" }),
    label: z.string().nullable(),
    createdAt: time,
  })
  .meta({ id: "RegisteredClient" });
export type RegisteredClient = z.infer<typeof registeredClient>;

/** The answer of `GET /v1/clients/me`. */
export const clientAccount = z
  .object({
    clientId,
    label: z.string().nullable(),
    files: wholeNumber,
    bytes: wholeNumber,
    replicaBytes: wholeNumber.meta({ description: "Sum of size × wanted replicas" }),
    createdAt: time,
  })
  .meta({ id: "ClientAccount" });
export type ClientAccount = z.infer<typeof clientAccount>;

/** The answer of `POST /v1/clients/me/secret`. */
export const rotatedSecret = z.object({ clientId, secret: z.string() }).meta({ id: "RotatedSecret" });
export type RotatedSecret = z.infer<typeof rotatedSecret>;

const recordMembers = {
  name: z.string().meta({ example: "photos/cat.jpg" }),
  size: wholeNumber.meta({ description: "Bytes" }),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  contentType: z.string(),
  replicas: z.int().min(1).meta({ description: "How many are wanted" }),
  version: wholeNumber.meta({ description: "Grows with every change of the file, cluster-wide" }),
  etag: z.string().meta({ description: "The file's entity tag: the quoted sha256" }),
  createdAt: time,
  updatedAt: time,
  placement: z.array(z.object({ node: nodeId, state: z.enum(["present", "missing"]) })),
};

/** One file as the cluster knows it. */
export const fileRecord = z.object(recordMembers).meta({ id: "Record" });
export type FileRecordJson = z.infer<typeof fileRecord>;

/** What a deposit did. */
export const depositOutcome = z.enum(["created", "replaced", "replicas-changed", "unchanged"]);

/** The answer of `PUT /v1/files/{name}`. */
export const depositAnswer = z.object({ ...recordMembers, outcome: depositOutcome }).meta({ id: "DepositAnswer" });
export type DepositAnswerJson = z.infer<typeof depositAnswer>;

/** The body of `PATCH /v1/records/{name}`; what is left out stays. */
export const editRequest = z
  .strictObject({
    replicas: z.int().optional().meta({ description: "From 1 to the number of storing members" }),
    contentType: mediaType.optional(),
  })
  .meta({ id: "EditRequest" });
export type EditRequest = z.infer<typeof editRequest>;

/** The query of `GET /v1/records`. */
export const listQuery = z.strictObject({
  prefix: z.string().default("").meta({ description: "Only names that begin so" }),
  delimiter: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Names that have it after the prefix are grouped into `prefixes`", example: "/" }),
  after: z
    .string()
    .optional()
    .meta({ description: "Only names and prefixes after this one: `next` of the page before" }),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, "must be a whole number from 1 to 1000")
    .transform(Number)
    .pipe(z.int().min(1).max(1000))
    .default(100)
    .meta({ type: "integer", minimum: 1, maximum: 1000, default: 100 }),
});
export type ListQuery = z.infer<typeof listQuery>;

/** The answer of `GET /v1/records`, in name order by UTF-8 bytes. */
export const recordPage = z
  .object({
    records: z.array(fileRecord),
    prefixes: z.array(z.string()),
    next: z.string().nullable().meta({ description: "The `after` of the next page" }),
  })
  .meta({ id: "RecordPage" });
export type RecordPage = z.infer<typeof recordPage>;

const nodeState = z.enum(["up", "down", "unknown"]);
const membership = z.enum(["voter", "learner", "leaving"]);

const clusterNode = z.object({
  id: nodeId,
  role: z.enum(["voter", "storage"]).meta({ description: "What it shall be" }),
  membership: membership.meta({
    description: "What it is: a learner follows and stores, and counts in no majority, for ever or until it is close",
  }),
  zone: z.string(),
  api: z.object({ host: z.string(), port: z.int() }),
  state: nodeState,
  raft: z
    .object({ match: wholeNumber, applied: wholeNumber })
    .nullable()
    .meta({ description: "Last log index synced and applied there; null, like the numbers below, if never heard of" }),
  files: wholeNumber.nullable(),
  bytes: wholeNumber.nullable(),
  freeBytes: wholeNumber.nullable(),
  lastSeen: time.nullable(),
});

/** The answer of `GET /v1/cluster`. */
export const clusterStatus = z
  .object({
    cluster: z.string(),
    leader: nodeId.nullable(),
    term: wholeNumber,
    commitIndex: wholeNumber,
    nodes: z.array(clusterNode),
    replicas: z.object({ wanted: wholeNumber, present: wholeNumber, missing: wholeNumber }),
    trouble: z
      .string()
      .nullable()
      .meta({ description: "What is wrong with the group that only an operator can mend, and what to do" }),
  })
  .meta({ id: "ClusterStatus" });
export type ClusterStatusJson = z.infer<typeof clusterStatus>;

const newNodeId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "must be 1 to 32 of a-z, 0-9 and -, not starting with -")
  .meta({ description: "A node's name in the configuration", example: "n4" });
const address = z.strictObject({ host: z.string().min(1).max(255), port: z.int().min(1).max(65_535) });

/** The body of `POST /v1/cluster/nodes`. */
export const addNodeRequest = z
  .strictObject({
    id: newNodeId,
    peer: address.meta({ description: "Where its peer port answers, for every node of the group" }),
  })
  .meta({ id: "AddNodeRequest" });
export type AddNodeRequest = z.infer<typeof addNodeRequest>;

/** The answer of `POST /v1/cluster/nodes` and `DELETE /v1/cluster/nodes/{id}`, and the data of a `member` event. */
export const nodeMembership = z
  .object({ id: nodeId, membership: z.enum([...membership.options, "removed"]) })
  .meta({ id: "NodeMembership" });
export type NodeMembershipJson = z.infer<typeof nodeMembership>;

/** The data of a `node` event. */
export const nodeStateChange = z.object({ id: nodeId, state: nodeState }).meta({ id: "NodeStateChange" });
export type NodeStateJson = z.infer<typeof nodeStateChange>;

/** The body of `POST /v1/cluster/leader`. */
export const moveLeadershipRequest = z.strictObject({ to: newNodeId }).meta({ id: "MoveLeadershipRequest" });
export type MoveLeadershipRequest = z.infer<typeof moveLeadershipRequest>;

/** The answer of `POST /v1/cluster/leader`, and the data of a `leader` event. */
export const leadership = z.object({ leader: nodeId.nullable(), term: wholeNumber }).meta({ id: "Leadership" });
export type Leadership = z.infer<typeof leadership>;

/** The answer of `/livez`. */
export const liveness = z.object({ live: z.literal(true), node: nodeId }).meta({ id: "Liveness" });
export type Liveness = z.infer<typeof liveness>;

/** The answer of `/readyz`, with 200 when ready, else 503. */
export const readiness = z
  .object({ ready: z.boolean(), reasons: z.array(z.string()).meta({ description: "Why it is not ready" }) })
  .meta({ id: "Readiness" });
export type Readiness = z.infer<typeof readiness>;
