import { entries, position, use, vote } from "./support.ts";

// Persists without end, and says "<last index> <term>" after each time it was acknowledged: new terms, appends, truncations,
// now and then a trim. It never truncates more than it appends at once.
const { log } = await use(process.argv[2] ?? "", { tuning: { logWriteBufferBytes: 32 * 1024 } });
let last: number = log.recovered.lastIndex;
let term: number = log.recovered.hardState.term;
let base: number = log.recovered.base.index;
for (let turn = 0; ; turn += 1) {
  const newTerm = turn % 7 === 0;
  if (newTerm) term += 1;
  const from = newTerm ? Math.max(base + 1, last - 2) : last + 1;
  await log.persist({ hardState: newTerm ? vote(term, "n2") : undefined, append: entries(from, last + 5, term) });
  last += 5;
  process.stdout.write(`${last} ${term}\n`);
  if (turn % 20 === 19) {
    await log.persist({ hardState: undefined, append: entries(last + 1, last + 3, term) });
    await log.trim(position(last + 1, term));
    base = last + 1;
    last += 3;
    process.stdout.write(`${last} ${term}\n`);
  }
}
