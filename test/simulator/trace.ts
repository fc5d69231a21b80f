import { crc32 } from "node:zlib";

/** Everything that happened, as one number: two runs that differ anywhere come out different. */
export class Trace {
  #hash = 0;
  #count = 0;
  readonly #lines: string[] | undefined;
  readonly #now: () => number;

  /** With `keep`, it can also be read. */
  constructor(now: () => number, keep: boolean) {
    this.#now = now;
    this.#lines = keep ? [] : undefined;
  }

  note(what: string, ...facts: readonly (string | number | undefined)[]): void {
    this.#count += 1;
    const line = `${this.#now()} ${what} ${facts.join(" ")}`;
    this.#hash = crc32(line, this.#hash);
    this.#lines?.push(line);
  }

  get isKept(): boolean {
    return this.#lines !== undefined;
  }

  /** A line for people only: it does not count. */
  say(line: string): void {
    this.#lines?.push(`${this.#now()} ${line}`);
  }

  /** Bytes that arrive somewhere; `describe` is for people only. */
  frame(bytes: Uint8Array, describe: () => string): void {
    this.#count += 1;
    // The moment counts as well, to the microsecond.
    this.#hash = crc32(bytes, (this.#hash ^ Math.round(this.#now() * 1000)) >>> 0);
    this.#lines?.push(`${this.#now()} ${describe()}`);
  }

  get hash(): string {
    return `${this.#count}-${this.#hash.toString(16).padStart(8, "0")}`;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }
}
