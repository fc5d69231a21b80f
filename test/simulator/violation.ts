/** Something that must never be, whatever happens to the nodes: the run ends with it. */
export class Violation extends Error {
  override readonly name = "Violation";
  /** Which of the checks found it. */
  readonly check: string;

  constructor(check: string, message: string, options?: ErrorOptions) {
    super(`${check}: ${message}`, options);
    this.check = check;
  }
}

/** @throws {Violation} unless `fact` holds; the words are only made then. */
export function must(check: string, fact: unknown, words: () => string): asserts fact {
  if (!fact) throw new Violation(check, words());
}
