import { hash, timingSafeEqual } from "node:crypto";
import type { Chance } from "../base/chance.ts";
import { DepositoError } from "../base/errors.ts";
import { type ClientId, newClientId, parseClientId, type Sha256 } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { readClient } from "../catalog/tables.ts";
import type { ClientRecord } from "../catalog/types.ts";
import type { DepotOptions } from "./options.ts";

/** 256 bits: nobody guesses that, so a fast hash keeps it well enough. */
const secretBytes = 32;
/** What an unknown client's secret is compared with, so that the answer takes as long. */
const noSecretHash = hashOf("");

/** Makes a new client; the secret is in no one's hands but the caller's. */
export async function registerClient(
  { replication, clock, chance }: DepotOptions,
  label: string | undefined,
): Promise<{ readonly client: ClientRecord; readonly secret: string }> {
  const clientId = newClientId(chance);
  const secret = newSecret(chance);
  const at = clock.wallMs();
  const outcome = await replication.propose({
    type: "register-client",
    clientId,
    secretHash: hashOf(secret),
    label,
    at,
  });
  invariant(outcome.type === "done", () => `registering client ${clientId}: ${outcome.type}`);
  const client = readClient(replication.catalog, clientId);
  invariant(client !== undefined, () => `client ${clientId} is registered but not in the catalog`);
  return { client, secret };
}

/**
 * Who a request comes from, by the newest committed secret: passes the read barrier of the whole request.
 * Nothing is remembered, so a secret that was rotated away is refused by every node at once.
 * @throws {DepositoError} `unauthenticated`: the same for an unknown client and a wrong secret.
 */
export async function authenticate(
  { replication }: DepotOptions,
  clientId: string,
  secret: string,
): Promise<ClientRecord> {
  await replication.barrier();
  const known = parseClientId(clientId);
  const client = known === undefined ? undefined : readClient(replication.catalog, known);
  const matches = timingSafeEqual(
    Buffer.from(hashOf(secret), "hex"),
    Buffer.from(client?.secretHash ?? noSecretHash, "hex"),
  );
  if (client === undefined || !matches) throw unauthenticated();
  return client;
}

/** Gives the client a new secret; the old one ends with the answer. */
export async function rotateSecret(
  { replication, clock, chance }: DepotOptions,
  clientId: ClientId,
): Promise<{ readonly secret: string }> {
  const secret = newSecret(chance);
  const outcome = await replication.propose({
    type: "rotate-secret",
    clientId,
    secretHash: hashOf(secret),
    at: clock.wallMs(),
  });
  if (outcome.type === "refused") throw unauthenticated();
  invariant(outcome.type === "done", () => `rotating the secret of ${clientId}: ${outcome.type}`);
  return { secret };
}

function newSecret(chance: Chance): string {
  return chance.secret(secretBytes).toString("base64url");
}

function hashOf(secret: string): Sha256 {
  return hash("sha256", secret) as Sha256;
}

function unauthenticated(): DepositoError {
  return new DepositoError("unauthenticated", "give the id and the secret of a registered client");
}
