import type { Dispatcher } from "undici";
import { request } from "undici";
import type { Secrets } from "./cluster-file.ts";

/** What a client proves itself with. */
export interface Credentials {
  readonly clientId: string;
  readonly secret: string;
}

/** What `GET /v1/cluster` says, as far as it is used here. */
export interface ClusterStatus {
  readonly cluster: string;
  readonly leader: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly nodes: readonly {
    readonly id: string;
    readonly membership: string;
    readonly state: string;
    readonly files: number;
  }[];
  readonly replicas: { readonly wanted: number; readonly present: number; readonly missing: number };
  readonly trouble: string | null;
}

/** One request's answer; undefined where nobody answered in time. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

const defaultLimitMs = 5000;

/** One short request to a node. Never throws for a node that is not there: that answers undefined. */
export async function ask(
  url: string,
  options: {
    readonly method?: "GET" | "POST";
    readonly authorization?: string;
    readonly json?: unknown;
    readonly dispatcher?: Dispatcher;
    readonly limitMs?: number;
  } = {},
): Promise<Answer | undefined> {
  try {
    const answer = await request(url, {
      method: options.method ?? "GET",
      headers: {
        ...(options.authorization === undefined ? {} : { authorization: options.authorization }),
        ...(options.json === undefined ? {} : { "content-type": "application/json" }),
      },
      body: options.json === undefined ? null : JSON.stringify(options.json),
      signal: AbortSignal.timeout(options.limitMs ?? defaultLimitMs),
      ...(options.dispatcher === undefined ? {} : { dispatcher: options.dispatcher }),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  } catch {
    return undefined; // refused, broken or too slow: to whoever waits for a node these are all "not yet"
  }
}

export function basic({ clientId, secret }: Credentials): string {
  return `Basic ${Buffer.from(`${clientId}:${secret}`).toString("base64")}`;
}

export function bearer(secrets: Secrets): string {
  return `Bearer ${secrets.DEPOSITO_ADMIN_TOKEN}`;
}

/** Whether a node has caught up; the reasons it gives when it has not. */
export async function readiness(
  api: string,
  dispatcher?: Dispatcher,
): Promise<{ readonly ready: boolean; readonly reasons: string }> {
  const answer = await ask(`${api}/readyz`, dispatcher === undefined ? {} : { dispatcher });
  if (answer === undefined) return { ready: false, reasons: "no answer" };
  return { ready: answer.status === 200, reasons: answer.status === 200 ? "" : answer.text };
}

/** The cluster as one node sees it; undefined while it cannot say. */
export async function clusterStatus(
  api: string,
  authorization: string,
  options: { readonly dispatcher?: Dispatcher; readonly limitMs?: number } = {},
): Promise<ClusterStatus | undefined> {
  const answer = await ask(`${api}/v1/cluster`, { authorization, ...options });
  return answer?.status === 200 ? (JSON.parse(answer.text) as ClusterStatus) : undefined;
}

/** @throws with what the node answered when it did not register the client. */
export async function registerClient(
  api: string,
  options: { readonly label?: string; readonly authorization?: string; readonly dispatcher?: Dispatcher },
): Promise<Credentials> {
  const { label, ...others } = options;
  const answer = await ask(`${api}/v1/clients`, {
    method: "POST",
    json: label === undefined ? {} : { label },
    ...others,
  });
  if (answer?.status !== 201) {
    throw new Error(`${api} did not register a client: ${answer === undefined ? "no answer" : answer.text}`);
  }
  const { clientId, secret } = JSON.parse(answer.text) as Credentials;
  return { clientId, secret };
}
