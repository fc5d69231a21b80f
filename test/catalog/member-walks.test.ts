import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BlobId, Incarnation, NodeId } from "../../node/base/ids.ts";
import { countPresent } from "../../node/catalog/holders.ts";
import { storingMembers } from "../../node/catalog/members.ts";
import { readFile, readMembers } from "../../node/catalog/tables.ts";
import type { MemberRecord } from "../../node/catalog/types.ts";
import { allFiles, allHolderRows, checkCatalog } from "./checker.ts";
import { ann, bob, founding, id, TestCatalog } from "./fixture.ts";
import { anyWalk, commandOf, type Step, walkMembers } from "./random-commands.ts";

/** What operators and the leader do; `pick` chooses among whom it can be done to. */
interface MemberStep {
  readonly type: "add" | "remove" | "lose" | "follow" | "drain" | "forget";
  readonly pick: number;
}
const memberStep: fc.Arbitrary<MemberStep> = fc.record({
  type: fc.constantFrom("add", "remove", "remove", "lose", "follow", "follow", "drain", "drain", "forget"),
  pick: fc.nat(),
});
const anyMixedWalk = fc
  .tuple(anyWalk({ withLoss: false }), fc.array(fc.tuple(memberStep, fc.nat()), { maxLength: 30, size: "max" }))
  .map(([steps, changes]) => {
    const mixed: (Step | MemberStep)[] = [...steps];
    for (const [change, at] of changes) mixed.splice(at % (mixed.length + 1), 0, change);
    return mixed;
  });

const isMemberStep = (step: Step | MemberStep): step is MemberStep => "pick" in step && !("kind" in step);
const others = [...walkMembers, "n6", "n7"] as NodeId[];

function changeMembers(catalog: TestCatalog, { type, pick }: MemberStep, serial: number): string | undefined {
  const members = readMembers(catalog);
  const any = members[pick % members.length] as MemberRecord;
  const leaving = members.find(({ state }) => state !== "member");
  switch (type) {
    case "add": {
      const free = others.filter((node) => !members.some((member) => member.id === node));
      const node = free[pick % Math.max(1, free.length)];
      if (node === undefined) return undefined;
      const address = { host: "h", port: serial };
      const facts = { id: node, incarnation: id<Incarnation>(serial), role: "voter", zone: "a" } as const;
      return catalog.apply({ type: "add-member", member: { ...facts, api: address, peer: address } }).type;
    }
    case "remove":
    case "lose":
      return catalog.apply({ type: "remove-member", node: any.id, acceptLoss: type === "lose" }).type;
    case "follow": {
      const voters = storingMembers(members).map((member) => member.id);
      const learners = members.map((member) => member.id).filter((node) => !voters.includes(node));
      catalog.configure({ voters, learners });
      return undefined;
    }
    case "drain":
      if (leaving !== undefined) drain(catalog, leaving, others.slice(pick % others.length));
      return undefined;
    case "forget": {
      if (leaving === undefined || rowsOf(catalog, leaving.id).length > 0) return undefined;
      return catalog.apply({ type: "forget-member", node: leaving.id, life: leaving.life }).type;
    }
  }
}

/** As the leader does it: everything a leaving node has is settled anew, what is doomed there is forgotten. */
function drain(catalog: TestCatalog, { id: node, life }: MemberRecord, ranking: readonly NodeId[]): void {
  const rows = rowsOf(catalog, node);
  const files = rows.map(({ clientId, name, blob }) => ({ clientId, name, blobId: blob.blobId, ranking }));
  catalog.apply({ type: "reassign-replicas", files });
  const blobIds = rows.map(({ blob }): BlobId => blob.blobId);
  catalog.apply({ type: "forget-replicas", node, life, blobIds });
}

function rowsOf(catalog: TestCatalog, node: NodeId) {
  return allHolderRows(catalog).filter((row) => row.node === node);
}

test("Members: while nodes come and go, rows and records agree and name members only, and a leaving node gets no new row", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(anyMixedWalk, (walk) => {
      const catalog = new TestCatalog(founding(walkMembers), [ann, bob]);
      for (const [i, step] of walk.entries()) {
        const leaving = readMembers(catalog).filter(({ state }) => state !== "member");
        const before = new Set(leaving.flatMap(({ id: node }) => rowsOf(catalog, node).map(({ blob }) => blob.blobId)));
        if (isMemberStep(step)) seen.add(`${step.type} ${changeMembers(catalog, step, 1000 + i)}`);
        else catalog.apply(commandOf(catalog, step, 1000 + i));
        checkCatalog(catalog);
        for (const { id: node } of leaving)
          for (const { blob } of rowsOf(catalog, node)) assert.ok(before.has(blob.blobId), `a new row on ${node}`);
      }
    }),
    { numRuns: 100 },
  );
  for (const what of ["add done", "add refused", "remove done", "remove refused", "lose done", "forget done"])
    assert.ok(seen.has(what), `no walk met: ${what}`);
});

test("Members: a removal never takes the last verified replica, nor any before as many others are there as there can be", () => {
  let moved = 0;
  fc.assert(
    fc.property(anyMixedWalk, (walk) => {
      const catalog = new TestCatalog(founding(walkMembers), [ann, bob]);
      for (const [i, step] of walk.entries()) {
        const before = allFiles(catalog);
        if (isMemberStep(step)) {
          if (step.type !== "lose") changeMembers(catalog, step, 1000 + i);
        } else catalog.apply(commandOf(catalog, step, 1000 + i));
        const most = storingMembers(readMembers(catalog)).length;
        for (const former of before) {
          const file = readFile(catalog, former.clientId, former.name);
          if (file === undefined || file.blob.blobId !== former.blob.blobId) continue;
          const enough = Math.min(former.replicas, file.replicas, most);
          const [was, is] = [countPresent(former.holders), countPresent(file.holders)];
          assert.ok(is >= Math.min(was, enough), `${is} of ${was} are left, ${enough} are wanted`);
          if (is < was) moved++;
        }
      }
    }),
    { numRuns: 200 },
  );
  assert.ok(moved > 0, "no walk dropped a replica");
});

test("Members: drained as far as it can be, a node can be forgotten once the others have made what they were given", () => {
  let drained = 0;
  fc.assert(
    fc.property(anyWalk({ withLoss: false }), fc.nat(), (walk, pick) => {
      const catalog = new TestCatalog(founding(walkMembers), [ann, bob]);
      for (const [i, step] of walk.entries()) catalog.apply(commandOf(catalog, step, 1000 + i));
      const node = walkMembers[pick % walkMembers.length] as NodeId;
      catalog.apply({ type: "remove-member", node, acceptLoss: false });
      const leaving = readMembers(catalog).find((member) => member.id === node) as MemberRecord;
      drained += rowsOf(catalog, node).length;
      drain(catalog, leaving, []);
      for (const row of allHolderRows(catalog)) {
        if (row.state !== "missing") continue;
        const report = { type: "made", blobId: row.blob.blobId, staged: 1_000_000 as never } as const;
        catalog.apply({ type: "report-replicas", node: row.node, life: 1 as never, reports: [report] });
      }
      drain(catalog, leaving, []);
      assert.deepEqual(rowsOf(catalog, node), []);
      checkCatalog(catalog);
    }),
    { numRuns: 100 },
  );
  assert.ok(drained > 0);
});
