// Runs one or several hostile inputs in a process of their own: reads from stdin the length (four bytes, little-endian) and
// the bytes of each input, passes it to its door, a function of the built package, checks the result, and prints one line
// of JSON for each. The doors are the arguments. It starts from a snapshot of a heap that has loaded the package.
import { readFileSync } from 'node:fs';
import { startupSnapshot } from 'node:v8';
import * as pickle from '../../dist/pickle/index.js';

/** Walks data without recursion; throws if it reaches something that no pickle may reach. */
function inspect(root) {
  const shown = [];
  const seen = new Set();
  const pending = [root];
  while (pending.length > 0 && seen.size < 20_000) {
    const value = pending.pop();
    if (typeof value === 'string' && shown.length < 50) shown.push(value.slice(0, 200));
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
  load: (bytes) => inspect(pickle.load(bytes)),
  lossless: (bytes) => inspect(pickle.load(bytes, { lossless: true })),
  both: (bytes) => {
    const lossless = inspect(pickle.load(bytes, { lossless: true }));
    // Free the first load's result now: when the engine would collect it differs between its versions.
    globalThis.gc();
    return `${lossless}\n${inspect(pickle.load(bytes))}`;
  },
  loadEntry: (bytes) => inspect(pickle.loadEntry(bytes)),
  check: (bytes) => JSON.stringify(pickle.check(bytes).globals).slice(0, 2000),
  dis: (bytes) => String(pickle.dis(bytes).length),
  genops: (bytes) => {
    let count = 0;
    for (const _ of pickle.genops(bytes)) count++;
    return String(count);
  },
};

function report(door, bytes, before) {
  const said = {};
  const started = process.cpuUsage();
  try {
    said.shows = DOORS[door](bytes);
    said.outcome = 'inert';
  } catch (error) {
    said.outcome = error instanceof Error && error.name === 'MmdError' ? error.code : 'NATIVE';
    said.message = `${error?.name}: ${String(error?.message).slice(0, 500)}`;
    said.offset = error?.offset;
  }
  const used = process.cpuUsage(started);
  said.seconds = (used.user + used.system) / 1e6;
  // `maxRSS` would count the parent's memory at the fork, too.
  said.megabytes = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]) / 1024;
  said.polluted =
    Reflect.ownKeys(Object.prototype).length !== before || {}.polluted !== undefined || globalThis.pwned !== undefined;
  return said;
}

startupSnapshot.setDeserializeMainFunction(() => {
  const input = readFileSync(0);
  const before = Reflect.ownKeys(Object.prototype).length;
  let pos = 0;
  for (const door of process.argv.slice(1)) {
    const length = input.readUInt32LE(pos);
    // A Uint8Array view, not a Buffer, as callers pass.
    const bytes = new Uint8Array(input.buffer, input.byteOffset + pos + 4, length);
    pos += 4 + length;
    process.stdout.write(`${JSON.stringify(report(door, bytes, before))}\n`);
  }
});
