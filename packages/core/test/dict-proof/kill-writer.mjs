// Changes a dict until it is killed. Arguments: the node entry, the file, the first step. Prints each finished step.
import { writeSync } from 'node:fs';
import { apply, rowsFrom } from './kill-plan.mjs';

const [entry, path, first] = process.argv.slice(2);
const { MmapDict } = await import(entry);
// Some writers leave an index in place when they append, others drop it.
const options = { standingIndex: Number(first) % 2 === 0 ? 0 : 2 ** 20 };
let dict = MmapDict.open(path, options);
const target = {
  set: (key, value) => dict.set(key, value),
  delete: (key) => dict.delete(key),
  batch: (change) => dict.batch(change),
  rows: () => dict.getMeta('rows').shape[0],
  append: (count) => {
    const rows = dict.get('rows');
    rows.append(rowsFrom(rows.shape[0], count));
  },
  vacuum: () => dict.vacuum(),
  reclaim: () => dict.reclaim(),
  reopen: () => {
    dict.close();
    dict = MmapDict.open(path, options);
  },
};
writeSync(1, 'ready\n');
for (let step = Number(first); ; step++) {
  apply(step, target);
  writeSync(1, `${step}\n`);
}
