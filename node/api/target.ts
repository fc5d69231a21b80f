import { DepositoError, type ErrorCode } from "../base/errors.ts";

/** The path and query of a request as they were sent: nothing decoded, nothing normalised. */
export interface RequestTarget {
  readonly path: string;
  /** Without the `?`; empty when there is none. */
  readonly query: string;
}

/** Splits a request target; the absolute form that proxies send (RFC 9112 §3.2.2) loses its scheme and authority. */
export function requestTarget(url: string): RequestTarget {
  const local = url.startsWith("/") ? url : url.replace(/^https?:\/\/[^/?]*/i, "");
  const mark = local.indexOf("?");
  return mark === -1 ? { path: local, query: "" } : { path: local.slice(0, mark), query: local.slice(mark + 1) };
}

/**
 * The query's parameters; `+` stands for a space, as forms and `curl --data-urlencode` send it.
 * @throws {DepositoError} `invalid-query`: a parameter given twice, a bad percent sign or bad UTF-8.
 */
export function parseQuery(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query === "" ? [] : query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const key = decodeParameter(equals === -1 ? pair : pair.slice(0, equals));
    if (parameters.has(key)) throw new DepositoError("invalid-query", `'${key}' is given more than once`);
    parameters.set(key, equals === -1 ? "" : decodeParameter(pair.slice(equals + 1)));
  }
  return parameters;
}

function decodeParameter(text: string): string {
  return percentDecode(text.replaceAll("+", " "), "invalid-query");
}

// `ignoreBOM` keeps a leading U+FEFF: two different names must never become one.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Decodes `%XX` and reads the bytes as UTF-8, strictly. The HTTP parser lets nothing but ASCII through to here.
 * @throws {DepositoError} `code`
 */
export function percentDecode(text: string, code: ErrorCode): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  const bytes = Buffer.allocUnsafe(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    let byte = text.charCodeAt(at);
    if (byte === percentSign) {
      const digits = text.slice(at + 1, at + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(digits))
        throw new DepositoError(code, "a '%' must be followed by two hexadecimal digits");
      byte = Number.parseInt(digits, 16);
      at += 2;
    }
    bytes[length++] = byte;
  }
  try {
    return utf8.decode(bytes.subarray(0, length));
  } catch (cause) {
    throw new DepositoError(code, "the percent-decoded bytes are not UTF-8", { cause });
  }
}

const percentSign = 0x25;
