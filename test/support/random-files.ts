import { createHash, randomBytes } from "node:crypto";

/** A file to deposit, and what must come back. */
export interface SampleFile {
  readonly name: string;
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly replicas: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;
/** Around every boundary of the format: empty, a byte, a block of 64 KiB, a chunk of 1 MiB, and large ones. */
const sizes = [0, 1, 100, 4096, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 300 * KiB, MiB, 5 * MiB + 3];
const names = [
  "plain.txt",
  "with space",
  "açaí/çedilha",
  "深い/階層/ファイル",
  "a/b/c/d/e",
  "100%",
  "emoji 🗂",
  "q?x=1&y#z",
  "dot.and..dots",
  "+plus",
];

/** `count` files of mixed sizes and names, counts 1, 2, 3 in turn; some of 64 MiB. */
export function sampleFiles(count: number, largeFiles: number): SampleFile[] {
  return Array.from({ length: count }, (_, index) => {
    const sizeBytes = index < largeFiles ? 64 * MiB : (sizes[index % sizes.length] ?? 0);
    const bytes = randomBytes(sizeBytes);
    return {
      name: `${index}/${names[index % names.length]}`,
      bytes,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      replicas: (index % 3) + 1,
    };
  });
}
