import { type NodeId, parseNodeId } from "../../../node/base/ids.ts";

/** The words of one command, taken one after the other; what is in quotes is one word. */
export class Words {
  readonly #words: string[];

  constructor(command: string) {
    this.#words = command.match(/"[^"]*"|\S+/g) ?? [];
  }

  get isEmpty(): boolean {
    return this.#words.length === 0;
  }

  /** The next word. @throws {Error} when there is none. */
  next(): string {
    const word = this.#words.shift();
    if (word === undefined) throw new Error("a word is missing at the end");
    return word;
  }

  /** Takes the next word if it is this one. */
  takes(word: string): boolean {
    if (this.#words[0] !== word) return false;
    this.#words.shift();
    return true;
  }

  /** @throws {Error} when the next word is no node. */
  node(): NodeId {
    const [word = ""] = this.#words;
    const id = isNode(word) ? parseNodeId(word) : undefined;
    if (id === undefined) throw new Error(`a node is missing before "${word}"`);
    this.#words.shift();
    return id;
  }

  /** As many nodes as follow, perhaps none. */
  nodes(): NodeId[] {
    const nodes: NodeId[] = [];
    while (isNode(this.#words[0] ?? "")) nodes.push(this.node());
    return nodes;
  }

  /** A number, with this unit if one is given. @throws {Error} when the next word is none. */
  number(unit: "" | "ms" = ""): number {
    const word = this.next();
    const found = /^(\d+)([a-z]*)$/.exec(word);
    if (found === null || found[2] !== unit) throw new Error(`"${word}" is no number${unit && ` of ${unit}`}`);
    return Number(found[1]);
  }

  /** Both sides of `n1 -> n2 n3`. */
  line(): { readonly from: readonly NodeId[]; readonly to: readonly NodeId[] } {
    const from = this.nodes();
    this.expect("->");
    return { from, to: this.nodes() };
  }

  /** @throws {Error} when the next word is not this one. */
  expect(word: string): void {
    const found = this.next();
    if (found !== word) throw new Error(`"${word}" is missing before "${found}"`);
  }

  /** @throws {Error} when words are left. */
  end(): void {
    if (!this.isEmpty) throw new Error(`nobody asked for "${this.#words.join(" ")}"`);
  }
}

function isNode(word: string): boolean {
  return /^n\d$/.test(word);
}
