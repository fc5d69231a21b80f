import { createHash, timingSafeEqual } from "node:crypto";
import type { Request, Response } from "express";
import { DepositoError, hasCode } from "../base/errors.ts";
import type { ClientRecord } from "../catalog/types.ts";
import type { Depot } from "../depot/types.ts";
import type { AttemptLimit } from "./attempt-limit.ts";
import type { AuthRule } from "./route.ts";

/** Who sent a request, as far as the route's rule asks. */
export type Caller =
  | { readonly type: "anyone" }
  | { readonly type: "client"; readonly client: ClientRecord }
  | { readonly type: "operator" };

type Credentials =
  | { readonly type: "basic"; readonly clientId: string; readonly secret: string }
  | { readonly type: "bearer"; readonly token: string };

const basicChallenge = 'Basic realm="deposito", charset="UTF-8"';
const bearerChallenge = 'Bearer realm="deposito"';
const challenges: Readonly<Record<AuthRule, readonly string[]>> = {
  none: [],
  client: [basicChallenge],
  operator: [bearerChallenge],
  either: [basicChallenge, bearerChallenge],
};

/** Tells clients (HTTP Basic, RFC 7617) and operators (Bearer, RFC 6750) apart from strangers, once per request. */
export class Authenticator {
  readonly #depot: Pick<Depot, "authenticate">;
  readonly #adminTokenHash: Buffer;
  readonly #failures: AttemptLimit;

  constructor(options: {
    readonly depot: Pick<Depot, "authenticate">;
    readonly adminToken: string;
    readonly failures: AttemptLimit;
  }) {
    this.#depot = options.depot;
    this.#adminTokenHash = sha256(options.adminToken);
    this.#failures = options.failures;
  }

  /**
   * @throws {DepositoError} `unauthenticated`, with `WWW-Authenticate`; `forbidden`: valid credentials of the wrong kind;
   * `too-many-requests`: this address failed too often; `no-quorum`.
   */
  async identify(request: Request, response: Response, rule: AuthRule): Promise<Caller> {
    if (rule === "none") return { type: "anyone" };
    this.#failures.refuseExhausted(request, response);
    try {
      const caller = await this.#verify(readCredentials(request));
      if (rule !== "either" && caller.type !== rule) {
        throw new DepositoError("forbidden", `this route is for ${rule}s; the credentials are ${article(caller)}'s`);
      }
      return caller;
    } catch (error) {
      if (hasCode(error, "unauthenticated")) {
        await this.#failures.count(request, response);
        response.setHeader("WWW-Authenticate", challenges[rule]);
      }
      throw error;
    }
  }

  async #verify(credentials: Credentials): Promise<Caller> {
    if (credentials.type === "basic") {
      return { type: "client", client: await this.#depot.authenticate(credentials.clientId, credentials.secret) };
    }
    if (timingSafeEqual(sha256(credentials.token), this.#adminTokenHash)) return { type: "operator" };
    throw new DepositoError("unauthenticated", "the Bearer token is not the operators'");
  }
}

const basic = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const bearer = /^bearer +([\x21-\x7e]+)$/i;

/** @throws {DepositoError} `unauthenticated`: none, more than one, or not understood. */
function readCredentials(request: Request): Credentials {
  const field = request.headers.authorization;
  if (field === undefined) throw new DepositoError("unauthenticated", "no credentials were sent");
  // `node:http` keeps the first of two fields; which one was meant nobody knows.
  if (isRepeated(request.rawHeaders, "authorization")) {
    throw new DepositoError("unauthenticated", "the Authorization field was sent more than once");
  }
  const token = bearer.exec(field)?.[1];
  if (token !== undefined) return { type: "bearer", token };
  const pair = Buffer.from(basic.exec(field)?.[1] ?? "", "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon === -1) {
    throw new DepositoError("unauthenticated", "the Authorization field must be Basic (clientId:secret) or Bearer");
  }
  return { type: "basic", clientId: pair.slice(0, colon), secret: pair.slice(colon + 1) };
}

/** `rawHeaders` are names and values in turn. */
function isRepeated(rawHeaders: readonly string[], name: string): boolean {
  let seen = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const candidate = rawHeaders[at];
    if (candidate?.length === name.length && candidate.toLowerCase() === name) seen++;
  }
  return seen > 1;
}

function article(caller: Caller): string {
  return caller.type === "operator" ? "an operator" : "a client";
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
