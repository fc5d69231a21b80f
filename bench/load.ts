import { createHash, randomBytes } from "node:crypto";
import { Pool } from "undici";

/** A running cluster, as the load generator sees it. */
export interface Target {
  readonly urls: readonly string[];
  /** The `Authorization` header of a client. */
  readonly authorization: string;
}

/** What one scenario reached. */
export interface Measured {
  readonly operations: number;
  readonly perSecond: number;
  readonly MBPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Scenario {
  readonly connections: number;
  readonly sizeBytes: number;
  readonly seconds: number;
}

/** Deposits fresh files with 3 replicas over all nodes; any answer but 201 ends the benchmark. */
export async function deposits(target: Target, scenario: Scenario, prefix: string): Promise<Measured> {
  const base = randomBytes(scenario.sizeBytes);
  let count = 0;
  return run(target, scenario, async (pool) => {
    const number = count++;
    // Every body differs, so that no shortcut for identical bytes helps; the name says which body it was.
    const body = Buffer.from(base);
    body.writeUInt32LE(number, 0);
    const answer = await pool.request({
      method: "PUT",
      path: `/v1/files/${prefix}/${number}`,
      headers: { authorization: target.authorization, "deposito-replicas": "3" },
      body,
    });
    if (answer.statusCode !== 201) throw new Error(`PUT answered ${answer.statusCode}: ${await answer.body.text()}`);
    await answer.body.dump();
  });
}

/** Retrieves the files `<prefix>/0` to `<prefix>/<files - 1>` over all nodes, each checked against its digest. */
export async function retrievals(target: Target, scenario: Scenario, prefix: string, files: number): Promise<Measured> {
  let count = 0;
  return run(target, scenario, async (pool) => {
    const answer = await pool.request({
      method: "GET",
      path: `/v1/files/${prefix}/${count++ % files}`,
      headers: { authorization: target.authorization },
    });
    const hash = createHash("sha256");
    for await (const chunk of answer.body) hash.update(chunk);
    if (answer.statusCode !== 200 || answer.headers["repr-digest"] !== `sha-256=:${hash.digest("base64")}:`)
      throw new Error(`GET answered ${answer.statusCode}, or other bytes than deposited`);
  });
}

async function run(
  { urls }: Target,
  { connections, sizeBytes, seconds }: Scenario,
  once: (pool: Pool) => Promise<void>,
): Promise<Measured> {
  const pools = urls.map((url) => new Pool(url, { connections: Math.ceil(connections / urls.length), pipelining: 1 }));
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const worker = async (index: number) => {
    // A lone connection visits the nodes in turn, so that it is not measured on the leader alone.
    for (let turn = index; performance.now() < endMs; turn += connections === 1 ? 1 : 0) {
      const pool = pools[turn % pools.length];
      if (pool === undefined) throw new Error("no node to ask");
      const beginMs = performance.now();
      await once(pool);
      latenciesMs.push(performance.now() - beginMs);
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, index) => worker(index)));
  const tookSeconds = (performance.now() - startMs) / 1000;
  await Promise.all(pools.map((pool) => pool.close()));
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(latenciesMs.length * share))] ?? 0;
  return {
    operations: latenciesMs.length,
    perSecond: latenciesMs.length / tookSeconds,
    MBPerSecond: (latenciesMs.length * sizeBytes) / 1e6 / tookSeconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}
