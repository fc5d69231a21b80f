import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { systemChance } from "../../node/base/chance.ts";
import { hasCode } from "../../node/base/errors.ts";
import { logIndex, newClientId, type Sha256 } from "../../node/base/ids.ts";
import { decodeProposal } from "../../node/catalog/codec.ts";
import type { Command, Outcome } from "../../node/catalog/types.ts";
import { Proposer } from "../../node/replication/proposer.ts";
import { ManualClock } from "../support/manual-clock.ts";

const done: Outcome = { type: "done" };

function command(label = "a client"): Command {
  return { type: "register-client", clientId: newClientId(), secretHash: "0".repeat(64) as Sha256, label, at: 1 };
}

function build(options: { readonly batching?: boolean; readonly maxPendingBytes?: number } = {}) {
  const clock = new ManualClock();
  const submitted: (readonly Uint8Array[])[] = [];
  const state = { applied: logIndex(5) };
  const proposer = new Proposer({
    clock,
    chance: systemChance,
    timeoutMs: 5000,
    maxPendingBytes: options.maxPendingBytes ?? 1 << 20,
    applied: () => state.applied,
    submit: (proposals) => submitted.push(proposals),
    batching: options.batching ?? true,
  });
  const ids = () => submitted.map((proposals) => proposals.map((bytes) => decodeProposal(bytes).id));
  return { clock, submitted, proposer, state, ids };
}

