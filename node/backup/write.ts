import { crc32 } from "node:zlib";
import { digestHex } from "../catalog/digest.ts";
import { everyRow } from "../catalog/keys.ts";
import { readMeta } from "../catalog/meta.ts";
import { readMembers } from "../catalog/tables.ts";
import type { CatalogReader } from "../catalog/types.ts";
import { type BackupHeader, type FrameKind, frameHeadBytes, kindCode, magic } from "./format.ts";

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const framePayloadBytes = 1 << 20;
const pageRows = 256;

/** The backup of a catalog that does not change meanwhile, in pieces of about 1 MiB. `madeAt` is for people. */
export async function* writeBackup(view: CatalogReader, madeAt: Date): AsyncGenerator<Buffer, void, void> {
  const frame = framer();
  yield magic;
  yield frame("header", Buffer.from(JSON.stringify(headerOf(view, madeAt))));
  let rows = 0;
  for await (const some of rowsOf(view)) {
    rows += some.length;
    yield frame("rows", encodeRows(some));
  }
  yield frame("end", Buffer.from(JSON.stringify({ rows })));
}

function headerOf(view: CatalogReader, madeAt: Date): BackupHeader {
  const { clusterId, clusterName, applied, digest, totals } = readMeta(view);
  return {
    clusterId,
    clusterName,
    applied: { index: applied.index, term: applied.term },
    digest: digestHex(digest),
    members: readMembers(view).map(({ id }) => id),
    totals: { files: totals.files, bytes: totals.bytes },
    madeAt: madeAt.toISOString(),
  };
}

/** Frames the payloads of one backup, one after the other. */
function framer(): (kind: FrameKind, payload: Buffer) => Buffer {
  let checksum = crc32(magic);
  return (kind, payload) => {
    const head = Buffer.alloc(frameHeadBytes);
    head.writeUInt8(kindCode(kind), 0);
    head.writeUInt32BE(payload.length, 1);
    checksum = crc32(payload, crc32(head, checksum));
    const tail = Buffer.alloc(4);
    tail.writeUInt32BE(checksum);
    checksum = crc32(tail, checksum);
    return Buffer.concat([head, payload, tail]);
  };
}

/** Every row in key order, about 1 MiB at a time. */
async function* rowsOf(view: CatalogReader): AsyncGenerator<readonly Row[], void, void> {
  let rows: Row[] = [];
  let sizeBytes = 0;
  for (let from = everyRow.from; ; ) {
    const page = await view.range({ from, before: everyRow.before, limit: pageRows });
    for (const row of page) {
      rows.push(row);
      sizeBytes += row.key.length + row.value.length;
    }
    const last = page.at(-1);
    const isEnd = last === undefined || page.length < pageRows;
    if (rows.length > 0 && (isEnd || sizeBytes >= framePayloadBytes)) {
      yield rows;
      rows = [];
      sizeBytes = 0;
    }
    if (isEnd) return;
    from = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

function encodeRows(rows: readonly Row[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const { key, value } of rows) {
    const head = Buffer.allocUnsafe(8);
    head.writeUInt32BE(key.length, 0);
    head.writeUInt32BE(value.length, 4);
    parts.push(head, key, value);
  }
  return Buffer.concat(parts);
}
