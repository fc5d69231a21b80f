import type { NodeId } from "../../../node/base/ids.ts";
import type { CatalogMeta } from "../../../node/catalog/apply.ts";
import { digestHex } from "../../../node/catalog/digest.ts";
import type { ConsensusCore, Input } from "../../../node/raft/types.ts";
import type { ReplicationWitness } from "../../../node/replication/replication-options.ts";
import type { PeerFrame } from "../../../node/transport/types.ts";
import { must, Violation } from "../violation.ts";
import type { World } from "../world.ts";
import { ConsensusChecks } from "./consensus.ts";
import { ReplicaChecks } from "./replicas.ts";

/** All that is checked while the world runs. What a check throws ends the run, and never disturbs the node it looks at. */
export class Checks {
  readonly #world: World;
  readonly consensus: ConsensusChecks;
  readonly #replicas: ReplicaChecks;
  /** The digest of the whole catalog at each index at which any node stopped. */
  readonly #digests = new Map<number, string>();
  readonly #metas = new Map<NodeId, CatalogMeta>();

  constructor(world: World) {
    this.#world = world;
    this.consensus = new ConsensusChecks(world.coverage, {
      termOf: (id, index) => world.node(id).durableTermOf(index),
      voteOf: (id) => world.node(id).durableVote(),
    });
    this.#replicas = new ReplicaChecks(world.coverage, (id, blobId) => world.node(id).hasDurably(blobId));
  }

  /** What the node has applied in this life; undefined before it serves. */
  metaOf(node: NodeId): CatalogMeta | undefined {
    return this.#metas.get(node);
  }

  started(node: NodeId): void {
    this.#metas.delete(node);
  }

  ended(node: NodeId): void {
    this.consensus.ended(node);
    this.#metas.delete(node);
  }

  /** What the node promised in a former life binds nobody: it was removed. */
  forget(node: NodeId): void {
    this.consensus.forget(node);
  }

  sent(from: NodeId, to: NodeId, frame: PeerFrame): void {
    if (frame.type === "raft") this.#guard(() => this.consensus.sent(from, to, frame.message));
  }

  witnessOf(node: NodeId): ReplicationWitness {
    return {
      watch: (core, from, meta) => {
        this.#guard(() => {
          this.consensus.started(node, from);
          this.#metas.delete(node);
          this.#applied(node, meta);
        });
        return this.#watch(node, core);
      },
      applied: (batch, applier) =>
        this.#guard(() => {
          this.#applied(node, applier.meta);
          const catalog = applier.isReplacing ? undefined : applier.catalog;
          this.#replicas.applied(batch, this.consensus.committed, catalog);
        }),
      installed: (meta) => {
        this.#world.coverage.count("snapshots installed");
        this.#guard(() => this.#applied(node, meta));
      },
    };
  }

  #watch(node: NodeId, core: ConsensusCore): ConsensusCore {
    const { consensus } = this;
    return {
      step: (nowMs, input: Input) => {
        this.#guard(() => consensus.asked(node, input));
        const effects = core.step(nowMs, input);
        this.#guard(() => consensus.stepped(node, input, effects, core));
        return effects;
      },
      get deadlineMs() {
        return core.deadlineMs;
      },
      status: () => core.status(),
    };
  }

  #applied(node: NodeId, meta: CatalogMeta): void {
    const { index } = meta.applied;
    const before = this.#metas.get(node);
    must("AppliedGrows", before === undefined || index > before.applied.index, () => {
      return `${node} has applied ${index} after ${before?.applied.index}`;
    });
    this.#metas.set(node, meta);
    const digest = digestHex(meta.digest);
    const known = this.#digests.get(index);
    if (known === undefined) this.#digests.set(index, digest);
    else must("EqualCatalogs", known === digest, () => `the catalog of ${node} at ${index} is not that of the others`);
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#world.fail(error);
    }
  }
}
