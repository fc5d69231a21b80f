/**
 * A trace as text: prose, commands, and what each command caused.
 *
 *   # First election: n1's timer runs out first, and the others vote for it
 *
 *   > group voters n1 n2 n3
 *
 *   # Nobody was heard for an election timeout.
 *   > tick n1
 *     n1 is a pre-candidate in term 0
 *
 * The first line is the title. Lines that begin with `#` or `>` are written by hand, the indented ones by the cores.
 */
export interface Trace {
  readonly title: string;
  readonly lines: readonly TraceLine[];
}

export type TraceLine =
  | { readonly type: "prose"; readonly text: string }
  | { readonly type: "command"; readonly text: string; readonly number: number };

/**
 * Everything that was written by hand; what the cores said is left out.
 * @throws {Error} when the file begins with no title, or a line is none of the three kinds.
 */
export function parseTrace(text: string): Trace {
  const [first = ""] = text.split("\n", 1);
  if (!first.startsWith("# ")) throw new Error("the first line must be `# ` and the title");
  const lines = text.trimEnd().split("\n");
  return { title: first.slice(2), lines: lines.flatMap((line, place) => parseLine(line, place + 1)) };
}

function parseLine(text: string, number: number): TraceLine[] {
  if (text.startsWith("> ")) return [{ type: "command", text: text.slice(2), number }];
  if (text === "" || text.startsWith("#")) return [{ type: "prose", text }];
  if (text.startsWith("  ")) return [];
  throw new Error(`line ${number} is no prose (#), no command (>) and not indented: ${text}`);
}

/** The whole text, with what each command causes now; errors say which line they come from. */
export function playTrace(trace: Trace, run: (command: string) => readonly string[]): string {
  const played = trace.lines.flatMap((line) => {
    switch (line.type) {
      case "prose":
        return [line.text];
      case "command":
        try {
          return [`> ${line.text}`, ...run(line.text).map((said) => `  ${said}`)];
        } catch (error) {
          throw new Error(`line ${line.number}, "${line.text}": ${String(error)}`, { cause: error });
        }
    }
  });
  return `${played.join("\n")}\n`;
}
