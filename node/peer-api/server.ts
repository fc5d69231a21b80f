import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import express, { type Express } from "express";
import { Membership } from "../transport/membership.ts";
import type { PeerApiOptions } from "./context.ts";
import { noSuchRoute, problemHandler } from "./problem-handler.ts";
import { requireMember, requireProof } from "./require-member.ts";
import { discardRoute } from "./routes/discard.ts";
import { helloRoute } from "./routes/hello.ts";
import { pullRoute } from "./routes/pull.ts";
import { readBlobRoute } from "./routes/read-blob.ts";
import { receiveBlobRoute } from "./routes/receive-blob.ts";
import { snapshotRoute } from "./routes/snapshot.ts";
import { storeSmallRoute } from "./routes/store-small.ts";

/**
 * The peer port: who does not know the secret gets 401 for whatever it asks, and no route but `hello` is open to who is
 * not a member in its present life.
 */
export function createPeerApi(options: PeerApiOptions): Express {
  const membership = new Membership(options);
  const member = requireMember(membership, options);
  const octets = express.raw({ type: "application/octet-stream", limit: options.maxSmallBatchBytes + maxHeaderBytes });
  const json = express.json({ limit: maxJsonBytes, strict: true });

  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.use(requireProof(membership));
  app.get("/peer/hello", helloRoute(options));
  app.post("/peer/blobs", member, octets, storeSmallRoute);
  app.put("/peer/blobs/:blobId", member, receiveBlobRoute(options));
  app.get("/peer/blobs/:blobId", member, readBlobRoute);
  app.post("/peer/blobs/:blobId/pull", member, json, pullRoute(options));
  app.post("/peer/discard", member, json, discardRoute);
  app.get("/peer/snapshot", member, snapshotRoute);
  app.use(noSuchRoute);
  app.use(problemHandler(options));
  return app;
}

/** The server of the peer port: the API, and streams by HTTP upgrade. Not listening yet. */
export function createPeerServer(options: PeerApiOptions): Server {
  const server = createServer(serverLimits, createPeerApi(options));
  // A silent connection is ended; a blob under way may pause as long as its depositor may, and longer.
  server.setTimeout(idleMs);
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const services = options.services();
    if (services !== undefined) services.streams.accept(request, socket, head);
    else socket.destroy();
  });
  return server;
}

const serverLimits = {
  // Blobs may take hours; headers may not.
  requestTimeout: 0,
  headersTimeout: 10_000,
  // Longer than the client keeps its connections, so that it never calls on one that is being closed.
  keepAliveTimeout: 60_000,
  noDelay: true,
  // Blobs come in with fewer, larger reads.
  highWaterMark: 256 * 1024,
};
const idleMs = 120_000;
const maxHeaderBytes = 1024 * 1024;
const maxJsonBytes = 1024 * 1024;
