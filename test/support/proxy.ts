import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from "node:net";

/**
 * The network between the nodes of a test, in this process: one proxy for each directed pair.
 *
 *   n1 ──dials n2──► [proxy n1→n2] ──► n2's peer port
 *
 * What n1 says to n2 travels both on the connections n1 opened and, as replies, on those n2 opened; a cut or delay "from n1
 * to n2" holds for both. Cut means held back, as when packets are lost and sent again: nothing is refused or reset, a
 * connection that is opened meanwhile just hears nothing, and after `heal` what was held arrives.
 */
export class PeerNetwork {
  readonly #links: readonly Link[];
  /** `from→to`: what holds for bytes said by `from` to `to`. */
  readonly #ways = new Map<string, Way>();

  private constructor(links: readonly Link[]) {
    this.#links = links;
    for (const { from, to } of links) this.#ways.set(`${from}→${to}`, { isCut: false, delayMs: 0 });
  }

  /** Opens the proxies in front of the peers' real ports. */
  static async open(peers: readonly { readonly id: string; readonly port: number }[]): Promise<PeerNetwork> {
    const links = peers.flatMap((from) =>
      peers.filter((to) => to !== from).map((to) => new Link(from.id, to.id, to.port)),
    );
    const network = new PeerNetwork(links);
    await Promise.all(links.map((link) => link.open((from, to) => network.#way(from, to))));
    return network;
  }

  /** Which proxy the node `from` must dial in place of each peer's port. */
  dialMap(from: string): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.#links.filter((link) => link.from === from).map((link) => [link.targetPort, link.port]),
    );
  }

  /** Neither hears the other. */
  cut(one: string, other: string): void {
    this.cutOneWay(one, other);
    this.cutOneWay(other, one);
  }

  /** `to` hears nothing from `from`, but `from` still hears `to`. */
  cutOneWay(from: string, to: string): void {
    this.#change(from, to, { isCut: true });
  }

  /** Cuts one node off from all others. */
  isolate(id: string): void {
    for (const other of this.#others(id)) this.cut(id, other);
  }

  /** Everything between the two arrives that much later, each way. */
  delay(one: string, other: string, delayMs: number): void {
    this.#change(one, other, { delayMs });
    this.#change(other, one, { delayMs });
  }

  /** Resets the connections between the two that are open now; new ones are welcome. */
  reset(one: string, other: string): void {
    for (const link of this.#links) if (link.joins(one, other)) link.resetConnections();
  }

  /** Ends every cut and delay; what was held back arrives. */
  heal(): void {
    for (const way of this.#ways.values()) Object.assign(way, { isCut: false, delayMs: 0 });
    for (const link of this.#links) link.pump();
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }

  #way(from: string, to: string): Way {
    const way = this.#ways.get(`${from}→${to}`);
    if (way === undefined) throw new Error(`there is no way from ${from} to ${to}`);
    return way;
  }

  #change(from: string, to: string, change: Partial<Way>): void {
    Object.assign(this.#way(from, to), change);
    for (const link of this.#links) if (link.joins(from, to)) link.pump();
  }

  #others(id: string): string[] {
    return this.#links.filter((link) => link.from === id).map((link) => link.to);
  }
}

interface Way {
  isCut: boolean;
  delayMs: number;
}

/** One proxy: connections that `from` opens to `to`. */
class Link {
  readonly from: string;
  readonly to: string;
  readonly targetPort: number;
  readonly #server: Server = createServer({ allowHalfOpen: true });
  readonly #connections = new Set<{ readonly sockets: readonly Socket[]; readonly flows: readonly Flow[] }>();

  constructor(from: string, to: string, targetPort: number) {
    this.from = from;
    this.to = to;
    this.targetPort = targetPort;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  joins(one: string, other: string): boolean {
    return (this.from === one && this.to === other) || (this.from === other && this.to === one);
  }

  open(way: (from: string, to: string) => Way): Promise<void> {
    this.#server.on("connection", (near) => {
      const far = dial({ port: this.targetPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      near.setNoDelay(true);
      const flows = [new Flow(near, far, way(this.from, this.to)), new Flow(far, near, way(this.to, this.from))];
      const connection = { sockets: [near, far], flows };
      this.#connections.add(connection);
      const end = () => {
        // A node that is gone resets; so does its proxy. A reset is not held back by a cut: no test needs that.
        near.resetAndDestroy();
        far.resetAndDestroy();
        this.#connections.delete(connection);
      };
      for (const socket of connection.sockets) {
        socket.on("error", end);
        socket.on("close", () => {
          if (near.destroyed && far.destroyed) this.#connections.delete(connection);
        });
      }
    });
    return new Promise((resolve, reject) => {
      this.#server.on("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
  }

  pump(): void {
    for (const { flows } of this.#connections) for (const flow of flows) flow.pump();
  }

  resetConnections(): void {
    for (const { sockets } of this.#connections) for (const socket of sockets) socket.resetAndDestroy();
    this.#connections.clear();
  }

  close(): Promise<void> {
    this.resetConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

const maxHeldBytes = 1 << 20;

/** Bytes in one direction of one connection, in order, each when the way lets it pass. */
class Flow {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #way: Way;
  readonly #held: { readonly chunk: Buffer; readonly arrivedAt: number }[] = [];
  #heldBytes = 0;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Socket, target: Socket, way: Way) {
    this.#source = source;
    this.#target = target;
    this.#way = way;
    source.on("data", (chunk: Buffer) => {
      this.#held.push({ chunk, arrivedAt: performance.now() });
      this.#heldBytes += chunk.length;
      if (this.#heldBytes > maxHeldBytes) source.pause();
      this.pump();
    });
    source.on("end", () => {
      this.#ended = true;
      this.pump();
    });
    source.on("close", () => clearTimeout(this.#timer));
    target.on("drain", () => this.pump());
  }

  /** Passes on all that may pass now. */
  pump(): void {
    clearTimeout(this.#timer);
    if (this.#way.isCut || this.#target.destroyed) return;
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      const waitMs = first.arrivedAt + this.#way.delayMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        return;
      }
      this.#held.shift();
      this.#heldBytes -= first.chunk.length;
      if (!this.#target.write(first.chunk)) return; // "drain" goes on
    }
    if (this.#heldBytes <= maxHeldBytes) this.#source.resume();
    if (this.#ended && !this.#target.writableEnded) this.#target.end();
  }
}
