import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileRecord, recordPage } from "../../client/wire.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { newClient, startApi } from "./support/running-api.ts";

describe("records", async () => {
  const { http, client, depot } = await startApi();
  const auth = { Authorization: client.basic };
  const put = (name: string) => http.put(`/v1/files/${name}`).set(auth).send(name);

  test("GET answers the record with the record's own ETag, and 304 for it", async () => {
    await put("one");
    const reply = await http.get("/v1/records/one").set(auth);
    const record = fileRecord.strict().parse(reply.body);
    assert.equal(reply.headers["etag"], `"v${record.version}"`);
    assert.equal(record.etag, `"${record.sha256}"`);
    const again = await http.get("/v1/records/one").set(auth).set("If-None-Match", `"v${record.version}"`);
    assert.equal(again.status, 304);
    assertProblem(await http.get("/v1/records/one").set(auth).set("If-Match", '"v0"'), "precondition-failed");
  });

  test("PATCH changes the count or the media type, and honours the record's ETag", async () => {
    await put("edited");
    const seen = await http.get("/v1/records/edited").set(auth);
    const changed = await http
      .patch("/v1/records/edited")
      .set(auth)
      .set("If-Match", seen.headers["etag"] ?? "")
      .send({ replicas: 3 });
    assert.equal(changed.status, 200);
    assert.equal(fileRecord.strict().parse(changed.body).replicas, 3);
    assert.equal(changed.headers["etag"], `"v${changed.body.version}"`);
    assert.ok(changed.body.version > seen.body.version);
    const stale = await http
      .patch("/v1/records/edited")
      .set(auth)
      .set("If-Match", seen.headers["etag"] ?? "")
      .send({ replicas: 1 });
    assertProblem(stale, "precondition-failed");
    const merged = await http
      .patch("/v1/records/edited")
      .set(auth)
      .set("Content-Type", "application/merge-patch+json")
      .send(JSON.stringify({ contentType: "text/plain; charset=utf-8" }));
    assert.equal(merged.body.contentType, "text/plain; charset=utf-8");
    assert.equal(merged.body.replicas, 3);
  });

  test("DELETE answers 204 once, honours If-Match, and 404 afterwards", async () => {
    await put("gone");
    assertProblem(await http.delete("/v1/files/gone").set(auth).set("If-Match", '"other"'), "precondition-failed");
    const reply = await http.delete("/v1/files/gone").set(auth);
    assert.deepEqual([reply.status, reply.text], [204, ""]);
    assertProblem(await http.delete("/v1/files/gone").set(auth), "file-not-found");
    assertProblem(await http.get("/v1/records/gone").set(auth), "file-not-found");
  });

  test("a foreign name and a missing one look the same", async () => {
    await put("private");
    const stranger = { Authorization: (await newClient(depot)).basic };
    for (const path of ["/v1/files/private", "/v1/records/private"]) {
      const foreign = await http.get(path).set(stranger).set("X-Request-Id", "same");
      const missing = await http
        .get(path)
        .set({ Authorization: (await newClient(depot)).basic })
        .set("X-Request-Id", "same");
      assertProblem(foreign, "file-not-found");
      assert.equal(foreign.text, missing.text);
    }
    assert.deepEqual((await http.get("/v1/records").set(stranger)).body, { records: [], prefixes: [], next: null });
  });

  test("the list is in the order of UTF-8 bytes, grouped by the delimiter, and pages go on where the last one ended", async () => {
    const lister = { Authorization: (await newClient(depot)).basic };
    for (const name of ["b", "a/1", "a/2", "%C3%A9", "%F0%9F%98%80", "%EF%BC%A1"]) {
      await http.put(`/v1/files/${name}`).set(lister).send("x");
    }
    const page = async (query: string) =>
      recordPage.strict().parse((await http.get(`/v1/records?${query}`).set(lister)).body);
    const names = (of: Awaited<ReturnType<typeof page>>) => of.records.map(({ name }) => name);
    assert.deepEqual(names(await page("")), ["a/1", "a/2", "b", "é", "Ａ", "😀"]);
    const grouped = await page("delimiter=%2F&limit=2");
    assert.deepEqual([grouped.prefixes, names(grouped), grouped.next], [["a/"], ["b"], "b"]);
    const rest = await page("delimiter=/&limit=1000&after=b");
    assert.deepEqual([names(rest), rest.next], [["é", "Ａ", "😀"], null]);
    assert.deepEqual(names(await page("prefix=a/")), ["a/1", "a/2"]);
    assert.deepEqual(names(await page("after=forged%20cursor%00")), ["é", "Ａ", "😀"]);
  });

  test("one page has 100 records unless asked otherwise, 1000 at most", async () => {
    const lister = { Authorization: (await newClient(depot)).basic };
    for (let at = 0; at < 102; at++) await http.put(`/v1/files/${at}`).set(lister);
    const usual = await http.get("/v1/records").set(lister);
    assert.equal(usual.body.records.length, 100);
    assert.equal((await http.get("/v1/records?limit=1000").set(lister)).body.records.length, 102);
    assert.equal((await http.get("/v1/records?limit=1").set(lister)).body.records.length, 1);
  });
});
