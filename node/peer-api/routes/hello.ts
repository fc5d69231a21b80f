import type { RequestHandler } from "express";
import { encodeHello } from "../../transport/hello-codec.ts";
import type { PeerApiOptions } from "../context.ts";

/** `GET /peer/hello`: who this node is. Open to who knows the secret, since before the founding there are no members. */
export function helloRoute({ hello }: Pick<PeerApiOptions, "hello">): RequestHandler {
  return (_request, response) => {
    response.type("json").send(encodeHello(hello()));
  };
}
