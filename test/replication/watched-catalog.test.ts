import assert from "node:assert/strict";
import { test } from "node:test";
import { DepositoError } from "../../node/base/errors.ts";
import { watchCatalog } from "../../node/replication/watched-catalog.ts";
import type { CatalogStore } from "../../node/storage/types.ts";

const key = Buffer.of(1);
const bounds = { from: key, before: Buffer.of(2), limit: 1 };

function failing(error: Error): CatalogStore {
  const reader = {
    get: () => {
      throw error;
    },
    range: () => Promise.reject(error),
  };
  return { ...reader, write: async () => undefined, snapshot: () => ({ ...reader, close: async () => undefined }) };
}

test("Watched catalog: damage is told by whichever read meets it, and thrown all the same", async () => {
  const damage = new DepositoError("catalog-damaged", "a wrong checksum");
  const told: unknown[] = [];
  const catalog = watchCatalog(failing(damage), (error) => told.push(error));
  const snapshot = catalog.snapshot();
  assert.throws(() => catalog.get(key), damage);
  await assert.rejects(catalog.range(bounds), damage);
  assert.throws(() => snapshot.get(key), damage);
  await assert.rejects(snapshot.range(bounds), damage);
  await snapshot.close();
  assert.deepEqual(told, [damage, damage, damage, damage]);
});

test("Watched catalog: any other failure is only thrown", async () => {
  const told: unknown[] = [];
  const closed = new DepositoError("no-quorum", "closed");
  const catalog = watchCatalog(failing(closed), (error) => told.push(error));
  assert.throws(() => catalog.get(key), closed);
  await assert.rejects(catalog.range(bounds), closed);
  assert.deepEqual(told, []);
});

test("Watched catalog: what is read and written passes through", async () => {
  const rows = [{ key, value: Buffer.of(9) }];
  const written: unknown[] = [];
  const reader = { get: () => Buffer.of(9), range: async () => rows };
  const catalog = watchCatalog(
    {
      ...reader,
      write: async (writes, options) => void written.push(writes, options),
      snapshot: () => ({ ...reader, close: async () => undefined }),
    },
    (error) => assert.fail(String(error)),
  );
  assert.deepEqual(catalog.get(key), Buffer.of(9));
  assert.deepEqual(await catalog.range(bounds), rows);
  await catalog.write(rows, { sync: true });
  assert.deepEqual(written, [rows, { sync: true }]);
});
