import type { Network } from "../../../node/network.ts";
import { Membership } from "../../../node/transport/membership.ts";
import type { Life } from "../life.ts";
import type { SimulatedHosts } from "./hosts.ts";
import { SimulatedPeerClient } from "./peer-client.ts";
import { SimulatedStreams } from "./streams.ts";

/** The network as one process sees it; all it opened is gone with it. */
export function networkOf(hosts: SimulatedHosts, life: Life): Network {
  const { node } = life;
  return {
    // Nobody there looks whether a node is ready.
    openWaitingRoom: async () => async () => undefined,
    openPeerPort: async (_at, options) => {
      const port = { life, options, membership: new Membership(options) };
      hosts.ports.set(node, port);
      const close = () => {
        if (hosts.ports.get(node) === port) hosts.ports.delete(node);
      };
      life.onEnd(close);
      return async () => close();
    },
    openDoor: async (_at, options) => {
      const door = { life, options };
      hosts.doors.set(node, door);
      const close = () => {
        if (hosts.doors.get(node) === door) hosts.doors.delete(node);
      };
      life.onEnd(close);
      return async () => close();
    },
    peerClient: (options) => new SimulatedPeerClient(hosts, life, options),
    peerStreams: (options) => new SimulatedStreams(hosts, life, options),
  };
}
