import type { Incarnation, NodeId } from "../base/ids.ts";
import type { Address, MemberFacts } from "../catalog/types.ts";
import type { NodeIdentity } from "../storage/types.ts";
import type { PeerDirectory } from "../transport/types.ts";

export interface MemberDirectoryOptions {
  readonly self: () => NodeIdentity;
  /** Where this node's configuration file says its peers are: it wins over the roster, so that nodes can move. */
  readonly configured: readonly { readonly id: NodeId; readonly peer: Address }[];
  /** The members by the catalog; undefined while there is none. */
  readonly members: () => readonly MemberFacts[] | undefined;
}

/** Who the peers are: the catalog says who belongs, the configuration file where they are. */
export class MemberDirectory implements PeerDirectory {
  readonly #options: MemberDirectoryOptions;

  constructor(options: MemberDirectoryOptions) {
    this.#options = options;
  }

  get self(): PeerDirectory["self"] {
    return this.#options.self();
  }

  peers(): readonly { readonly id: NodeId; readonly address: Address }[] {
    const { configured, members } = this.#options;
    const addresses = new Map(configured.map(({ id, peer }) => [id, peer]));
    const known = members()?.map(({ id, peer }) => ({ id, address: addresses.get(id) ?? peer }));
    const all = known ?? configured.map(({ id, peer }) => ({ id, address: peer }));
    return all.filter(({ id }) => id !== this.self.nodeId);
  }

  /** Where nodes of the group are, or were: also those of the configuration that are no members by the catalog. */
  addresses(): readonly Address[] {
    const { configured } = this.#options;
    const known = this.peers();
    const others = configured.filter(({ id }) => id !== this.self.nodeId && !known.some((peer) => peer.id === id));
    return [...known.map(({ address }) => address), ...others.map(({ peer }) => peer)];
  }

  /**
   * Without a catalog no life can be told from another. Then every configured node is admitted that proves the secret:
   * this node only pulls a catalog from it, whose digest is checked, and serves nobody.
   */
  admits(nodeId: NodeId, incarnation: Incarnation): boolean {
    const { configured, members } = this.#options;
    const known = members();
    if (known === undefined) return configured.some(({ id }) => id === nodeId);
    return known.some((member) => member.id === nodeId && member.incarnation === incarnation);
  }
}
