import { create as contentDisposition } from "content-disposition";
import { z } from "zod";
import { DepositoError } from "../../base/errors.ts";
import { fileTag } from "../../catalog/preconditions.ts";
import type { ClientRecord, FileRecord } from "../../catalog/types.ts";
import type { Retrieval } from "../../depot/types.ts";
import type { ApiOptions } from "../context.ts";
import { fileNameParameter } from "../descriptions.ts";
import { type Exchange, fileNameOf } from "../exchange.ts";
import { parseRange } from "../headers/byte-range.ts";
import { allowsRange, evaluateRead } from "../headers/read-conditions.ts";
import { formatReprDigest } from "../headers/repr-digest.ts";
import type { HttpMetrics } from "../http-metrics.ts";
import { sendEmpty } from "../reply.ts";
import type { Description, Route } from "../route.ts";
import { sendBytes } from "../send-bytes.ts";
import { readQuery } from "../validation.ts";

const query = z.strictObject({
  download: z
    .enum(["", "1", "true"])
    .optional()
    .meta({ description: "Given: browsers save the file instead of showing it" }),
});

/** `GET` and `HEAD /v1/files/{name}`: the bytes, or what describes them. */
export function retrieveRoutes(options: ApiOptions, metrics: HttpMetrics): readonly Route[] {
  const route = {
    path: "/v1/files/{name}",
    auth: "client",
    handle: (exchange: Exchange, client: ClientRecord) => retrieve(options, metrics, exchange, client),
  } as const;
  return [
    { ...route, method: "get", describe: describe("Retrieve a file") },
    { ...route, method: "head", describe: describe("Describe a file's bytes without sending them") },
  ];
}

async function retrieve(
  options: ApiOptions,
  metrics: HttpMetrics,
  exchange: Exchange,
  { clientId }: ClientRecord,
): Promise<void> {
  const { request, response } = exchange;
  const name = fileNameOf(exchange, "/v1/files/");
  const { download } = readQuery(exchange, query);
  const retrieval = await options.depot.retrieve(clientId, name);
  const { record } = retrieval;
  const etag = fileTag(record.blob.sha256);
  const validators = { ETag: etag, "Last-Modified": httpDate(record), "Cache-Control": "private, no-cache" };
  switch (evaluateRead(request.headers, { etag, modifiedMs: record.updatedAt })) {
    case "precondition-failed":
      throw new DepositoError("precondition-failed", `the file is ${etag} now`);
    case "not-modified":
      return sendEmpty(exchange, 304, validators);
    case "send": {
      const { status, start, end } = chooseBytes(exchange, retrieval);
      const headers = {
        ...validators,
        ...representationHeaders(record, download !== undefined),
        ...(status === 206 ? { "Content-Range": `bytes ${start}-${end - 1}/${record.blob.sizeBytes}` } : {}),
        "Content-Length": end - start,
      };
      if (request.method === "HEAD") return void response.writeHead(status, headers).end();
      const { downloadIdleMs } = options.limits;
      return sendBytes({ exchange, retrieval, start, end, status, headers, idleMs: downloadIdleMs, metrics });
    }
  }
}

/** Ranges are for GET only (RFC 9110 §14.2). */
function chooseBytes(
  { request, response }: Exchange,
  { record }: Retrieval,
): { status: number; start: number; end: number } {
  const sizeBytes = record.blob.sizeBytes;
  const ranged = request.method === "GET" && allowsRange(request.headers, fileTag(record.blob.sha256));
  const range = parseRange(ranged ? request.headers.range : undefined, sizeBytes);
  switch (range.type) {
    case "whole":
      return { status: 200, start: 0, end: sizeBytes };
    case "part":
      return { status: 206, start: range.start, end: range.end };
    case "unsatisfiable":
      response.setHeader("Content-Range", `bytes */${sizeBytes}`);
      throw new DepositoError("range-not-satisfiable", `the file has ${sizeBytes} bytes`);
  }
}

function representationHeaders(record: FileRecord, download: boolean): Readonly<Record<string, string | number>> {
  const fileName = record.name.slice(record.name.lastIndexOf("/") + 1);
  return {
    "Content-Type": record.contentType,
    "Repr-Digest": formatReprDigest(record.blob.sha256),
    "Accept-Ranges": "bytes",
    "Content-Disposition": contentDisposition(fileName, { type: download ? "attachment" : "inline" }),
    "Deposito-Version": record.version,
    "Deposito-Replicas": record.replicas,
    // A deposited page must not act in this origin, nor be taken for another type than it was deposited as.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:",
    "X-Content-Type-Options": "nosniff",
  };
}

function httpDate(record: FileRecord): string {
  return new Date(record.updatedAt).toUTCString();
}

function describe(summary: string): Description {
  const bytes = { "*/*": { schema: { type: "string", format: "binary" } } } as const;
  return {
    summary,
    request: {
      params: fileNameParameter,
      query,
      headers: z.object({
        Range: z
          .string()
          .optional()
          .meta({ description: "One range of bytes; several are answered with the whole file" }),
        "If-Match": z.string().optional(),
        "If-None-Match": z.string().optional(),
        "If-Modified-Since": z.string().optional(),
        "If-Unmodified-Since": z.string().optional(),
        "If-Range": z.string().optional().meta({ description: "An entity tag; a date never matches" }),
      }),
    },
    responses: {
      200: { description: "The whole file", content: bytes },
      206: { description: "The range asked for", content: bytes },
      304: { description: "The client's copy is current" },
    },
    problems: [
      "invalid-name",
      "invalid-header",
      "invalid-query",
      "file-not-found",
      "precondition-failed",
      "range-not-satisfiable",
    ],
  };
}
