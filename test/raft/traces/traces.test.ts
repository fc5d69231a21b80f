import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { commandNames, Player } from "./commands.ts";
import { parseTrace, playTrace } from "./trace-file.ts";

// Plays every trace of this folder; README.md says how to read and to change them.

const folder = import.meta.dirname;
const names = readdirSync(folder).filter((file) => file.endsWith(".txt"));
const isUpdate = process.env.UPDATE_TRACES === "1";

for (const name of names) {
  const path = join(folder, name);
  const expected = readFileSync(path, "utf8");
  const trace = parseTrace(expected);
  test(`Trace: ${trace.title}`, () => {
    const player = new Player();
    const actual = playTrace(trace, (command) => player.run(command));
    if (isUpdate) writeFileSync(path, actual);
    else assert.equal(actual, expected, `${name}; if this is intended: UPDATE_TRACES=1 node --test ${path}`);
  });
}

test("Trace: README.md names every trace, in some order, and every command", () => {
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const linked = [...readme.matchAll(/\]\(([\w-]+\.txt)\)/g)].map(([, name]) => name);
  assert.deepEqual(new Set(linked), new Set(names));
  const unnamed = commandNames.filter((name) => !readme.includes(`\`${name}`));
  assert.deepEqual(unnamed, []);
});

test("Trace: a line that is no prose, no command and not indented is refused, and so is a file without a title", () => {
  assert.throws(() => parseTrace("> group\n"), /title/);
  assert.throws(() => parseTrace("# Title\n\noops\n"), /line 3/);
});

test("Trace: a command that cannot be understood or carried out says where and why", () => {
  const play = (...commands: string[]) => {
    const player = new Player();
    const trace = parseTrace(["# Title", ...commands.map((command) => `> ${command}`)].join("\n"));
    return () => playTrace(trace, (command) => player.run(command));
  };
  const group = "group voters n1 n2";
  assert.throws(play("tick n1"), /line 2.*first command must be `group`/);
  assert.throws(play(group, "jump n1"), /line 3.*there is no command "jump"/);
  assert.throws(play("group voters n1 speed 3"), /a group has no "speed"/);
  assert.throws(play(group, "tick n1 50s"), /"50s" is no number of ms/);
  assert.throws(play(group, "tick now"), /a node is missing before "now"/);
  assert.throws(play(group, "tick"), /a node is missing/);
  assert.throws(play(group, "tick n1 5ms 6ms"), /nobody asked for "6ms"/);
  assert.throws(play(group, "deliver n1 -> n2"), /nothing is under way/);
  assert.throws(play(group, "tick n1", "deliver n1 -> n2 2"), /only 1 are under way/);
  assert.throws(play(group, "install n1 n2"), /"from" is missing before "n2"/);
  assert.throws(play(group, "crash"), /nobody to crash/);
});
