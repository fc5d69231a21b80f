import { z } from "zod";
import { type DepositAnswerJson, depositAnswer, mediaType } from "../../../client/wire.ts";
import { DepositoError } from "../../base/errors.ts";
import { fileTag } from "../../catalog/preconditions.ts";
import type { ClientRecord } from "../../catalog/types.ts";
import type { ApiOptions } from "../context.ts";
import { documents, fileNameParameter } from "../descriptions.ts";
import { type Exchange, fileNameOf, filePath } from "../exchange.ts";
import { parsePreconditions } from "../headers/entity-tags.ts";
import { parseReprDigest } from "../headers/repr-digest.ts";
import type { HttpMetrics } from "../http-metrics.ts";
import { refuseContentCoding } from "../json-body.ts";
import { recordJson } from "../record-json.ts";
import { sendJson } from "../reply.ts";
import type { Description, Route } from "../route.ts";
import { UploadBody } from "../upload-body.ts";
import { noQuery, readQuery } from "../validation.ts";

/** `PUT /v1/files/{name}`: deposits the body. */
export function depositRoute(options: ApiOptions, metrics: HttpMetrics): Route {
  return {
    method: "put",
    path: "/v1/files/{name}",
    auth: "client",
    describe,
    handle: (exchange, client) => deposit(options, metrics, exchange, client),
  };
}

async function deposit(
  options: ApiOptions,
  metrics: HttpMetrics,
  exchange: Exchange,
  client: ClientRecord,
): Promise<void> {
  const { headers } = exchange.request;
  const name = fileNameOf(exchange, "/v1/files/");
  readQuery(exchange, noQuery);
  refuseContentCoding(exchange);
  if (headers["content-range"] !== undefined) {
    throw new DepositoError("invalid-header", "Content-Range: a file is deposited as a whole");
  }
  const facts = {
    declaredSha256: parseReprDigest(field(exchange, "repr-digest")),
    contentType: parseContentType(headers["content-type"]),
    replicas: parseReplicas(field(exchange, "deposito-replicas")),
    preconditions: parsePreconditions(headers),
  };
  const declaredBytes = declaredLength(exchange, options.config.limits.maxFileBytes);
  const body = uploadBody(options, exchange);
  try {
    const answer = await options.depot.deposit({
      clientId: client.clientId,
      name,
      body,
      declaredBytes,
      ...facts,
      bodyAwaited: body.awaited,
      wantBody: () => body.want(),
    });
    const json: DepositAnswerJson = { ...recordJson(answer.record), outcome: answer.outcome };
    const tag = { ETag: fileTag(answer.record.blob.sha256) };
    if (answer.outcome === "created") sendJson(exchange, 201, json, { ...tag, Location: filePath(name) });
    else sendJson(exchange, 200, json, tag);
  } finally {
    metrics.fileBytes("in", body.receivedBytes);
  }
}

function uploadBody({ config: { limits }, clock }: ApiOptions, { request, response }: Exchange): UploadBody {
  const tooLarge = (): DepositoError => fileTooLarge(limits.maxFileBytes);
  return new UploadBody({
    request,
    response,
    maxBytes: limits.maxFileBytes,
    tooLarge,
    idleMs: limits.uploadIdleMs,
    clock,
  });
}

function declaredLength({ request }: Exchange, maxFileBytes: number): number | undefined {
  // A request without a body is the deposit of an empty file.
  if (request.headers["transfer-encoding"] !== undefined) return undefined;
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > maxFileBytes) throw fileTooLarge(maxFileBytes);
  return declared;
}

function fileTooLarge(maxFileBytes: number): DepositoError {
  return new DepositoError("file-too-large", `a file may have ${maxFileBytes} bytes at most`);
}

function parseContentType(value: string | undefined): string | undefined {
  if (value === undefined || mediaType.safeParse(value).success) return value;
  throw new DepositoError("invalid-header", "Content-Type must be a media type of at most 255 characters");
}

/** Whole numbers out of range are refused by the depot, which knows the range. */
function parseReplicas(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^-?\d{1,15}$/.test(value)) {
    throw new DepositoError("invalid-header", "Deposito-Replicas must be a whole number in digits");
  }
  return Number(value);
}

/** Repeated fields arrive joined by commas. */
function field(exchange: Exchange, name: string): string | undefined {
  const value = exchange.request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

const describe: Description = {
  summary: "Deposit a file: create it, replace its bytes, or change its replica count when the bytes are identical",
  request: {
    params: fileNameParameter,
    headers: z.object({
      "Deposito-Replicas": z.string().optional().meta({ description: "How many replicas to keep", example: "3" }),
      "Repr-Digest": z.string().optional().meta({ description: "sha-256=:<base64>: of the bytes (RFC 9530)" }),
      "If-Match": z.string().optional().meta({ description: "Replace only the file with this entity tag" }),
      "If-None-Match": z.string().optional().meta({ description: "*: create only" }),
      Expect: z.string().optional().meta({ description: "100-continue: wait with the body until it is wanted" }),
    }),
    body: { content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } },
  },
  responses: {
    200: documents("Outcome replaced, replicas-changed or unchanged", depositAnswer),
    201: documents("Outcome created", depositAnswer),
  },
  problems: [
    "invalid-name",
    "invalid-header",
    "invalid-query",
    "upload-timeout",
    "precondition-failed",
    "file-too-large",
    "unsupported-media-type",
    "expectation-failed",
    "digest-mismatch",
    "size-mismatch",
    "replicas-out-of-range",
    "not-enough-nodes",
    "not-enough-space",
  ],
};
