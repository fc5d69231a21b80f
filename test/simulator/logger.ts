import { type Logger, silentLogger } from "../../node/base/logger.ts";
import type { Trace } from "./trace.ts";

const levels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** A logger into the trace; one that says nothing, and costs nothing, where the trace is not kept. */
export function loggerInto(trace: Trace, node: string): Logger {
  const logger: Record<string, unknown> = {};
  for (const level of levels) logger[level] = trace.isKept ? sayInto(trace, node, level) : () => undefined;
  return { ...silentLogger, ...logger } as unknown as Logger;
}

function sayInto(trace: Trace, node: string, level: string) {
  return (first: unknown, second?: unknown) => {
    const facts = typeof first === "string" ? first : `${String(second)} ${JSON.stringify(first, errorsToText)}`;
    trace.say(`${node} ${level}: ${facts}`);
  };
}

function errorsToText(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}
