import type { ErrorCode } from "../base/errors.ts";

/** Codes that never reach a client by name; at the door they are `internal-error`, or the client is gone. */
type InternalCode =
  | "blob-not-found"
  | "blob-damaged"
  | "upload-aborted"
  | "peer-unreachable"
  | "peer-refused"
  | "no-catalog"
  | "not-a-member"
  | "catalog-damaged"
  | "backup-damaged"
  | "config-invalid"
  | "data-directory-in-use"
  | "data-directory-foreign"
  | "port-in-use"
  | "storage-failed";

/** A slug of the contract's status table. */
export type ProblemCode = Exclude<ErrorCode, InternalCode>;

/** What one kind of problem means to a client, the same in every answer. */
export interface Problem {
  readonly status: number;
  readonly title: string;
  /** What to do next, in a sentence or two; shown on the problem's page and in the OpenAPI document. */
  readonly remedy: string;
  /** Seconds for `Retry-After`; undefined when trying again changes nothing, or the time is known only case by case. */
  readonly retryAfterSeconds: number | undefined;
}

/** The one table of HTTP statuses, titles and remedies: answers, pages and the OpenAPI document are made from it. */
export const problems: Readonly<Record<ProblemCode, Problem>> = {
  "invalid-name": refusal(
    400,
    "The file name is not valid",
    "Send 1 to 1024 bytes of percent-encoded UTF-8. A '/' may stand inside, but not first or last; empty, '.' and '..' segments and control characters are refused.",
  ),
  "invalid-header": refusal(
    400,
    "A header field is not valid",
    "Correct the header field that the detail names, or leave it out.",
  ),
  "invalid-query": refusal(
    400,
    "The query is not valid",
    "Correct the query parameter that the detail names; every parameter may be given once, unknown ones are refused.",
  ),
  "invalid-body": refusal(
    400,
    "The request body is not valid",
    "Send a JSON object of at most 64 KiB with the members that /openapi.json lists; the detail names the one that is wrong.",
  ),
  "invalid-request": refusal(
    400,
    "The request is not valid HTTP",
    "Send a well-formed HTTP/1.1 request with one Host field and a body as long as declared.",
  ),
  unauthenticated: refusal(
    401,
    "Credentials are missing or wrong",
    "Send HTTP Basic credentials 'clientId:secret', or the operators' token as Bearer. POST /v1/clients makes a new client.",
  ),
  forbidden: refusal(
    403,
    "These credentials do not open this route",
    "Use the operators' token on operators' routes, and a client's id and secret on files, records and the client's own account.",
  ),
  "file-not-found": refusal(
    404,
    "There is no such file",
    "Check the name, or list the names there are: GET /v1/records?prefix=. A client sees its own files only.",
  ),
  "node-not-found": refusal(
    404,
    "There is no such node",
    "GET /v1/cluster lists the nodes of the group. To add one, start it first: POST /v1/cluster/nodes.",
  ),
  "no-such-route": refusal(404, "There is no such route", "GET /openapi.json lists every route of this node."),
  "method-not-allowed": refusal(
    405,
    "The route does not know this method",
    "Use one of the methods that the Allow header field lists.",
  ),
  "upload-timeout": refusal(
    408,
    "The request did not arrive in time",
    "Send the request again without long pauses; the detail says how long a pause may be. Nothing was stored.",
  ),
  "node-busy": retry(
    409,
    "A membership change is already running",
    "Wait until it is finished, then send it again. GET /v1/cluster tells the membership of each node.",
    5,
  ),
  "already-a-member": refusal(
    409,
    "The node is a member already",
    "There is nothing to do. If its data directory is new, remove the node first, and add it when it is gone.",
  ),
  "last-voter": refusal(
    409,
    "The node is the last voter",
    "Add another voter first: without one nothing could be decided any more.",
  ),
  "precondition-failed": refusal(
    412,
    "A precondition was not met",
    "The file is not as If-Match, If-None-Match or If-Unmodified-Since expects: read its record, then decide again.",
  ),
  "file-too-large": refusal(
    413,
    "The file is too large",
    "Deposit at most as many bytes as the detail says, or ask the operator to raise limits.maxFileBytes.",
  ),
  "unsupported-media-type": refusal(
    415,
    "The media type or content coding is not supported",
    "Send JSON as application/json where a JSON body is expected, and bodies without Content-Encoding.",
  ),
  "range-not-satisfiable": refusal(
    416,
    "The range lies beyond the end of the file",
    "Content-Range has the size of the file: ask for a range that begins before it.",
  ),
  "expectation-failed": refusal(417, "The expectation cannot be met", "Expect 100-continue or nothing."),
  "digest-mismatch": refusal(
    422,
    "The bytes do not have the declared digest",
    "Nothing was stored. The detail has both digests: compute Repr-Digest over the bytes you send, and deposit again.",
  ),
  "size-mismatch": refusal(
    422,
    "The bytes are not as many as declared",
    "Nothing was stored. The detail has both sizes: deposit again.",
  ),
  "node-mismatch": refusal(
    422,
    "The node is not what the request takes it for",
    "The detail says what it is: correct the id or the address, give the node the cluster's secret, or an empty data directory.",
  ),
  "replicas-out-of-range": refusal(
    422,
    "So many replicas are not possible",
    "Ask for a number in the range of the detail: from 1 to the number of storing members.",
  ),
  "too-many-requests": retry(
    429,
    "Too many requests",
    "Wait as many seconds as Retry-After says, then send the request again.",
    1,
  ),
  "headers-too-large": refusal(
    431,
    "The header fields are too large",
    "Send a request line and header fields of at most 16 KiB together.",
  ),
  "internal-error": refusal(
    500,
    "The node failed",
    "This is a bug. Tell the operator the request id: the node's log has the rest under it.",
  ),
  "no-quorum": retry(
    503,
    "No majority of voters can be reached",
    "Send the request again in a moment, to this node or another. A deposit may or may not have happened; sending it again is always safe.",
    1,
  ),
  "not-enough-nodes": retry(
    503,
    "Too few nodes can be reached for the replicas",
    "Nothing was stored. Try again in a moment, or ask for fewer replicas.",
    5,
  ),
  "node-unreachable": retry(
    503,
    "The node cannot be reached, or did not do it in time",
    "See that it runs, that its peer port is reachable from every node, and that the address is right; then send the request again.",
    5,
  ),
  "not-enough-space": refusal(
    507,
    "No set of nodes has room",
    "Nothing was stored. Delete files, ask for fewer replicas, or ask the operator for more space.",
  ),
};

/** The problem of an error code; undefined for codes that never leave a node by name. */
export function problemOf(code: ErrorCode): { readonly code: ProblemCode; readonly problem: Problem } | undefined {
  return isProblemCode(code) ? { code, problem: problems[code] } : undefined;
}

export function isProblemCode(text: string): text is ProblemCode {
  return Object.hasOwn(problems, text);
}

/** Every code of the table. */
export const problemCodes: readonly ProblemCode[] = Object.keys(problems).filter(isProblemCode);

function refusal(status: number, title: string, remedy: string): Problem {
  return { status, title, remedy, retryAfterSeconds: undefined };
}

function retry(status: number, title: string, remedy: string, retryAfterSeconds: number): Problem {
  return { status, title, remedy, retryAfterSeconds };
}
