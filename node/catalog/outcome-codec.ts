/** Outcomes as the table of recent commands keeps them, so that a retry is answered as its first attempt was. */
import { type LogIndex, parseClientId } from "../base/ids.ts";
import {
  choiceOf,
  decodeFields,
  encodeFields,
  type Fields,
  fieldsOf,
  listOf,
  logIndexOf,
  textOf,
  uuidOf,
} from "./fields.ts";
import { fileFields, fileNameOf, fileOf } from "./row-codec.ts";
import type { DepositOutcome, FileRecord, Outcome, RefusalCode } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

/** What is kept of a recent command, under its id. */
export interface RecentCommand {
  readonly index: LogIndex;
  readonly outcome: Outcome;
}

const types: readonly Outcome["type"][] = ["done", "deposited", "edited", "bytes-needed", "refused"];
const hows: readonly DepositOutcome[] = ["created", "replaced", "replicas-changed", "unchanged"];
const refusals: readonly RefusalCode[] = [
  "precondition-failed",
  "file-not-found",
  "replicas-out-of-range",
  "unauthenticated",
  "behind-fence",
  "too-few-copies",
  "expired",
  "node-busy",
  "node-not-found",
  "already-a-member",
  "last-voter",
];
const maxDetailLength = 4096;

export function encodeRecentCommand({ index, outcome }: RecentCommand): Uint8Array {
  return encodeFields([index, types.indexOf(outcome.type), ...detailFields(outcome)]);
}

/** @throws {DepositoError} `catalog-damaged` */
export function decodeRecentCommand(value: Uint8Array): RecentCommand {
  return decodeFields(value, "catalog-damaged", "a recent command", (fields) => {
    const [index, type, ...details] = listOf(fields);
    return { index: logIndexOf(index), outcome: outcomeOf(choiceOf(type, types), details) };
  });
}

function detailFields(outcome: Outcome): Fields {
  switch (outcome.type) {
    case "done":
    case "bytes-needed":
      return [];
    case "deposited":
      return [hows.indexOf(outcome.how), ...namedFileFields(outcome.record)];
    case "edited":
      return namedFileFields(outcome.record);
    case "refused":
      return [refusals.indexOf(outcome.code), outcome.detail];
  }
}

function outcomeOf(type: Outcome["type"], details: Fields): Outcome {
  switch (type) {
    case "done":
    case "bytes-needed":
      fieldsOf(details, 0);
      return { type };
    case "deposited": {
      const [how, ...file] = details;
      return { type, how: choiceOf(how, hows), record: namedFileOf(file) };
    }
    case "edited":
      return { type, record: namedFileOf(details) };
    case "refused": {
      const [code, detail] = fieldsOf(details, 2);
      return { type, code: choiceOf(code, refusals), detail: textOf(detail, maxDetailLength) };
    }
  }
}

function namedFileFields(record: FileRecord): Fields {
  return [uuidToBytes(record.clientId), record.name, fileFields(record)];
}

function namedFileOf(value: Fields): FileRecord {
  const [clientId, name, file] = fieldsOf(value, 3);
  return fileOf(uuidOf(clientId, parseClientId), fileNameOf(name), file);
}
