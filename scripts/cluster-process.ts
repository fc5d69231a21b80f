import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NodeProcessOptions {
  readonly id: string;
  readonly configFile: string;
  /** Where its JSON log lines go; they are appended. */
  readonly logFile: string;
  /** Added to the environment of this process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Modules to load before the node's own code, besides the leash. */
  readonly preload: readonly string[];
}

const mainFile = fileURLToPath(new URL("../node/main.ts", import.meta.url));
const leashFile = fileURLToPath(new URL("leash.ts", import.meta.url));
const stderrKept = 8192;

/** One `deposito serve` as a child process that can be started, signalled and started again; it ends when this process does. */
export class NodeProcess {
  readonly id: string;
  readonly #options: NodeProcessOptions;
  #child: ChildProcess | undefined;
  #stderr = "";
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });

  constructor(options: NodeProcessOptions) {
    this.id = options.id;
    this.#options = options;
  }

  /** @throws when it is running. */
  start(): void {
    if (this.isRunning) throw new Error(`${this.id} is running already, as process ${this.pid}`);
    const { configFile, logFile, environment, preload } = this.#options;
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, "a", 0o600);
    const imports = [leashFile, ...preload].flatMap((file) => ["--import", file]);
    const child = spawn(process.execPath, [...imports, mainFile, "serve", "--config", configFile, "--node", this.id], {
      // Its own process group: Ctrl-C in the terminal reaches only whoever started it, who ends the nodes in order.
      detached: true,
      stdio: ["pipe", log, "pipe"],
      env: { ...process.env, ...environment },
    });
    closeSync(log);
    this.#child = child;
    this.#stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrKept);
    });
    // A write to the leash never happens; its pipe only breaks when the node ends.
    child.stdin?.on("error", () => undefined);
    this.#exit = new Promise((resolve) => {
      child.on("error", (error) => {
        this.#stderr += error.message;
        resolve({ code: 1, signal: null });
      });
      child.on("close", (code, signal) => resolve({ code, signal }));
    });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** How the last start ended, once it has. */
  get exited(): Promise<Exit> {
    return this.#exit;
  }

  /** The last lines it wrote to its standard error, where it says why it could not start. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  /** Sends a signal if it is running. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child?.kill(signal);
  }

  /** Ends it gracefully; after `limitMs` by force, and then `forced` is true. */
  async stop(limitMs: number): Promise<Exit & { readonly forced: boolean }> {
    if (!this.isRunning) return { ...(await this.#exit), forced: false };
    this.signal("SIGTERM");
    this.signal("SIGCONT"); // a paused process would not see it
    let forced = false;
    const timer = setTimeout(() => {
      forced = true;
      this.signal("SIGKILL");
    }, limitMs);
    const exit = await this.#exit;
    clearTimeout(timer);
    return { ...exit, forced };
  }
}

/** How a process ended, in words. */
export function exitText({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : signal;
}
