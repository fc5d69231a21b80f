import type { NodeId } from "../../../node/base/ids.ts";
import type { Life } from "../life.ts";
import type { PeerPort, SimulatedHosts } from "./hosts.ts";

/** How long a caller waits for a sign of life, and for a connection. */
const silenceMs = 10_000;
const connectMs = 2000;

/**
 * The connection of one call: pieces go both ways, each way in order. It breaks when one of the two processes ends, by a
 * lot, or, for the caller, by silence.
 */
export class Exchange {
  readonly #hosts: SimulatedHosts;
  readonly #caller: Life;
  readonly #host: NodeId;
  readonly #onFailure: (error: Error) => void;
  readonly #forget: (() => void)[] = [];
  #callee: Life | undefined;
  #toCalleeMs = 0;
  #toCallerMs = 0;
  #isEnded = false;
  /** A piece is lost for good, so that nothing behind it can arrive. */
  #isStuck = false;
  #cancelSilence: () => void = () => {};
  /** What the callee does when the caller is gone. */
  onCallerGone: () => void = () => {};

  /** Connects; `arrived` runs in the process that listens there. `onFailure` is told once if the call cannot end well. */
  constructor(options: {
    readonly hosts: SimulatedHosts;
    readonly caller: Life;
    readonly host: NodeId;
    readonly arrived: (port: PeerPort) => void;
    readonly onFailure: (error: Error) => void;
  }) {
    const { hosts, caller, host, arrived } = options;
    this.#hosts = hosts;
    this.#caller = caller;
    this.#host = host;
    this.#onFailure = options.onFailure;
    this.#watchSilence(connectMs);
    this.#forget.push(caller.onEnd(() => this.#callerGone()));
    this.#toCalleeMs = hosts.links.carry(
      caller.node,
      host,
      () => {
        if (this.#isEnded) return;
        const port = hosts.ports.get(host);
        if (port === undefined) {
          hosts.links.carry(host, caller.node, () => this.fail(new Error("connection refused")));
          return;
        }
        this.#callee = port.life;
        this.#forget.push(
          port.life.onEnd(() => hosts.links.carry(host, caller.node, () => this.fail(new Error("connection reset")))),
        );
        port.life.run(() => arrived(port));
      },
      0,
      this.#stuck,
    );
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Runs `task` in the callee, after everything sent to it before. */
  toCallee(task: () => void): void {
    if (this.#breaksByLot()) return;
    const carried = () => {
      if (!this.#isEnded) this.#callee?.run(task);
    };
    this.#toCalleeMs = this.#hosts.links.carry(this.#caller.node, this.#host, carried, this.#toCalleeMs, this.#stuck);
  }

  /** Runs `task` in the caller, after everything sent to it before. */
  toCaller(task: () => void): void {
    if (this.#breaksByLot()) return;
    const carried = () => {
      if (this.#isEnded) return;
      this.#watchSilence(silenceMs);
      this.#caller.run(task);
    };
    this.#toCallerMs = this.#hosts.links.carry(this.#host, this.#caller.node, carried, this.#toCallerMs, this.#stuck);
  }

  /** The call is over for its caller; the callee hears of it unless all is said. */
  end(isWhole: boolean): void {
    if (this.#isEnded) return;
    const { onCallerGone } = this;
    this.#finish();
    if (!isWhole)
      this.#hosts.links.carry(this.#caller.node, this.#host, () => this.#callee?.run(onCallerGone), this.#toCalleeMs);
  }

  /** Calls `task` when the call is over for its caller, however it ends. */
  onEnd(task: () => void): void {
    if (this.#isEnded) task();
    else this.#forget.push(task);
  }

  fail(error: Error): void {
    if (this.#isEnded) return;
    this.end(false);
    this.#caller.run(() => this.#onFailure(error));
  }

  readonly #stuck = (): void => {
    this.#isStuck = true;
  };

  #breaksByLot(): boolean {
    if (this.#isEnded) return true;
    if (!this.#hosts.lots.happens(this.#hosts.habits.callBreaks)) return false;
    this.#hosts.coverage.fault("call broken");
    this.#hosts.links.carry(this.#host, this.#caller.node, () => this.fail(new Error("connection reset")));
    return true;
  }

  #callerGone(): void {
    if (this.#isEnded) return;
    const { onCallerGone } = this;
    this.#finish();
    this.#hosts.links.carry(this.#caller.node, this.#host, () => this.#callee?.run(onCallerGone));
  }

  #finish(): void {
    this.#isEnded = true;
    this.#cancelSilence();
    for (const forget of this.#forget) forget();
  }

  /** A callee that works sends signs of life, which are not simulated one by one. */
  #watchSilence(limitMs: number): void {
    this.#cancelSilence();
    this.#cancelSilence = this.#hosts.timeline.after(limitMs, () => {
      const isWorking = this.#callee !== undefined && !this.#callee.isDead && !this.#callee.isPaused;
      if (isWorking && !this.#isStuck && this.#hosts.links.isOpenBothWays(this.#caller.node, this.#host))
        this.#watchSilence(limitMs);
      else this.fail(new Error("silent"));
    });
  }
}
