import assert from "node:assert/strict";
import { test } from "node:test";
import { type BackupId, logIndex, staged } from "../../node/base/ids.ts";
import type { MemberRecord } from "../../node/catalog/types.ts";
import { encodeHello, parseHello } from "../../node/transport/hello-codec.ts";
import type { Hello } from "../../node/transport/types.ts";
import { Group, groupId } from "./support/nodes.ts";

const group = new Group();
const [n1, n2] = [group.record(group.add("n1")), group.record(group.add("n2"))];
const roster = { clusterId: groupId, clusterName: "test", applied: logIndex(70) };

test("Hello: a node and its group are read as they were told", () => {
  const members = [{ ...n1, state: "member" } as const, { ...n2, state: "leaving" } as const];
  for (const hello of [
    { self: n1, roster: { ...roster, members } },
    { self: n2, roster: undefined },
    { self: n2, roster: undefined, restored: "0123456789abcdef".repeat(2) as BackupId },
  ] satisfies Hello[])
    assert.deepEqual(parseHello(encodeHello(hello)), hello);
});

test("Hello: what the catalog knows besides of a member is not told, so that the other side can read it", () => {
  const record: MemberRecord = { ...n1, state: "member", life: logIndex(1), sweptUpTo: staged(9) };
  const hello = parseHello(encodeHello({ self: record, roster: { ...roster, members: [record] } }));
  assert.deepEqual(hello, { self: n1, roster: { ...roster, members: [{ ...n1, state: "member" }] } });
});

test("Hello: anything else is none", () => {
  for (const text of [
    "",
    "{}",
    "null",
    JSON.stringify({ self: { ...n1, id: "N 1" } }),
    JSON.stringify({ self: n1, roster: 1 }),
    JSON.stringify({ self: n1, restored: "yesterday's" }),
  ])
    assert.equal(parseHello(text), undefined, text);
});
