import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../node/base/clock.ts";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import { type NodeId, newIncarnation, parseNodeId, staged } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import type { Address, Founding, MemberRecord } from "../../node/catalog/types.ts";
import { agreeOnFounding, foundingOf } from "../../node/replication/founding.ts";
import type { Hello } from "../../node/transport/types.ts";
import { ManualClock } from "../support/manual-clock.ts";

function member(id: string, port: number): MemberRecord {
  const address = { host: "127.0.0.1", port };
  return {
    id: parseNodeId(id) as NodeId,
    incarnation: newIncarnation(),
    role: "voter",
    zone: "a",
    api: { host: "127.0.0.1", port: port + 1000 },
    peer: address,
    sweptUpTo: staged(0),
  };
}

const [n1, n2, n3] = [member("n1", 1), member("n2", 2), member("n3", 3)] as const;

/** Seeds that can hear each other through `hellos`. */
class Seeds {
  readonly hellos = new Map<number, Hello>();
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

  found(self: MemberRecord, seeds: readonly MemberRecord[] = [n1, n2, n3]): Promise<Founding> {
    return agreeOnFounding({
      clusterName: "test",
      self,
      seeds,
      introduce: (hello) => this.hellos.set(self.peer.port, hello),
      hello: async ({ port }: Address) => {
        this.#asked += 1;
        this.#onAsked();
        const hello = this.hellos.get(port);
        if (hello === undefined) throw new DepositoError("peer-unreachable", `nobody at ${port}`);
        return hello;
      },
      clock: systemClock,
      logger: silentLogger,
      signal: AbortSignal.timeout(5000),
    });
  }
}

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

  test("a seed that comes late takes the roster of those that founded", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2, n3]);
    seeds.hellos.set(1, { self: n1, founding });
    assert.deepEqual(await seeds.found(n2), founding);
  });

  test("a late seed founds with the first roster, not with one whose sweep fences have moved", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2, n3]);
    const later = { ...founding, members: founding.members.map((each) => ({ ...each, sweptUpTo: staged(9) })) };
    seeds.hellos.set(1, { self: n1, founding: later });
    assert.deepEqual(await seeds.found(n2), founding);
  });

  test("a node whose directory was emptied is refused by those who knew it", async () => {
    const seeds = new Seeds();
    seeds.hellos.set(1, { self: n1, founding: foundingOf("test", [n1, n2, n3]) });
    const emptied = { ...n2, incarnation: newIncarnation() };
    await assert.rejects(seeds.found(emptied), (error) => hasCode(error, "data-directory-foreign"));
  });

  test("a node that the group was founded without is told so", async () => {
    const seeds = new Seeds();
    seeds.hellos.set(1, { self: n1, founding: foundingOf("test", [n1, n2]) });
    await assert.rejects(seeds.found(n3), (error) => hasCode(error, "not-a-member"));
  });

  test("a seed's address answered by another node is a wrong configuration", async () => {
    const seeds = new Seeds();
    seeds.hellos.set(2, { self: n3, founding: undefined });
    await assert.rejects(seeds.found(n1), (error) => hasCode(error, "config-invalid"));
  });

  test("a seed that was heard once and is gone is waited for: it may come back with an emptied directory", async () => {
    const seeds = new Seeds();
    let founded = false;
    const early = seeds.found(n1).then((founding) => {
      founded = true;
      return founding;
    });
    seeds.hellos.set(3, { self: n3, founding: undefined });
    await seeds.rounds(2);
    seeds.hellos.delete(3);
    seeds.hellos.set(2, { self: n2, founding: undefined });
    await seeds.rounds(2);
    assert.equal(founded, false);
    const emptied = { ...n3, incarnation: newIncarnation() };
    seeds.hellos.set(3, { self: emptied, founding: undefined });
    assert.deepEqual(await early, foundingOf("test", [n1, n2, emptied]));
  });

  test("a node told to stop while it waits does so at once, though a seed never answers", async () => {
    const stop = new AbortController();
    const waiting = agreeOnFounding({
      clusterName: "test",
      self: n1,
      seeds: [n1, n2],
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

  test("a seed that started with the group but whose roster has changed since is told to be added anew", async () => {
    const seeds = new Seeds();
    const founding = foundingOf("test", [n1, n2, n3]);
    seeds.hellos.set(1, { self: n1, founding: { ...founding, members: founding.members.slice(0, 2) } });
    await assert.rejects(seeds.found(n2), (error) => hasCode(error, "not-a-member"));
  });

  test("a failure that is not the network's ends the waiting", async () => {
    const bug = new Error("a bug");
    const waiting = agreeOnFounding({
      clusterName: "test",
      self: n1,
      seeds: [n1, n2],
      introduce: () => undefined,
      hello: () => Promise.reject(bug),
      clock: systemClock,
      logger: silentLogger,
      signal: new AbortController().signal,
    });
    await assert.rejects(waiting, bug);
  });
});
