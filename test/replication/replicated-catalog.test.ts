import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import {
  type ClientId,
  type LogIndex,
  type NodeId,
  newClientId,
  newIncarnation,
  type Sha256,
} from "../../node/base/ids.ts";
import { clientKey } from "../../node/catalog/keys.ts";
import { readClient } from "../../node/catalog/tables.ts";
import type { MemberFacts, Outcome } from "../../node/catalog/types.ts";
import { registerClient } from "./support/node-disk.ts";
import { patient, ReplicationGroup, type RunningNode } from "./support/replication-group.ts";

async function register(node: RunningNode, clientId: ClientId = newClientId()): Promise<ClientId> {
  const outcome = await node.replicated.propose(registerClient(clientId));
  assert.equal(outcome.type, "done");
  return clientId;
}

async function registerMany(node: RunningNode, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => register(node)));
}

function rotate(clientId: ClientId, digit: string) {
  return { type: "rotate-secret", clientId, secretHash: digit.repeat(64) as Sha256, at: 2 } as const;
}

function others(group: ReplicationGroup, id: NodeId): readonly RunningNode[] {
  return group.nodes.filter((node) => node.id !== id);
}

/** Far from what a busy machine takes longer for than a proposal waits. */
const proposedAtOnce = 500;

/** A leader, and a follower that needs a snapshot as soon as it is reachable again: of several chunks where `count` is large. */
async function leaveOneBehind(group: ReplicationGroup, count: number) {
  const leader = await group.leader();
  const [behind] = others(group, leader.id);
  assert.ok(behind);
  group.cut(behind.id);
  const label = "x".repeat(200);
  for (let registered = 0; registered < count; registered += proposedAtOnce) {
    const some = Array.from({ length: Math.min(proposedAtOnce, count - registered) }, () =>
      leader.replicated.propose(registerClient(newClientId(), label)),
    );
    await Promise.all(some);
  }
  await registerMany(leader, 20);
  const sources = others(group, behind.id);
  await group.until("the others have it all", () =>
    sources.every(({ replicated }) => replicated.applied === leader.replicated.applied),
  );
  // On a busy machine a node that is not cut off may have taken over meanwhile.
  return { leader: await group.leader(), behind };
}

async function installed(node: RunningNode): Promise<number> {
  return Number(/deposito_snapshots_installed_total (\d+)/.exec(await node.metrics.metrics())?.[1]);
}

