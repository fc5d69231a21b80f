import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type NodeId, newIncarnation, parseNodeId } from "../../node/base/ids.ts";
import type { MemberFacts } from "../../node/catalog/types.ts";
import { MemberDirectory } from "../../node/replication/member-directory.ts";

const [n1, n2, n3, n4] = ["n1", "n2", "n3", "n4"].map((id) => parseNodeId(id)) as [NodeId, NodeId, NodeId, NodeId];

function member(id: NodeId, port: number): MemberFacts {
  const address = { host: "127.0.0.1", port };
  return {
    id,
    incarnation: newIncarnation(),
    role: "voter",
    zone: "a",
    api: address,
    peer: address,
  };
}

function directory(members: readonly MemberFacts[] | undefined): MemberDirectory {
  return new MemberDirectory({
    self: () => ({ nodeId: n1, incarnation: newIncarnation(), clusterId: undefined }),
    configured: [n1, n2, n3].map((id, index) => ({ id, peer: { host: "127.0.0.1", port: 100 + index } })),
    members: () => members,
  });
}

describe("Member directory", () => {
  test("a member is admitted in its present life only, and a configured node that is no member is not", () => {
    const members = [member(n1, 1), member(n2, 2)];
    const known = directory(members);
    assert.equal(known.admits(n2, members[1]?.incarnation ?? newIncarnation()), true);
    assert.equal(known.admits(n2, newIncarnation()), false);
    assert.equal(known.admits(n3, newIncarnation()), false);
  });

  test("without a catalog the configured nodes are admitted, so that one can be pulled from them", () => {
    const blind = directory(undefined);
    assert.equal(blind.admits(n2, newIncarnation()), true);
    assert.equal(blind.admits(n4, newIncarnation()), false);
  });

  test("the configuration says where a member is; the roster where it does not", () => {
    const peers = directory([member(n1, 1), member(n2, 2), member(n4, 4)]).peers();
    assert.deepEqual(
      peers.map(({ id, address }) => [id, address.port]),
      [
        [n2, 101],
        [n4, 4],
      ],
    );
  });

  test("for news of the group all are asked that may know: members, and who else is configured", () => {
    const addresses = directory([member(n1, 1), member(n2, 2), member(n4, 4)]).addresses();
    assert.deepEqual(
      addresses.map(({ port }) => port),
      [101, 4, 102],
    );
  });
});
