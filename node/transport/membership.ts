import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import {
  type ClusterId,
  type Incarnation,
  type NodeId,
  parseClusterId,
  parseIncarnation,
  parseNodeId,
} from "../base/ids.ts";
import { ReplayWindow } from "./replay-window.ts";
import type { PeerDirectory } from "./types.ts";

/**
 * Proof of membership. The cluster secret itself never travels: four keys are derived from it (HKDF-SHA-256), one for
 * each kind of proof, so that none can be turned into another. A proof is an HMAC-SHA-256.
 *
 *   call     Authorization: Deposito-Peer <from> <incarnation> <to> <cluster> <nonce> <mac>
 *            mac over these, the method, and the path with its query; `-` stands for what is not known yet
 *   answer   Deposito-Peer-Proof: <node> <incarnation> <mac>, mac over the call's nonce and the two
 *   stream   stream-handshake.ts: both sides prove over nonces of both
 *
 * It keeps out: who does not know the secret; a node of another group; an older life of a member (its directory was
 * wiped); a node that sits at another one's address; a call recorded and sent again, as long as the process that
 * received it lives.
 * It does not keep out: who reads or changes packets under way. Nothing is encrypted, bodies are not covered by the
 * proof, and a call recorded before a restart could be sent again after it. The peer network must be private.
 */
export class Membership {
  readonly #directory: PeerDirectory;
  readonly #keys: Readonly<Record<ProofKind, Buffer>>;
  readonly #session = randomBytes(16).toString("base64url");
  readonly #seen = new ReplayWindow();
  #calls = 0;

  constructor(options: { readonly secret: string; readonly directory: PeerDirectory }) {
    this.#directory = options.directory;
    const key = (kind: ProofKind) => Buffer.from(hkdfSync("sha256", options.secret, "deposito-peer/1", kind, 32));
    this.#keys = { call: key("call"), answer: key("answer"), dial: key("dial"), accept: key("accept") };
  }

  /** The 32 bytes of the proof of `kind` over `facts`, which are told apart whatever they contain. */
  prove(kind: ProofKind, facts: readonly string[]): Buffer {
    return createHmac("sha256", this.#keys[kind]).update(JSON.stringify(facts)).digest();
  }

  /** Whether `proof` is the one of `kind` over `facts`, in a time that does not depend on where they differ. */
  verify(kind: ProofKind, facts: readonly string[], proof: Uint8Array): boolean {
    const expected = this.prove(kind, facts);
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  /** The proof that goes with one call; `to` is undefined when only the address is known (`hello`). */
  signCall(call: { readonly to: NodeId | undefined; readonly method: string; readonly path: string }): SignedCall {
    const { nodeId, incarnation, clusterId } = this.#directory.self;
    this.#calls += 1;
    const nonce = `${this.#session}.${this.#calls}`;
    const facts = [nodeId, incarnation, call.to ?? "-", clusterId ?? "-", nonce];
    const mac = this.prove("call", [...facts, call.method, call.path]).toString("base64url");
    return { nonce, authorization: `Deposito-Peer ${facts.join(" ")} ${mac}` };
  }

  /** Who makes this call; undefined for a stranger, and for a call that was received before. */
  checkCall(call: {
    readonly authorization: string | undefined;
    readonly method: string;
    readonly path: string;
  }): Caller | undefined {
    const match = call.authorization === undefined ? null : callPattern.exec(call.authorization);
    if (match === null) return undefined;
    const [, from, life, to, cluster, nonce, mac] = match as unknown as Record<number, string> & Iterable<string>;
    if (from === undefined || life === undefined || to === undefined || cluster === undefined) return undefined;
    if (nonce === undefined || mac === undefined) return undefined;
    const facts = [from, life, to, cluster, nonce, call.method, call.path];
    if (!this.verify("call", facts, Buffer.from(mac, "base64url"))) return undefined;
    const nodeId = parseNodeId(from);
    const incarnation = parseIncarnation(life);
    const clusterId = cluster === "-" ? undefined : parseClusterId(cluster);
    if (nodeId === undefined || incarnation === undefined || (clusterId === undefined && cluster !== "-")) {
      return undefined;
    }
    const [session, count] = nonce.split(".") as [string, string];
    if (!this.#seen.accept(session, Number(count))) return undefined;
    return { nodeId, incarnation, clusterId, to: to === "-" ? undefined : parseNodeId(to), nonce };
  }

  /** Why this caller, who knows the secret, is not a member that means this node; undefined when it is. */
  whyNotMember(caller: Caller): string | undefined {
    const { nodeId, clusterId } = this.#directory.self;
    if (clusterId === undefined) return `node ${nodeId} does not belong to a group yet`;
    if (caller.clusterId !== clusterId) return `node ${nodeId} belongs to another group`;
    if (caller.to !== nodeId) return `this is node ${nodeId}, not ${caller.to ?? "an unnamed one"}`;
    if (!this.#directory.admits(caller.nodeId, caller.incarnation)) {
      return `this life of node ${caller.nodeId} is not a member`;
    }
    return undefined;
  }

  /** Whether `clusterId`, where both sides know theirs, is this node's group. */
  mayShareGroup(clusterId: ClusterId | undefined): boolean {
    const own = this.#directory.self.clusterId;
    return own === undefined || clusterId === undefined || own === clusterId;
  }

  /** What the answer to the call `nonce` carries in its `Deposito-Peer-Proof`. */
  signAnswer(nonce: string): string {
    const { nodeId, incarnation } = this.#directory.self;
    const mac = this.prove("answer", [nonce, nodeId, incarnation]).toString("base64url");
    return `${nodeId} ${incarnation} ${mac}`;
  }

  /** Whether the answer to the call `nonce` comes from the member `from`, or, for `hello`, from any that knows the secret. */
  checkAnswer(answer: {
    readonly nonce: string;
    readonly proof: string | undefined;
    readonly from: NodeId | undefined;
  }): boolean {
    const [node, life, mac, ...rest] = (answer.proof ?? "").split(" ");
    if (node === undefined || life === undefined || mac === undefined || rest.length > 0) return false;
    if (!this.verify("answer", [answer.nonce, node, life], Buffer.from(mac, "base64url"))) return false;
    if (answer.from === undefined) return true;
    const incarnation = parseIncarnation(life);
    return node === answer.from && incarnation !== undefined && this.#directory.admits(answer.from, incarnation);
  }
}

export type ProofKind = "call" | "answer" | "dial" | "accept";

export interface SignedCall {
  /** Never used twice; the answer's proof covers it. */
  readonly nonce: string;
  /** The `Authorization` header. */
  readonly authorization: string;
}

/** Who proved to know the secret; whether it is a member is another question. */
export interface Caller {
  readonly nodeId: NodeId;
  readonly incarnation: Incarnation;
  readonly clusterId: ClusterId | undefined;
  readonly to: NodeId | undefined;
  readonly nonce: string;
}

/** The header that carries an answer's proof. */
export const answerProofHeader = "deposito-peer-proof";

const callPattern =
  /^Deposito-Peer ([a-z0-9-]{1,32}) ([0-9a-f-]{36}) ([a-z0-9-]{1,32}) ([0-9a-f-]{1,36}) ([\w-]{22}\.\d{1,15}) ([\w-]{43})$/;
