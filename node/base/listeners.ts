/** Who wants to hear of something, in the order they came. */
export class Listeners<T> {
  readonly #all = new Set<(value: T) => void>();

  /** The result ends it. */
  add(listener: (value: T) => void): () => void {
    // A wrapper of its own, so that one function can listen twice.
    const own = (value: T) => listener(value);
    this.#all.add(own);
    return () => this.#all.delete(own);
  }

  /** Calls everybody who listens. */
  tell(value: T): void {
    for (const listener of this.#all) listener(value);
  }
}
