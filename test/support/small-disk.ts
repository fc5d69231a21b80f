import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A disk of its own in memory, as large as it is told to be. */
export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** Makes it so small that about `freeBytes` are left; at once, however full or empty it is. */
  fill(freeBytes: number): void;
  /** Gives it its size back. */
  free(): void;
  unmount(): void;
}

/** Root in a container often may not mount. */
export function mayMount(): boolean {
  try {
    mountSmallDisk(1).unmount();
    return true;
  } catch {
    return false;
  }
}

const fillAttempts = 5;

/** @throws where mounting is not allowed. */
export function mountSmallDisk(sizeMiB: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "deposito-disk-"));
  const mount = (...options: string[]) =>
    execFileSync("mount", ["-t", "tmpfs", "-o", options.join(","), "tmpfs", path], { stdio: "ignore" });
  try {
    mount(`size=${sizeMiB}m`);
  } catch (error) {
    rmSync(path, { recursive: true });
    throw error;
  }
  return {
    path,
    fill: (freeBytes) => {
      for (let attempt = 1; ; attempt++) {
        const { blocks, bfree, bsize } = statfsSync(path);
        try {
          mount("remount", `size=${Math.max(bsize, (blocks - bfree) * bsize + freeBytes)}`);
          return;
        } catch (error) {
          // A disk cannot become smaller than what was written to it meanwhile.
          if (attempt === fillAttempts) throw error;
        }
      }
    },
    free: () => void mount("remount", `size=${sizeMiB}m`),
    unmount: () => {
      execFileSync("umount", ["--lazy", path]);
      rmSync(path, { recursive: true });
    },
  };
}