describe("proposer", () => {
  test("commands of one turn travel together, each with its id and the applied index as its basis", async () => {
    const { proposer, submitted } = build();
    const outcomes = [proposer.propose(command()), proposer.propose(command())];
    await turn();
    assert.deepEqual(
      submitted.map(({ length }) => length),
      [2],
    );
    const proposals = submitted.flat().map(decodeProposal);
    assert.deepEqual(
      proposals.map(({ basis }) => basis),
      [5, 5],
    );
    assert.equal(proposer.pending.count, 2);
    for (const { id } of proposals) proposer.applied(id, done);
    assert.deepEqual(await Promise.all(outcomes), [done, done]);
    assert.equal(proposer.pending.count, 0);
  });

  test("an outcome is answered once, however often its command is applied", async () => {
    const { proposer, ids } = build();
    const outcome = proposer.propose(command());
    await turn();
    const [[id]] = ids() as [[ReturnType<typeof decodeProposal>["id"]]];
    proposer.applied(id, done);
    proposer.applied(id, { type: "refused", code: "file-not-found", detail: "a later copy" });
    assert.deepEqual(await outcome, done);
  });

  test("without a word it is submitted again under the same id, after 1 s, then after 2 s more", async () => {
    const { clock, proposer, ids } = build();
    const outcome = proposer.propose(command());
    await turn();
    const [[id]] = ids() as [[ReturnType<typeof decodeProposal>["id"]]];
    for (const [afterMs, count] of [
      [1000, 2],
      [1000, 2],
      [1000, 3],
      [1900, 3],
    ] as const) {
      clock.advance(afterMs);
      assert.deepEqual(
        ids().flat(),
        Array.from({ length: count }, () => id),
      );
    }
    proposer.applied(id, done);
    await outcome;
    clock.advance(10_000);
    assert.equal(ids().length, 3, "and never after it was answered");
  });

  test("a leader that becomes known gets everything unanswered at once", async () => {
    const { proposer, ids } = build();
    const outcomes = [proposer.propose(command()), proposer.propose(command())];
    await turn();
    proposer.resubmit();
    const [first, again] = ids();
    assert.deepEqual(again, first);
    for (const id of first ?? []) proposer.applied(id, done);
    await Promise.all(outcomes);
    proposer.resubmit();
    assert.equal(ids().length, 2, "nothing is left to submit");
  });

  test("at its deadline it ends with no-quorum, and a late outcome is nobody's", async () => {
    const { clock, proposer, ids } = build();
    const outcome = proposer.propose(command());
    await turn();
    clock.advance(5000);
    await assert.rejects(outcome, (error) => hasCode(error, "no-quorum"));
    for (const id of new Set(ids().flat())) proposer.applied(id, done);
    assert.equal(proposer.pending.count, 0);
  });

  test("refused as expired, it is proposed anew under another id and a newer basis, within the same deadline", async () => {
    const { clock, proposer, submitted, state } = build();
    const outcome = proposer.propose(command());
    await turn();
    const [first] = submitted.flat().map(decodeProposal);
    assert.ok(first);
    clock.advance(900);
    state.applied = logIndex(70_000);
    proposer.applied(first.id, { type: "refused", code: "expired", detail: "" });
    await turn();
    const again = decodeProposal(submitted.at(-1)?.[0] as Uint8Array);
    assert.notEqual(again.id, first.id);
    assert.deepEqual([again.basis, again.command], [70_000, first.command]);
    proposer.applied(first.id, done); // a copy of the first: not this one's outcome
    clock.advance(4100);
    await assert.rejects(outcome, (error) => hasCode(error, "no-quorum"));
  });

  test("after a snapshot, outcomes it remembers are answered, the others are in doubt", async () => {
    const { proposer, ids } = build();
    const outcomes = [proposer.propose(command()), proposer.propose(command())];
    await turn();
    const [known] = ids().flat();
    proposer.entriesSkipped((id) => (id === known ? done : undefined));
    assert.deepEqual(await outcomes[0], done);
    await assert.rejects(outcomes[1] as Promise<Outcome>, (error) => hasCode(error, "no-quorum"));
  });

  test("much that waits is submitted in parts of at most 1 MiB", async () => {
    const { proposer, submitted } = build({ maxPendingBytes: 1 << 30 });
    const outcomes = Array.from({ length: 5000 }, () =>
      proposer.propose(command("x".repeat(250))).catch(() => undefined),
    );
    await turn();
    assert.ok(submitted.length > 1);
    assert.equal(submitted.flat().length, 5000);
    for (const part of submitted) assert.ok(part.reduce((sum, { length }) => sum + length, 0) <= 1 << 20);
    proposer.stop();
    await Promise.all(outcomes);
  });

  test("with batching off each command travels alone, the second time too", async () => {
    const { proposer, submitted } = build({ batching: false });
    const outcomes = [proposer.propose(command()), proposer.propose(command())].map((each) =>
      each.catch(() => undefined),
    );
    proposer.resubmit();
    assert.deepEqual(
      submitted.map(({ length }) => length),
      [1, 1, 1, 1],
    );
    proposer.stop();
    await Promise.all(outcomes);
  });

  test("when too much waits, no more is taken: at once, and until something was answered", async () => {
    const { proposer, ids } = build({ maxPendingBytes: 2000 });
    const outcomes = [proposer.propose(command()), proposer.propose(command())];
    await assert.rejects(proposer.propose(command()), (error) => hasCode(error, "too-many-requests"));
    await turn();
    const [first, second] = ids().flat();
    assert.ok(first && second);
    proposer.applied(first, done);
    const third = proposer.propose(command());
    await turn();
    for (const id of ids().flat()) proposer.applied(id, done);
    assert.deepEqual(await Promise.all([...outcomes, third]), [done, done, done]);
  });

  test("stopping gives up what waits, refuses what comes, and submits nothing any more", async () => {
    const { clock, proposer, submitted } = build();
    const outcome = proposer.propose(command());
    proposer.stop();
    await assert.rejects(outcome, (error) => hasCode(error, "no-quorum"));
    await assert.rejects(proposer.propose(command()), (error) => hasCode(error, "no-quorum"));
    await turn();
    clock.advance(10_000);
    assert.deepEqual(submitted, []);
  });

  test("a command that cannot be encoded is refused and leaves nothing behind", async () => {
    const { proposer } = build();
    await assert.rejects(proposer.propose(command("x".repeat(300))), (error) => hasCode(error, "invalid-request"));
    assert.equal(proposer.pending.count, 0);
  });
});
