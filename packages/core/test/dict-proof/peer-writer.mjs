// Increments 'counter' and sets keys of its own. Arguments (or worker data): the node entry, the file or its token, a name, a count.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

const [entry, file, name, count] = isMainThread ? process.argv.slice(2) : workerData;
const { MmapDict } = await import(entry);
const dict = typeof file === 'string' ? MmapDict.open(file) : MmapDict.reopen(file);
for (let turn = 1; turn <= Number(count); turn++) {
  dict.batch(() => {
    const counter = dict.get('counter');
    dict.set('counter', counter + 1).set(name, turn);
    dict.set('same', new Array(40).fill(`${name} ${turn}`));
    if (turn % 3 === 0) dict.delete(`${name} scratch`);
    else dict.set(`${name} scratch`, new Float64Array(turn % 50));
  });
  if (turn % 40 === 0) dict.vacuum();
}
dict.close();
parentPort?.postMessage('done');
