import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, type NodeId, term } from "../../node/base/ids.ts";
import type { Configuration, RaftStatus } from "../../node/raft/types.ts";
import { GroupHealth } from "../../node/replication/group-health.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordedLog } from "../support/recorded-log.ts";

const ids = ["n1", "n2", "n3", "n4", "n5"] as NodeId[];
const [n1, n2, n3, n4, n5] = ids as [NodeId, NodeId, NodeId, NodeId, NodeId];

/** The health of a group as n1 sees it: whose log lost promises, and who leads. */
function watched(configuration: Partial<Configuration>, lost: readonly NodeId[]) {
  const clock = new ManualClock();
  const { logger, said } = recordedLog("error");
  const group = { lost: new Set(lost), leader: undefined as NodeId | undefined };
  const raft = (): RaftStatus => ({
    role: "follower",
    term: term(1),
    leader: group.leader,
    commitIndex: logIndex(1),
    applied: logIndex(1),
    last: { index: logIndex(1), term: term(1) },
    configuration: { voters: [n1, n2, n3], outgoing: [], learners: [], learnersNext: [], ...configuration },
    lostPromises: group.lost.has(n1),
    progress: new Map(),
  });
  const health = new GroupHealth({
    self: n1,
    clock,
    logger,
    raft,
    heard: (node) => {
      if (node === n5) return undefined;
      const address = { host: "h", port: 1 };
      const usage = { files: 0, bytes: 0, freeBytes: 0, takesBytes: true };
      const at = { term: term(1), match: logIndex(1), applied: logIndex(1), lostPromises: group.lost.has(node) };
      return { status: { node, api: address, ...at, ...usage, checkpoint: undefined }, lastSeenWallMs: 0, alive: true };
    },
  });
  health.start();
  return { clock, said, group, health };
}

test("Group health: where a majority lost promises nobody can be elected, and this node says what to do", () => {
  const { clock, said, health } = watched({}, [n1, n3]);
  clock.advance(5000);
  assert.equal(health.trouble, undefined, "a leader may be there and not be heard of yet");
  clock.advance(1000);
  assert.match(health.trouble ?? "", /nobody can be elected: n1, n3 lost entries .*docs\/operations\.md/);
  assert.deepEqual(said, [health.trouble]);
  clock.advance(60_000);
  assert.equal(said.length, 2, "once a minute");
  health.stop();
  clock.advance(600_000);
  assert.equal(said.length, 2);
});

test("Group health: a voter that nobody has heard of may be sound, and a learner does not count", () => {
  const five = watched({ voters: ids }, [n2, n3]);
  five.clock.advance(60_000);
  assert.equal(five.health.trouble, undefined);
  const learners = watched({ learners: [n4] }, [n2, n4]);
  learners.clock.advance(60_000);
  assert.equal(learners.health.trouble, undefined);
});

test("Group health: in a joint configuration each majority must be sound", () => {
  const { clock, health } = watched({ voters: [n1, n2, n3, n4, n5], outgoing: [n1, n2, n3] }, [n1, n2]);
  clock.advance(60_000);
  assert.match(health.trouble ?? "", /n1, n2/);
});

test("Group health: a leader mends it, however many lost promises; the word is taken back", () => {
  const { clock, group, health } = watched({}, [n1, n2, n3]);
  clock.advance(10_000);
  assert.ok(health.trouble !== undefined);
  group.leader = n2;
  clock.advance(1000);
  assert.equal(health.trouble, undefined);
});

test("Group health: a node on its own that lost promises has nobody to refill it", () => {
  const { clock, health } = watched({ voters: [n1] }, [n1]);
  clock.advance(10_000);
  assert.match(health.trouble ?? "", /n1 lost entries/);
});
