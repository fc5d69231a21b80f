/**
 * Every expected failure, by a stable code. Codes that reach a client are the slugs of its problem documents
 * (`node/api/problems.ts` has their status and title); the last group never leaves the node.
 */
export type ErrorCode =
  | "invalid-name"
  | "invalid-header"
  | "invalid-query"
  | "invalid-body"
  | "invalid-request"
  | "unauthenticated"
  | "forbidden"
  | "file-not-found"
  | "no-such-route"
  | "method-not-allowed"
  | "upload-timeout"
  | "node-busy"
  | "node-not-found"
  | "already-a-member"
  | "last-voter"
  | "node-mismatch"
  | "node-unreachable"
  | "precondition-failed"
  | "file-too-large"
  | "unsupported-media-type"
  | "expectation-failed"
  | "headers-too-large"
  | "range-not-satisfiable"
  | "digest-mismatch"
  | "size-mismatch"
  | "replicas-out-of-range"
  | "too-many-requests"
  | "no-quorum"
  | "not-enough-nodes"
  | "not-enough-space"
  | "internal-error"
  // inside a node only
  | "blob-not-found" // no such blob in this store
  | "blob-damaged" // a stored checksum did not match
  | "upload-aborted" // the client went away before its last byte
  | "peer-unreachable" // a peer refused, broke or timed out a connection
  | "peer-refused" // a peer answered with a failure of its own
  | "no-catalog" // a peer has no catalog that is of use here
  | "not-a-member" // the other side is not a member of this group, or an older life of one
  | "catalog-damaged" // a catalog value failed its checksum, or the digests differ
  | "backup-damaged" // a backup is not complete, or not what it says
  | "config-invalid"
  | "data-directory-in-use"
  | "data-directory-foreign"
  | "port-in-use"
  | "storage-failed"; // a write or a sync failed: the process must end

/** An expected failure: `code` says what to do, `message` says what happened, `cause` says why. */
export class DepositoError extends Error {
  override readonly name = "DepositoError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Whether `error` is the expected failure `code`. */
export function hasCode(error: unknown, code: ErrorCode): error is DepositoError {
  return error instanceof DepositoError && error.code === code;
}
