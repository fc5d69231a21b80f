import { logIndex, type NodeId, term } from "../../../node/base/ids.ts";
import type { Configuration, RaftOptions } from "../../../node/raft/types.ts";
import type { Flying } from "../cluster.ts";
import { configurationOf, entriesOf } from "../support.ts";
import { Stage } from "./stage.ts";
import { Words } from "./words.ts";

/** One trace being played: the stage is set by its first command. */
export class Player {
  #stage: Stage | undefined;

  /**
   * Carries out one command; what it caused, in lines.
   * @throws {Error} when the command cannot be understood or carried out.
   */
  run(command: string): readonly string[] {
    const words = new Words(command);
    const isQuiet = words.takes("quietly");
    const said = this.#act(words);
    return isQuiet ? [] : said;
  }

  #act(words: Words): readonly string[] {
    const name = words.next();
    if (name === "group") {
      this.#stage = group(words);
      return this.#stage.take();
    }
    if (this.#stage === undefined) throw new Error("the first command must be `group`");
    const act = commands[name];
    if (act === undefined) throw new Error(`there is no command "${name}"; there are ${commandNames.join(", ")}`);
    act(this.#stage, words);
    words.end();
    return this.#stage.take();
  }
}

type Act = (stage: Stage, words: Words) => void;

/** What each of them does is in README.md. */
const commands: Readonly<Record<string, Act>> = {
  // The group
  disk,
  crash,
  restart: (stage, words) => {
    for (const id of words.nodes()) stage.start(id);
  },
  // Time
  tick: (stage, words) => tick(stage, words.node(), words.isEmpty ? undefined : words.number("ms")),
  run: (stage, words) => stage.run(words.number("ms")),
  // Network and disks
  deliver: (stage, words) => {
    for (const flying of chosen(stage, words)) stage.deliver(flying);
  },
  drop: (stage, words) => {
    for (const flying of chosen(stage, words)) stage.lose(flying);
  },
  duplicate: (stage, words) => {
    for (const flying of chosen(stage, words)) stage.cluster.bus.push({ ...flying });
  },
  cut: (stage, words) => cut(stage, words),
  heal: (stage) => stage.heal(),
  "peer-refused": (stage, words) => {
    const id = words.node();
    words.expect("->");
    stage.cluster.step(id, { type: "peer-refused", peer: words.node() });
  },
  persist: (stage, words) => {
    for (const id of words.nodes()) while (stage.cluster.at(id).sync());
  },
  hold: (stage, words) => void stage.cluster.heldDisks.add(words.node()),
  release: (stage, words) => void stage.cluster.heldDisks.delete(words.node()),
  stabilize: (stage, words) => {
    const among = words.nodes();
    stage.cluster.settle((id) => among.length === 0 || among.includes(id));
  },
  // What the driver asks
  propose: (stage, words) => propose(stage, words),
  read: (stage, words) => void stage.cluster.read(words.node()),
  transfer: (stage, words) => {
    const id = words.node();
    const to = words.takes("->") ? words.node() : undefined;
    stage.cluster.step(id, { type: "transfer-leadership", to });
  },
  "change-membership": changeMembership,
  trim: (stage, words) => stage.cluster.at(words.node()).trim(logIndex(words.number())),
  install: (stage, words) => {
    const to = words.node();
    words.expect("from");
    stage.cluster.at(to).installSnapshotOf(stage.cluster.at(words.node()));
  },
  // Looks
  status: (stage, words) => forEach(stage, words, (id) => stage.sayStatus(id)),
  log: (stage, words) => forEach(stage, words, (id) => stage.sayLog(id)),
  entries: (stage, words) => forEach(stage, words, (id) => stage.sayEntries(id)),
  configuration: (stage, words) => forEach(stage, words, (id) => stage.sayConfiguration(id)),
};

export const commandNames = ["group", ...Object.keys(commands)];

const settingNames = ["maxAppendBytes", "maxInflightAppends", "maxUncommittedBytes", "maxCachedBytes"] as const;

function group(words: Words): Stage {
  const parts: Partial<Record<keyof Configuration | "strangers", NodeId[]>> = {};
  const settings: { -readonly [Name in keyof RaftOptions]?: RaftOptions[Name] } = {};
  while (!words.isEmpty) {
    const word = words.next();
    const setting = settingNames.find((name) => name === word);
    if (setting !== undefined) settings[setting] = words.number();
    else if (isPart(word)) parts[word] = words.nodes();
    else throw new Error(`a group has no "${word}"`);
  }
  const { strangers = [], ...configuration } = parts;
  return new Stage({ configuration: configurationOf(configuration), strangers, settings });
}

function isPart(word: string): word is keyof Configuration | "strangers" {
  return ["voters", "outgoing", "learners", "learnersNext", "strangers"].includes(word);
}

/** `disk n2 term 7 log 1 1 4x30`: starts n2 anew on that disk, with nothing committed. */
function disk(stage: Stage, words: Words): void {
  const id = words.node();
  const { disk: held } = stage.cluster.at(id);
  words.expect("term");
  held.hardState = { term: term(words.number()), votedFor: undefined };
  words.expect("log");
  const terms: number[] = [];
  while (!words.isEmpty) {
    const [of = "", times = "1"] = words.next().split("x");
    terms.push(...Array.from({ length: Number(times) }, () => Number(of)));
  }
  held.entries = entriesOf(terms);
  held.promised = logIndex(terms.length);
  stage.start(id);
}

/** `crash n1 n2`, `crash n3 losing 2`: entries, or `crash n3 losing its promises`. */
function crash(stage: Stage, words: Words): void {
  const [id, ...others] = words.nodes();
  if (id === undefined) throw new Error("nobody to crash");
  if (others.length === 0 && words.takes("losing")) {
    if (!words.takes("its")) return stage.crash(id, words.number());
    words.expect("promises");
    return stage.crash(id, "its promises");
  }
  for (const each of [id, ...others]) stage.crash(each);
}

/** Lets so much time pass, or as much as the node's timer needs; then the node looks at the clock. */
function tick(stage: Stage, id: NodeId, ms: number | undefined): void {
  const { cluster } = stage;
  const untilMs = ms === undefined ? cluster.at(id).alive.deadlineMs : cluster.nowMs + ms;
  cluster.nowMs = Math.max(cluster.nowMs, untilMs);
  cluster.step(id, { type: "tick" });
}

/** Messages under way from these nodes to those: all, or with a number only that one, the oldest being 1. */
function chosen(stage: Stage, words: Words): readonly Flying[] {
  const { from, to } = words.line();
  const underWay = stage.cluster.bus.filter((flying) => from.includes(flying.from) && to.includes(flying.to));
  if (underWay.length === 0) throw new Error(`nothing is under way from ${from.join(" ")} to ${to.join(" ")}`);
  if (words.isEmpty) return underWay;
  const number = words.number();
  const one = underWay[number - 1];
  if (one === undefined) throw new Error(`only ${underWay.length} are under way`);
  return [one];
}

/** `cut n1` from everybody, `cut n1 n2` from n2 only, `cut n1 -> n2` one way. */
function cut(stage: Stage, words: Words): void {
  const id = words.node();
  if (words.takes("->")) return stage.cutOneWay(id, words.node());
  const named = words.nodes();
  for (const other of named.length > 0 ? named : stage.cluster.nodes.keys()) {
    stage.cutOneWay(id, other);
    stage.cutOneWay(other, id);
  }
}

/** `propose n1 "a" "b"`, or `propose n1 500 bytes`. */
function propose(stage: Stage, words: Words): void {
  const id = words.node();
  const texts: string[] = [];
  while (!words.isEmpty) {
    const word = words.next();
    if (word.startsWith('"')) texts.push(word.slice(1, -1));
    else {
      texts.push("x".repeat(Number(word)));
      words.expect("bytes");
    }
  }
  stage.cluster.propose(id, ...texts);
}

/** `change-membership n1 voters n1 n2 n4 learners n3`: n1 shall bring this about. */
function changeMembership(stage: Stage, words: Words): void {
  const id = words.node();
  words.expect("voters");
  const voters = words.nodes();
  stage.cluster.change(id, voters, words.takes("learners") ? words.nodes() : []);
}

function forEach(stage: Stage, words: Words, say: (id: NodeId) => void): void {
  const named = words.nodes();
  for (const id of named.length > 0 ? named : stage.cluster.nodes.keys()) say(id);
}
