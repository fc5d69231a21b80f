import type { NodeId } from "../../../node/base/ids.ts";
import { decodeFrame, encodeFrame } from "../../../node/transport/frame-codec.ts";
import { Membership } from "../../../node/transport/membership.ts";
import type { AcceptingPeerStreams, PeerStreamsOptions } from "../../../node/transport/peer-streams.ts";
import type { PeerFrame } from "../../../node/transport/types.ts";
import type { Life } from "../life.ts";
import { must } from "../violation.ts";
import type { SimulatedHosts } from "./hosts.ts";

const lengthBytes = 4;
const handshakeMs = 3000;
const pingMs = 1000;
const maxUnansweredPings = 4;
const refreshMs = 1000;
const firstWaitMs = 20;
const lastWaitMs = 500;

/** The streams of one process, as `PeerStreams` promises them, with the timing of the real ones. */
export class SimulatedStreams implements AcceptingPeerStreams {
  readonly options: PeerStreamsOptions;
  readonly membership: Membership;
  readonly life: Life;
  readonly #hosts: SimulatedHosts;
  readonly #outgoing = new Map<NodeId, Outgoing>();
  #isClosed = false;

  constructor(hosts: SimulatedHosts, life: Life, options: PeerStreamsOptions) {
    this.#hosts = hosts;
    this.life = life;
    this.options = options;
    this.membership = new Membership(options);
    hosts.streams.set(life.node, this);
    this.#refresh();
  }

  send(to: NodeId, frame: PeerFrame): boolean {
    return this.#outgoing.get(to)?.send(frame) ?? false;
  }

  isConnected(to: NodeId): boolean {
    return this.#outgoing.get(to)?.isConnected ?? false;
  }

  get isOpen(): boolean {
    return !this.#isClosed && !this.life.isDead;
  }

  accept(): void {
    throw new Error("there are no sockets in the simulator");
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const outgoing of this.#outgoing.values()) outgoing.close();
    this.#outgoing.clear();
    for (const outgoing of this.dialers) outgoing.peerGone(this);
  }

  /** Streams that others have dialed to this process. */
  readonly dialers = new Set<Outgoing>();

  #refresh(): void {
    if (!this.isOpen) return;
    const { directory, clock } = this.options;
    const wanted = new Set(directory.peers().map(({ id }) => id));
    for (const [peer, outgoing] of this.#outgoing) {
      if (wanted.has(peer)) continue;
      outgoing.close();
      this.#outgoing.delete(peer);
    }
    for (const peer of wanted)
      if (!this.#outgoing.has(peer)) this.#outgoing.set(peer, new Outgoing(this.#hosts, this, peer));
    clock.after(refreshMs, () => this.#refresh());
  }
}

/** The stream of one process to one peer: dialed again whenever it is gone. */
class Outgoing {
  readonly #hosts: SimulatedHosts;
  readonly #own: SimulatedStreams;
  readonly #peer: NodeId;
  #peerStreams: SimulatedStreams | undefined;
  #isClosed = false;
  #dials = 0;
  #waitMs = firstWaitMs;
  #wasConnected = false;
  #unanswered = 0;
  #lastArrivalMs = 0;

  constructor(hosts: SimulatedHosts, own: SimulatedStreams, peer: NodeId) {
    this.#hosts = hosts;
    this.#own = own;
    this.#peer = peer;
    own.life.onEnd(() => this.close());
    this.#dial();
  }

  get isConnected(): boolean {
    return this.#peerStreams !== undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#peerStreams?.dialers.delete(this);
    this.#peerStreams = undefined;
  }

  send(frame: PeerFrame): boolean {
    const to = this.#peerStreams;
    if (to === undefined) return false;
    const { lots, habits, coverage } = this.#hosts;
    const parts = encodeFrame(frame);
    const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    this.#hosts.onSent(this.#own.life.node, this.#peer, frame);
    if (habits.frameLoss > 0 && lots.happens(habits.frameLoss)) {
      coverage.fault("frame lost");
      return true;
    }
    this.#carry(to, bytes);
    if (habits.frameDuplication > 0 && lots.happens(habits.frameDuplication)) {
      coverage.fault("frame duplicated");
      this.#carry(to, bytes);
    }
    return true;
  }

  /** The process at the other end is gone, or has closed: noticed as soon as the way back is open. */
  peerGone(streams: SimulatedStreams): void {
    const { links } = this.#hosts;
    links.carry(this.#peer, this.#own.life.node, () => {
      if (this.#peerStreams === streams) this.#own.life.run(() => this.#lost());
    });
  }