describe("replicated catalog: three nodes", () => {
  test("what is proposed on any node is shown on every node after its barrier", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    for (const proposer of group.nodes) {
      const clientId = await register(proposer);
      for (const reader of group.nodes) {
        await reader.replicated.barrier();
        assert.ok(readClient(reader.replicated.catalog, clientId), `${proposer.id} → ${reader.id}`);
      }
    }
    assert.deepEqual([...new Set(group.nodes.map(({ replicated }) => replicated.clusterName))], ["test"]);
    for (const { replicated } of group.nodes) {
      await group.until("it is ready", () => replicated.readiness().ready);
      assert.deepEqual(replicated.readiness().reasons, []);
      const lives = (members: readonly MemberFacts[]) => members.map(({ id, incarnation }) => [id, incarnation]);
      assert.deepEqual(lives(replicated.roster().members), lives(group.founding.members));
      assert.equal(replicated.totals().files, 0);
    }
    assert.match(await (group.nodes[0] as RunningNode).metrics.metrics(), /deposito_log_sync_seconds_count [1-9]/);
  });

  test("a node that has caught up is not ready before most of the others know it", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    group.acquainted = false;
    const [{ id }] = group.nodes as [RunningNode];
    await group.stop(id);
    const { replicated } = await group.startNode(id);
    await replicated.barrier();
    assert.equal(replicated.readiness().ready, false);
    await group.until(
      "it says why",
      () => replicated.readiness().reasons.join() === "too few other nodes are connected",
    );
    group.acquainted = true;
    await group.until("it is ready", () => replicated.readiness().ready);
  });

  test("a node that was added and never came keeps nobody from being ready", async (t) => {
    const group = await ReplicationGroup.start(t, 1);
    const { id, replicated } = await group.leader();
    const absent = { ...group.founding.members[0], id: "n2" as NodeId, incarnation: newIncarnation() } as MemberFacts;
    assert.deepEqual(await replicated.propose({ type: "add-member", member: absent }), { type: "done" });
    await group.stop(id);
    const again = await group.startNode(id);
    await group.until("it is ready", () => again.replicated.readiness().ready);
  });

  test("exactly once: proposals that arrive twice and late are applied once, with one outcome", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [door] = others(group, leader.id);
    assert.ok(door);
    let sent = 0;
    // The late copies arrive in the opposite order: the first rotation's comes last of all.
    group.onWire = (_from, _to, { type }) => (type === "proposals" ? [0, 0, 800 - 150 * sent++] : [0]);
    const start = leader.replicated.applied;
    const outcomes: Outcome[] = [];
    const clientId = newClientId();
    // A second registration of the same client would be refused, so the outcome tells whether it happened twice.
    outcomes.push(await door.replicated.propose(registerClient(clientId)));
    for (const digit of ["1", "2", "3"]) outcomes.push(await door.replicated.propose(rotate(clientId, digit)));
    await group.until("the late copies are applied, too", () => leader.replicated.applied >= start + 3 * sent);
    await group.caughtUp(leader.id);
    assert.deepEqual(
      outcomes.map(({ type }) => type),
      ["done", "done", "done", "done"],
    );
    for (const { replicated } of group.nodes) {
      await replicated.barrier();
      // A late copy of an earlier rotation would have brought its secret back.
      assert.equal(readClient(replicated.catalog, clientId)?.secretHash, "3".repeat(64));
    }
  });

  test("a proposal whose frame is lost arrives when it is submitted again", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [door] = others(group, leader.id);
    assert.ok(door);
    let lost = 0;
    group.onWire = (_from, _to, { type }) => (type === "proposals" && lost++ === 0 ? [] : [0]);
    const outcome = door.replicated.propose(registerClient());
    await group.until("the frame is lost", () => lost === 1);
    door.replicated.peerConnected(leader.id);
    assert.equal((await outcome).type, "done");
    assert.equal(lost, 2);
  });

  test("proposals that cannot be decoded are dropped, and harm neither leader nor log", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [door] = others(group, leader.id);
    assert.ok(door);
    leader.replicated.receive(door.id, { type: "proposals", proposals: [Buffer.from("nonsense")] });
    await register(door);
    assert.deepEqual(
      group.nodes.flatMap(({ fatal }) => fatal),
      [],
    );
  });

  test("when the leader is cut off the others go on, and it answers no read and no change before it is back", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { quorumTimeoutMs: 2000 });
    const old = await group.leader();
    const clientId = await register(old);
    group.cut(old.id);
    const stale = assert.rejects(old.replicated.barrier(), (error) => hasCode(error, "no-quorum"));
    const [other] = others(group, old.id);
    assert.ok(other);
    assert.equal((await other.replicated.propose(rotate(clientId, "1"))).type, "done");
    await stale;
    group.mend(old.id);
    await old.replicated.barrier();
    assert.equal(readClient(old.replicated.catalog, clientId)?.secretHash, "1".repeat(64));
  });

  test("a leader that stops hands over at once, without waiting for an election timeout", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const old = await group.leader();
    await old.replicated.handOver(10_000);
    assert.notEqual(old.replicated.raft().role, "leader");
    await group.stop(old.id);
    await register(await group.leader());
  });

  test("a node that was restarted has everything, and catches up with what it missed", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [down, door] = others(group, leader.id);
    assert.ok(down && door);
    const before = await register(door);
    await group.caughtUp(door.id);
    await group.stop(down.id);
    const meanwhile = await register(door);
    const back = await group.startNode(down.id);
    assert.ok(readClient(back.replicated.catalog, before));
    await back.replicated.barrier();
    assert.ok(readClient(back.replicated.catalog, meanwhile));
  });

  test("all nodes stopped at once come back with everything", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    await registerMany(leader, 100);
    const clientId = await register(leader);
    for (const id of group.ids) await group.stop(id);
    for (const id of group.ids) await group.startNode(id);
    for (const { replicated } of group.nodes) {
      await replicated.barrier();
      assert.ok(readClient(replicated.catalog, clientId));
    }
  });

  test("stopping answers whoever waits: nothing hangs until its deadline", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    for (const { id } of others(group, leader.id)) group.cut(id);
    const waiting = [leader.replicated.propose(registerClient()), leader.replicated.barrier()];
    const ends = waiting.map((each) => assert.rejects(each, (error) => hasCode(error, "no-quorum")));
    const beganMs = performance.now();
    await group.stop(leader.id);
    await Promise.all(ends);
    assert.ok(performance.now() - beganMs < 4000);
  });
});

