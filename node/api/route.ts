import type { RouteConfig } from "@asteasolutions/zod-to-openapi";
import type { ClientRecord } from "../catalog/types.ts";
import type { Exchange } from "./exchange.ts";
import type { ProblemCode } from "./problems.ts";

/** Who may use a route. `either` is a client or an operator. */
export type AuthRule = "none" | "client" | "operator" | "either";

/** What a route says of itself for the OpenAPI document. */
export interface Description {
  readonly summary: string;
  readonly request: NonNullable<RouteConfig["request"]>;
  readonly responses: RouteConfig["responses"];
  /** Besides those that every route with its authentication rule may answer. */
  readonly problems: readonly ProblemCode[];
}

interface Declaration {
  readonly method: "get" | "head" | "put" | "patch" | "post" | "delete";
  /** As in the OpenAPI document: `{parameter}` stands for a part of the path; `{name}` at the end takes all the rest, raw. */
  readonly path: string;
  readonly describe: Description;
}

/** One method of one path: who may use it, what it is documented as, and what it does. */
export type Route = Declaration &
  (
    | { readonly auth: "client"; readonly handle: (exchange: Exchange, client: ClientRecord) => Promise<void> }
    | { readonly auth: "none" | "operator" | "either"; readonly handle: (exchange: Exchange) => Promise<void> | void }
  );
