import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// What goes wrong on a disk, done by hand to the files of a node. Where things lie is drawn in node/storage/layout.ts.

/** The LevelDB folder in use, by its kind; after a new installation it has another number. */
export function levelFolder(dataDir: string, kind: "log" | "catalog"): string {
  const names = readdirSync(dataDir).filter((name) => name.startsWith(`${kind}-`));
  const newest = names.toSorted((a, b) => Number(b.slice(kind.length + 1)) - Number(a.slice(kind.length + 1)))[0];
  if (newest === undefined) throw new Error(`${dataDir} has no ${kind}`);
  return join(dataDir, newest);
}

/** Turns the bits of `mask` in one byte; answers the whole file as it now is. */
export function damage(path: string, offset: number, mask = 0xff): Buffer {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ mask, offset);
  writeFileSync(path, bytes);
  return bytes;
}

/** Files of a LevelDB folder that hold data: tables, write-ahead logs and manifests; empty ones left out. */
export function levelFiles(folder: string): readonly { readonly path: string; readonly sizeBytes: number }[] {
  return readdirSync(folder)
    .filter((name) => /\.(ldb|log)$|^MANIFEST/.test(name))
    .toSorted()
    .map((name) => join(folder, name))
    .map((path) => ({ path, sizeBytes: statSync(path).size }))
    .filter(({ sizeBytes }) => sizeBytes > 0);
}

/** Flips `count` bits anywhere in `files`, each byte as likely as any other; says where. */
export function flipBits(
  files: readonly { readonly path: string; readonly sizeBytes: number }[],
  count: number,
  random: () => number,
): readonly string[] {
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return Array.from({ length: count }, () => {
    let offset = Math.floor(random() * totalBytes);
    for (const { path, sizeBytes } of files) {
      if (offset < sizeBytes) {
        const bit = Math.floor(random() * 8);
        damage(path, offset, 1 << bit);
        return `${path} byte ${offset} of ${sizeBytes}, bit ${bit}`;
      }
      offset -= sizeBytes;
    }
    throw new RangeError("nothing to damage");
  });
}
