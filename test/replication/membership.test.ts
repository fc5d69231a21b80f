import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../node/base/errors.ts";
import {
  type BlobId,
  type ClientId,
  type NodeId,
  newBlobId,
  newClientId,
  type ReplicaCount,
  type Sha256,
  staged,
} from "../../node/base/ids.ts";
import { seatOf } from "../../node/catalog/members.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import { readClient, readFile, readHolder } from "../../node/catalog/tables.ts";
import type { Copy, FileRecord, HolderRow, Outcome } from "../../node/catalog/types.ts";
import { registerClient } from "./support/node-disk.ts";
import { ReplicationGroup, type RunningNode } from "./support/replication-group.ts";

const [n1, n2, n3, n4] = ["n1", "n2", "n3", "n4"] as NodeId[] as [NodeId, NodeId, NodeId, NodeId];
const noPreconditions = { ifMatch: undefined, ifNoneMatch: undefined };

async function register(node: RunningNode): Promise<ClientId> {
  const clientId = newClientId();
  assert.deepEqual(await node.replicated.propose(registerClient(clientId)), { type: "done" });
  return clientId;
}

function leave(door: RunningNode, node: NodeId, acceptLoss = false): Promise<Outcome> {
  return door.replicated.propose({ type: "remove-member", node, acceptLoss });
}

function refusal(outcome: Outcome): string {
  return outcome.type === "refused" ? outcome.code : outcome.type;
}

/** Resolves when `node` has that seat by what `by` has applied, and no change is under way. */
async function seated(group: ReplicationGroup, by: RunningNode, node: NodeId, seat: string): Promise<void> {
  await group.until(`${node} is ${seat}`, () => seatOf(node, by.replicated.configuration()) === seat);
}

async function forgotten(group: ReplicationGroup, by: RunningNode, node: NodeId): Promise<void> {
  await group.until(`${node} is forgotten`, () => !by.replicated.members().some(({ id }) => id === node));
  await seated(group, by, node, "none");
}

/** Files whose bytes nobody has: nodes answer for them as if they had. */
class Files {
  readonly #door: RunningNode;
  readonly #clientId: ClientId;
  #staged = 0;

  private constructor(door: RunningNode, clientId: ClientId) {
    this.#door = door;
    this.#clientId = clientId;
  }

  static async open(door: RunningNode): Promise<Files> {
    return new Files(door, await register(door));
  }

  async deposit(name: string, on: readonly NodeId[], replicas: number): Promise<BlobId> {
    const blobId = newBlobId();
    const lives = new Map(this.#door.replicated.members().map(({ id, life }) => [id, life]));
    const copies = on.map((node): Copy => {
      const life = lives.get(node);
      assert.ok(life, `${node} is no member`);
      return { node, life, staged: staged(++this.#staged) };
    });
    const outcome = await this.#door.replicated.propose({
      type: "deposit",
      clientId: this.#clientId,
      name: parseFileName(name),
      blobId,
      sizeBytes: 1,
      sha256: "ab".repeat(32) as Sha256,
      contentType: undefined,
      replicas: replicas as ReplicaCount,
      defaultReplicas: 1 as ReplicaCount,
      copies,
      ranking: [],
      preconditions: noPreconditions,
      at: 1,
    });
    assert.equal(outcome.type, "deposited", JSON.stringify(outcome));
    return blobId;
  }

  record(name: string): FileRecord {
    const record = readFile(this.#door.replicated.catalog, this.#clientId, parseFileName(name));
    assert.ok(record, name);
    return record;
  }

  /** Present holders as `n1`, missing ones as `n1?`. */
  holders(name: string): string {
    const texts = this.record(name).holders.map(({ node, state }) => (state === "present" ? node : `${node}?`));
    return texts.sort().join(" ");
  }

  /** From now on the node makes what it is asked for. */
  answerFor(node: RunningNode): void {
    const { replicated } = node;
    const answer = (row: HolderRow) => {
      if (row.state !== "missing") return;
      const report = { type: "made", blobId: row.blob.blobId, staged: staged(++this.#staged) } as const;
      void replicated.propose({ type: "report-replicas", node: node.id, life: replicated.life, reports: [report] });
    };
    replicated.onOwnHolderRows((rows) => rows.forEach(answer));
  }
}

describe("membership: nodes are added", () => {
  test("from three to five while changes go on; then any three of the five are a majority", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { syncEveryEntries: 16, keepEntries: 8 });
    const leader = await group.leader();
    const clients: ClientId[] = [];
    let goesOn = true;
    const load = (async () => {
      while (goesOn) clients.push(await register(leader));
    })();
    await group.until("there is a log to be behind of", () => leader.replicated.applied > 100);
    for (const name of ["n4", "n5"]) {
      const added = await group.addNode(leader, name);
      await seated(group, leader, added.id, "voter");
    }
    goesOn = false;
    await load;
    await group.caughtUp(leader.id);
    for (const { replicated } of group.nodes)
      for (const clientId of clients) assert.ok(readClient(replicated.catalog, clientId));

    for (const id of [n1, n2]) await group.stop(id);
    const next = await group.leader();
    await register(next);
    assert.equal(next.replicated.configuration().voters.length, 5);
  });

  test("a storage node follows as a learner and never votes", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const added = await group.addNode(leader, "n4", "storage");
    await seated(group, leader, n4, "learner");
    const clientId = await register(added);
    assert.ok(readClient(added.replicated.catalog, clientId));
    assert.deepEqual(await leave(leader, n3), { type: "done" }, "its addition has ended");
    await forgotten(group, leader, n3);
    assert.equal(seatOf(n4, leader.replicated.configuration()), "learner");
  });

  test("a leader that dies in the middle of it leaves the rest to the next one", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const added = await group.addNode(leader, "n4");
    await group.stop(leader.id);
    await group.leader();
    await seated(group, added, n4, "voter");
    await register(added);
  });

  test("one change at a time: others are refused as busy, but the very addition can be taken back", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    // As long as nothing reaches it, the new node is not promoted.
    group.cut(n4);
    const adding = leader.replicated.propose({
      type: "add-member",
      member: { ...group.founding.members[0], id: n4, incarnation: crypto.randomUUID() } as never,
    });
    assert.deepEqual(await adding, { type: "done" });
    await seated(group, leader, n4, "learner");
    assert.equal(refusal(await leave(leader, n3)), "node-busy");
    assert.deepEqual(await leave(leader, n4), { type: "done" });
    await forgotten(group, leader, n4);
    assert.deepEqual(leader.replicated.configuration().voters.length, 3);
    assert.deepEqual(await leave(leader, n3), { type: "done" });
  });
});

