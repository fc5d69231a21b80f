import { authenticate, registerClient, rotateSecret } from "./clients.ts";
import { ClusterEvents } from "./cluster-events.ts";
import { clusterStatus } from "./cluster-status.ts";
import { deposit } from "./deposit.ts";
import { edit } from "./edit.ts";
import { moveLeadership } from "./leadership.ts";
import { list } from "./list.ts";
import { addMember, removeMember } from "./members.ts";
import type { DepotOptions } from "./options.ts";
import { Reconciler } from "./reconcile.ts";
import { readRecord } from "./record.ts";
import { remove } from "./remove.ts";
import { retrieve } from "./retrieve.ts";
import type { RunningDepot } from "./types.ts";

/** The depot of one node: its verbs, one file each, around one reconciler for this node's own replicas. */
export function createDepot(options: DepotOptions): RunningDepot {
  const reconciler = new Reconciler(options);
  const events = new ClusterEvents({ ...options, status: () => clusterStatus(options) });
  return {
    registerClient: (label) => registerClient(options, label),
    authenticate: (clientId, secret) => authenticate(options, clientId, secret),
    rotateSecret: (clientId) => rotateSecret(options, clientId),
    deposit: (request) => deposit(options, request),
    retrieve: async (clientId, name) => retrieve(options, (lost) => reconciler.reportLost(lost), clientId, name),
    record: async (clientId, name) => readRecord(options.replication.catalog, clientId, name),
    edit: (request) => edit(options, request),
    remove: (clientId, name, preconditions) => remove(options, clientId, name, preconditions),
    list: (request) => list(options.replication.catalog, request),
    clusterStatus: async () => clusterStatus(options),
    clusterEvents: (listener) => events.listen(listener),
    addMember: (id, peer) => addMember(options, id, peer),
    removeMember: (id, how) => removeMember(options, id, how),
    moveLeadership: (to) => moveLeadership(options, to),
    start: () => reconciler.start(),
    reportLost: (lost) => reconciler.reportLost(lost),
    close: () => reconciler.close(),
  };
}
