import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { DepositoError } from "../../node/base/errors.ts";
import { logIndex, type NodeId, term } from "../../node/base/ids.ts";
import { InvariantError } from "../../node/base/invariant.ts";
import { Raft } from "../../node/raft/raft.ts";
import type { Effects, Envelope } from "../../node/raft/types.ts";
import { ConsensusDriver, type DriverEvents } from "../../node/replication/driver.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { GatedLog } from "./support/gated-log.ts";
import { entry, envelope, numbersOf, ScriptedCore, tick } from "./support/scripted-core.ts";

const noEvents: DriverEvents = {
  committed: () => undefined,
  readsConfirmed: () => undefined,
  readsRefused: () => undefined,
  leadership: () => undefined,
  snapshotNeeded: () => undefined,
};

function build(options: { readonly batching?: boolean; readonly events?: Partial<DriverEvents> } = {}) {
  const [core, log, clock] = [new ScriptedCore(), new GatedLog(), new ManualClock()];
  const sent: Envelope[] = [];
  const fatal: unknown[] = [];
  const synced: number[] = [];
  const parts: { room: Promise<void> | undefined } = { room: undefined };
  const driver = new ConsensusDriver({
    core,
    log,
    clock,
    send: (each) => sent.push(each),
    events: { ...noEvents, ...options.events },
    onFatal: (error) => fatal.push(error),
    room: () => parts.room,
    onSynced: (_durationMs, entries) => synced.push(entries),
    batching: options.batching ?? true,
  });
  const step = (effects: Partial<Effects>) => {
    core.script.push(effects);
    driver.step(tick);
  };
  return { core, log, clock, driver, step, sent, fatal, synced, parts };
}

describe("driver: bounded memory", () => {
  test("while the catalog has no room, entries are not written nor acknowledged; what promises nothing leaves", async () => {
    const { log, step, sent, parts, driver } = build();
    const { promise, resolve } = Promise.withResolvers<void>();
    parts.room = promise;
    step({ append: [entry(2, 1, Buffer.alloc(100))], messages: [envelope(1)], messagesAfterSync: [envelope(2)] });
    await turn();
    assert.deepEqual([log.begun, numbersOf(sent)], [[], [1]]);
    assert.deepEqual(driver.unwritten, { count: 1, sizeBytes: 100 });
    parts.room = undefined;
    resolve();
    assert.equal(await log.finishNext(), "persist 2@1");
    await turn();
    assert.deepEqual(numbersOf(sent), [1, 2]);
    assert.deepEqual(driver.unwritten, { count: 0, sizeBytes: 0 });
  });

  test("votes do not wait for the catalog", async () => {
    const { log, step, parts } = build();
    parts.room = new Promise(() => undefined);
    step({ hardState: { term: term(2), votedFor: undefined }, messagesAfterSync: [envelope(1)] });
    assert.equal(await log.finishNext(), "persist term 2 vote -");
  });

  test("a node that stops while it waits for room writes nothing more", async () => {
    const { log, step, parts, driver } = build();
    const { promise, resolve } = Promise.withResolvers<void>();
    parts.room = promise;
    step({ append: [entry(2)] });
    const stopped = driver.stop();
    resolve();
    await stopped;
    assert.deepEqual(log.begun, []);
  });

  test("proposals are refused while too much waits for the own disk, and taken again afterwards", async () => {
    const { core, log, step, driver } = build();
    step({ append: [entry(2, 1, Buffer.alloc(64 << 20))] });
    const propose = () => driver.step({ type: "propose", commands: [Buffer.from("x")] }).refusedProposals;
    assert.equal(propose(), "too-many-uncommitted");
    assert.equal(core.inputs.length, 1, "the core was not asked");
    await log.finishNext();
    await turn();
    assert.equal(propose(), undefined);
  });
});

