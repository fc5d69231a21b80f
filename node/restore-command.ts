import { type BackupHeader, backupId } from "./backup/format.ts";
import { readBackup } from "./backup/read.ts";
import { newIncarnation } from "./base/ids.ts";
import type { Logger } from "./base/logger.ts";
import { readMeta } from "./catalog/apply.ts";
import type { NodeConfig } from "./config.ts";
import { restoreDirectory } from "./storage/restored-directory.ts";
import { systemDisk } from "./storage/system/system-disk.ts";
import { fileBytes } from "./storage/system/whole-file.ts";

export interface RestoreCommandOptions {
  readonly own: NodeConfig;
  /** The backup. */
  readonly from: string;
  /** The metadata of another group that lies in the node's directory may go. */
  readonly replace: boolean;
  readonly logger: Logger;
}

/**
 * `deposito restore`: prepares the directory of one node for a new group that begins with the backup. The group is founded
 * once every node of the configuration was prepared with the same backup and started.
 * @throws {DepositoError} saying what to do; the directory then has not changed.
 */
export async function restoreNode({ own, from, replace, logger }: RestoreCommandOptions): Promise<BackupHeader> {
  // Before anything is touched; and again while it is written, in case the disk is what is damaged.
  const header = await readBackup(fileBytes(from), async () => undefined);
  await restoreDirectory({
    path: own.dataDir,
    nodeId: own.id,
    disk: systemDisk,
    logger,
    appliedOf: (catalog) => readMeta(catalog).applied,
    incarnation: newIncarnation(),
    restored: backupId(header),
    replace,
    fill: async (write) => {
      await readBackup(fileBytes(from), async (rows) => write(rows));
    },
  });
  return header;
}
