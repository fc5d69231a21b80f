/** How far calls of one session may overtake each other and still be told apart. */
const windowCalls = 16_384;
/** Sessions remembered: a node starts one with each of its lives. */
const maxSessions = 256;

/**
 * Tells a call seen before from a new one, in bounded memory: each session counts its calls, and of each session the
 * highest count and the ones seen shortly below it are kept (as in IPsec, RFC 4303 §3.4.3).
 */
export class ReplayWindow {
  readonly #sessions = new Map<string, { highest: number; readonly seen: Uint8Array }>();

  /** True the first time `count` of `session` is seen; false ever after, and for counts too far behind to be told. */
  accept(session: string, count: number): boolean {
    const known = this.#sessions.get(session) ?? this.#begin(session);
    if (count <= known.highest - windowCalls) return false;
    if (count > known.highest) {
      const newCounts = Math.min(count - known.highest, windowCalls);
      for (let ahead = 0; ahead < newCounts; ahead += 1) known.seen[(count - ahead) % windowCalls] = 0;
      known.highest = count;
    }
    if (known.seen[count % windowCalls] === 1) return false;
    known.seen[count % windowCalls] = 1;
    return true;
  }

  #begin(session: string): { highest: number; readonly seen: Uint8Array } {
    if (this.#sessions.size >= maxSessions) {
      for (const oldest of this.#sessions.keys()) {
        this.#sessions.delete(oldest);
        break;
      }
    }
    const fresh = { highest: 0, seen: new Uint8Array(windowCalls) };
    this.#sessions.set(session, fresh);
    return fresh;
  }
}
