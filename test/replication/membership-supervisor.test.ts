import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import {
  type BlobId,
  logIndex,
  type NodeId,
  newBlobId,
  newClientId,
  type ReplicaCount,
  type Sha256,
  staged,
} from "../../node/base/ids.ts";
import { silentLogger } from "../../node/base/logger.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import { encodeConfiguration } from "../../node/raft/configuration.ts";
import type { WantedMembers } from "../../node/raft/types.ts";
import { MembershipSupervisor } from "../../node/replication/membership-supervisor.ts";
import { InProcessLog, InProcessReplication } from "../support/in-process-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { groupOf, registerClient } from "./support/node-disk.ts";

const [n1, n2, n3] = ["n1", "n2", "n3"] as NodeId[] as [NodeId, NodeId, NodeId];

/** n1 and its supervisor, in a group whose consensus does at once what it is asked for. */
class Supervised {
  readonly clock = new ManualClock();
  readonly fatal: unknown[] = [];
  readonly said: unknown[] = [];
  readonly wanted: WantedMembers[] = [];
  readonly #log = new InProcessLog(groupOf("n1", "n2", "n3"));
  readonly replication = new InProcessReplication(n1, this.#log);
  readonly #clientId = newClientId();
  readonly supervisor = new MembershipSupervisor({
    self: n1,
    group: Object.assign(this.replication, {
      changeMembership: (wanted: WantedMembers) => {
        this.wanted.push(wanted);
        this.#log.append(encodeConfiguration({ ...wanted, outgoing: [], learnersNext: [] }), "configuration");
        return undefined;
      },
    }),
    heard: () => undefined,
    clock: this.clock,
    logger: Object.assign(Object.create(silentLogger), { info: (facts: unknown) => this.said.push(facts) }),
    onFatal: (error) => this.fatal.push(error),
  });

  constructor() {
    // Nobody is heard of here, so nobody would count as active.
    const raft = this.replication.raft.bind(this.replication);
    const isActive = { matchIndex: logIndex(1), state: "replicate", isActive: true } as const;
    this.replication.raft = () => ({ ...raft(), progress: new Map([n2, n3].map((node) => [node, isActive])) });
  }

  async deposit(on: NodeId): Promise<BlobId> {
    const blobId = newBlobId();
    await this.replication.propose(registerClient(this.#clientId));
    const outcome = await this.replication.propose({
      type: "deposit",
      clientId: this.#clientId,
      name: parseFileName("f"),
      blobId,
      sizeBytes: 1,
      sha256: "ab".repeat(32) as Sha256,
      contentType: undefined,
      replicas: 1 as ReplicaCount,
      defaultReplicas: 1 as ReplicaCount,
      copies: [{ node: on, life: logIndex(1), staged: staged(1) }],
      ranking: [],
      preconditions: { ifMatch: undefined, ifNoneMatch: undefined },
      at: 1,
    });
    assert.equal(outcome.type, "deposited");
    return blobId;
  }

  /** As many looks as come in so many seconds. */
  async pass(seconds: number): Promise<void> {
    for (let quarters = 0; quarters < 4 * seconds; quarters++) {
      this.clock.advance(250);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  get proposed(): readonly string[] {
    return this.replication.proposed.map(({ type }) => type);
  }
  async leave(node: NodeId): Promise<void> {
    assert.deepEqual(await this.replication.propose({ type: "remove-member", node, acceptLoss: false }), {
      type: "done",
    });
  }
}

describe("membership supervisor", () => {
  test("a leaving node is not forgotten while it has what nobody else has, and is when others have it", async () => {
    const group = new Supervised();
    const blobId = await group.deposit(n3);
    group.supervisor.start();
    await group.leave(n3);
    await group.pass(60);
    assert.deepEqual(group.wanted, [{ voters: [n1, n2], learners: [n3] }]);
    assert.ok(group.replication.members().some(({ id }) => id === n3));
    assert.equal(group.proposed.filter((type) => type === "reassign-replicas").length, 1, "asked for once");
    assert.ok(!group.proposed.includes("forget-member"));
    const waits = group.said.filter((facts) => JSON.stringify(facts) === '{"leaving":"n3","replicas":1}');
    assert.ok(waits.length >= 5 && waits.length <= 7, "said every ten seconds");

    for (const node of [n1, n2]) {
      const report = { type: "made", blobId, staged: staged(5) } as const;
      await group.replication.propose({ type: "report-replicas", node, life: logIndex(1), reports: [report] });
    }
    await group.pass(5);
    assert.deepEqual(group.proposed.slice(-2), ["forget-replicas", "forget-member"]);
    assert.deepEqual(group.wanted.at(-1), { voters: [n1, n2], learners: [] });
    await group.supervisor.stop();
    assert.deepEqual(group.fatal, []);
  });

  test("where this node does not lead it does nothing", async () => {
    const group = new Supervised();
    group.replication.follow(n2);
    group.supervisor.start();
    await group.leave(n3);
    await group.pass(5);
    assert.deepEqual(group.wanted, []);
    assert.deepEqual(group.proposed, ["remove-member"]);
    await group.supervisor.stop();
  });

  test("what no majority answered is tried again", async () => {
    const group = new Supervised();
    let failures = 3;
    group.replication.interfere = (command, order) => {
      if (command.type === "forget-member" && failures-- > 0) throw new DepositoError("no-quorum", "nobody answered");
      return order();
    };
    group.supervisor.start();
    await group.leave(n3);
    await group.pass(5);
    assert.ok(!group.replication.members().some(({ id }) => id === n3));
    assert.deepEqual(group.fatal, []);
    await group.supervisor.stop();
  });

  test("a bug ends the node", async () => {
    const group = new Supervised();
    group.replication.interfere = (command, order) => {
      if (command.type === "forget-member") throw new TypeError("a bug");
      return order();
    };
    group.supervisor.start();
    await group.leave(n3);
    await group.pass(2);
    assert.ok(group.fatal[0] instanceof TypeError);
    await group.supervisor.stop();
  });

  test("once stopped it asks for nothing", async () => {
    const group = new Supervised();
    group.supervisor.start();
    await group.supervisor.stop();
    await group.leave(n3);
    await group.pass(2);
    assert.deepEqual(group.wanted, []);
    assert.deepEqual(group.proposed, ["remove-member"]);
  });
});
