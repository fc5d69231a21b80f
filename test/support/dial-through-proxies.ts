// Loaded into a node of a proxied cluster before its own code: every connection that it opens to a peer's port goes to the
// proxy that stands for the way from this node to that peer. The node itself, its configuration and the addresses in the
// catalog know nothing of it.
import { type NetConnectOpts, Socket } from "node:net";

/** Peer port → port of the proxy, on this machine. */
const proxies = JSON.parse(process.env["DEPOSITO_TEST_DIAL"] ?? "{}") as Readonly<Record<string, number>>;

type Connect = (this: Socket, ...args: unknown[]) => Socket;
const original = Object.getOwnPropertyDescriptor(Socket.prototype, "connect")?.value as Connect;

function redirect(target: unknown): unknown {
  const options = target as NetConnectOpts;
  if (typeof options !== "object" || options === null || !("port" in options)) return target;
  const proxy = proxies[String(options.port)];
  return proxy === undefined ? target : { ...options, port: proxy };
}

Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
  // net.connect() hands on one array of its arguments, marked by a symbol: it is changed in place so as to keep the mark.
  const [first] = args;
  if (Array.isArray(first)) first[0] = redirect(first[0]);
  else args[0] = redirect(first);
  return original.apply(this, args);
} as typeof Socket.prototype.connect;
