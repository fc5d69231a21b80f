import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import type { ClusterMember } from "../support/cluster-member.ts";
import type { Violation } from "./violation.ts";

/** Said only where nodes disagree or a bug came to light. */
const never = /"msg":"the catalogs differ"|InvariantError|"msg":"call failed"/;
const won = /"role":"leader".*"msg":"leadership"/;
const maxTextLength = 500;

export interface LogAudit {
  readonly violations: readonly Violation[];
  /** How often a node became leader. */
  readonly elections: number;
}

/** Reads what the nodes logged, from where it stopped the time before. */
export class LogReader {
  readonly #readTo = new Map<string, number>();

  read(members: readonly ClusterMember[]): LogAudit {
    const violations: Violation[] = [];
    let elections = 0;
    for (const { id, logFile } of members) {
      for (const line of this.#newLines(logFile)) {
        if (won.test(line)) elections++;
        if (never.test(line)) violations.push({ kind: "log", text: `${id}: ${line.slice(0, maxTextLength)}` });
      }
    }
    return { violations, elections };
  }

  #newLines(logFile: string): readonly string[] {
    if (!existsSync(logFile)) return []; // it was never started
    const file = openSync(logFile, "r");
    try {
      const from = this.#readTo.get(logFile) ?? 0;
      const bytes = Buffer.alloc(fstatSync(file).size - from);
      readSync(file, bytes, 0, bytes.length, from);
      this.#readTo.set(logFile, from + bytes.length);
      return bytes.toString("utf8").split("\n");
    } finally {
      closeSync(file);
    }
  }
}