describe("replicated catalog: the whole group stops", () => {
  test("a leader whose majority is gone hands over to nobody, and answers at once who waits for a majority", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const gone = others(group, leader.id);
    for (const { id } of gone) group.cut(id);
    const waiting = [leader.replicated.propose(registerClient()), leader.replicated.barrier()];
    const ends = waiting.map((each) => assert.rejects(each, (error) => hasCode(error, "no-quorum")));
    const beganMs = performance.now();
    const handedOver = leader.replicated.handOver(10_000);
    for (const { id } of gone) leader.replicated.peerRefused(id);
    await Promise.all([handedOver, ...ends]);
    await leader.replicated.handOver(10_000);
    assert.ok(performance.now() - beganMs < 4000);
  });

  test("one that is gone does not matter, and one that came back counts again", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [one, two] = others(group, leader.id);
    assert.ok(one && two);
    leader.replicated.peerRefused(one.id);
    leader.replicated.peerConnected(one.id);
    leader.replicated.peerRefused(two.id);
    const clientId = await register(leader);
    await leader.replicated.handOver(10_000);
    assert.notEqual(leader.replicated.raft().role, "leader");
    await leader.replicated.barrier();
    assert.ok(readClient(leader.replicated.catalog, clientId), "it still answers");
  });
});

describe("replicated catalog: snapshots", () => {
  test("a node that is behind the trimmed log installs a snapshot while it runs, and goes on from there", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { syncEveryEntries: 16, keepEntries: 8 });
    const leader = await group.leader();
    const [behind, door] = others(group, leader.id);
    assert.ok(behind && door);
    group.cut(behind.id);
    await registerMany(door, 200);
    for (let count = 0; count < 40; count++) await register(door);
    const heard: number[] = [];
    behind.replicated.onOwnHolderRows((rows) => heard.push(rows.length));
    // While the catalog changes hands, those who ask for the members on a timer are answered from what was known.
    const membersSeen = new Set<number>();
    group.onSwitch = () => {
      membersSeen.add(behind.replicated.members().length);
      assert.throws(
        () => behind.replicated.catalog,
        (error) => hasCode(error, "no-quorum"),
      );
    };
    group.mend(behind.id);
    await group.until("it has caught up", () => behind.replicated.applied >= door.replicated.applied);
    assert.deepEqual([...membersSeen], [3]);
    assert.deepEqual(heard, [0], "own rows may have changed unseen");
    const clientId = await register(behind);
    await door.replicated.barrier();
    assert.ok(readClient(door.replicated.catalog, clientId));
    assert.match(await behind.metrics.metrics(), /deposito_snapshots_installed_total 1\n/);
    // What it installed and logged since is what it starts from.
    await group.stop(behind.id);
    const back = await group.startNode(behind.id);
    assert.ok(back.replicated.applied > 200);
    await back.replicated.barrier();
    assert.ok(readClient(back.replicated.catalog, clientId));
  });

  test("the snapshot comes from a follower, and is of use although the leader's log goes on meanwhile", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { syncEveryEntries: 16, keepEntries: 8 }, patient);
    const { leader, behind } = await leaveOneBehind(group, 4000);
    const asked = new Set<NodeId>();
    group.onChunk = async (from, at) => {
      asked.add(from);
      if (at !== undefined) await registerMany(leader, 200);
    };
    group.mend(behind.id);
    await group.until("it has caught up", () => behind.replicated.applied >= leader.replicated.applied);
    assert.deepEqual([...asked], [others(group, leader.id).find(({ id }) => id !== behind.id)?.id]);
    assert.equal(await installed(behind), 1);
  });

  test("a leader does not keep its log for ever: whoever is too slow for that starts over, and gets there", async (t) => {
    const group = await ReplicationGroup.start(
      t,
      3,
      { syncEveryEntries: 16, keepEntries: 8, maxHeldEntries: 32 },
      patient,
    );
    const { leader, behind } = await leaveOneBehind(group, 4000);
    let begun = 0;
    group.onChunk = async (_from, at) => {
      if (at === undefined) begun += 1;
      else if (begun === 1) await registerMany(leader, 200);
    };
    group.mend(behind.id);
    await group.until("it has caught up", () => behind.replicated.applied >= leader.replicated.applied);
    assert.equal(begun, 2);
    await register(behind);
  });

  test("two nodes are behind at once, and both catch up while changes go on", async (t) => {
    const group = await ReplicationGroup.start(t, 5, { syncEveryEntries: 16, keepEntries: 8 }, patient);
    const leader = await group.leader();
    const [one, two] = others(group, leader.id);
    assert.ok(one && two);
    for (const { id } of [one, two]) group.cut(id);
    for (let count = 0; count < 60; count++) await register(leader);
    group.onChunk = () => registerMany(leader, 50);
    for (const { id } of [one, two]) group.mend(id);
    await group.until("both have caught up", () =>
      [one, two].every(({ replicated }) => replicated.applied >= leader.replicated.applied),
    );
    for (const node of [one, two]) assert.ok((await installed(node)) >= 1);
  });

  test("a source that stops in the middle is left for another one, a receiver that stops starts over", async (t) => {
    const group = await ReplicationGroup.start(t, 5, { syncEveryEntries: 16, keepEntries: 8 }, patient);
    const { leader, behind } = await leaveOneBehind(group, 4000);
    const sources: NodeId[] = [];
    const stopped = Promise.withResolvers<void>();
    group.onChunk = async (from, at) => {
      if (at === undefined) sources.push(from);
      if (sources.length === 1 && at !== undefined && group.nodes.some(({ id }) => id === from)) await group.stop(from);
      if (sources.length === 2 && at !== undefined) {
        stopped.resolve();
        await new Promise(() => undefined);
      }
    };
    group.mend(behind.id);
    await stopped.promise;
    assert.equal(sources.length, 2);
    await group.stop(behind.id);
    group.onChunk = () => undefined;
    const back = await group.startNode(behind.id);
    await group.until("it has caught up", () => back.replicated.applied >= leader.replicated.applied);
    await register(back);
  });

  test("the log is kept for whoever is pulling a snapshot, so that it can go on after it", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { syncEveryEntries: 16, keepEntries: 8 });
    const leader = await group.leader();
    const first = await leader.replicated.snapshots.chunk("n9" as NodeId, undefined);
    assert.ok(first.last);
    const at = leader.replicated.applied;
    for (let count = 0; count < 60; count++) await register(leader);
    assert.equal((await leader.stores.log.read((at + 1) as LogIndex, 1))[0]?.index, at + 1);
  });

  test("a node that stops while it pulls a snapshot does not wait for the source", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { syncEveryEntries: 16, keepEntries: 8 });
    const leader = await group.leader();
    const [behind, door] = others(group, leader.id);
    assert.ok(behind && door);
    group.cut(behind.id);
    for (let count = 0; count < 60; count++) await register(door);
    const asked = Promise.withResolvers<void>();
    group.onChunk = () => {
      asked.resolve();
      return new Promise(() => undefined);
    };
    group.mend(behind.id);
    await asked.promise;
    assert.equal(behind.replicated.isInstalling, true);
    assert.match(behind.replicated.readiness().reasons.join(), /being installed/);
    await group.stop(behind.id);
    assert.deepEqual(behind.fatal, []);
  });
});