describe("driver: persist, then send", () => {
  test("a message that depends on a write leaves only after its sync, any other at once", async () => {
    const { log, step, sent } = build();
    step({ append: [entry(2)], messages: [envelope(1)], messagesAfterSync: [envelope(2)] });
    await turn();
    assert.deepEqual(numbersOf(sent), [1]);
    assert.equal(await log.finishNext(), "persist 2@1");
    await turn();
    assert.deepEqual(numbersOf(sent), [1, 2]);
  });

  test("a message after sync waits for the writes of every earlier step, though its own step wrote nothing", async () => {
    const { log, step, sent } = build();
    step({ hardState: { term: term(2), votedFor: undefined } });
    step({ messagesAfterSync: [envelope(1)] });
    await turn();
    assert.deepEqual(sent, []);
    assert.equal(await log.finishNext(), "persist term 2 vote -");
    await turn();
    assert.deepEqual(numbersOf(sent), [1]);
  });

  test("the core is told what was synced, after the sync, and before later writes begin", async () => {
    const { core, log, step } = build();
    step({ append: [entry(2), entry(3)] });
    await turn();
    assert.deepEqual(core.inputs, [tick]);
    await log.finishNext();
    await turn();
    assert.deepEqual(core.inputs.at(-1), { type: "log-persisted", last: { index: 3, term: 1 } });
  });

  test("what is stepped while a sync is under way is written by one sync: newest term, all entries, all messages", async () => {
    const { log, step, sent, synced } = build();
    step({ append: [entry(2)] });
    step({ append: [entry(3)], messagesAfterSync: [envelope(1)] });
    step({ hardState: { term: term(2), votedFor: undefined } });
    step({
      hardState: { term: term(3), votedFor: undefined },
      append: [entry(4, 3)],
      messagesAfterSync: [envelope(2)],
    });
    await log.finishNext();
    const second = await log.next();
    assert.equal(second.what, "persist term 3 vote - 3@1 4@3");
    assert.deepEqual(sent, []);
    second.finish();
    await turn();
    assert.deepEqual(numbersOf(sent), [1, 2]);
    assert.deepEqual(synced, [1, 2]);
  });

  test("writes are never merged across a rewrite: what was to be acknowledged is written first", async () => {
    const { log, step, sent } = build();
    step({ hardState: { term: term(1), votedFor: undefined } });
    step({ append: [entry(2), entry(3)], messagesAfterSync: [envelope(1)] });
    step({ append: [entry(3, 2)], messagesAfterSync: [envelope(2)] });
    await log.finishNext();
    assert.equal(await log.finishNext(), "persist 2@1 3@1");
    const rewrite = await log.next();
    assert.equal(rewrite.what, "persist 3@2");
    assert.deepEqual(numbersOf(sent), [1]);
    rewrite.finish();
    await turn();
    assert.deepEqual(numbersOf(sent), [1, 2]);
  });

  test("a gap between merged writes is a bug, and ends the process", async () => {
    const { log, step, fatal } = build();
    step({ hardState: { term: term(1), votedFor: undefined } });
    step({ append: [entry(2)] });
    step({ append: [entry(4)] });
    await log.finishNext();
    await turn();
    assert.ok(fatal[0] instanceof InvariantError);
  });

  test("a log reset comes after the writes before it, and before those with it", async () => {
    const { log, step, sent } = build();
    step({ append: [entry(2)] });
    step({ append: [entry(3)] });
    step({ resetLog: { index: logIndex(9), term: term(2) }, messagesAfterSync: [envelope(1)] });
    step({ append: [entry(10, 2)] });
    for (const what of ["persist 2@1", "persist 3@1", "reset 9"]) {
      assert.deepEqual(sent, []);
      assert.equal(await log.finishNext(), what);
    }
    assert.equal(await log.finishNext(), "persist 10@2");
    await turn();
    assert.deepEqual(numbersOf(sent), [1]);
  });

  test("with batching off each step has a sync of its own", async () => {
    const { log, step } = build({ batching: false });
    for (const index of [2, 3, 4]) step({ append: [entry(index)] });
    for (const index of [2, 3, 4]) assert.equal(await log.finishNext(), `persist ${index}@1`);
  });

  for (const turns of [0, 1, 2, 3, 4])
    test(`what is queued ${turns} turns after a write was synced is written, too`, async () => {
      const { core, log, driver, step } = build();
      core.onStep = (input) => {
        if (input.type !== "log-persisted" || input.last.index !== 2) return;
        // Some of these come after the driver found nothing more to write, and before it noted that it has stopped writing.
        const stepLater = (left: number): void =>
          queueMicrotask(() => {
            if (left > 0) return stepLater(left - 1);
            core.script.push({ append: [entry(3)] });
            driver.step(tick);
          });
        stepLater(turns);
      };
      step({ append: [entry(2)] });
      await log.finishNext();
      await turn();
      assert.deepEqual(log.begun, ["persist 2@1", "persist 3@1"]);
    });
});

