// Loaded into a node before its own code (`node --import`): the node ends itself, gracefully, when the process that started
// it is gone, however that one ended, because its standard input is a pipe from there. Nothing is left running behind.
function end(): void {
  process.kill(process.pid, "SIGTERM");
}

process.stdin.on("end", end);
process.stdin.on("error", end);
process.stdin.resume();
// A pipe is a socket here; it must not be what keeps the process alive.
(process.stdin as unknown as { unref?(): void }).unref?.();
