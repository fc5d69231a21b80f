import { isFree } from "../../scripts/cluster-file.ts";

// Below 32,768, where Linux begins to take the local ends of outgoing connections: a node that is started again finds its
// port free, because nobody was given it meanwhile.
const firstPort = 12_000;
const endPort = 32_000;

// Test files of one run live in different processes; each begins at another place.
let next = firstPort + ((process.pid * 97) % (endPort - firstPort));

/** So many ports of this machine that nobody listens on; never the same twice in one process. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tried = 0; ports.length < count; tried++) {
    if (tried > endPort - firstPort) throw new Error(`no ${count} free ports from ${firstPort} to ${endPort}`);
    const port = next;
    next = next + 1 === endPort ? firstPort : next + 1;
    if (await isFree("127.0.0.1", port)) ports.push(port);
  }
  return ports;
}
