import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import type { Express } from "express";
import supertest from "supertest";
import { type ApiConfig, type ApiLimits, defaultApiLimits } from "../../../node/api/context.ts";
import { createApi } from "../../../node/api/server.ts";
import { type Clock, systemClock } from "../../../node/base/clock.ts";
import { logIndex, term } from "../../../node/base/ids.ts";
import { type Logger, silentLogger } from "../../../node/base/logger.ts";
import { createMetrics } from "../../../node/base/metrics.ts";
import type { RaftStatus } from "../../../node/raft/types.ts";
import { MemoryDepot, memoryNodes } from "./memory-depot.ts";

export const adminToken = "an-admin-token-for-tests";

/** What a test may want otherwise than usual. */
export interface ApiSettings {
  readonly registration?: ApiConfig["registration"];
  readonly maxFileBytes?: number;
  readonly uploadIdleMs?: number;
  readonly limits?: Partial<ApiLimits>;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** A listening API over a depot in memory, with one registered client. */
export interface RunningApi {
  readonly app: Express;
  readonly server: Server;
  readonly endStreams: () => void;
  readonly port: number;
  readonly depot: MemoryDepot;
  /** What the API asked the process to die of. */
  readonly fatal: readonly unknown[];
  readonly http: ReturnType<typeof supertest>;
  readonly client: TestClient;
  readiness: { ready: boolean; reasons: readonly string[] };
  backup: () => AsyncIterable<Uint8Array>;
}

export interface TestClient {
  readonly clientId: string;
  readonly secret: string;
  /** The value of `Authorization`. */
  readonly basic: string;
}

/** Starts an API on a free port; it is closed after the tests of the file or suite that called this. */
export async function startApi(settings: ApiSettings = {}): Promise<RunningApi> {
  const clock = settings.clock ?? systemClock;
  const depot = new MemoryDepot(clock);
  const fatal: unknown[] = [];
  const running = {
    readiness: { ready: true, reasons: [] as readonly string[] },
    backup: async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from("a backup");
    },
  };
  const { app, server, endStreams } = createApi({
    depot,
    replication: { readiness: () => running.readiness, raft: () => raftStatus },
    backup: () => running.backup(),
    config: configOf(settings),
    self: raftStatus.leader,
    metrics: createMetrics(),
    logger: settings.logger ?? silentLogger,
    clock,
    onFatal: (error) => fatal.push(error),
    limits: { ...defaultApiLimits, ...settings.limits },
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => closeServer(server));
  const { port } = server.address() as AddressInfo;
  const client = await newClient(depot);
  return Object.assign(running, { app, server, endStreams, port, depot, fatal, http: supertest(server), client });
}

/** Registers one more client behind the API's back. */
export async function newClient(depot: MemoryDepot): Promise<TestClient> {
  const { client, secret } = await depot.registerClient(undefined);
  return { clientId: client.clientId, secret, basic: basicOf(client.clientId, secret) };
}

export function basicOf(clientId: string, secret: string): string {
  return `Basic ${Buffer.from(`${clientId}:${secret}`).toString("base64")}`;
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function configOf(settings: ApiSettings): ApiConfig {
  return {
    adminToken,
    registration: settings.registration ?? "open",
    limits: {
      maxFileBytes: settings.maxFileBytes ?? 1024 ** 4,
      uploadIdleMs: settings.uploadIdleMs ?? 30_000,
    },
  };
}

const [self] = memoryNodes;
assert.ok(self !== undefined);
const raftStatus = {
  role: "leader",
  term: term(3),
  leader: self,
  commitIndex: logIndex(7),
  applied: logIndex(7),
  last: { index: logIndex(7), term: term(3) },
  configuration: { voters: memoryNodes, outgoing: [], learners: [], learnersNext: [] },
  lostPromises: false,
  progress: new Map(),
} satisfies RaftStatus;