describe("driver: failures", () => {
  test("after a failed write nothing is sent, stepped or written, and it is told once", async () => {
    const { core, log, driver, step, sent, fatal } = build();
    step({ append: [entry(2)], messagesAfterSync: [envelope(1)] });
    step({ append: [entry(3)], messagesAfterSync: [envelope(2)] });
    const failure = new DepositoError("storage-failed", "no space left");
    (await log.next()).fail(failure);
    await turn();
    assert.deepEqual(fatal, [failure]);
    step({ messages: [envelope(3)], append: [entry(4)] });
    assert.equal(driver.step({ type: "propose", commands: [] }).refusedProposals, "not-leader");
    await turn();
    assert.deepEqual([sent, core.inputs.length, log.begun.length, fatal.length], [[], 2, 1, 1]);
  });

  test("a write that fails while the node stops is told as well", async () => {
    const { log, driver, step, sent, fatal } = build();
    step({ append: [entry(2)], messagesAfterSync: [envelope(1)] });
    const stopped = driver.stop();
    const failure = new DepositoError("storage-failed", "no space left");
    (await log.next()).fail(failure);
    await stopped;
    assert.deepEqual([fatal, sent], [[failure], []]);
  });

  test("once stopped, a write that succeeds lets nothing out", async () => {
    const { core, log, driver, step, sent } = build();
    step({ append: [entry(2)], messagesAfterSync: [envelope(1)] });
    step({ append: [entry(3)] });
    const stopped = driver.stop();
    await log.finishNext();
    await stopped;
    assert.deepEqual([sent, core.inputs.length, log.begun.length], [[], 2, 1]);
  });

  test("a broken invariant of the core ends the process", () => {
    const { core, driver, fatal } = build();
    const bug = new InvariantError("two leaders");
    core.script.push(bug);
    driver.step(tick);
    assert.deepEqual(fatal, [bug]);
  });

  test("a failed read of the log ends the process, unless the node has stopped and closed it", async () => {
    const running = build();
    const stopped = build();
    for (const { log, step } of [running, stopped]) {
      log.reading = () => Promise.reject(new DepositoError("storage-failed", "closed"));
      step({ loads: [{ to: "n2" as NodeId, from: logIndex(2), maxBytes: 1 }] });
    }
    await stopped.driver.stop();
    await turn();
    assert.deepEqual([running.fatal.length, stopped.fatal.length], [1, 0]);
  });
});

