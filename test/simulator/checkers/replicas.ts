import type { BlobId, NodeId } from "../../../node/base/ids.ts";
import { decodeProposal } from "../../../node/catalog/codec.ts";
import { readFile, readHolder } from "../../../node/catalog/tables.ts";
import type { CatalogView, Command, FileRecord } from "../../../node/catalog/types.ts";
import type { Entry } from "../../../node/raft/types.ts";
import type { AppliedBatch } from "../../../node/replication/applier.ts";
import type { Coverage } from "../coverage.ts";
import { must } from "../violation.ts";

/** What happened between two looks. */
interface Meanwhile {
  /** Blobs of which a replica was reported lost. */
  readonly lost: Set<BlobId>;
  /** The smallest count that a file was given. */
  readonly fewest: Map<string, number>;
}

/**
 * What the records may say. Looked at when the first node of all has applied the commands: until then no node can have seen
 * a later one, and deleted anything because of it.
 */
export class ReplicaChecks {
  readonly #coverage: Coverage;
  readonly #isDurable: (node: NodeId, blobId: BlobId) => boolean;
  #seen = 0;
  readonly #commands = new Set<string>();
  /** Where each file was last seen, and with how many verified copies. */
  readonly #files = new Map<BlobId, { readonly record: FileRecord; readonly present: number }>();

  constructor(coverage: Coverage, isDurable: (node: NodeId, blobId: BlobId) => boolean) {
    this.#coverage = coverage;
    this.#isDurable = isDurable;
  }

  applied(batch: AppliedBatch, committed: readonly (Entry | undefined)[], catalog: CatalogView | undefined): void {
    if (batch.applied <= this.#seen) return;
    if (catalog === undefined) {
      this.#seen = batch.applied;
      return;
    }
    const commands: Command[] = [];
    for (let index = this.#seen + 1; index <= batch.applied; index += 1) {
      const entry = committed[index];
      if (entry?.kind === "command") commands.push(this.#commandOf(entry));
    }
    this.#seen = batch.applied;
    const meanwhile: Meanwhile = { lost: new Set(), fewest: new Map() };
    for (const command of commands) this.#checkCommand(command, catalog, meanwhile);
    this.#checkCopies(catalog, meanwhile);
  }

  #commandOf(entry: Entry): Command {
    const { id, command } = decodeProposal(entry.data);
    if (this.#commands.has(id)) this.#coverage.count("retries deduplicated");
    this.#commands.add(id);
    return command;
  }

  #checkCommand(command: Command, catalog: CatalogView, { lost, fewest }: Meanwhile): void {
    if (command.type === "deposit" || command.type === "edit") {
      this.#note(readFile(catalog, command.clientId, command.name));
      const { name, replicas } = command;
      if (replicas !== undefined) fewest.set(name, Math.min(fewest.get(name) ?? replicas, replicas));
    }
    if (command.type === "deposit" && command.blobId !== undefined)
      for (const { node } of command.copies) this.#checkPresent(catalog, node, command.blobId);
    if (command.type !== "report-replicas") return;
    for (const { type, blobId } of command.reports) {
      if (type === "made") this.#checkPresent(catalog, command.node, blobId);
      if (type === "made") this.#coverage.count("replicas repaired");
      if (type === "dropped") this.#coverage.count("replicas dropped");
      if (type === "lost") {
        this.#coverage.count("damaged replicas met");
        lost.add(blobId);
      }
    }
  }

  #note(record: FileRecord | undefined): void {
    if (record === undefined || this.#files.has(record.blob.blobId)) return;
    this.#files.set(record.blob.blobId, { record, present: presentOf(record) });
  }

  /** Add before drop: no file has fewer verified copies than before, and fewer than are wanted, unless one was lost. */
  #checkCopies(catalog: CatalogView, { lost, fewest }: Meanwhile): void {
    for (const [blobId, { record, present }] of this.#files) {
      const now = readFile(catalog, record.clientId, record.name);
      if (now?.blob.blobId !== blobId) {
        this.#files.delete(blobId);
        continue;
      }
      const nowPresent = presentOf(now);
      const wanted = Math.min(present, now.replicas, fewest.get(now.name) ?? now.replicas);
      const keeps = nowPresent >= wanted || lost.has(blobId);
      must(
        "AddBeforeDrop",
        keeps,
        () => `${now.name}, blob ${blobId}, had ${present} copies and has ${nowPresent} of ${now.replicas}`,
      );
      this.#files.set(blobId, { record: now, present: nowPresent });
    }
  }

  /** What a later command of the same batch has changed again is not of interest. */
  #checkPresent(catalog: CatalogView, node: NodeId, blobId: BlobId): void {
    if (readHolder(catalog, node, blobId)?.state !== "present") return;
    must("OnlySyncedReplicas", this.#isDurable(node, blobId), () => {
      return `a record names blob ${blobId} as present on ${node}, whose disk may lose it`;
    });
  }
}

function presentOf({ holders }: FileRecord): number {
  return holders.filter(({ state }) => state === "present").length;
}