  #carry(to: SimulatedStreams, bytes: Buffer): void {
    const { links, lots, habits, coverage } = this.#hosts;
    const from = this.#own.life.node;
    const isOvertaken = habits.frameReordering > 0 && lots.happens(habits.frameReordering);
    const arrived = () => this.#arrived(to, bytes);
    if (isOvertaken) {
      coverage.fault("frame overtaken");
      links.carry(from, this.#peer, arrived, this.#hosts.timeline.nowMs + lots.skewed(20));
    } else {
      this.#lastArrivalMs = links.carry(from, this.#peer, arrived, this.#lastArrivalMs);
    }
  }

  #arrived(to: SimulatedStreams, bytes: Buffer): void {
    const { trace } = this.#hosts;
    const from = this.#own.life.node;
    // What a process sent before its end may still arrive; a stream that was dialed anew has no past.
    if (!to.isOpen || (this.#peerStreams !== to && !this.#own.life.isDead)) return;
    const frame = decodeFrame(bytes.subarray(lengthBytes));
    must("Codec", frame !== undefined, () => `a frame of ${from} does not decode`);
    trace.frame(bytes, () => `${from} > ${to.life.node} ${frame.type === "raft" ? frame.message.type : frame.type}`);
    if (frame.type !== "ping" && frame.type !== "pong") to.life.run(() => to.options.events.frame(from, frame));
  }

  #dial(): void {
    if (this.#isClosed) return;
    const { links, timeline, streams } = this.#hosts;
    const { directory, clock } = this.#own.options;
    const own = this.#own.life.node;
    if (directory.self.clusterId === undefined || !directory.peers().some(({ id }) => id === this.#peer)) {
      clock.after(lastWaitMs, () => this.#dial());
      return;
    }
    this.#dials += 1;
    const dial = this.#dials;
    const isCurrent = () => dial === this.#dials && !this.#isClosed && !this.isConnected;
    const answer = (task: () => void) =>
      links.carry(this.#peer, own, () => {
        if (isCurrent()) this.#own.life.run(task);
      });
    links.carry(own, this.#peer, () => {
      if (!isCurrent()) return;
      const port = this.#hosts.ports.get(this.#peer);
      if (port === undefined) {
        answer(() => this.#failed(true));
        return;
      }
      port.life.run(() => {
        const other = streams.get(this.#peer);
        const serves = other !== undefined && other.isOpen && port.options.services() !== undefined;
        if (!serves || !this.#isWelcome(other)) return answer(() => this.#failed(false));
        return answer(() => (other.isOpen ? this.#connected(other) : this.#failed(false)));
      });
    });
    timeline.after(handshakeMs, () => {
      if (isCurrent()) this.#own.life.run(() => this.#failed(false));
    });
  }

  /** Both sides know each other in this life. */
  #isWelcome(other: SimulatedStreams): boolean {
    const { nodeId, incarnation, clusterId } = this.#own.options.directory.self;
    const caller = { nodeId, incarnation, clusterId, to: this.#peer, nonce: "" };
    const { self } = other.options.directory;
    return (
      other.membership.whyNotMember(caller) === undefined &&
      this.#own.options.directory.admits(this.#peer, self.incarnation)
    );
  }

  #connected(other: SimulatedStreams): void {
    this.#peerStreams = other;
    this.#wasConnected = true;
    this.#waitMs = firstWaitMs;
    this.#unanswered = 0;
    for (const former of other.dialers) if (former.#own.life.node === this.#own.life.node) other.dialers.delete(former);
    other.dialers.add(this);
    other.life.onEnd(() => this.peerGone(other));
    this.#ping(other);
    this.#hosts.trace.note("connected", this.#own.life.node, this.#peer);
    this.#own.options.events.connected(this.#peer);
  }

  /** A stopped process and a cut cable look alike: nothing comes back. */
  #ping(other: SimulatedStreams): void {
    this.#own.options.clock.after(pingMs, () => {
      if (this.#peerStreams !== other) return;
      const answers =
        other.isOpen && !other.life.isPaused && this.#hosts.links.isOpenBothWays(this.#own.life.node, this.#peer);
      this.#unanswered = answers ? 0 : this.#unanswered + 1;
      if (this.#unanswered > maxUnansweredPings) this.#lost();
      else this.#ping(other);
    });
  }

  #lost(): void {
    if (this.#isClosed || this.#peerStreams === undefined) return;
    this.#peerStreams.dialers.delete(this);
    this.#peerStreams = undefined;
    this.#hosts.trace.note("disconnected", this.#own.life.node, this.#peer);
    this.#own.options.events.disconnected(this.#peer);
    this.#dial();
  }

  #failed(isRefused: boolean): void {
    this.#dials += 1;
    const { clock, random, events } = this.#own.options;
    clock.after(this.#waitMs * (0.5 + random() / 2), () => this.#dial());
    this.#waitMs = Math.min(this.#waitMs * 2, lastWaitMs);
    if (this.#wasConnected && isRefused) events.refused(this.#peer);
  }
}
