import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { newBlobId, newClientId, parseReplicaCount, type Sha256, version } from "../../node/base/ids.ts";
import { fileKey } from "../../node/catalog/keys.ts";
import { parseFileName } from "../../node/catalog/names.ts";
import { encodeFile } from "../../node/catalog/row-codec.ts";
import { list } from "../../node/depot/list.ts";
import type { ListPage } from "../../node/depot/types.ts";
import { MapCatalog } from "../support/map-catalog.ts";

const clientId = newClientId();
const everything = { prefix: "", delimiter: undefined, after: undefined, limit: 1000 };
type Asked = Partial<{ prefix: string; delimiter: string | undefined; after: string | undefined; limit: number }>;

test("List: names come in the order of their UTF-8 bytes, not of UTF-16", async () => {
  const catalog = catalogOf(["a", "\u{1f600}", "\uff5e", "é", "Z"]);
  assert.deepEqual(namesOf(await ask(catalog, {})), ["Z", "a", "é", "\uff5e", "\u{1f600}"]);
});

test("List: names that share a delimiter are one group, in its place among the names", async () => {
  const catalog = catalogOf(["a", "b/1", "b/2", "b/c/3", "b0", "c/1"]);
  const page = await ask(catalog, { delimiter: "/" });
  assert.deepEqual([namesOf(page), page.prefixes, page.next], [["a", "b0"], ["b/", "c/"], undefined]);
  const inside = await ask(catalog, { delimiter: "/", prefix: "b/" });
  assert.deepEqual([namesOf(inside), inside.prefixes], [["b/1", "b/2"], ["b/c/"]]);
});

test("List: a page that ends with a group goes on after the whole group", async () => {
  const catalog = catalogOf(["a/1", "a/2", "b"]);
  const first = await ask(catalog, { delimiter: "/", limit: 1 });
  assert.deepEqual([first.prefixes, first.next], [["a/"], "a/"]);
  const second = await ask(catalog, { delimiter: "/", limit: 1, after: "a/" });
  assert.deepEqual([namesOf(second), second.prefixes, second.next], [["b"], [], undefined]);
});

test("List: a page that ends with the last entry has no next", async () => {
  const page = await ask(catalogOf(["a", "b"]), { limit: 2 });
  assert.equal(page.next, undefined);
});

test("List: another client's files are never seen", async () => {
  const catalog = catalogOf(["mine"]);
  write(catalog, newClientId(), "theirs");
  assert.deepEqual(namesOf(await ask(catalog, {})), ["mine"]);
});

test("List: a group of 20,000 files costs one seek, not 20,000 rows", async () => {
  const catalog = catalogOf([...Array.from({ length: 20_000 }, (_, at) => `big/${at}`), "small/1", "z"]);
  const page = await ask(catalog, { delimiter: "/" });
  assert.deepEqual([page.prefixes, namesOf(page)], [["big/", "small/"], ["z"]]);
  assert.ok(catalog.rowsRead < 500, `${catalog.rowsRead} rows were read`);
});

// Few letters, so that prefixes, groups and cursors meet often; é and 😀 for the order of bytes.
const segment = fc.stringMatching(/^[abcé😀-]{1,3}$/u);
const name = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
const fragment = fc.stringMatching(/^[ab/é😀-]{0,4}$/u);

test("List: every page is what sorting, grouping and cutting all names gives", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(name, { maxLength: 40 }),
      fragment,
      fc.option(fc.constantFrom("/", "a", "-", "b/", "😀"), { nil: undefined }),
      fc.option(fc.oneof(fragment, name), { nil: undefined }),
      fc.integer({ min: 1, max: 8 }),
      async (names, prefix, delimiter, after, limit) => {
        const request = { clientId, prefix, delimiter, after, limit };
        const page = await list(catalogOf(names), request);
        assert.deepEqual({ ...page, records: namesOf(page) }, naiveList(names, request));
      },
    ),
    { numRuns: 400 },
  );
});

test("List: following next visits every entry once, in order, whatever the page size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(name, { maxLength: 40 }),
      fc.option(fc.constantFrom("/", "a", "-"), { nil: undefined }),
      fc.integer({ min: 1, max: 5 }),
      async (names, delimiter, limit) => {
        const catalog = catalogOf(names);
        const whole = await ask(catalog, { delimiter });
        const visited = { records: [] as string[], prefixes: [] as string[] };
        let after: string | undefined;
        do {
          const page = await ask(catalog, { delimiter, limit, after });
          assert.ok(page.records.length + page.prefixes.length <= limit);
          visited.records.push(...namesOf(page));
          visited.prefixes.push(...page.prefixes);
          after = page.next;
        } while (after !== undefined);
        assert.deepEqual(visited, { records: namesOf(whole), prefixes: whole.prefixes });
      },
    ),
    { numRuns: 200 },
  );
});

/** The same list the slow way. */
function naiveList(
  names: readonly string[],
  {
    prefix,
    delimiter,
    after,
    limit,
  }: { prefix: string; delimiter: string | undefined; after: string | undefined; limit: number },
) {
  const groupOf = (text: string) => {
    const at = delimiter === undefined || !text.startsWith(prefix) ? -1 : text.indexOf(delimiter, prefix.length);
    return at === -1 ? undefined : text.slice(0, at + (delimiter ?? "").length);
  };
  const isAfter = (text: string) => after === undefined || Buffer.compare(Buffer.from(text), Buffer.from(after)) > 0;
  const passedGroup = after !== undefined && groupOf(after) === after ? after : undefined;
  const entries = [...names]
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .filter((text) => text.startsWith(prefix) && isAfter(text))
    .filter((text) => passedGroup === undefined || !text.startsWith(passedGroup))
    .map((text) => groupOf(text) ?? text)
    .filter((text, at, all) => all.indexOf(text) === at);
  const page = entries.slice(0, limit);
  const isGroup = (text: string) => groupOf(text) === text;
  return {
    records: page.filter((text) => !isGroup(text)),
    prefixes: page.filter(isGroup),
    next: entries.length > limit ? page.at(-1) : undefined,
  };
}

function ask(catalog: MapCatalog, asked: Asked): Promise<ListPage> {
  return list(catalog, { clientId, ...everything, ...asked });
}

function namesOf({ records }: ListPage): string[] {
  return records.map((record) => record.name);
}

function catalogOf(names: readonly string[]): MapCatalog {
  const catalog = new MapCatalog();
  for (const each of names) write(catalog, clientId, each);
  return catalog;
}

function write(catalog: MapCatalog, owner: typeof clientId, text: string): void {
  const replicas = parseReplicaCount(1);
  assert.ok(replicas);
  const record = {
    clientId: owner,
    name: parseFileName(text),
    blob: { blobId: newBlobId(), sizeBytes: 0, sha256: "0".repeat(64) as Sha256 },
    contentType: "text/plain",
    replicas,
    version: version(1),
    createdAt: 0,
    updatedAt: 0,
    holders: [],
  };
  catalog.write([{ key: fileKey(owner, record.name), value: encodeFile(record) }]);
}
