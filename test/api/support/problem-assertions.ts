import assert from "node:assert/strict";
import { problemDocument } from "../../../client/wire.ts";
import { type ProblemCode, problems } from "../../../node/api/problems.ts";

/** A reply as supertest or the raw socket brings it; field names in lower case. */
export interface SeenReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

/** Asserts that the reply is the problem document of `code` and tells nothing of the node's inside; answers its detail. */
export function assertProblem(reply: SeenReply, code: ProblemCode): string {
  assert.equal(reply.status, problems[code].status, reply.text);
  assert.match(reply.headers["content-type"] ?? "", /^application\/problem\+json/);
  const document = problemDocument.strict().parse(JSON.parse(reply.text));
  assert.equal(document.type, `/problems/${code}`, reply.text);
  assert.equal(document.status, reply.status);
  assert.equal(document.title, problems[code].title);
  assert.equal(document.instance, reply.headers["x-request-id"]);
  assert.ok(document.detail.length > 0 && document.detail.length <= 600, "the detail is short, and there is one");
  assert.doesNotMatch(
    reply.text,
    /\bat \S+ \(|node_modules|node:internal|\.ts\b|\/work\/|\/home\//,
    "nothing of the inside",
  );
  return document.detail;
}
