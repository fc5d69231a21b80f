import assert from "node:assert/strict";
import type { CatalogReader, Write } from "../../node/catalog/types.ts";
import type { CatalogStore } from "../../node/storage/types.ts";

export const key = (name: string) => Buffer.from(name);
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
export const everything = { from: key("k"), before: key("l"), limit: 10_000 };

export function put(name: string, value: string): Write {
  return { key: key(name), value: key(value) };
}

/** Rows whose values tell of their key, so that a wrong one is seen. */
export function rows(from: number, through: number): Write[] {
  return Array.from({ length: through - from + 1 }, (_, offset) => {
    const name = `k${String(from + offset).padStart(6, "0")}`;
    return put(name, `value of ${name} `.repeat(6));
  });
}

export async function textOf(catalog: CatalogReader, bounds = everything): Promise<string[]> {
  return (await catalog.range(bounds)).map((row) => `${text(row.key)}=${text(row.value)}`);
}

export function there(catalog: CatalogStore | undefined): CatalogStore {
  return catalog ?? assert.fail("no catalog");
}