describe("driver: the rest of a step", () => {
  test("entries that were asked for come back as an input", async () => {
    const { core, log, step } = build();
    log.reading = async () => [entry(2)];
    step({ loads: [{ to: "n2" as NodeId, from: logIndex(2), maxBytes: 1 }] });
    await turn();
    assert.deepEqual(core.inputs.at(-1), { type: "entries-loaded", to: "n2", entries: [entry(2)] });
  });

  test("trimming waits its turn between writes, and the core is told afterwards", async () => {
    const { core, log, driver, step } = build();
    step({ append: [entry(2)] });
    const trimmed = driver.trim({ index: logIndex(1), term: term(1) });
    step({ append: [entry(3)] });
    const refilled = driver.promisesRefilled();
    for (const what of ["persist 2@1", "trim 1", "refilled", "persist 3@1"]) assert.equal(await log.finishNext(), what);
    await Promise.all([trimmed, refilled]);
    assert.ok(core.inputs.some((input) => input.type === "trimmed" && input.through === 1));
  });

  test("each kind of news goes to its event", () => {
    const heard: string[] = [];
    const { step } = build({
      events: {
        committed: (entries) => heard.push(`committed ${entries.length}`),
        readsConfirmed: ([read]) => heard.push(`confirmed ${read?.position}`),
        readsRefused: (positions) => heard.push(`refused ${positions.join()}`),
        leadership: ({ role }) => heard.push(role),
        snapshotNeeded: ({ from }) => heard.push(`snapshot of ${from}`),
      },
    });
    step({
      committed: [entry(2)],
      confirmedReads: [{ position: 7, readIndex: logIndex(2) }],
      refusedReads: [8],
      leadership: { role: "leader", term: term(1), leader: undefined },
      snapshotNeeded: { from: "n3" as NodeId, position: { index: logIndex(9), term: term(1) } },
    });
    assert.deepEqual(heard, ["committed 1", "confirmed 7", "snapshot of n3", "leader", "refused 8"]);
  });

  test("the core is ticked at its deadline, as it stands then, and never after the end", async () => {
    const { core, clock, driver } = build();
    core.deadlineMs = clock.monotonicMs() + 100;
    driver.start();
    clock.advance(50);
    core.deadlineMs += 50; // it heard of its leader meanwhile
    clock.advance(60);
    assert.deepEqual(core.inputs, []);
    core.onStep = () => {
      core.deadlineMs = clock.monotonicMs() + 100;
    };
    clock.advance(40);
    assert.deepEqual(core.inputs, [tick]);
    core.deadlineMs = clock.monotonicMs() + 5; // sooner than the timer that runs
    core.onStep = ({ type }) => {
      if (type === "tick") core.deadlineMs = Number.POSITIVE_INFINITY;
    };
    driver.step({ type: "propose", commands: [] });
    clock.advance(5);
    assert.deepEqual(core.inputs.at(-1), tick);
    driver.step({ type: "propose", commands: [] });
    clock.advance(1000);
    assert.equal(core.inputs.filter(({ type }) => type === "tick").length, 2);
    core.deadlineMs = clock.monotonicMs() + 5;
    driver.step({ type: "propose", commands: [] });
    await driver.stop();
    clock.advance(1000);
    assert.equal(core.inputs.filter(({ type }) => type === "tick").length, 2);
  });
});

describe("driver with the Raft core", () => {
  test("a vote leaves only after it is synced; a leader's appends leave while its own disk writes (§5.2, dissertation §10.2.1)", async () => {
    const [n1, n2, n3] = ["n1", "n2", "n3"] as NodeId[] as [NodeId, NodeId, NodeId];
    const { log, clock } = build();
    const sent: Envelope[] = [];
    const appends = () => sent.filter(({ to, message }) => to === n3 && message.type === "append-request");
    const driver = new ConsensusDriver({
      core: new Raft({
        id: n1,
        hardState: { term: term(1), votedFor: undefined },
        configuration: { voters: [n1, n2, n3], outgoing: [], learners: [], learnersNext: [] },
        logBase: { index: logIndex(1), term: term(1) },
        termRuns: [],
        entries: [],
        lastIndex: logIndex(1),
        applied: logIndex(1),
        lostPromises: false,
        promisedIndex: undefined,
        electionTimeoutMs: 500,
        heartbeatMs: 50,
        maxAppendBytes: 1 << 20,
        maxInflightAppends: 8,
        maxUncommittedBytes: 1 << 20,
        maxCachedBytes: 1 << 20,
        random: () => 0.5,
      }),
      log,
      clock,
      send: (each) => sent.push(each),
      events: noEvents,
      onFatal: (error) => assert.fail(String(error)),
      room: () => undefined,
      onSynced: () => undefined,
      batching: true,
    });
    const last = { index: logIndex(1), term: term(1) };
    const voteRequest = { type: "vote-request", term: term(2), last, transfer: false } as const;
    driver.step({ type: "message", from: n2, message: voteRequest });
    await turn();
    assert.deepEqual(sent, []);
    assert.equal(await log.finishNext(), "persist term 2 vote n2");
    await turn();
    assert.deepEqual(sent, [{ to: n2, message: { type: "vote-response", term: term(2), granted: true } }]);

    clock.advance(2000); // nobody is heard: it stands for election itself
    driver.step({ type: "message", from: n3, message: { type: "pre-vote-response", term: term(3), granted: true } });
    assert.equal(await log.finishNext(), "persist term 3 vote n1");
    await turn();
    driver.step({ type: "message", from: n3, message: { type: "vote-response", term: term(3), granted: true } });
    const noop = await log.next();
    assert.equal(noop.what, "persist 2@3");
    assert.equal(appends().length, 1);
    noop.finish();
    await driver.stop();
  });
});
