// Appends rows to a growable array, the second half after input arrives. Arguments: the node entry, the file, the number of
// rows. Row r holds r, 3r and r squared.
import { once } from 'node:events';

const [entry, path, rows] = process.argv.slice(2);
const { MmapDict } = await import(entry);
const dict = MmapDict.open(path);
const array = dict.get('rows');
const row = new Float64Array(3);
for (let r = 0; r < Number(rows); r++) {
  if (r === rows / 2) {
    await once(process.stdin, 'data');
    process.stdin.pause();
  }
  row[0] = r;
  row[1] = 3 * r;
  row[2] = r * r;
  array.append(row);
  // Another entry after the array, so that its next growth moves it.
  if (r % 5000 === 4999) dict.set('noted', r);
}
dict.close();
