import type { Request, Response } from "express";
import type { Clock } from "../base/clock.ts";
import { type FileName, parseFileName } from "../catalog/names.ts";
import { percentDecode, type RequestTarget } from "./target.ts";

/** One request and its reply, as a route handles them. */
export interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly target: RequestTarget;
  readonly clock: Clock;
}

/**
 * The file name that ends the path after `prefix`, decoded from the raw path: the router must not touch `/`, `%2F` or `..`.
 * @throws {DepositoError} `invalid-name`
 */
export function fileNameOf(exchange: Exchange, prefix: string): FileName {
  return parseFileName(percentDecode(exchange.target.path.slice(prefix.length), "invalid-name"));
}

/** The path under which a file's bytes are served, percent-encoded. */
export function filePath(name: FileName): string {
  return `/v1/files/${name.split("/").map(encodeURIComponent).join("/")}`;
}
