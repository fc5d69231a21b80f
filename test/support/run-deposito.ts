import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const mainFile = fileURLToPath(new URL("../../node/main.ts", import.meta.url));
const limitMs = 60_000;

/** How a command that ends by itself ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one `deposito` command to its end; a signal, or a minute gone by, is an error. */
export function runDeposito(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...environment }, timeout: limitMs };
    execFile(process.execPath, [mainFile, ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === "number") resolve({ code, stdout, stderr });
      else reject(error ?? new Error("it did not end by itself"));
    });
  });
}
