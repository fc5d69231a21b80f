/** Random walks of a catalog: deposits, edits, removals, reports and fences that mostly fit its state. */
import fc from "fast-check";
import { type LogIndex, type NodeId, staged } from "../../node/base/ids.ts";
import { fileTag } from "../../node/catalog/preconditions.ts";
import { readMember } from "../../node/catalog/tables.ts";
import type { Command, Preconditions, ReplicaReport } from "../../node/catalog/types.ts";
import { allHolderRows } from "./checker.ts";
import {
  ann,
  bob,
  count,
  deposit,
  edit,
  fence,
  founderLife,
  nodes,
  noPreconditions,
  remove,
  sha,
  type TestCatalog,
} from "./fixture.ts";

const members = nodes(5);
const anyClient = fc.constantFrom(ann, bob);
const anyName = fc.constantFrom("a", "b", "b/c");
const anyContent = fc.constantFrom("", "x", "yy");
const anyNodes = fc.shuffledSubarray([...members, "n9" as NodeId]);
const anyReplicas = fc.option(fc.integer({ min: 1, max: 6 }).map(count), { nil: undefined });
const anyType = fc.option(fc.constantFrom("text/plain", "image/png"), { nil: undefined });
const anyPreconditions: fc.Arbitrary<Preconditions> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(noPreconditions) },
  { weight: 1, arbitrary: fc.constant<Preconditions>({ ...noPreconditions, ifNoneMatch: { type: "any" } }) },
  {
    weight: 1,
    arbitrary: anyContent.map(
      (text): Preconditions => ({ ...noPreconditions, ifMatch: { type: "tags", tags: [fileTag(sha(text))] } }),
    ),
  },
);

/** One step; what depends on the state is chosen by `pick` when the step is made. */
export type Step =
  | { readonly type: "command"; readonly make: (serial: number) => Command }
  | { readonly type: "report"; readonly kind: ReplicaReport["type"]; readonly pick: number }
  | { readonly type: "fence"; readonly node: NodeId; readonly behind: number };

const depositStep = fc
  .record({
    clientId: anyClient,
    name: anyName,
    content: anyContent,
    on: anyNodes,
    replicas: anyReplicas,
    contentType: anyType,
    ranking: anyNodes,
    preconditions: anyPreconditions,
    bare: fc.nat(9),
  })
  .map(({ content, on, bare, ...fields }): Step => {
    const isBare = bare === 0;
    return {
      type: "command",
      make: (serial) => deposit(content, isBare ? undefined : serial, isBare ? [] : on, fields),
    };
  });
const editStep = fc
  .record({
    clientId: anyClient,
    name: anyName,
    replicas: anyReplicas,
    contentType: anyType,
    ranking: anyNodes,
  })
  .map((fields): Step => ({ type: "command", make: () => edit(fields) }));
const removeStep = fc
  .record({ clientId: anyClient, name: anyName, preconditions: anyPreconditions })
  .map((fields): Step => ({ type: "command", make: () => remove(fields) }));
function reportStep(kinds: readonly ReplicaReport["type"][]): fc.Arbitrary<Step> {
  return fc
    .record({ kind: fc.constantFrom(...kinds), pick: fc.nat() })
    .map((fields) => ({ type: "report", ...fields }));
}
const fenceStep = fc
  .record({ node: fc.constantFrom(...members), behind: fc.integer({ min: -2, max: 20 }) })
  .map((fields): Step => ({ type: "fence", ...fields }));

export function anyWalk(options: { readonly withLoss: boolean }): fc.Arbitrary<readonly Step[]> {
  const kinds: readonly ReplicaReport["type"][] = options.withLoss ? ["made", "lost", "dropped"] : ["made", "dropped"];
  const step = fc.oneof(
    { weight: 5, arbitrary: depositStep },
    { weight: 4, arbitrary: editStep },
    { weight: 1, arbitrary: removeStep },
    { weight: 6, arbitrary: reportStep(kinds) },
    { weight: 1, arbitrary: fenceStep },
  );
  return fc.array(step, { maxLength: 40, size: "max" });
}

/** The command of a step; `serial` grows with each, and is the staged number and blob of what it makes. */
export function commandOf(catalog: TestCatalog, step: Step, serial: number): Command {
  switch (step.type) {
    case "command":
      return inPresentLives(catalog, step.make(serial));
    case "fence":
      return fence(step.node, Math.max(0, serial - step.behind), lifeOf(catalog, step.node));
    case "report": {
      const rows = allHolderRows(catalog);
      const row = rows[step.pick % Math.max(1, rows.length)];
      if (row === undefined) return { type: "report-replicas", node: "n1" as NodeId, life: founderLife, reports: [] };
      const { blobId } = row.blob;
      const reported: ReplicaReport =
        step.kind === "made" ? { type: "made", blobId, staged: staged(serial) } : { type: step.kind, blobId };
      return { type: "report-replicas", node: row.node, life: lifeOf(catalog, row.node), reports: [reported] };
    }
  }
}

/** Doors know the members of the moment. */
function inPresentLives(catalog: TestCatalog, command: Command): Command {
  if (command.type !== "deposit") return command;
  const copies = command.copies.map((copy) => ({ ...copy, life: lifeOf(catalog, copy.node) }));
  return { ...command, copies };
}

function lifeOf(catalog: TestCatalog, node: NodeId): LogIndex {
  return readMember(catalog, node)?.life ?? founderLife;
}

export const walkMembers = members;
