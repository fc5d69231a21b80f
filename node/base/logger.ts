import { type Logger as PinoLogger, pino } from "pino";

/** JSON lines on stdout, one event each; bound fields name the node. */
export type Logger = PinoLogger;

/** A logger that adds `bindings` to every line; its level comes from `DEPOSITO_LOG_LEVEL` (default `info`). */
export function createLogger(
  bindings: Readonly<Record<string, unknown>>,
  level: string | undefined,
  descriptor: number = process.stdout.fd,
): Logger {
  const options = { level: level ?? "info", base: bindings, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, pino.destination({ fd: descriptor, sync: true }));
}

/** A logger that says nothing, for tests of one part. */
export const silentLogger: Logger = pino({ level: "silent" });
