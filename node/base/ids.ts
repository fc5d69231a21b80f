import type { Brand } from "./brand.ts";
import { type Chance, systemChance } from "./chance.ts";
import { invariant } from "./invariant.ts";

/** A node's name in the configuration: 1 to 32 of `a-z`, `0-9` and `-`, not starting with `-`. */
export type NodeId = Brand<string, "NodeId">;
/** A depositor: UUID v4. */
export type ClientId = Brand<string, "ClientId">;
/** The bytes of one version of one file: UUID v4, never used twice. */
export type BlobId = Brand<string, "BlobId">;
/** One proposal, the same in every retry: UUID v4. */
export type CommandId = Brand<string, "CommandId">;
/** One life of a node's data directory: UUID v4, made when the directory is initialised. */
export type Incarnation = Brand<string, "Incarnation">;
/** The group a data directory belongs to: UUID-shaped digest of the founding roster. */
export type ClusterId = Brand<string, "ClusterId">;
/** The state of a catalog that a backup holds: 32 hexadecimal digits. */
export type BackupId = Brand<string, "BackupId">;

/** Counts elections, from 0. */
export type Term = Brand<number, "Term">;
/** The position of an entry in the replicated log, from 1; 0 stands for "before the first". */
export type LogIndex = Brand<number, "LogIndex">;
/** Grows with every change of a file, cluster-wide: the index of the entry that changed it. */
export type Version = Brand<number, "Version">;
/** The number a node gave to one blob it made durable; grows on that node, across restarts too. */
export type Staged = Brand<number, "Staged">;
/** How many replicas a file shall have: a whole number from 1. */
export type ReplicaCount = Brand<number, "ReplicaCount">;
/** A SHA-256 digest as 64 lower-case hexadecimal digits. */
export type Sha256 = Brand<string, "Sha256">;

const uuidV4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const nodeId = /^[a-z0-9][a-z0-9-]{0,31}$/;
const backupId = /^[0-9a-f]{32}$/;
const sha256 = /^[0-9a-f]{64}$/;

/** Each parser returns the branded value, or undefined when the text or number is not one. */
export function parseNodeId(text: string): NodeId | undefined {
  return nodeId.test(text) ? (text as NodeId) : undefined;
}
export function parseClientId(text: string): ClientId | undefined {
  return uuidV4.test(text) ? (text as ClientId) : undefined;
}
export function parseBlobId(text: string): BlobId | undefined {
  return uuidV4.test(text) ? (text as BlobId) : undefined;
}
export function parseCommandId(text: string): CommandId | undefined {
  return uuidV4.test(text) ? (text as CommandId) : undefined;
}
export function parseIncarnation(text: string): Incarnation | undefined {
  return uuidV4.test(text) ? (text as Incarnation) : undefined;
}
export function parseClusterId(text: string): ClusterId | undefined {
  return uuid.test(text) ? (text as ClusterId) : undefined;
}
export function parseSha256(text: string): Sha256 | undefined {
  return sha256.test(text) ? (text as Sha256) : undefined;
}
export function parseBackupId(text: string): BackupId | undefined {
  return backupId.test(text) ? (text as BackupId) : undefined;
}
export function parseReplicaCount(value: number): ReplicaCount | undefined {
  return Number.isSafeInteger(value) && value >= 1 ? (value as ReplicaCount) : undefined;
}

/** The branded whole number ≥ 0; for values of our own making, so anything else is a bug. */
export function term(value: number): Term {
  return wholeNumber(value) as Term;
}
export function logIndex(value: number): LogIndex {
  return wholeNumber(value) as LogIndex;
}
export function version(value: number): Version {
  return wholeNumber(value) as Version;
}
export function staged(value: number): Staged {
  return wholeNumber(value) as Staged;
}

function wholeNumber(value: number): number {
  invariant(Number.isSafeInteger(value) && value >= 0, () => `not a whole number from 0: ${value}`);
  return value;
}

export function newClientId(chance: Chance = systemChance): ClientId {
  return chance.uuid() as ClientId;
}
export function newBlobId(chance: Chance = systemChance): BlobId {
  return chance.uuid() as BlobId;
}
export function newCommandId(chance: Chance = systemChance): CommandId {
  return chance.uuid() as CommandId;
}
export function newIncarnation(chance: Chance = systemChance): Incarnation {
  return chance.uuid() as Incarnation;
}
