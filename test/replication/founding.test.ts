import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clock, systemClock } from "../../node/base/clock.ts";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import { type BackupId, logIndex, type NodeId, newIncarnation, parseNodeId } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import type { Address, Founding, MemberFacts, MemberState } from "../../node/catalog/types.ts";
import { agreeOnFounding, type Beginning, foundingOf } from "../../node/replication/founding.ts";
import type { Hello, Roster } from "../../node/transport/types.ts";
import { ManualClock } from "../support/manual-clock.ts";

function member(id: string, port: number): MemberFacts {
  const address = { host: "127.0.0.1", port };
  return {
    id: parseNodeId(id) as NodeId,
    incarnation: newIncarnation(),
    role: "voter",
    zone: "a",
    api: { host: "127.0.0.1", port: port + 1000 },
    peer: address,
  };
}

/** The group of `members` as one of them tells of it. */
function rosterOf(
  founding: Founding,
  members: readonly (MemberFacts & { readonly state?: MemberState })[] = founding.members,
  applied = 1,
): Roster {
  const { clusterId, clusterName } = founding;
  const standing = members.map((each) => ({ state: "member" as const, ...each }));
  return { clusterId, clusterName, applied: logIndex(applied), members: standing };
}

const [n1, n2, n3] = [member("n1", 1), member("n2", 2), member("n3", 3)] as const;

/** Seeds that can hear each other through `hellos`. */
class Seeds {
  readonly hellos = new Map<number, Hello>();
  readonly said: string[] = [];
  readonly reasons = new Set<string>();
  clock: Clock = systemClock;
  patienceMs = 5000;
  #asked = 0;
  #onAsked: () => void = () => undefined;

  /** Resolves when the seeds that wait have asked each other this many times more. */
  async rounds(count: number): Promise<void> {
    const enough = this.#asked + 2 * count;
    await new Promise<void>((resolve) => {
      this.#onAsked = () => {
        if (this.#asked >= enough) resolve();
      };
    });
  }

  /** What the group is founded with, as `self` finds out. */
  async found(self: MemberFacts, seeds?: readonly MemberFacts[]): Promise<Founding> {
    const beginning = await this.begin(self, seeds);
    assert.equal(beginning.type, "found");
    return (beginning as Extract<Beginning, { type: "found" }>).founding;
  }

  begin(self: MemberFacts, seeds: readonly MemberFacts[] = [n1, n2, n3], restored?: BackupId): Promise<Beginning> {
    return agreeOnFounding({
      clusterName: "test",
      self,
      restored,
      seeds,
      introduce: (hello) => this.hellos.set(self.peer.port, hello),
      onWaiting: (reason) => this.reasons.add(reason),
      hello: async ({ port }: Address) => {
        this.#asked += 1;
        this.#onAsked();
        const hello = this.hellos.get(port);
        if (hello === undefined) throw new DepositoError("peer-unreachable", `nobody at ${port}`);
        return hello;
      },
      clock: this.clock,
      logger: Object.assign(Object.create(silentLogger), {
        info: (_: unknown, text: string) => this.said.push(text),
        warn: (facts: object, text: string) => this.said.push(`${JSON.stringify(facts)} ${text}`),
      }),
      signal: AbortSignal.timeout(this.patienceMs),
    });
  }
}

/** A second takes ten milliseconds. */
const hastyClock: Clock = {
  ...systemClock,
  monotonicMs: () => 100 * systemClock.monotonicMs(),
  after: (delayMs, task) => systemClock.after(delayMs / 100, task),
};
const backup = "0123456789abcdef".repeat(2) as BackupId;

