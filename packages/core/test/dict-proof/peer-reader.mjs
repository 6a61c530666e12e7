// Reads a dict until a line arrives on standard input. Arguments: the node entry, the file. Prints what it saw as JSON.
import { writeSync } from 'node:fs';

const [entry, path] = process.argv.slice(2);
const { MmapDict } = await import(entry);
const dict = MmapDict.open(path, { mode: 'r' });
let stop = false;
process.stdin.once('data', () => {
  stop = true;
});
writeSync(1, 'ready\n');
let looks = 0;
let last = 0;
while (!stop) {
  for (let i = 0; i < 20; i++) {
    const counter = dict.get('counter');
    if (!(counter >= last)) throw new Error(`the counter went from ${last} to ${counter}`);
    last = counter;
    const same = dict.get('same') ?? [];
    if (new Set(same).size > 1 || ![0, 40].includes(same.length)) throw new Error(`a torn list: ${same}`);
    for (const key of dict.keys())
      if (!dict.has(key) && !key.endsWith('scratch')) throw new Error(`no ${key} any more`);
    looks++;
  }
  await new Promise((resolve) => setImmediate(resolve));
}
process.stdin.destroy();
writeSync(1, `${JSON.stringify({ looks, last })}\n`);
