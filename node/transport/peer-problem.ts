import { z } from "zod";
import { DepositoError } from "../base/errors.ts";

/** What one node can answer another instead of what was asked, with its HTTP status. */
const statuses = {
  "invalid-body": 400,
  "invalid-request": 400,
  unauthenticated: 401,
  "not-a-member": 403,
  "blob-not-found": 404,
  "no-such-route": 404,
  "node-busy": 409,
  "file-too-large": 413,
  "range-not-satisfiable": 416,
  "digest-mismatch": 422,
  "size-mismatch": 422,
  "blob-damaged": 500,
  "internal-error": 500,
  "peer-refused": 502,
  "peer-unreachable": 502,
  "no-catalog": 503,
  "no-quorum": 503,
  "not-enough-space": 507,
} as const;

export type PeerProblemCode = keyof typeof statuses;

/** A problem document between nodes (RFC 9457), told apart by the slug of its `type`. */
export interface PeerProblem {
  readonly type: `/problems/${PeerProblemCode}`;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

export function peerProblem(code: PeerProblemCode, detail: string): PeerProblem {
  return { type: `/problems/${code}`, title: code, status: statuses[code], detail };
}

/** The problem that tells a peer of `error`; undefined for what is not to be told: a bug, or a failure of this node alone. */
export function problemOfError(error: unknown): PeerProblem | undefined {
  if (!(error instanceof DepositoError) || !(error.code in statuses)) return undefined;
  return peerProblem(error.code as PeerProblemCode, error.message);
}

/**
 * The failure that a peer's answer stands for. Only codes that mean the same on both sides keep their name; the peer's
 * own trouble, with third parties too, is `peer-refused`.
 */
export function errorOfAnswer(peer: string, status: number, body: string): DepositoError {
  const problem = problemSchema.safeParse(parseJson(body)).data;
  const slug = problem?.type.replace("/problems/", "");
  const detail = `${peer} answered ${status}${problem === undefined ? "" : `: ${problem.detail}`}`;
  switch (slug) {
    case "blob-not-found":
    case "blob-damaged":
    case "digest-mismatch":
    case "size-mismatch":
    case "not-enough-space":
    case "not-a-member":
    case "no-catalog":
      return new DepositoError(slug, detail);
    case "unauthenticated":
      return new DepositoError("not-a-member", `${detail} (is the cluster secret the same on both nodes?)`);
    case "no-quorum":
      // Not ready yet, or stopping: the same to the caller as not being there.
      return new DepositoError("peer-unreachable", detail);
    default:
      return new DepositoError("peer-refused", detail);
  }
}

const problemSchema = z.object({ type: z.string().startsWith("/problems/"), detail: z.string().max(4_096) });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not a document of ours: a proxy's, or half of one
  }
}