describe("founding on a backup", () => {
  test("seeds that bring the same one come to the same group, which is not the one they would found without", async () => {
    const seeds = new Seeds();
    const all = [n1, n2, n3];
    const beginnings = await Promise.all(all.map((self) => seeds.begin(self, all, backup)));
    for (const beginning of beginnings)
      assert.deepEqual(beginning, { type: "found", founding: foundingOf("test", all, backup) });
    assert.notEqual(foundingOf("test", all, backup).clusterId, foundingOf("test", all).clusterId);
  });

  test("nobody founds while one of them brings another one, or none, and each says who", async () => {
    for (const other of [undefined, "f".repeat(32) as BackupId]) {
      const seeds = new Seeds();
      seeds.clock = hastyClock;
      seeds.patienceMs = 500;
      const waiting = [
        seeds.begin(n1, [n1, n2, n3], backup),
        seeds.begin(n2, [n1, n2, n3], backup),
        seeds.begin(n3, [n1, n2, n3], other),
      ];
      const ends = waiting.map((each) => assert.rejects(each, { name: "TimeoutError" }));
      await Promise.all(ends);
      assert.ok(
        seeds.said.some((text) => text.startsWith('{"nodes":["n3"]}') && text.includes("bring another catalog")),
      );
      assert.ok(seeds.said.some((text) => text.startsWith('{"nodes":["n1","n2"]}')));
      assert.ok([...seeds.reasons].some((reason) => reason.includes("n3 bring another catalog")));
    }
  });

  test("one that comes late founds what the others did; nodes of the former group that are lost do not count", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2], backup);
    const roster = rosterOf(founding, [n1, n2, { ...n3, state: "lost" }], 900);
    seeds.hellos.set(1, { self: n1, roster });
    assert.deepEqual(await seeds.begin(n2, [n1, n2], backup), { type: "found", founding });
  });

  test("one that meets another group gives up rather than join it: the former one, or one founded without it", async () => {
    for (const founders of [
      [n1, { ...n2, incarnation: newIncarnation() }, n3],
      [n1, n2, n3],
      [n1, n3],
    ]) {
      const seeds = new Seeds();
      seeds.hellos.set(1, { self: n1, roster: rosterOf(foundingOf("test", founders)) });
      await assert.rejects(
        seeds.begin(n2, [n1, n2, n3], backup),
        (error) => hasCode(error, "config-invalid") && /already run in another one/.test(error.message),
      );
    }
  });
});

