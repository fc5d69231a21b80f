/**
 * The window of recent commands, by which a retry is told from a new proposal. Each applied command has two rows: under
 * its id what it answered, under its index its id; the second finds what to forget when the window moves on.
 *
 *   index − window          index
 *   ──┤ forgotten │ remembered ├──►
 */
import { type CommandId, type LogIndex, logIndex, parseCommandId } from "../base/ids.ts";
import { invariant } from "../base/invariant.ts";
import { decodeFields, encodeFields, fieldsOf, uuidOf } from "./fields.ts";
import { commandKey, commandOrderKey } from "./keys.ts";
import { commandWindowEntries } from "./limits.ts";
import { decodeRecentCommand, encodeRecentCommand } from "./outcome-codec.ts";
import { refuse } from "./preconditions.ts";
import type { CatalogView, Outcome, Proposal, Write } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

/** What the command answered when it was applied; undefined when it was not, or so long ago that it is forgotten. */
export function recentOutcome(view: CatalogView, id: CommandId): Outcome | undefined {
  const value = view.get(commandKey(id));
  return value === undefined ? undefined : decodeRecentCommand(value).outcome;
}

export function rememberCommand(index: LogIndex, id: CommandId, outcome: Outcome): readonly Write[] {
  return [
    { key: commandKey(id), value: encodeRecentCommand({ index, outcome }) },
    { key: commandOrderKey(index), value: encodeFields([uuidToBytes(id)]) },
  ];
}

/** Forgets the command that leaves the window when `index` enters it. */
export function forgetCommand(view: CatalogView, index: LogIndex): readonly Write[] {
  if (index <= commandWindowEntries) return [];
  const orderKey = commandOrderKey(logIndex(index - commandWindowEntries));
  const value = view.get(orderKey);
  if (value === undefined) return [];
  const id = decodeFields(value, "catalog-damaged", "a recent command's id", (fields) =>
    uuidOf(fieldsOf(fields, 1)[0], parseCommandId),
  );
  invariant(view.get(commandKey(id)) !== undefined, () => `command ${id} is remembered by its index only`);
  return [
    { key: commandKey(id), value: undefined },
    { key: orderKey, value: undefined },
  ];
}

/**
 * Refuses a proposal so old that a duplicate of it may be forgotten already. It was first appended after its `basis`, so
 * up to a window later every duplicate finds it remembered. A basis that is not before the entry is nobody's honest word.
 */
export function refuseExpired({ basis }: Proposal, index: LogIndex): Outcome | undefined {
  const ageEntries = index - basis;
  if (ageEntries >= 1 && ageEntries <= commandWindowEntries) return undefined;
  return refuse("expired", `entry ${index} is proposed on the basis of ${basis}: propose it anew`);
}
