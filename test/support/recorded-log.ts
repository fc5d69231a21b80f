import { pino } from "pino";
import type { Logger } from "../../node/base/logger.ts";

/** A logger that keeps what it is told, at `level` and above. */
export function recordedLog(level: "info" | "warn" | "error"): { readonly logger: Logger; readonly said: string[] } {
  const said: string[] = [];
  const write = (line: string) => said.push(String((JSON.parse(line) as { readonly msg: unknown }).msg));
  return { logger: pino({ level }, { write }), said };
}
