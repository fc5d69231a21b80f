import type { z } from "zod";
import { DepositoError } from "../base/errors.ts";
import type { Exchange } from "./exchange.ts";
import { UploadBody } from "./upload-body.ts";
import { describeIssues } from "./validation.ts";

const maxJsonBytes = 64 * 1024;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** How a route reads its JSON body. */
export interface JsonBodyOptions {
  readonly idleMs: number;
  /** Whether a request without a body stands for `{}`. */
  readonly optional: boolean;
}

/**
 * Reads and validates a JSON body.
 * @throws {DepositoError} `unsupported-media-type`; `invalid-body`: too long, not JSON, or the member that the detail names;
 * `upload-timeout`, `upload-aborted`.
 */
export async function readJson<T>(exchange: Exchange, schema: z.ZodType<T>, options: JsonBodyOptions): Promise<T> {
  const { request } = exchange;
  const hasBody =
    request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0;
  if (!hasBody && options.optional) return validate(schema, {});
  if (!hasBody) throw new DepositoError("invalid-body", "a JSON object is expected, but there is no body");
  if (!request.is(["application/json", "application/merge-patch+json"])) {
    throw new DepositoError("unsupported-media-type", "the body must be sent as Content-Type: application/json");
  }
  refuseContentCoding(exchange);
  return validate(schema, parse(await readAll(exchange, options.idleMs)));
}

/** @throws {DepositoError} `unsupported-media-type`: bodies are taken as they are, never decoded. */
export function refuseContentCoding({ request }: Exchange): void {
  const coding = request.headers["content-encoding"];
  if (coding === undefined || coding.toLowerCase() === "identity") return;
  throw new DepositoError("unsupported-media-type", "Content-Encoding is not supported: send the bytes as they are");
}

async function readAll({ request, response, clock }: Exchange, idleMs: number): Promise<Buffer> {
  const tooLarge = (): DepositoError =>
    new DepositoError("invalid-body", `a JSON body may have ${maxJsonBytes} bytes at most`);
  if (Number(request.headers["content-length"] ?? 0) > maxJsonBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  for await (const chunk of new UploadBody({ request, response, maxBytes: maxJsonBytes, tooLarge, idleMs, clock })) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    throw new DepositoError("invalid-body", "the body is not JSON in UTF-8", { cause });
  }
}

function validate<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new DepositoError("invalid-body", describeIssues(result.error), { cause: result.error });
}
