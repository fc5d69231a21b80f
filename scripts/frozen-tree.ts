import { cpSync, mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What nodes and harness need to run. */
const parts = ["package.json", "tsconfig.json", "node", "client", "scripts", "test"];

/**
 * Copies the source into a new folder, which the caller removes. Nodes load their source whenever they are started, so what
 * runs for an hour must not see what is edited meanwhile.
 */
export function freezeTree(root: string): string {
  const folder = mkdtempSync(join(tmpdir(), "deposito-frozen-"));
  for (const part of parts) cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}
