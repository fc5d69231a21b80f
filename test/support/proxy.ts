import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from "node:net";

/** `from` and `to`: what `from` says to `to`. */
export type Direction = readonly [from: string, to: string];

/** What happens to bytes on their way. */
export interface Disturbance {
  /** Nothing passes. */
  readonly isCut?: boolean;
  readonly delayMs?: number;
  /** Each chunk takes up to so much longer, by chance; their order is kept. */
  readonly jitterMs?: number;
}

/** Ends one disturbance; what no other one holds back arrives. A second call does nothing. */
export type Heal = () => void;

/**
 * The network between the nodes of a test, in this process: one proxy for each directed pair.
 *
 *   n1 ──dials n2──► [proxy n1→n2] ──► n2's peer port
 *
 * What n1 says to n2 travels both on the connections n1 opened and, as replies, on those n2 opened; a cut or delay "from n1
 * to n2" holds for both. Cut means held back, as when packets are lost and sent again: nothing is refused or reset, a
 * connection that is opened meanwhile just hears nothing, and after `heal` what was held arrives. Disturbances of one way
 * overlap: it is cut while any of them cuts it, and the longest delay counts.
 */
export class PeerNetwork {
  readonly #links: readonly Link[];
  /** `from→to`: what holds for bytes said by `from` to `to`. */
  readonly #ways = new Map<string, Way>();

  private constructor(links: readonly Link[]) {
    this.#links = links;
    for (const { from, to } of links) this.#ways.set(`${from}→${to}`, new Way());
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

  /** Disturbs the given ways until it is healed. */
  disturb(directions: readonly Direction[], disturbance: Disturbance): Heal {
    const ways = directions.map(([from, to]) => this.#way(from, to));
    // Of its own: the same object may disturb twice.
    const own = { ...disturbance };
    for (const way of ways) way.disturbances.add(own);
    this.#pump(ways);
    return () => {
      for (const way of ways) way.disturbances.delete(own);
      this.#pump(ways);
    };
  }

  /** Neither hears the other. */
  cut(one: string, other: string): Heal {
    return this.disturb(bothWays(one, other), { isCut: true });
  }

  /** `to` hears nothing from `from`, but `from` still hears `to`. */
  cutOneWay(from: string, to: string): Heal {
    return this.disturb([[from, to]], { isCut: true });
  }

  /** Cuts one node off from all others. */
  isolate(id: string): Heal {
    const directions = this.#othersThan(id).flatMap((other) => bothWays(id, other));
    return this.disturb(directions, { isCut: true });
  }

  /** Everything between the two arrives that much later, each way. */
  delay(one: string, other: string, delayMs: number): Heal {
    return this.disturb(bothWays(one, other), { delayMs });
  }

  /** Resets the connections between the two that are open now; new ones are welcome. */
  reset(one: string, other: string): void {
    for (const link of this.#links) if (link.joins(one, other)) link.resetConnections();
  }

  /** Ends every cut and delay; what was held back arrives. */
  heal(): void {
    for (const way of this.#ways.values()) way.disturbances.clear();
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

  #pump(ways: readonly Way[]): void {
    for (const link of this.#links) link.pump(ways);
  }

  #othersThan(id: string): string[] {
    return this.#links.filter((link) => link.from === id).map((link) => link.to);
  }
}

/** What each says to the other. */
export function bothWays(one: string, other: string): readonly Direction[] {
  return [
    [one, other],
    [other, one],
  ];
}

/** What holds for bytes in one direction between two nodes. */
class Way {
  readonly disturbances = new Set<Disturbance>();

  get isCut(): boolean {
    return this.#all().some(({ isCut }) => isCut === true);
  }
  get delayMs(): number {
    return Math.max(0, ...this.#all().map(({ delayMs }) => delayMs ?? 0));
  }
  get jitterMs(): number {
    return Math.max(0, ...this.#all().map(({ jitterMs }) => jitterMs ?? 0));
  }

  #all(): readonly Disturbance[] {
    return [...this.disturbances];
  }
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
        reset(near);
        reset(far);
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

  /** Lets pass what may pass now; on some ways only, if they are given. */
  pump(ways?: readonly Way[]): void {
    for (const { flows } of this.#connections)
      for (const flow of flows) if (ways === undefined || ways.includes(flow.way)) flow.pump();
  }

  resetConnections(): void {
    for (const { sockets } of this.#connections) sockets.forEach(reset);
    this.#connections.clear();
  }

  close(): Promise<void> {
    this.resetConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Node cannot reset a connection whose end is on its way: it would keep the socket for ever, and spin when the process ends. */
function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

const maxHeldBytes = 1 << 20;

/** Bytes in one direction of one connection, in order, each when the way lets it pass. */
class Flow {
  readonly way: Way;
  readonly #source: Socket;
  readonly #target: Socket;
  /** `luck`: which part of the jitter it gets. */
  readonly #held: { readonly chunk: Buffer; readonly arrivedAt: number; readonly luck: number }[] = [];
  #heldBytes = 0;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Socket, target: Socket, way: Way) {
    this.#source = source;
    this.#target = target;
    this.way = way;
    source.on("data", (chunk: Buffer) => {
      this.#held.push({ chunk, arrivedAt: performance.now(), luck: Math.random() });
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
    const { isCut, delayMs, jitterMs } = this.way;
    if (isCut || this.#target.destroyed) return;
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      const waitMs = first.arrivedAt + delayMs + first.luck * jitterMs - performance.now();
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
