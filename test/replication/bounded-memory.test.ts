import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { newClientId } from "../../node/base/ids.ts";
import { readClient } from "../../node/catalog/tables.ts";
import { registerClient } from "./support/node-disk.ts";
import { patient, ReplicationGroup, type RunningNode } from "./support/replication-group.ts";

const limits = { syncEveryEntries: 64, keepEntries: 64, maxUnappliedEntries: 128 };

/** The number behind one line of a node's metrics. */
async function metricOf({ metrics }: RunningNode, name: string): Promise<number> {
  const line = (await metrics.metrics()).split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? assert.fail(`no ${name}`));
}

/** So many changes, few at a time; what `look` saw after each round. */
async function load(node: RunningNode, count: number, look: () => Promise<void>): Promise<void> {
  for (let done = 0; done < count; done += 50) {
    await Promise.all(Array.from({ length: 50 }, () => node.replicated.propose(registerClient())));
    await look();
  }
}

async function leaderAndFollower(t: TestContext) {
  const group = await ReplicationGroup.start(t, 3, limits, patient);
  const leader = await group.leader();
  const follower = group.nodes.find(({ id }) => id !== leader.id);
  assert.ok(follower);
  return { group, leader, follower };
}

describe("bounded memory under load", () => {
  test("with a follower that is silent: what waits for it, and the log that is kept, do not grow", async (t) => {
    const { group, leader, follower } = await leaderAndFollower(t);
    group.cut(follower.id);
    let sentEntries = 0;
    group.onWire = (from, to, frame) => {
      const isAppend = frame.type === "raft" && frame.message.type === "append-request";
      if (from === leader.id && to === follower.id && isAppend) sentEntries += frame.message.entries.length;
      return [0];
    };
    const seen = { kept: 0, unwritten: 0, unapplied: 0, proposals: 0 };
    await load(leader, 3000, async () => {
      const { last } = leader.replicated.raft();
      const [oldest] = await leader.stores.log.read(last.index, 1);
      assert.ok(oldest);
      let kept = 0;
      while ((await leader.stores.log.read((last.index - kept) as typeof last.index, 1)).length > 0) kept += 16;
      seen.kept = Math.max(seen.kept, kept);
      seen.unwritten = Math.max(seen.unwritten, await metricOf(leader, "deposito_log_unwritten_entries"));
      seen.unapplied = Math.max(seen.unapplied, await metricOf(leader, "deposito_apply_queue_entries"));
      seen.proposals = Math.max(seen.proposals, await metricOf(leader, "deposito_proposals_pending"));
    });
    // Kept: what followers a little behind may need, and what was applied since the last sync of the catalog.
    assert.ok(seen.kept <= 64 + 64 + 64 + 50 + 16, `${seen.kept} entries kept`);
    assert.ok(seen.unwritten <= 50 && seen.unapplied <= 128 + 50, JSON.stringify(seen));
    assert.equal(seen.proposals, 0, "all that were made are answered");
    assert.ok(sentEntries <= 64 * 50, `${sentEntries} entries sent to nobody`);
    group.onWire = () => [0];
    group.mend(follower.id);
    await group.until("it has caught up", () => follower.replicated.applied >= leader.replicated.applied);
  });

  test("with a follower whose catalog is slow: it stops taking entries, and the others go on", async (t) => {
    const { group, leader, follower } = await leaderAndFollower(t);
    const { write } = follower.stores.catalog;
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    t.mock.method(follower.stores.catalog, "write", async (...args: Parameters<typeof write>) => {
      await opened;
      return write.apply(follower.stores.catalog, args);
    });
    let most = 0;
    const clientId = newClientId();
    try {
      await load(leader, 3000, async () => {
        most = Math.max(most, await metricOf(follower, "deposito_apply_queue_entries"));
      });
      await leader.replicated.propose(registerClient(clientId));
    } finally {
      open();
    }
    assert.ok(most >= 128, `${most} entries waited: the catalog was never slow`);
    assert.ok(most < 600, `${most} entries waited`);
    await group.until("it has caught up", () => follower.replicated.applied >= leader.replicated.applied);
    await follower.replicated.barrier();
    assert.ok(readClient(follower.replicated.catalog, clientId));
    assert.deepEqual(follower.fatal, []);
  });

  test("a node that stops while its catalog is slow does not wait for room", async (t) => {
    const { group, leader, follower } = await leaderAndFollower(t);
    const { write } = follower.stores.catalog;
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    t.mock.method(follower.stores.catalog, "write", async (...args: Parameters<typeof write>) => {
      await opened;
      return write.apply(follower.stores.catalog, args);
    });
    await load(leader, 500, async () => undefined);
    const stopped = group.stop(follower.id);
    open();
    await stopped;
    assert.deepEqual(follower.fatal, []);
  });
});
