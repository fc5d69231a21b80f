import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clientAccount, registeredClient, rotatedSecret } from "../../client/wire.ts";
import { assertProblem } from "./support/problem-assertions.ts";
import { adminToken, basicOf, startApi } from "./support/running-api.ts";

describe("clients", async () => {
  const { http, client } = await startApi();

  test("anyone may register where registration is open, with a label, an empty object or no body at all", async () => {
    const labelled = await http.post("/v1/clients").send({ label: "laptop" });
    assert.equal(labelled.status, 201);
    assert.equal(registeredClient.strict().parse(labelled.body).label, "laptop");
    assert.equal(labelled.headers["cache-control"], "no-store");
    assert.equal((await http.post("/v1/clients").send({})).body.label, null);
    assert.equal((await http.post("/v1/clients")).status, 201);
  });

  test("a registered client is known by its id and secret, and its account counts what it deposited", async () => {
    const { body } = await http.post("/v1/clients").send({ label: "l" });
    const auth = { Authorization: basicOf(body.clientId, body.secret) };
    await http.put("/v1/files/a").set(auth).set("Deposito-Replicas", "3").send("12345");
    const account = clientAccount.strict().parse((await http.get("/v1/clients/me").set(auth)).body);
    assert.deepEqual(account, {
      clientId: body.clientId,
      label: "l",
      files: 1,
      bytes: 5,
      replicaBytes: 15,
      createdAt: body.createdAt,
    });
  });

  test("a new secret ends the old one", async () => {
    const { body } = await http.post("/v1/clients");
    const reply = await http.post("/v1/clients/me/secret").set("Authorization", basicOf(body.clientId, body.secret));
    const { secret } = rotatedSecret.strict().parse(reply.body);
    assertProblem(
      await http.get("/v1/clients/me").set("Authorization", basicOf(body.clientId, body.secret)),
      "unauthenticated",
    );
    assert.equal((await http.get("/v1/clients/me").set("Authorization", basicOf(body.clientId, secret))).status, 200);
  });

  test("an operator is not a client: 403 on a client's route", async () => {
    assertProblem(await http.get("/v1/clients/me").set("Authorization", `Bearer ${adminToken}`), "forbidden");
  });

  test("secrets may contain colons; the id may not", async () => {
    const reply = await http.get("/v1/clients/me").set("Authorization", basicOf(client.clientId, `${client.secret}:x`));
    assertProblem(reply, "unauthenticated");
  });
});

describe("registration for operators only", async () => {
  const { http, client } = await startApi({ registration: "admin" });

  test("the operators' token registers, a stranger is 401, a client 403", async () => {
    assert.equal((await http.post("/v1/clients").set("Authorization", `Bearer ${adminToken}`)).status, 201);
    const stranger = await http.post("/v1/clients");
    assertProblem(stranger, "unauthenticated");
    assert.equal(stranger.headers["www-authenticate"], 'Bearer realm="deposito"');
    assertProblem(await http.post("/v1/clients").set("Authorization", client.basic), "forbidden");
    assertProblem(await http.post("/v1/clients").set("Authorization", `Bearer ${adminToken}x`), "unauthenticated");
  });
});
