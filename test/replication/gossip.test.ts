import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { logIndex, type NodeId, newIncarnation, term } from "../../node/base/ids.ts";
import { GossipTable } from "../../node/replication/gossip.ts";
import { MemberDirectory } from "../../node/replication/member-directory.ts";
import type { NodeStatus } from "../../node/transport/types.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { member } from "./support/node-disk.ts";

const [n1, n2, n3] = ["n1", "n2", "n3"] as NodeId[] as [NodeId, NodeId, NodeId];

function statusOf(node: NodeId): NodeStatus {
  return {
    node,
    api: { host: "127.0.0.1", port: 1 },
    term: term(1),
    match: logIndex(1),
    applied: logIndex(1),
    files: 0,
    bytes: 0,
    freeBytes: 1,
    takesBytes: true,
    lostPromises: false,
    checkpoint: undefined,
  };
}

describe("gossip", () => {
  test("a node is alive while it is connected and heard of; its last status stays known when it is not", () => {
    const clock = new ManualClock();
    let connected = true;
    const gossip = new GossipTable({ self: n1, clock, isConnected: () => connected, ownStatus: () => statusOf(n1) });
    assert.equal(gossip.of(n2), undefined);
    gossip.heardFrom(n2);
    assert.equal(gossip.of(n2), undefined, "any frame shows that it lives, but only a status says what it is");
    gossip.heardFrom(n2, statusOf(n2));
    clock.advance(2000);
    assert.equal(gossip.of(n2)?.alive, true);
    gossip.heardFrom(n2);
    clock.advance(2000);
    assert.equal(gossip.of(n2)?.alive, true);
    assert.equal(gossip.of(n2)?.lastSeenWallMs, clock.wallMs() - 2000);
    clock.advance(1000);
    assert.equal(gossip.of(n2)?.alive, false);
    gossip.heardFrom(n2);
    connected = false;
    assert.deepEqual([gossip.of(n2)?.alive, gossip.of(n2)?.status.node], [false, n2]);
  });

  test("a node knows its own status as it is now", () => {
    const clock = new ManualClock();
    const gossip = new GossipTable({ self: n1, clock, isConnected: () => false, ownStatus: () => statusOf(n1) });
    assert.deepEqual(gossip.of(n1), { status: statusOf(n1), lastSeenWallMs: clock.wallMs(), alive: true });
  });
});

describe("member directory", () => {
  const [first, second] = [member("n1"), member("n2")];
  const moved = { host: "10.0.0.2", port: 2 };
  const self = { nodeId: n1, incarnation: first.incarnation, clusterId: undefined };

  test("with a catalog its members belong, at the address of the configuration where that has one", () => {
    const directory = new MemberDirectory({
      self: () => self,
      configured: [
        { id: n2, peer: moved },
        { id: n3, peer: moved },
      ],
      members: () => [first, second],
    });
    assert.deepEqual(directory.self, self);
    assert.deepEqual(directory.peers(), [{ id: n2, address: moved }]);
    assert.equal(directory.admits(n2, second.incarnation), true);
    assert.equal(directory.admits(n2, newIncarnation()), false, "an older life is a stranger");
    assert.equal(directory.admits(n3, newIncarnation()), false, "so is who is only configured");
  });

  test("a member that is not configured is where the catalog says", () => {
    const directory = new MemberDirectory({ self: () => self, configured: [], members: () => [first, second] });
    assert.deepEqual(directory.peers(), [{ id: n2, address: second.peer }]);
  });

  test("without a catalog the configured nodes are asked, in whatever life they are", () => {
    const directory = new MemberDirectory({
      self: () => self,
      configured: [
        { id: n1, peer: moved },
        { id: n2, peer: moved },
      ],
      members: () => undefined,
    });
    assert.deepEqual(directory.peers(), [{ id: n2, address: moved }]);
    assert.equal(directory.admits(n2, newIncarnation()), true);
    assert.equal(directory.admits(n3, newIncarnation()), false);
  });
});
