// Changes a dict as fast as it can: many sets, some deletions, some rows, some batches.
import { MmapDict } from '@mmdpickle/core/node';

const [path, name, count] = process.argv.slice(2);
const dict = MmapDict.open(path);
for (let i = 0; i < Number(count); i += 1) {
  dict.set(`${name}/${i}`, i);
  if (i % 7 === 3) dict.delete(`${name}/${i - 2}`);
  if (i % 11 === 5) dict.batch(() => dict.set(`${name}/both`, i).set(`${name}/too`, i));
  if (i % 5 === 0) dict.get('rows').append(Int32Array.of(i, i));
}
dict.close();
