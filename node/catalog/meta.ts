import { DepositoError } from "../base/errors.ts";
import { type ClusterId, type NodeId, parseClusterId, type Term, term } from "../base/ids.ts";
import type { Configuration, LogPosition } from "../raft/types.ts";
import type { Digest } from "./digest.ts";
import {
  decodeFields,
  distinctOf,
  encodeFields,
  type Fields,
  fieldsOf,
  logIndexOf,
  malformed,
  nodeIdOf,
  textOf,
  uuidOf,
  wholeOf,
} from "./fields.ts";
import { metaKey } from "./keys.ts";
import type { CatalogTotals, CatalogView, Write } from "./types.ts";
import { uuidToBytes } from "./uuid-bytes.ts";

/** What a catalog knows of itself: one row, written with every apply. */
export interface CatalogMeta {
  readonly clusterId: ClusterId;
  readonly clusterName: string;
  /** The last entry whose changes are in the catalog. */
  readonly applied: LogPosition;
  /** The newest configuration among the applied entries. */
  readonly configuration: Configuration;
  /** Of every row but this one. */
  readonly digest: Digest;
  readonly totals: CatalogTotals;
}

/** @throws {DepositoError} `catalog-damaged`, also when there is none: every founded catalog has one. */
export function readMeta(view: CatalogView): CatalogMeta {
  const value = view.get(metaKey);
  if (value === undefined) throw new DepositoError("catalog-damaged", "the catalog has no meta row");
  return decodeFields(value, "catalog-damaged", "the meta row", metaOf);
}

export function metaWrite(meta: CatalogMeta): Write {
  const { clusterId, clusterName, applied, configuration, digest, totals } = meta;
  const value = encodeFields([
    uuidToBytes(clusterId),
    clusterName,
    [applied.index, applied.term],
    [configuration.voters, configuration.outgoing, configuration.learners, configuration.learnersNext],
    digest,
    [totals.files, totals.bytes, totals.wanted, totals.present, totals.missing, totals.unplaced],
  ]);
  return { key: metaKey, value };
}

function metaOf(fields: Fields): CatalogMeta {
  const [clusterId, clusterName, applied, configuration, digest, totals] = fieldsOf(fields, 6);
  const [index, termNumber] = fieldsOf(applied, 2);
  return {
    clusterId: uuidOf(clusterId, parseClusterId),
    clusterName: textOf(clusterName, 1024),
    applied: { index: logIndexOf(index), term: termOf(termNumber) },
    configuration: configurationOf(configuration),
    digest: digestOf(digest),
    totals: totalsOf(totals),
  };
}

function configurationOf(value: unknown): Configuration {
  const [voters, outgoing, learners, learnersNext] = fieldsOf(value, 4);
  return {
    voters: nodeIdsOf(voters),
    outgoing: nodeIdsOf(outgoing),
    learners: nodeIdsOf(learners),
    learnersNext: nodeIdsOf(learnersNext),
  };
}

function nodeIdsOf(value: unknown): readonly NodeId[] {
  return distinctOf(value, nodeIdOf, (node) => node);
}

function digestOf(value: unknown): Digest {
  const [a, b, c, d] = fieldsOf(value, 4);
  return [laneOf(a), laneOf(b), laneOf(c), laneOf(d)];
}

function laneOf(value: unknown): number {
  const lane = wholeOf(value);
  if (lane >= 2 ** 32) throw malformed("32 bits", value);
  return lane;
}

function totalsOf(value: unknown): CatalogTotals {
  const [files, bytes, wanted, present, missing, unplaced] = fieldsOf(value, 6);
  return {
    files: wholeOf(files),
    bytes: wholeOf(bytes),
    wanted: wholeOf(wanted),
    present: wholeOf(present),
    missing: wholeOf(missing),
    unplaced: wholeOf(unplaced),
  };
}

function termOf(value: unknown): Term {
  return term(wholeOf(value));
}