describe("membership: nodes are removed", () => {
  test("a follower is told, ends, and causes no election", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const { term } = leader.replicated.raft();
    const removed = group.nodes.find(({ id }) => id !== leader.id) as RunningNode;
    assert.deepEqual(await leave(removed, removed.id), { type: "done" });
    await forgotten(group, leader, removed.id);
    assert.ok(hasCode(await removed.died, "not-a-member"));
    await assert.rejects(removed.replicated.barrier(), (error) => hasCode(error, "no-quorum"));
    await register(leader);
    assert.equal(leader.replicated.raft().role, "leader");
    assert.equal(leader.replicated.raft().term, term);
    assert.equal(leader.replicated.configuration().voters.length, 2);
  });

  test("the leader hands over, and ends once it is forgotten", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const other = group.nodes.find(({ id }) => id !== leader.id) as RunningNode;
    assert.deepEqual(await leave(leader, leader.id), { type: "done" });
    assert.ok(hasCode(await leader.died, "not-a-member"));
    await forgotten(group, other, leader.id);
    await group.stop(leader.id);
    await register(await group.leader());
  });

  test("a dead node is removed; what it held is made elsewhere first", async (t) => {
    const group = await ReplicationGroup.start(t, 4);
    const leader = await group.leader();
    const [dead, ...alive] = group.nodes.filter(({ id }) => id !== leader.id) as [RunningNode, ...RunningNode[]];
    const files = await Files.open(leader);
    const blobId = await files.deposit("f", [dead.id, leader.id], 2);
    await group.stop(dead.id);
    assert.deepEqual(await leave(leader, dead.id), { type: "done" });
    await seated(group, leader, dead.id, "learner");
    await group.until("another node is asked for it", () => files.record("f").holders.length === 3);
    assert.equal(readHolder(leader.replicated.catalog, dead.id, blobId)?.state, "present");
    const asked = files.record("f").holders.find(({ state }) => state === "missing");
    const taker = alive.find(({ id }) => id === asked?.node);
    assert.ok(taker, "one that lives");
    const report = { type: "made", blobId, staged: staged(99) } as const;
    const { life } = taker.replicated;
    await taker.replicated.propose({ type: "report-replicas", node: taker.id, life, reports: [report] });
    await forgotten(group, leader, dead.id);
    assert.equal(files.holders("f"), [leader.id, taker.id].sort().join(" "));
  });

  test("a dead node with the only replica of a file is forgotten only when the operator accepts its loss", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [dead, other] = group.nodes.filter(({ id }) => id !== leader.id) as [RunningNode, RunningNode];
    const files = await Files.open(leader);
    await files.deposit("only there", [dead.id], 1);
    await files.deposit("here too", [dead.id, leader.id], 2);
    for (const node of [leader, other]) files.answerFor(node);
    // Nobody has the bytes to make "only there" from.
    await group.stop(dead.id);
    assert.deepEqual(await leave(leader, dead.id), { type: "done" });
    await group.until("the other file has moved", () => !files.holders("here too").includes(dead.id));
    assert.ok(leader.replicated.members().some(({ id }) => id === dead.id));
    assert.deepEqual(await leave(leader, dead.id, true), { type: "done" });
    await forgotten(group, leader, dead.id);
    assert.ok(!files.holders("only there").includes(dead.id));
  });

  test("a replica whose taker dies before it has made it is asked of another node", async (t) => {
    const group = await ReplicationGroup.start(t, 5);
    const leader = await group.leader();
    const [leaving] = group.nodes.filter(({ id }) => id !== leader.id) as [RunningNode];
    const files = await Files.open(leader);
    await files.deposit("f", [leaving.id], 1);
    group.fits = (node) => node !== leader.id;
    assert.deepEqual(await leave(leader, leaving.id), { type: "done" });
    const taker = () => files.record("f").holders.find(({ state }) => state === "missing")?.node;
    await group.until("a node is asked for it", () => taker() !== undefined);
    const dead = taker() as NodeId;
    await group.stop(dead);
    await group.until("another node is asked for it", () => taker() !== dead);
    assert.equal(files.holders("f"), [leaving.id, `${taker()}?`].sort().join(" "), "it stays until that has it");
    const { id, replicated } = group.node(taker() as NodeId);
    const [blobId, life] = [files.record("f").blob.blobId, replicated.life];
    const report = { type: "made", blobId, staged: staged(99) } as const;
    await replicated.propose({ type: "report-replicas", node: id, life, reports: [report] });
    await forgotten(group, leader, leaving.id);
    assert.equal(files.holders("f"), id);
  });

  test("no voter is removed where too few of the others answer; it is as soon as they do", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const [away, leaving] = group.nodes.filter(({ id }) => id !== leader.id) as [RunningNode, RunningNode];
    group.cut(away.id);
    await group.until("it is missed", () => leader.replicated.raft().progress.get(away.id)?.isActive === false);
    assert.deepEqual(await leave(leader, leaving.id), { type: "done" });
    for (let count = 0; count < 20; count++) await register(leader);
    assert.equal(seatOf(leaving.id, leader.replicated.configuration()), "voter");
    group.mend(away.id);
    await forgotten(group, leader, leaving.id);
  });

  test("replicas that had no node any more are made on one that is added later", async (t) => {
    const group = await ReplicationGroup.start(t, 3);
    const leader = await group.leader();
    const files = await Files.open(leader);
    await files.deposit("f", [n1, n2, n3], 3);
    const leaving = group.nodes.find(({ id }) => id !== leader.id) as RunningNode;
    await leave(leader, leaving.id);
    await forgotten(group, leader, leaving.id);
    assert.equal(leader.replicated.totals().unplaced, 1);
    await group.addNode(leader, "n4");
    await group.until("the new node is asked for it", () => files.holders("f").includes("n4?"));
    assert.equal(leader.replicated.totals().unplaced, 0);
  });
});

describe("membership: an id comes back", () => {
  test("with an emptied directory it is a new node: added again it follows, votes, and its former life is unheard", async (t) => {
    const group = await ReplicationGroup.start(t, 3, { syncEveryEntries: 16, keepEntries: 8 });
    const leader = await group.leader();
    const { id } = group.nodes.find((node) => node.id !== leader.id) as RunningNode;
    const formerly = group.node(id).directory.identity?.incarnation;
    await leave(leader, id);
    assert.equal(
      refusal(await leader.replicated.propose({ type: "forget-member", node: id, life: 9 as never })),
      "done",
    );
    await forgotten(group, leader, id);
    await group.stop(id);
    for (let count = 0; count < 60; count++) await register(leader);
    const reborn = await group.addNode(leader, id);
    await seated(group, leader, id, "voter");
    assert.notEqual(reborn.directory.identity?.incarnation, formerly);
    assert.ok(reborn.replicated.life > 60);
    const third = group.nodes.find((node) => node.id !== id && node.id !== leader.id) as RunningNode;
    await group.stop(third.id);
    await register(reborn);
  });
});