describe("founding", () => {
  test("all seeds come to the same roster, whatever their order", async () => {
    const seeds = new Seeds();
    const foundings = await Promise.all([seeds.found(n3), seeds.found(n1), seeds.found(n2)]);
    assert.deepEqual(foundings[0], foundings[1]);
    assert.deepEqual(foundings[1], foundings[2]);
    assert.deepEqual(
      foundings[0]?.members.map(({ id }) => id),
      ["n1", "n2", "n3"],
    );
  });

  test("a group is not founded before every seed was heard", async () => {
    const seeds = new Seeds();
    let founded = false;
    const early = seeds.found(n1).then(() => (founded = true));
    await seeds.found(n2, [n1, n2]);
    assert.equal(founded, false);
    await Promise.all([seeds.found(n3), early]);
  });

  test("a seed that comes late founds with the first roster while that has not changed", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2, n3]);
    seeds.hellos.set(1, { self: n1, roster: rosterOf(founding, founding.members, 700) });
    assert.deepEqual(await seeds.found(n2), founding);
  });

  test("a seed that comes late, after the members changed, joins what the group is now", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2, n3]);
    const roster = rosterOf(founding, [n1, n2], 9);
    seeds.hellos.set(1, { self: n1, roster });
    assert.deepEqual(await seeds.begin(n2), { type: "join", roster });
  });

  test("a node that was added joins, by the newest of the rosters it hears of", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2]);
    const newer = rosterOf(founding, [n1, n2, n3], 9);
    seeds.hellos.set(1, { self: n1, roster: rosterOf(founding, [n1, n2], 8) });
    seeds.hellos.set(2, { self: n2, roster: newer });
    assert.deepEqual(await seeds.begin(n3), { type: "join", roster: newer });
  });

  test("a node whose directory was emptied is refused by those who knew it", async () => {
    const seeds = new Seeds();
    seeds.hellos.set(1, { self: n1, roster: rosterOf(foundingOf("test", [n1, n2, n3])) });
    const emptied = { ...n2, incarnation: newIncarnation() };
    await assert.rejects(seeds.found(emptied), (error) => hasCode(error, "data-directory-foreign"));
  });

  test("a node that the group does not have waits, and says how to add it, until it is added", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2]);
    seeds.hellos.set(1, { self: n1, roster: rosterOf(founding) });
    const beginning = seeds.begin(n3);
    await seeds.rounds(2);
    assert.deepEqual(seeds.said, [
      'not in the group yet: add this node with POST /v1/cluster/nodes {"id":"n3","peer":{"host":"127.0.0.1","port":3}} on a node of the group',
    ]);
    assert.deepEqual([...seeds.reasons], seeds.said, "at /readyz too");
    const roster = rosterOf(founding, [n1, n2, n3], 7);
    seeds.hellos.set(1, { self: n1, roster });
    assert.deepEqual(await beginning, { type: "join", roster });
  });

  test("a new life of an id waits while the former one leaves", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2, n3]);
    seeds.hellos.set(1, { self: n1, roster: rosterOf(founding, [n1, n2, { ...n3, state: "leaving" }], 7) });
    const emptied = { ...n3, incarnation: newIncarnation() };
    const beginning = seeds.begin(emptied);
    await seeds.rounds(2);
    const roster = rosterOf(founding, [n1, n2, emptied], 12);
    seeds.hellos.set(1, { self: n1, roster });
    assert.deepEqual(await beginning, { type: "join", roster });
  });

  test("nodes of another cluster are not joined", async () => {
    const seeds = new Seeds();
    seeds.hellos.set(1, { self: n1, roster: rosterOf(foundingOf("other", [n1, n2, n3])) });
    await assert.rejects(seeds.begin(n2), (error) => hasCode(error, "config-invalid"));
  });

  test("a seed's address answered by another node is a wrong configuration", async () => {
    const seeds = new Seeds();
    seeds.hellos.set(2, { self: n3, roster: undefined });
    await assert.rejects(seeds.found(n1), (error) => hasCode(error, "config-invalid"));
  });

  test("a seed that was heard once and is gone is waited for: it may come back with an emptied directory", async () => {
    const seeds = new Seeds();
    let founded = false;
    const early = seeds.found(n1).then((founding) => {
      founded = true;
      return founding;
    });
    seeds.hellos.set(3, { self: n3, roster: undefined });
    await seeds.rounds(2);
    seeds.hellos.delete(3);
    seeds.hellos.set(2, { self: n2, roster: undefined });
    await seeds.rounds(2);
    assert.equal(founded, false);
    const emptied = { ...n3, incarnation: newIncarnation() };
    seeds.hellos.set(3, { self: emptied, roster: undefined });
    assert.deepEqual(await early, foundingOf("test", [n1, n2, emptied]));
  });

  test("a node told to stop while it waits does so at once, though a seed never answers", async () => {
    const stop = new AbortController();
    const waiting = agreeOnFounding({
      clusterName: "test",
      self: n1,
      seeds: [n1, n2],
      onWaiting: () => undefined,
      introduce: () => setImmediate(() => stop.abort(new DepositoError("no-quorum", "stopping"))),
      hello: () => new Promise(() => undefined),
      clock: systemClock,
      logger: silentLogger,
      signal: stop.signal,
    });
    await assert.rejects(waiting, (error) => hasCode(error, "no-quorum"));
  });

  test("a node that waits for long says for whom", async () => {
    const said: unknown[] = [];
    const clock = new ManualClock();
    const stop = new AbortController();
    const waiting = agreeOnFounding({
      clusterName: "test",
      self: n1,
      seeds: [n1, n2, n3],
      introduce: () => undefined,
      onWaiting: () => undefined,
      hello: async () => {
        setImmediate(() => clock.advance(1000));
        throw new DepositoError("peer-refused", "starting");
      },
      clock,
      logger: Object.assign(Object.create(silentLogger), {
        info: (facts: unknown) => {
          said.push(facts);
          stop.abort(new Error("enough"));
        },
      }),
      signal: stop.signal,
    });
    await assert.rejects(waiting, /enough/);
    assert.deepEqual(said, [{ missing: ["n2", "n3"] }]);
  });

  test("a failure that is not the network's ends the waiting", async () => {
    const bug = new Error("a bug");
    const waiting = agreeOnFounding({
      clusterName: "test",
      self: n1,
      seeds: [n1, n2],
      introduce: () => undefined,
      onWaiting: () => undefined,
      hello: () => Promise.reject(bug),
      clock: systemClock,
      logger: silentLogger,
      signal: new AbortController().signal,
    });
    await assert.rejects(waiting, bug);
  });
});
