import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { logIndex, type NodeId, newIncarnation } from "../../node/base/ids.ts";
import type { MemberFacts } from "../../node/catalog/types.ts";
import { sourcesOf } from "../../node/depot/sources.ts";
import type { ClusterEvent } from "../../node/depot/types.ts";
import type { Gossip } from "../../node/replication/types.ts";
import type { Hello, Roster } from "../../node/transport/types.ts";
import { DepotCluster, someBytes } from "../support/depot-cluster.ts";

const [n1, n2, n3, n4] = ["n1", "n2", "n3", "n4"] as NodeId[] as [NodeId, NodeId, NodeId, NodeId];
const at = { host: "10.0.0.4", port: 4104 };

function facts(id: NodeId): MemberFacts {
  const api = { host: "0.0.0.0", port: 4004 };
  return { id, incarnation: newIncarnation(), role: "voter", zone: "d", api, peer: { host: "0.0.0.0", port: 4104 } };
}
const blank = (id: NodeId): Hello => ({ self: facts(id), roster: undefined });

let cluster: DepotCluster;
beforeEach(async () => {
  cluster = await DepotCluster.start({ nodes: 3, reconciling: false });
});
afterEach(() => cluster.stop());

function refused(promise: Promise<unknown>, code: string, says: RegExp): Promise<void> {
  return assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof DepositoError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    return true;
  });
}

describe("adding a node", () => {
  test("a blank node that answers by its name is a learner, with the address it was found at", async () => {
    const { self } = blank(n4);
    cluster.onHello = (address) => {
      assert.deepEqual(address, at);
      return { self, roster: undefined };
    };
    assert.deepEqual(await cluster.node(1).depot.addMember(n4, at), { node: n4, membership: "learner" });
    const { nodes } = await cluster.node(0).depot.clusterStatus();
    const added = nodes.find(({ member }) => member.id === n4);
    assert.equal(added?.membership, "learner");
    assert.deepEqual(added?.member.peer, at);
    assert.deepEqual(added?.member.api, self.api);
    assert.equal(added?.member.incarnation, self.incarnation);
  });

  test("nobody there, another node there, a stranger there: each says what to do, and nothing is changed", async () => {
    const { depot } = cluster.node(0);
    await refused(depot.addMember(n4, at), "node-unreachable", /10\.0\.0\.4:4104: start it first/);
    cluster.onHello = () => {
      throw new DepositoError("peer-refused", "this node is starting");
    };
    await refused(depot.addMember(n4, at), "node-unreachable", /starting/);
    cluster.onHello = () => blank(n3);
    await refused(depot.addMember(n4, at), "node-mismatch", /answers node n3, not n4/);
    cluster.onHello = () => {
      throw new DepositoError("not-a-member", "401: is the cluster secret the same on both nodes?");
    };
    await refused(depot.addMember(n4, at), "node-mismatch", /cluster secret/);
    assert.equal((await depot.clusterStatus()).nodes.length, 3);
  });

  test("a node with the directory of a former membership is not added; a present member is told that it is one", async () => {
    const { depot, replication } = cluster.node(0);
    const members = replication.members();
    const roster = { clusterName: "x", applied: logIndex(1), members } as unknown as Roster;
    cluster.onHello = () => ({ self: facts(n4), roster });
    await refused(depot.addMember(n4, at), "node-mismatch", /empty the directory/);
    const self = members.find(({ id }) => id === n3);
    assert.ok(self);
    cluster.onHello = () => ({ self, roster });
    await refused(depot.addMember(n3, at), "already-a-member", /nothing to do/);
    cluster.onHello = () => blank(n3);
    await refused(depot.addMember(n3, at), "already-a-member", /remove it first/);
  });

  test("a failure that is not the network's is not blamed on the node", async () => {
    cluster.onHello = () => {
      throw new TypeError("a bug");
    };
    await assert.rejects(cluster.node(0).depot.addMember(n4, at), TypeError);
  });
});

describe("removing a node", () => {
  test("it is leaving, and every other change is busy", async () => {
    const { depot } = cluster.node(0);
    assert.deepEqual(await depot.removeMember(n3, { acceptLoss: false }), { node: n3, membership: "leaving" });
    await refused(depot.removeMember(n2, { acceptLoss: false }), "node-busy", /n3 is being removed/);
    assert.equal((await depot.clusterStatus()).nodes[2]?.membership, "leaving");
    await refused(depot.removeMember(n4, { acceptLoss: false }), "node-not-found", /no node n4/);
  });

  test("where too few of the other voters can be reached it is not begun", async () => {
    cluster.takeDown(1);
    const { depot } = cluster.node(0);
    await refused(depot.removeMember(n3, { acceptLoss: false }), "node-unreachable", /bring n2 back/);
    assert.deepEqual(await depot.removeMember(n2, { acceptLoss: true }), { node: n2, membership: "leaving" });
  });

  test("a deposit whose node left while the bytes were on their way is made on another one", async () => {
    const { replication } = cluster.node(0);
    let left: NodeId | undefined;
    cluster.onCall = async ({ type, to }) => {
      if (type !== "commit" || left !== undefined || to === n1) return;
      left = to;
      await replication.propose({ type: "remove-member", node: to, acceptLoss: false });
    };
    const { record } = await cluster.deposit(0, "f", someBytes(300_000), { replicas: 2 });
    assert.ok(left !== undefined);
    const holders = record.holders.map(({ node, state }) => `${node} ${state}`).sort();
    assert.deepEqual(
      holders,
      [n1, ...[n2, n3].filter((id) => id !== left)].map((id) => `${id} present`),
    );
  });
});

