import { cpSync } from "node:fs";
import { join } from "node:path";
import type { ApiClient } from "../support/api-client.ts";
import { Cluster } from "../support/cluster.ts";
import type { ClusterMember } from "../support/cluster-member.ts";
import { mayMount, mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { DamageRules } from "./damage-rules.ts";
import type { Field } from "./field.ts";
import { NodeGrip } from "./grips.ts";
import { Ledger } from "./ledger.ts";
import { LogReader } from "./log-audit.ts";
import { Membership } from "./membership.ts";
import { ReplicaIndex } from "./replica-index.ts";

const smallDiskMiB = 1024;
const readLimitMs = 2000;
/** Not one of those whose metadata may be damaged: these are the last. */
const smallDiskPlace = 1;

/** One cluster for a whole campaign: its folders, what it acknowledged and the client that asked live from round to round. */
export interface Arena {
  readonly field: Field;
  /** One for each node that takes part, or could. */
  readonly grips: readonly NodeGrip[];
  readonly logs: LogReader;
  /** The one depositor; registered when the cluster runs for the first time. */
  client(): Promise<ApiClient>;
  /** Ends it; its folder goes, or stays to be looked at with all data directories in it. */
  close(folder: "remove" | "keep"): Promise<void>;
}

/** Lays a cluster out behind proxies, one of its disks small if this machine allows, and a node that may join; starts nothing. */
export async function openArena(nodes: number): Promise<Arena> {
  const disks = new Map<string, SmallDisk>();
  const cluster = await Cluster.create({
    nodes,
    proxied: true,
    newcomers: 1,
    shape: (usual) =>
      usual.map((node, place) => {
        if (place !== smallDiskPlace || !mayMount()) return node;
        const disk = mountSmallDisk(smallDiskMiB);
        disks.set(node.id, disk);
        return { ...node, dataDir: disk.path };
      }),
  });
  const rules = new DamageRules(cluster.members.map(({ id }) => id));
  const grips = [...cluster.members, await newcomer(cluster, `n${nodes + 1}`)].map((member) => new NodeGrip(member));
  await grips.at(-1)?.leave();
  let registered: Promise<ApiClient> | undefined;
  const client = () => (registered ??= cluster.registerClient());
  const field: Field = {
    cluster,
    get grips() {
      return grips.filter(({ member }) => cluster.members.includes(member));
    },
    membership: new Membership({
      cluster,
      grips,
      permanent: [...rules.victims, ...disks.keys()],
      read: async (node) => await answersRead(await client(), node),
    }),
    ledger: new Ledger(),
    rules,
    replicas: new Map(grips.map(({ id, member }) => [id, new ReplicaIndex(member.dataDir)])),
    smallDisks: disks,
  };
  return {
    field,
    grips,
    logs: new LogReader(),
    client,
    close: async (folder) => {
      if (folder === "keep") cluster.keepFolder();
      await cluster.close();
      for (const [id, disk] of disks) {
        if (folder === "keep") cpSync(disk.path, join(cluster.folder, id), { recursive: true });
        disk.unmount();
      }
    },
  };
}

/** One that does not take part yet. */
async function newcomer(cluster: Cluster, id: string): Promise<ClusterMember> {
  const member = await cluster.newcomer(id);
  cluster.leave(member);
  return member;
}

/** Whether a node answers a read, whatever it is. */
async function answersRead(client: ApiClient, node: string): Promise<boolean> {
  try {
    const { status } = await client.record(node, "nothing", { limitMs: readLimitMs });
    return status === 404;
  } catch {
    return false; // it is down, cut off or too slow: ask another one
  }
}
