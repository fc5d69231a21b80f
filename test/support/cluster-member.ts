import { readFileSync } from "node:fs";
import { apiUrl, type ClusterNode } from "../../scripts/cluster-file.ts";
import { type Exit, exitText, type NodeProcess } from "../../scripts/cluster-process.ts";

const stopLimitMs = 12_000;

/** One node of a test's cluster: a real process with a real folder. */
export class ClusterMember {
  readonly node: ClusterNode;
  readonly logFile: string;
  readonly #process: NodeProcess;
  readonly #unasked: string[] = [];
  #paused = false;
  /** How often it was started; tells one life's end from the next one's. */
  #starts = 0;
  #isEndAsked = false;

  constructor(node: ClusterNode, process: NodeProcess, logFile: string) {
    this.node = node;
    this.#process = process;
    this.logFile = logFile;
  }

  get id(): string {
    return this.node.id;
  }
  get api(): string {
    return apiUrl(this.node);
  }
  get dataDir(): string {
    return this.node.dataDir;
  }
  get pid(): number | undefined {
    return this.#process.pid;
  }
  get isRunning(): boolean {
    return this.#process.isRunning;
  }
  /** Running and not paused: it can be expected to answer. */
  get isAwake(): boolean {
    return this.isRunning && !this.#paused;
  }
  /** How its last start ended. */
  get exited(): Promise<Exit> {
    return this.#process.exited;
  }
  get stderr(): string {
    return this.#process.stderr;
  }

  /** How it ended without having been asked to, each time. */
  get crashes(): readonly string[] {
    return this.#unasked;
  }

  start(): void {
    this.#paused = false;
    this.#isEndAsked = false;
    const life = ++this.#starts;
    this.#process.start();
    void this.#process.exited.then((exit) => {
      if (life === this.#starts && this.#isEndAsked) return;
      this.#unasked.push(`${this.id} ended by itself: ${exitText(exit)} ${this.stderr || this.logLines(1).join("")}`);
    });
  }

  /** Hands over `crashes`, for a judge who knows which of them are to be expected; they are forgotten here. */
  takeCrashes(): readonly string[] {
    return this.#unasked.splice(0);
  }

  /** The test wants this node to end by itself: that is no crash. */
  expectEnd(): void {
    this.#isEndAsked = true;
  }

  /** `kill -9`; resolves once it is gone. */
  async kill(): Promise<void> {
    this.#isEndAsked ||= this.isRunning;
    this.#process.signal("SIGKILL");
    await this.#process.exited;
  }

  /** SIGTERM; resolves once it has ended. @throws when it had to be killed. */
  async stop(): Promise<Exit> {
    this.#isEndAsked ||= this.isRunning;
    const exit = await this.#process.stop(stopLimitMs);
    if (exit.forced) throw new Error(`${this.id} did not end within ${stopLimitMs} ms of SIGTERM`);
    return exit;
  }

  /** SIGSTOP: it lives, its connections stay open, and it says nothing. */
  pause(): void {
    this.#process.signal("SIGSTOP");
    this.#paused = true;
  }

  resume(): void {
    this.#process.signal("SIGCONT");
    this.#paused = false;
  }

  /** `kill -9` and a new start on the same folder. */
  async restart(): Promise<void> {
    await this.kill();
    this.start();
  }

  /** The last lines of its log. */
  logLines(count: number): string[] {
    return readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-count);
  }
}
