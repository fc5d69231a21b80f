import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { SeenReply } from "./problem-assertions.ts";

/** A bare socket to a server, for requests that no HTTP library would send. */
export class RawConnection {
  readonly socket: Socket;
  #received = "";
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => this.#wake?.();
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#received += text;
      wake();
    });
    // A reset is an end like any other here: the test looks at what came before it.
    const ended = (): void => {
      this.#ended = true;
      wake();
    };
    socket.on("end", ended).on("error", ended).on("close", ended);
  }

  static async open(port: number, options: { readonly allowHalfOpen?: boolean } = {}): Promise<RawConnection> {
    const socket = connect({ port, host: "127.0.0.1", ...options });
    await once(socket, "connect");
    return new RawConnection(socket);
  }

  write(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  /** Takes what has been received once it contains `mark` or the connection ended. */
  async until(mark: string): Promise<string> {
    while (!this.#received.includes(mark) && !this.#ended) await this.#more();
    return this.#received;
  }

  /** Takes the next complete reply out of what was received; its length must be declared. */
  async reply(request: { readonly method?: "HEAD" } = {}): Promise<SeenReply> {
    for (;;) {
      const complete = takeReply(this.#received, request.method !== "HEAD");
      if (complete !== undefined) {
        this.#received = this.#received.slice(complete.length);
        return complete.reply;
      }
      if (this.#ended) throw new Error(`the connection ended after ${JSON.stringify(this.#received)}`);
      await this.#more();
    }
  }

  /** Resolves when the other side has closed; what came and was not taken. */
  async closed(): Promise<string> {
    while (!this.#ended) await this.#more();
    this.socket.destroy();
    return this.#received;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Sends one text and takes the first reply. */
export async function rawRequest(port: number, text: string | Uint8Array): Promise<SeenReply> {
  const connection = await RawConnection.open(port);
  connection.write(text);
  try {
    return await connection.reply(String(text).startsWith("HEAD ") ? { method: "HEAD" } : {});
  } finally {
    connection.socket.destroy();
  }
}

/** A request head from its lines, ended by the empty line. */
export function head(...lines: readonly string[]): string {
  return `${lines.join("\r\n")}\r\n\r\n`;
}

function takeReply(text: string, hasBody: boolean): { reply: SeenReply; length: number } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [statusLine = "", ...lines] = text.slice(0, end).split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = end + 4 + (hasBody ? Number(headers["content-length"] ?? 0) : 0);
  if (text.length < length) return undefined;
  const status = Number(statusLine.split(" ")[1]);
  return { reply: { status, headers, text: text.slice(end + 4, length) }, length };
}
