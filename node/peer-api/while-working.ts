import type { Response } from "express";
import type { Clock } from "../base/clock.ts";

/** Sends 102 about every second until `work` ends, so that the peer can tell a long task from a dead node. */
export async function whileWorking<T>(response: Response, clock: Clock, work: Promise<T>): Promise<T> {
  let cancel: () => void = () => {};
  const tell = () => {
    cancel = clock.after(everyMs, () => {
      if (!response.headersSent && response.writable) response.writeProcessing();
      tell();
    });
  };
  tell();
  try {
    return await work;
  } finally {
    cancel();
  }
}

const everyMs = 1_000;
