import { crc32 } from "node:zlib";
import { hasCode } from "../base/errors.ts";
import { DigestAccumulator, digestHex } from "../catalog/digest.ts";
import { keyText, membersKey, metaKey } from "../catalog/keys.ts";
import { readMeta } from "../catalog/meta.ts";
import { readMembers } from "../catalog/tables.ts";
import { ByteSource } from "./byte-source.ts";
import {
  type BackupHeader,
  checksumBytes,
  damagedBackup,
  type FrameKind,
  frameHeadBytes,
  kindOf,
  magic,
  maxPayloadBytes,
  parseEnd,
  parseHeader,
} from "./format.ts";

/** One row of the catalog, as it lay there. */
export interface BackupRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/**
 * Reads a whole backup and checks everything in it; hands its rows to `take`, some at a time, in key order. What was taken
 * is only to be relied on once this resolves.
 * @throws {DepositoError} `backup-damaged`, also for a file that is no backup, or is not complete.
 */
export async function readBackup(
  bytes: AsyncIterable<Uint8Array>,
  take: (rows: readonly BackupRow[]) => Promise<void>,
): Promise<BackupHeader> {
  const frames = new Frames(new ByteSource(bytes));
  const check = new ContentCheck(await frames.header());
  for (;;) {
    const { kind, payload } = await frames.next();
    if (kind === "header") throw damagedBackup("it has two headers");
    if (kind === "end") {
      await frames.finish();
      return check.finish(parseEnd(payload));
    }
    const rows = decodeRows(payload);
    for (const row of rows) check.add(row);
    await take(rows);
  }
}

/** Cuts the file into frames whose checksums are right. */
class Frames {
  readonly #source: ByteSource;
  #checksum = crc32(magic);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async header(): Promise<BackupHeader> {
    const start = await this.#source.take(magic.length);
    if (start === undefined || !start.equals(magic)) throw damagedBackup("it does not begin like a backup of deposito");
    const { kind, payload } = await this.next();
    const header = kind === "header" ? parseHeader(payload) : undefined;
    if (header === undefined) throw damagedBackup("it has no header");
    return header;
  }

  async next(): Promise<{ readonly kind: FrameKind; readonly payload: Buffer }> {
    const head = await this.#take(frameHeadBytes);
    const kind = kindOf(head.readUInt8(0));
    const sizeBytes = head.readUInt32BE(1);
    if (kind === undefined || sizeBytes > maxPayloadBytes) throw damagedBackup("a part of it is none");
    const payload = await this.#take(sizeBytes);
    const checksum = crc32(payload, crc32(head, this.#checksum));
    const tail = await this.#take(checksumBytes);
    if (tail.readUInt32BE(0) !== checksum) throw damagedBackup("a checksum is wrong");
    this.#checksum = crc32(tail, checksum);
    return { kind, payload };
  }

  async finish(): Promise<void> {
    if (!(await this.#source.isAtEnd())) throw damagedBackup("it goes on after its end");
  }

  async #take(sizeBytes: number): Promise<Buffer> {
    const bytes = await this.#source.take(sizeBytes);
    if (bytes === undefined) throw damagedBackup("it is not complete");
    return bytes;
  }
}

/** Whether the rows are those that the header speaks of: all of them, in order, with the right digest. */
class ContentCheck {
  readonly #header: BackupHeader;
  readonly #digest = new DigestAccumulator();
  /** The rows that tell whose catalog it is. */
  readonly #points = new Map<string, Uint8Array>();
  #lastKey: Uint8Array = Buffer.alloc(0);
  #rows = 0;

  constructor(header: BackupHeader) {
    this.#header = header;
  }

  add({ key, value }: BackupRow): void {
    if (Buffer.compare(key, this.#lastKey) <= 0) throw damagedBackup("its rows are not in order");
    this.#lastKey = key;
    this.#rows += 1;
    this.#digest.add(key, value);
    if (pointKeys.has(keyText(key))) this.#points.set(keyText(key), value);
  }

  finish(rows: number | undefined): BackupHeader {
    const header = this.#header;
    if (rows !== this.#rows) throw damagedBackup(`it has ${this.#rows} rows, and should have ${rows}`);
    const view = { get: (key: Uint8Array) => this.#points.get(keyText(key)) };
    const meta = this.#decoded(() => readMeta(view));
    this.#decoded(() => readMembers(view));
    const own = digestHex(this.#digest.value);
    if (own !== header.digest || own !== digestHex(meta.digest)) throw damagedBackup("its digest is wrong");
    const { clusterId, applied } = meta;
    if (
      clusterId !== header.clusterId ||
      applied.index !== header.applied.index ||
      applied.term !== header.applied.term
    )
      throw damagedBackup("its header speaks of another catalog");
    return header;
  }

  #decoded<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw hasCode(error, "catalog-damaged") ? damagedBackup(error.message) : error;
    }
  }
}

const pointKeys: ReadonlySet<string> = new Set([keyText(membersKey), keyText(metaKey)]);

function decodeRows(payload: Buffer): readonly BackupRow[] {
  const rows: BackupRow[] = [];
  for (let at = 0; at < payload.length; ) {
    if (payload.length - at < 8) throw damagedBackup("a row is cut off");
    const keyEnd = at + 8 + payload.readUInt32BE(at);
    const valueEnd = keyEnd + payload.readUInt32BE(at + 4);
    if (valueEnd > payload.length) throw damagedBackup("a row is cut off");
    rows.push({ key: payload.subarray(at + 8, keyEnd), value: payload.subarray(keyEnd, valueEnd) });
    at = valueEnd;
  }
  return rows;
}
