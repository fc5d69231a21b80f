/** What shall fail once, and where. */
export interface ArmedFault {
  readonly on: "sync" | "write" | "misdirect";
  /** Part of the path of the file or LevelDB; empty: anything. */
  readonly path: string;
}

/** Faults that wait for their moment. */
export class ArmedFaults {
  readonly #armed: ArmedFault[] = [];

  arm(fault: ArmedFault): void {
    this.#armed.push(fault);
  }

  clear(): void {
    this.#armed.length = 0;
  }

  /** Whether one was armed for this; it is not any more. */
  take(on: ArmedFault["on"], path: string): boolean {
    const at = this.#armed.findIndex((fault) => fault.on === on && path.includes(fault.path));
    if (at >= 0) this.#armed.splice(at, 1);
    return at >= 0;
  }
}

/** The error that the system gives for `code`. */
export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
