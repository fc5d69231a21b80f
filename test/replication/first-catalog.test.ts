import assert from "node:assert/strict";
import { test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { logIndex, type NodeId, newIncarnation } from "../../node/base/ids.ts";
import { FirstCatalog } from "../../node/replication/first-catalog.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordedLog } from "../support/recorded-log.ts";

const [n2, n3] = ["n2", "n3"] as [NodeId, NodeId];

/** A node without a catalog, whose peers answer as `answers` say. */
function seeking(answers: Map<NodeId, DepositoError>) {
  const clock = new ManualClock();
  const { logger, said } = recordedLog("error");
  const asked: NodeId[] = [];
  const stop = new AbortController();
  const first = new FirstCatalog({
    self: { id: "n1" as NodeId, incarnation: newIncarnation() },
    peers: {
      snapshotChunk: (from) => {
        asked.push(from);
        return Promise.reject(answers.get(from) ?? new Error("not asked"));
      },
    },
    sources: () => [...answers.keys()],
    begin: () => Promise.reject(new Error("nothing to write")),
    atLeast: () => logIndex(5),
    clock,
    logger,
    signal: stop.signal,
  });
  const pulled = first.pull();
  pulled.catch(() => undefined);
  const ended = async () => {
    stop.abort(new Error("enough"));
    await assert.rejects(pulled, /enough/);
  };
  return { clock, said, asked, first, ended };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("First catalog: a node that may still get one waits, and tells what the others answered", async () => {
  const none = new DepositoError("no-catalog", "node n2 has none itself");
  const { first, said, clock, ended } = seeking(
    new Map([
      [n2, none],
      [n3, new DepositoError("peer-unreachable", "node n3 does not answer")],
    ]),
  );
  await turn();
  assert.deepEqual(first.reasons, [
    "this node has no usable catalog and waits for one from a peer",
    "node n2 has none itself",
  ]);
  clock.advance(5000);
  await turn();
  assert.deepEqual(first.reasons.slice(1), ["node n2 has none itself", "node n3 does not answer"]);
  assert.deepEqual(said, []);
  await ended();
});

test("First catalog: where every other node has said that it has none, this one says so and what to do", async () => {
  const answers = new Map([n2, n3].map((id) => [id, new DepositoError("no-catalog", `node ${id} has none itself`)]));
  const { first, said, asked, clock, ended } = seeking(answers);
  await turn();
  assert.deepEqual(said, []);
  clock.advance(5000);
  await turn();
  assert.match(said.join("\n"), /^no node of the group has a usable catalog\. .*docs\/operations\.md$/);
  assert.deepEqual(first.reasons.slice(1), ["node n2 has none itself", "node n3 has none itself"]);
  for (let round = 0; round < 10; round += 1) {
    clock.advance(5000);
    await turn();
  }
  assert.equal(said.length, 1, "once a minute, though it goes on asking");
  assert.ok(asked.length > 5);
  answers.set(n3, new DepositoError("peer-unreachable", "node n3 does not answer"));
  for (let round = 0; round < 4; round += 1) {
    clock.advance(5000);
    await turn();
  }
  assert.match(first.reasons[0] ?? "", /waits for one from a peer/);
  await ended();
});

test("First catalog: a node without peers has nobody to ask", async () => {
  const { first, said, ended } = seeking(new Map());
  assert.match(first.reasons[0] ?? "", /no node of the group has a usable catalog/);
  assert.equal(said.length, 1);
  await ended();
});
