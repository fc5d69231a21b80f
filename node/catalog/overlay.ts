import { keyText } from "./keys.ts";
import type { CatalogView, Write } from "./types.ts";

interface OverlaidRow {
  readonly key: Uint8Array;
  /** What the view below holds. */
  readonly before: Uint8Array | undefined;
  value: Uint8Array | undefined;
}

/** A row that is not what it was; at most one of `before` and `value` is undefined. */
export type ChangedRow = Readonly<OverlaidRow>;

/** Changes on top of a view that is left as it is; reads see them, and each row below is read at most once. */
export class Overlay implements CatalogView {
  readonly #view: CatalogView;
  readonly #rows = new Map<string, OverlaidRow>();

  constructor(view: CatalogView) {
    this.#view = view;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#row(key).value;
  }

  write(writes: readonly Write[]): void {
    for (const { key, value } of writes) this.#row(key).value = value;
  }

  /** Each row whose value differs now from the one below, once. */
  changes(): readonly ChangedRow[] {
    return [...this.#rows.values()].filter(({ before, value }) => !sameValue(before, value));
  }

  #row(key: Uint8Array): OverlaidRow {
    const text = keyText(key);
    const known = this.#rows.get(text);
    if (known !== undefined) return known;
    const before = this.#view.get(key);
    const row: OverlaidRow = { key, before, value: before };
    this.#rows.set(text, row);
    return row;
  }
}

function sameValue(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}
