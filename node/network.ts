import type { Server } from "node:http";
import type { ApiOptions } from "./api/context.ts";
import { createApi } from "./api/server.ts";
import { createWaitingRoom, type WaitingRoomOptions } from "./api/waiting-room.ts";
import type { Address } from "./catalog/types.ts";
import { closeServer, listen } from "./listen.ts";
import type { PeerApiOptions } from "./peer-api/context.ts";
import { createPeerServer } from "./peer-api/server.ts";
import { HttpPeerClient, type HttpPeerClientOptions } from "./transport/peer-client.ts";
import { type AcceptingPeerStreams, createPeerStreams, type PeerStreamsOptions } from "./transport/peer-streams.ts";
import type { PeerClient } from "./transport/types.ts";

/** Takes nothing new; resolves when what is under way has ended, or was cut off after `withinMs`. */
type Closing = (withinMs: number) => Promise<void>;

/** How a node reaches others and is reached: the one seam between it and the network. */
export interface Network {
  /** Tells clients and operators that ask at the door why it is not open yet. @throws {DepositoError} like `openDoor`. */
  openWaitingRoom(at: Address, options: WaitingRoomOptions): Promise<Closing>;
  /** Answers peers from now on. @throws {DepositoError} `port-in-use`, `config-invalid` */
  openPeerPort(at: Address, options: PeerApiOptions): Promise<Closing>;
  /** Answers clients and operators from now on. @throws {DepositoError} `port-in-use`, `config-invalid` */
  openDoor(at: Address, options: ApiOptions): Promise<Closing>;
  peerClient(options: HttpPeerClientOptions): PeerClient;
  peerStreams(options: PeerStreamsOptions): AcceptingPeerStreams;
}

/** Two HTTP servers, calls to peers over HTTP, and streams over upgraded connections. */
export const httpNetwork: Network = {
  openWaitingRoom: (at, options) => open(createWaitingRoom(options), at, "the API port"),
  openPeerPort: (at, options) => open(createPeerServer(options), at, "the peer port"),
  openDoor: async (at, options) => {
    const { server, endStreams } = createApi(options);
    const close = await open(server, at, "the API port");
    return (withinMs) => {
      endStreams();
      return close(withinMs);
    };
  },
  peerClient: (options) => new HttpPeerClient(options),
  peerStreams: (options) => createPeerStreams(options),
};

async function open(server: Server, at: Address, what: string): Promise<Closing> {
  await listen(server, at, what);
  return (withinMs) => closeServer(server, withinMs);
}
