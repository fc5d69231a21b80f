import { registerHooks } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Mutant } from "./mutants.ts";

const nodeFolder = fileURLToPath(new URL("../../../node/", import.meta.url));

/**
 * Changes the source of production modules as they are loaded from now on, in this process only.
 * @throws when a line is not there any more, once and only once: the mutant must follow the code.
 */
export function plant(mutant: Mutant): { readonly isPlanted: () => boolean } {
  const waiting = new Set(mutant.edits);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const edits = mutant.edits.filter(({ file }) => url === pathToFileURL(`${nodeFolder}${file}`).href);
      if (edits.length === 0) return loaded;
      let source = Buffer.from(loaded.source as string | Uint8Array).toString("utf8");
      for (const edit of edits) {
        if (source.split(edit.from).length !== 2)
          throw new Error(`node/${edit.file} has no such line once: ${edit.from}`);
        source = source.replace(edit.from, () => edit.to);
        waiting.delete(edit);
      }
      return { ...loaded, source };
    },
  });
  return { isPlanted: () => waiting.size === 0 };
}
