/** A bug: something that must always be true was not. It ends the process; it is never caught to go on. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Asserts a fact that holds unless the code is wrong; never used on outside input.
 * @throws {InvariantError} with the numbers, which are only computed on failure.
 */
export function invariant(fact: unknown, numbers: () => string): asserts fact {
  if (!fact) throw new InvariantError(numbers());
}
