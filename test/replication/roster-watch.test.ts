import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DepositoError, hasCode } from "../../node/base/errors.ts";
import { logIndex, newIncarnation } from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import type { Address, MemberFacts } from "../../node/catalog/types.ts";
import { foundingOf } from "../../node/replication/founding.ts";
import { RosterWatch } from "../../node/replication/roster-watch.ts";
import type { Hello, Roster } from "../../node/transport/types.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { member } from "./support/node-disk.ts";

const [n1, n2, n3, n4] = ["n1", "n2", "n3", "n4"].map(member) as [MemberFacts, MemberFacts, MemberFacts, MemberFacts];
const { clusterId, clusterName } = foundingOf("test", [n1, n2, n3]);
const address = (port: number): Address => ({ host: "h", port });

function roster(applied: number, members: readonly MemberFacts[]): Roster {
  const standing = members.map((facts) => ({ ...facts, state: "member" as const }));
  return { clusterId, clusterName, applied: logIndex(applied), members: standing };
}

/** n1 as it was when it went away, and what others answer it now. */
class Away {
  readonly clock = new ManualClock();
  own = roster(50, [n1, n2, n3]);
  hasLeader = false;
  readonly answers = new Map<number, Roster | Error | Promise<Hello>>();
  asked = 0;
  readonly fatal: unknown[] = [];
  readonly watch = new RosterWatch({
    self: n1,
    own: () => this.own,
    hasLeader: () => this.hasLeader,
    addresses: () => [address(2), address(3)],
    hello: async ({ port }) => {
      this.asked += 1;
      const answer = this.answers.get(port) ?? new DepositoError("peer-unreachable", "nobody there");
      if (answer instanceof Error) throw answer;
      return answer instanceof Promise ? answer : { self: n2, roster: answer };
    },
    clock: this.clock,
    logger: silentLogger,
    onFatal: (error) => this.fatal.push(error),
  });

  async second(): Promise<void> {
    this.clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  ids(): readonly string[] {
    return this.watch.members().map(({ id }) => id);
  }
}

describe("roster watch", () => {
  test("without a leader it asks at once, and goes by the newest roster it hears until its own is as new", async () => {
    const away = new Away();
    away.answers.set(2, roster(60, [n1, n2, n3]));
    away.answers.set(3, roster(90, [n1, n3, n4]));
    away.watch.start();
    await away.second();
    assert.deepEqual(away.ids(), ["n1", "n3", "n4"]);
    away.own = roster(89, [n1, n2, n3]);
    assert.deepEqual(away.ids(), ["n1", "n3", "n4"]);
    away.own = roster(90, [n1, n3, n4]);
    assert.equal(away.watch.members(), away.own.members);
    away.watch.stop();
    assert.deepEqual(away.fatal, []);
  });

  test("a roster that is no newer, or of another group, changes nothing", async () => {
    const away = new Away();
    away.answers.set(2, roster(50, [n4]));
    away.answers.set(3, { ...roster(90, [n4]), clusterId: foundingOf("other", [n4]).clusterId });
    away.watch.start();
    await away.second();
    assert.deepEqual(away.ids(), ["n1", "n2", "n3"]);
    assert.deepEqual(away.fatal, []);
    away.watch.stop();
  });

  test("a newer roster without this life says that it was removed", async () => {
    for (const members of [
      [n2, n3],
      [{ ...n1, incarnation: newIncarnation() }, n2],
    ]) {
      const away = new Away();
      away.answers.set(2, roster(51, members));
      away.watch.start();
      await away.second();
      assert.ok(hasCode(away.fatal[0], "not-a-member"));
      away.watch.stop();
    }
  });

  test("while it has a leader it asks nobody", async () => {
    const away = new Away();
    away.hasLeader = true;
    away.watch.start();
    for (let seconds = 0; seconds < 5; seconds++) await away.second();
    assert.equal(away.asked, 0);
    away.hasLeader = false;
    await away.second();
    assert.equal(away.asked, 2);
    away.watch.stop();
    await away.second();
    assert.equal(away.asked, 2);
  });

  test("a peer that never answers does not hold up what another one says", async () => {
    const away = new Away();
    away.answers.set(2, new Promise<Hello>(() => undefined));
    away.answers.set(3, roster(90, [n1, n3, n4]));
    away.watch.start();
    await away.second();
    assert.deepEqual(away.ids(), ["n1", "n3", "n4"]);
    await away.second();
    assert.equal(away.asked, 2, "one round at a time");
    away.watch.stop();
  });

  test("a bug ends the node", async () => {
    const away = new Away();
    away.answers.set(2, new TypeError("a bug"));
    away.watch.start();
    await away.second();
    assert.ok(away.fatal[0] instanceof TypeError);
    away.watch.stop();
  });
});
