import { DepositoError } from "../../node/base/errors.ts";
import { openDirectory } from "./support.ts";

// Opens the data directory named by the first argument, says how that went, and stays until it is killed.
const path = process.argv[2] ?? "";
try {
  await openDirectory(path);
  process.stdout.write("opened\n");
} catch (error) {
  process.stdout.write(`${error instanceof DepositoError ? error.code : String(error)}\n`);
}
setInterval(() => undefined, 1000);
