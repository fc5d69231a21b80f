// A node in a process of its own, to be killed: reads {self, members} from stdin, writes its port to stdout.
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { Group, startNode } from "./nodes.ts";

const { self, members } = (await json(process.stdin)) as {
  readonly self: Parameters<typeof startNode>[1];
  readonly members: readonly (typeof Group.prototype.members extends Map<infer K, infer V> ? readonly [K, V] : never)[];
};
const group = new Group();
for (const [id, member] of members) group.members.set(id, member);
const node = await startNode(group, self);
process.stdout.write(`${(node.server.address() as AddressInfo).port}\n`);
