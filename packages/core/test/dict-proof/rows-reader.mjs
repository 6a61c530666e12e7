// Sums the committed rows of a growable array until there are enough. Arguments: the node entry, the file, the number of rows.
import { writeSync } from 'node:fs';

const [entry, path, rows] = process.argv.slice(2);
const { MmapDict } = await import(entry);
const dict = MmapDict.open(path, { mode: 'r' });
const array = dict.get('rows');
writeSync(1, 'ready\n');
// If the test is killed, this must not run for ever.
const parent = process.ppid;
let looks = 0;
let seen = 0;
let sum = 0;
while (seen < Number(rows) && process.ppid === parent) {
  array.refresh();
  const count = array.shape[0];
  if (count < seen) throw new Error(`${count} rows after ${seen}`);
  for (let r = seen; r < count; r++) {
    const [a, b, c] = [array.get(r, 0), array.get(r, 1), array.get(r, 2)];
    if (a !== r || b !== 3 * r || c !== r * r) throw new Error(`row ${r} of ${count} is ${a} ${b} ${c}`);
    sum += a;
  }
  // Now and then all rows are summed again, to check that they have not changed.
  if (looks % 50 === 0 && count > 0) {
    const whole = array.slice(null, 0).sum();
    if (Number(whole) !== (count * (count - 1)) / 2) throw new Error(`${count} rows sum up to ${whole}`);
  }
  if (sum !== (count * (count - 1)) / 2) throw new Error(`${count} rows sum up to ${sum}`);
  if (count > seen && looks++ === 0) writeSync(1, 'some\n');
  seen = count;
  await new Promise((resolve) => setImmediate(resolve));
}
writeSync(1, `${JSON.stringify({ looks, seen, sum })}\n`);