describe("a leaving node", () => {
  test("is asked for bytes last of those that live", async () => {
    const { record } = await cluster.deposit(0, "f", someBytes(100), { replicas: 3 });
    const { depot, replication } = cluster.node(0);
    const gossip = { of: (node: NodeId) => ({ alive: node !== n3 }) } as unknown as Gossip;
    const order = () => sourcesOf({ self: n4, gossip, replication }, record);
    const first = order()[0];
    assert.ok(first !== undefined && first !== n3);
    await depot.removeMember(first, { acceptLoss: false });
    assert.deepEqual(order(), [first === n1 ? n2 : n1, first, n3]);
  });
});

describe("handing leadership over", () => {
  test("resolves once this node sees the new leader, asking again where the request was lost", async () => {
    const { depot, replication } = cluster.node(0);
    const moving = depot.moveLeadership(n2);
    assert.deepEqual(replication.transfers, [n2]);
    cluster.clock.advance(2500);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(replication.transfers, [n2, n2]);
    replication.follow(undefined);
    replication.follow(n2);
    assert.deepEqual(await moving, { term: 1 });
    assert.deepEqual(await depot.moveLeadership(n2), { term: 1 }, "it leads already");
    assert.equal(replication.transfers.length, 2);
  });

  test("an unknown node, one that does not vote, one that is silent, and one that does not take over", async () => {
    const { depot, replication } = cluster.node(0);
    await refused(depot.moveLeadership(n4), "node-not-found", /no node n4/);
    cluster.onHello = () => blank(n4);
    await depot.addMember(n4, at);
    await refused(depot.moveLeadership(n4), "node-mismatch", /does not vote/);
    cluster.takeDown(2);
    await refused(depot.moveLeadership(n3), "node-unreachable", /cannot be reached/);
    assert.deepEqual(replication.transfers, []);
    const late = refused(depot.moveLeadership(n2), "node-unreachable", /5000 ms/);
    for (let seconds = 0; seconds < 6; seconds++) {
      cluster.clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await late;
  });
});

describe("events", () => {
  test("a listener is told how things stand, then what changes, and nothing once it ended", async () => {
    const { depot, replication } = cluster.node(0);
    const told: ClusterEvent[] = [];
    const end = depot.clusterEvents((event) => told.push(event));
    assert.deepEqual(told.splice(0), [
      { type: "leader", leader: n1, term: 1 },
      ...[n1, n2, n3].flatMap((node) => [
        { type: "node", node, state: "up" },
        { type: "member", node, membership: "voter" },
      ]),
    ]);
    replication.follow(n3);
    assert.deepEqual(told.splice(0), [{ type: "leader", leader: n3, term: 1 }]);
    cluster.takeDown(1);
    cluster.clock.advance(500);
    assert.deepEqual(told.splice(0), [{ type: "node", node: n2, state: "down" }]);
    await depot.removeMember(n3, { acceptLoss: false }).catch(() => undefined);
    cluster.bringBack(1);
    await depot.removeMember(n3, { acceptLoss: false });
    assert.ok(told.some((event) => event.type === "member" && event.node === n3 && event.membership === "leaving"));
    end();
    end();
    told.splice(0);
    replication.follow(n1);
    cluster.clock.advance(5000);
    assert.deepEqual(told, []);
  });

  test("a node that is forgotten is told of as removed, and who comes later begins with what is", async () => {
    const { depot, replication } = cluster.node(0);
    const told: ClusterEvent[] = [];
    cluster.onHello = () => blank(n4);
    await depot.addMember(n4, at);
    const end = depot.clusterEvents((event) => told.push(event));
    const life = replication.members().find(({ id }) => id === n4)?.life ?? logIndex(0);
    await depot.removeMember(n4, { acceptLoss: false });
    await replication.propose({ type: "forget-member", node: n4, life });
    assert.deepEqual(told.at(-1), { type: "member", node: n4, membership: "removed" });
    const later: ClusterEvent[] = [];
    depot.clusterEvents((event) => later.push(event))();
    assert.ok(later.length > 0 && later.every((event) => event.type === "leader" || event.node !== n4));
    end();
  });
});
