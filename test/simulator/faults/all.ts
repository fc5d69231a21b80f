import { cutButForBridge, cutIntoHalves, cutOffLeader, cutOffOne, cutOnePair, cutOneWay, slowNetwork } from "./cuts.ts";
import {
  emptyDirectory,
  failSync,
  fillDisk,
  flipBlob,
  flipCatalog,
  flipHardState,
  flipLog,
  misdirectWrite,
  slowDisk,
} from "./disks.ts";
import type { Fault, FaultName } from "./fault.ts";
import { addNode, handOver, removeNode } from "./members.ts";
import {
  killAll,
  killLeader,
  killOne,
  killSeveral,
  losePowerOnAll,
  losePowerOnOne,
  pauseForLong,
  pauseLeader,
  pauseOne,
  stopInOrder,
} from "./processes.ts";

/** Each kind of fault by its name. */
export const faultsByName: Readonly<Record<FaultName, Fault>> = {
  "kill one node": killOne,
  "kill several nodes": killSeveral,
  "kill all nodes": killAll,
  "kill the leader": killLeader,
  "stop a node in order": stopInOrder,
  "pause a node": pauseOne,
  "pause the leader": pauseLeader,
  "pause a node for long": pauseForLong,
  "cut off one node": cutOffOne,
  "cut off the leader": cutOffLeader,
  "cut into halves": cutIntoHalves,
  "cut one way": cutOneWay,
  "cut one pair": cutOnePair,
  "cut but for a bridge": cutButForBridge,
  "slow network of a node": slowNetwork,
  "lose power on one node": losePowerOnOne,
  "lose power on all nodes": losePowerOnAll,
  "fail a sync": failSync,
  "fill a disk": fillDisk,
  "flip a bit of a blob": flipBlob,
  "flip a bit of a log": flipLog,
  "flip a bit of a catalog": flipCatalog,
  "flip a bit of the hard state": flipHardState,
  "misdirect a write": misdirectWrite,
  "slow disk": slowDisk,
  "empty a data directory": emptyDirectory,
  "hand leadership over": handOver,
  "add a node": addNode,
  "remove a node": removeNode,
};
