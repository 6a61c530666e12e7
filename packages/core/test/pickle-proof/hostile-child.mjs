// One hostile input, in a process of its own: reads the bytes from stdin, sends them through one door of the built
// package, looks at what came out, and prints one line of JSON.
import { readFileSync } from 'node:fs';

const door = process.argv[2];
const pickle = await import('../../dist/pickle/index.js');
const bytes = new Uint8Array(readFileSync(0));
const before = Reflect.ownKeys(Object.prototype).length;
const started = process.cpuUsage();

/** Walks data without recursion; throws when something is reachable that no pickle may reach. */
function inspect(root) {
  const shown = [];
  const seen = new Set();
  const pending = [root];
  while (pending.length > 0 && seen.size < 20_000) {
    const value = pending.pop();
    if (typeof value === 'string') shown.length < 50 && shown.push(value.slice(0, 200));
    if (typeof value === 'function') throw new Error('a function came out of a pickle');
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    const prototype = Object.getPrototypeOf(value);
    const maker = prototype?.constructor;
    if (prototype !== null && typeof maker !== 'function') throw new Error('a prototype was set');
    if (prototype !== null && !Object.isFrozen(maker) && maker.prototype === undefined)
      throw new Error('an odd prototype');
    if (value.polluted !== undefined) throw new Error('a property came from the input');
    if (ArrayBuffer.isView(value)) continue;
    if (value instanceof Map) {
      let left = 5000;
      for (const [key, item] of value) {
        pending.push(key, item);
        if (--left === 0) break;
      }
    } else if (value instanceof Set) {
      let left = 5000;
      for (const item of value) {
        pending.push(item);
        if (--left === 0) break;
      }
    } else if (Array.isArray(value)) {
      for (let i = 0; i < value.length && i < 5000; i++) pending.push(value[i]);
    } else {
      for (const key of Reflect.ownKeys(value)) pending.push(typeof key === 'string' ? key : '', value[key]);
      if (value instanceof pickle.OpaqueObject) pending.push(value.operations);
    }
  }
  return shown.join('\n');
}

const DOORS = {
  load: () => inspect(pickle.load(bytes)),
  lossless: () => inspect(pickle.load(bytes, { lossless: true })),
  both: () => `${inspect(pickle.load(bytes, { lossless: true }))}\n${inspect(pickle.load(bytes))}`,
  loadEntry: () => inspect(pickle.loadEntry(bytes)),
  check: () => JSON.stringify(pickle.check(bytes).globals).slice(0, 2000),
  dis: () => String(pickle.dis(bytes).length),
  genops: () => {
    let count = 0;
    for (const _ of pickle.genops(bytes)) count++;
    return String(count);
  },
};

const report = {};
try {
  report.shows = DOORS[door]();
  report.outcome = 'inert';
} catch (error) {
  report.outcome = error instanceof Error && error.name === 'MmdError' ? error.code : 'NATIVE';
  report.message = `${error?.name}: ${String(error?.message).slice(0, 500)}`;
  report.offset = error?.offset;
}
const used = process.cpuUsage(started);
report.seconds = (used.user + used.system) / 1e6;
report.megabytes = process.resourceUsage().maxRSS / 1024;
report.polluted =
  Reflect.ownKeys(Object.prototype).length !== before || {}.polluted !== undefined || globalThis.pwned !== undefined;
process.stdout.write(`${JSON.stringify(report)}\n`);
