import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { hasCode } from "../../../node/base/errors.ts";
import { type BlobId, newBlobId, type Sha256, staged } from "../../../node/base/ids.ts";
import {
  BlockChecksums,
  BlockTable,
  blockBytes,
  decodeHeader,
  encodeHeader,
  fileBytes,
  headerBytes,
  plainBytes,
} from "../../../node/storage/blobs/format.ts";

const blobId = "01234567-89ab-4def-8123-456789abcdef" as BlobId;
const sha256 = "0f".repeat(32) as Sha256;
const header = { blob: { blobId, sizeBytes: 70_000, sha256, staged: staged(3 * 2 ** 30 + 5) }, tableCrc: 0xdeadbeef };

describe("Blob format", () => {
  test("the header is the one that is drawn, byte for byte", () => {
    const drawn =
      "6465706f7369746f" + // deposito
      "00000001" + // version
      "00010000" + // block size
      "0123456789ab4def8123456789abcdef" +
      "0f".repeat(32) +
      "0000000000011170" + // size
      "00000000c0000005" + // staged
      "deadbeef" +
      "00".repeat(40);
    const crc = crc32(Buffer.from(drawn, "hex")).toString(16).padStart(8, "0");
    assert.equal(encodeHeader(header).toString("hex"), drawn + crc);
  });

  test("a header comes back as it was written, up to the largest numbers", () => {
    const large = { blob: { ...header.blob, sizeBytes: 2 ** 50, staged: staged(2 ** 53 - 1) }, tableCrc: 0 };
    for (const some of [header, large])
      assert.deepEqual(decodeHeader(encodeHeader(some), blobId, fileBytes(some.blob.sizeBytes)), some);
  });

  test("any flipped bit of a header, another id and another length are damage", () => {
    const isDamaged = (error: unknown) => hasCode(error, "blob-damaged");
    for (let bit = 0; bit < headerBytes * 8; bit += 1) {
      const flipped = encodeHeader(header);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      assert.throws(() => decodeHeader(flipped, blobId, fileBytes(70_000)), isDamaged, `bit ${bit}`);
    }
    assert.throws(() => decodeHeader(encodeHeader(header), newBlobId(), fileBytes(70_000)), isDamaged);
    assert.throws(() => decodeHeader(encodeHeader(header), blobId, fileBytes(70_001)), isDamaged);
    assert.throws(() => decodeHeader(encodeHeader(header).subarray(0, 100), blobId, 100), isDamaged);
    // Under a right checksum: another kind of file, another version, other blocks.
    for (const at of [0, 11, 15]) {
      const other = encodeHeader(header);
      other.writeUInt8(other.readUInt8(at) ^ 1, at);
      other.writeUInt32BE(crc32(other.subarray(0, 124)), 124);
      assert.throws(() => decodeHeader(other, blobId, fileBytes(70_000)), isDamaged, `byte ${at}`);
    }
  });

  test("plainBytes undoes fileBytes", () => {
    const sizes = fc.oneof(
      fc.nat(10 * blockBytes),
      fc.nat(50).map((blocks) => blocks * blockBytes),
      fc.maxSafeNat(),
    );
    fc.assert(
      fc.property(sizes, (size) => {
        const possible = Math.min(size, 2 ** 52);
        assert.equal(plainBytes(fileBytes(possible)), possible);
      }),
    );
  });

  test("the table does not depend on how the bytes are cut, and goes beyond one page of it", () => {
    const bytes = Buffer.alloc(3 * blockBytes + 17, 7);
    const whole = new BlockTable(blobId);
    whole.add(bytes);
    const cut = new BlockTable(blobId);
    for (let at = 0; at < bytes.length; at += 1000) cut.add(bytes.subarray(at, at + 1000));
    const expected = whole.finish();
    assert.deepEqual(cut.finish(), expected);
    const checksums = new BlockChecksums(blobId);
    assert.equal(expected.table.length, 16);
    assert.equal(expected.table.readUInt32BE(12), crc32(bytes.subarray(3 * blockBytes), checksums.seed(3)));

    const long = new BlockTable(blobId);
    const block = Buffer.alloc(blockBytes);
    for (let count = 0; count < 4100; count += 1) long.add(block);
    const { table } = long.finish();
    assert.equal(table.length, 4100 * 4);
    assert.equal(table.readUInt32BE(4099 * 4), crc32(block, checksums.seed(4099)));
  });

  test("equal blocks have different checksums in another place and in another blob", () => {
    const [here, there] = [new BlockChecksums(blobId), new BlockChecksums(newBlobId())];
    const seeds = new Set(Array.from({ length: 1000 }, (_, block) => here.seed(block)));
    assert.equal(seeds.size, 1000);
    assert.notEqual(here.seed(0), there.seed(0));
  });
});
