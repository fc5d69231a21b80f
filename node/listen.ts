import { once } from "node:events";
import type { Server } from "node:http";
import { DepositoError } from "./base/errors.ts";
import type { Address } from "./catalog/types.ts";

/** Listens on the address. @throws {DepositoError} `port-in-use`, `config-invalid` for an address that is not this machine's. */
export async function listen(server: Server, { host, port }: Address, what: string): Promise<void> {
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EADDRINUSE")
      throw new DepositoError(
        "port-in-use",
        `${what} ${host}:${port} is in use by another process: stop it, or choose another port in the configuration`,
        { cause: error },
      );
    throw new DepositoError("config-invalid", `cannot listen on ${what} ${host}:${port}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** How often connections whose last request has ended are looked for. */
const sweepMs = 50;

/** Takes no new connection; resolves when the requests under way have ended, or are cut off after `withinMs`. */
export async function closeServer(server: Server, withinMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection that is kept alive would otherwise bring request after request until it is cut off in one of them.
  server.prependListener("request", (_request, response) => response.setHeader("Connection", "close"));
  server.closeIdleConnections();
  const sweep = setInterval(() => server.closeIdleConnections(), sweepMs);
  const timer = setTimeout(() => server.closeAllConnections(), withinMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(timer);
}
