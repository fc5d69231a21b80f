import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { logIndex, newIncarnation, parseBackupId, parseClusterId, term } from "../../node/base/ids.ts";
import {
  type ChainedPosition,
  decodeAlone,
  decodeBase,
  decodeEntry,
  encodeBase,
  encodeEntry,
  freshBase,
} from "../../node/storage/entry-codec.ts";
import { decodeSlot, encodeSlot, type StoredState, slotBytes } from "../../node/storage/hard-state-slot.ts";
import { base, entry, node, position } from "./support.ts";

// What has a right checksum can be wrong all the same: written by another program, another version, or by mistake.

const before = freshBase(base);

function damageOf(value: Uint8Array, after: ChainedPosition = before): string {
  const read = decodeEntry(value, after);
  return "damage" in read ? read.damage : "none";
}

/** The entry's bytes, changed, under a right digest. */
function resealed(change: (value: Buffer) => void): Buffer {
  const value = Buffer.from(encodeEntry(entry(2, 3), before).value);
  change(value);
  value.write(hash("sha256", value.subarray(16), "hex").slice(0, 32), 0, "hex");
  return value;
}

test("entry: what does not follow the one before, in index, term or chain, is damage", () => {
  assert.equal(damageOf(resealed(() => undefined)), "none");
  assert.match(damageOf(resealed((value) => value.writeBigUInt64BE(7n, 32))), /entry 7 lies in the place of 2/);
  assert.match(damageOf(resealed((value) => value.writeUInt8(9, 48))), /unknown kind/);
  assert.match(damageOf(resealed((value) => value.fill(1, 16, 32))), /does not continue/);
  const { value } = encodeEntry(entry(2, 3), before);
  assert.match(damageOf(value, { ...before, term: term(4) }), /goes back to term 3/);
  assert.match(damageOf(value.subarray(0, 48)), /cut to 48 bytes/);
  assert.match(damageOf(Buffer.from(value).fill(0, 60)), /wrong checksum/);
  assert.ok("damage" in decodeAlone(new Uint8Array(), logIndex(2)));
});

test("entry: a base comes back as it was, and a damaged one not at all", () => {
  const bytes = Buffer.from(encodeBase(freshBase(position(40, 7))));
  assert.deepEqual(decodeBase(bytes), freshBase(position(40, 7)));
  assert.equal(decodeBase(bytes.subarray(1)), undefined);
  bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40);
  assert.equal(decodeBase(bytes), undefined);
});

const state: StoredState = {
  nodeId: node("n1"),
  incarnation: newIncarnation(),
  clusterId: undefined,
  boots: 3,
  term: term(4),
  votedFor: node("n2"),
  promised: { index: logIndex(9), chain: "0".repeat(32) },
  lost: "nothing",
  logGeneration: 1,
  catalogGeneration: 2,
  catalogCondemned: false,
  restored: undefined,
};

/** A slot with this text in it, under a right checksum. */
function slotWith(text: string, length = text.length): Buffer {
  const slot = encodeSlot(5, state);
  slot.fill(0, 20);
  slot.write(text, 20, "latin1");
  slot.writeUInt32BE(length, 16);
  slot.writeUInt32BE(crc32(slot.subarray(8)), 4);
  return slot;
}

test("hard-state slot: comes back as it was written", () => {
  assert.deepEqual(decodeSlot(encodeSlot(5, state)), { sequence: 5, state });
  assert.deepEqual(decodeSlot(slotWith(JSON.stringify(state))), { sequence: 5, state });
});

test("hard-state slot: one that says where its catalog came from fits, whatever else it says", () => {
  const whole = Number.MAX_SAFE_INTEGER;
  const full: StoredState = {
    ...state,
    nodeId: node("n".repeat(32)),
    votedFor: node("m".repeat(32)),
    clusterId: parseClusterId(newIncarnation()),
    boots: whole,
    term: term(whole),
    promised: { index: logIndex(whole), chain: "f".repeat(32) },
    lost: "entries",
    logGeneration: 999_999_999,
    catalogGeneration: 999_999_999,
    restored: parseBackupId("f".repeat(32)),
  };
  assert.deepEqual(decodeSlot(encodeSlot(5, full))?.state, full);
});

test("hard-state slot: one whose content makes no sense is damaged, whatever its checksum says", () => {
  const wrong: readonly Buffer[] = [
    slotWith("no json"),
    slotWith("{}"),
    slotWith(JSON.stringify(state), slotBytes),
    slotWith(JSON.stringify({ ...state, nodeId: "Not a node" })),
    slotWith(JSON.stringify({ ...state, incarnation: "no uuid" })),
    slotWith(JSON.stringify({ ...state, clusterId: "no uuid" })),
    slotWith(JSON.stringify({ ...state, term: -1 })),
    slotWith(JSON.stringify({ ...state, restored: "yesterday" })),
    slotWith(JSON.stringify({ ...state, promised: { index: 1, chain: "short" } })),
    slotWith(JSON.stringify({ ...state, andMore: 1 })),
    encodeSlot(5, state).subarray(1),
  ];
  for (const slot of wrong) assert.equal(decodeSlot(slot), undefined, slot.toString("latin1", 20, 80));
});