describe("replicated catalog: damage", () => {
  test("a catalog that differs from a majority is found by its digest, and made anew from a peer", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { checkpointEntries: 8 });
    const leader = await group.leader();
    const clientId = await register(leader);
    await group.caughtUp(leader.id);
    const [damaged, good] = others(group, leader.id);
    assert.ok(damaged && good);
    const raw = good.stores.catalog.get(clientKey(clientId));
    assert.ok(raw);
    // Another label in one node's row, with a checksum that is right: only the digest can tell.
    const planted = Buffer.from(Buffer.from(raw).toString("latin1").replace("a client", "b client"), "latin1");
    await damaged.stores.catalog.write([{ key: clientKey(clientId), value: planted }], { sync: true });
    // A digest counts what changes: the row is taken out of it as it is on each disk.
    await leader.replicated.propose(rotate(clientId, "1"));
    await registerMany(leader, 16);
    await group.caughtUp(leader.id);
    const gossip = (): void => {
      for (const { id, replicated } of group.nodes)
        for (const peer of group.nodes)
          if (peer.id !== id) replicated.compareCheckpoint(peer.id, peer.replicated.checkpoints.latest);
    };
    gossip();
    assert.ok(hasCode(await damaged.died, "catalog-damaged"));
    assert.deepEqual([leader.fatal, good.fatal], [[], []], "one against two is not believed");

    await damaged.stores.condemnCatalog();
    await group.stop(damaged.id);
    const healed = await group.startNode(damaged.id);
    await healed.replicated.barrier();
    assert.equal(readClient(healed.replicated.catalog, clientId)?.label, "a client");
    await registerMany(leader, 16);
    await group.caughtUp(leader.id);
    gossip();
    assert.deepEqual(healed.fatal, []);
  });

  test("a damaged row is reported by whoever reads it first, not only answered with an error", async (t) => {
    const group = await ReplicationGroup.start(t, 1);
    const [node] = group.nodes;
    assert.ok(node);
    const clientId = await register(node);
    const damage = new DepositoError("catalog-damaged", "a wrong checksum");
    t.mock.method(node.stores.catalog, "get", () => {
      throw damage;
    });
    assert.throws(() => readClient(node.replicated.catalog, clientId), damage);
    assert.deepEqual(node.fatal, [damage]);
  });
});

describe("replicated catalog: one node", () => {
  test("it elects itself, answers, and stops without looking for anybody to hand over to", async (t) => {
    const group = await ReplicationGroup.start(t, 1);
    const [node] = group.nodes;
    assert.ok(node);
    await registerMany(node, 50);
    await node.replicated.barrier();
    const beganMs = performance.now();
    await node.replicated.handOver(10_000);
    assert.ok(performance.now() - beganMs < 5000);
    assert.equal(node.replicated.raft().role, "leader");
  });
});
