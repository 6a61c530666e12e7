/** Checks, repairs and copies of a file whose reads fail now and then. */
import { expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { PickleCursor } from '../../src/dict/pickle-cursor.ts';
import { ReadAhead } from '../../src/dict/read-ahead.ts';
import { isMmdError, MmdError } from '../../src/errors.ts';
import { ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { preceded } from '../../src/testing/index.ts';
import { stateText } from './canonical.ts';

const NAME = 'dict';
const EIO = new MmdError('IO', 'EIO, input/output error', { errno: 'EIO' });

/** Values of all sizes, replaced ones and deleted ones. */
function sample(): Uint8Array {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  for (let i = 0; i < 12; i += 1) dict.set(`key ${i % 9}`, 't'.repeat(i * 100));
  dict.set('array', ndarray(Float64Array.from({ length: 300 }, (_, i) => i)));
  dict.set(
    'list',
    Array.from({ length: 400 }, (_, i) => `item ${i}`),
  );
  dict
    .set('rows', { arraySource: true, dtype: 'float64', shape: [0], capacity: 4 })
    .get('rows')
    .append([1, 2, 3]);
  dict.set('last', 'x'.repeat(700)).delete('key 4');
  return file.toBytes();
}

/** The same file, where the length of the array's entry is wrong: it reaches over others. */
function sampleWithWrongLength(): Uint8Array {
  const bytes = sample();
  const { entryOffset } = MmapDict.over(MemoryFile.of(bytes.slice()), { mode: 'r' }).getMeta('array')!;
  bytes[entryOffset + 2]! ^= 0x08;
  return bytes;
}

type Work = (dict: MmapDict, target: MmapDict) => unknown;

const WORKS: Readonly<Record<string, readonly [bytes: () => Uint8Array, work: Work]>> = {
  fsck: [sample, (dict) => dict.fsck()],
  'fsck with repair': [sample, (dict) => dict.fsck({ repair: true })],
  'fsck of a damaged file': [sampleWithWrongLength, (dict) => dict.fsck()],
  verify: [sample, (dict) => dict.verify()],
  scan: [sample, (dict) => [...dict.scan()]],
  salvage: [sample, (dict, target) => dict.salvage(target)],
  'salvage of a damaged file': [sampleWithWrongLength, (dict, target) => dict.salvage(target)],
  copy: [sample, (dict, target) => void dict.copy(dict.keys(), target)],
  merge: [sample, (dict, target) => void target.merge(dict)],
};

/** Does the work on a file of which the reads for which `fails` returns true fail, and on the same file afterwards. */
function attempt([bytes, work]: (typeof WORKS)[string], fails: (read: number) => boolean) {
  const disk = new MemoryDisk();
  disk.open(NAME, 'create-new').write(0, bytes());
  let reads = 0;
  let sound = true;
  const file = preceded(disk.open(NAME, 'r+'), ['read'], () => {
    if (!sound && fails(reads++)) throw EIO;
  });
  const dict = MmapDict.over(file, { mode: 'r+', lenient: true });
  const once = (): string => {
    const target = MmapDict.over(MemoryFile.of());
    return `${JSON.stringify(work(dict, target))} ${stateText(target)}`;
  };
  sound = false;
  let done: string | undefined;
  try {
    done = once();
  } catch (error) {
    if (!isMmdError(error, 'IO') || error.errno !== 'EIO') throw error;
  }
  sound = true;
  return { reads, done, after: once(), left: disk.open(NAME, 'r').toBytes() };
}

test.each(Object.keys(WORKS))(
  'whatever reads fail during %s, it throws or reports that error or is right, and is right afterwards',
  (name) => {
    const work = WORKS[name]!;
    const clean = attempt(work, () => false);
    let thrown = 0;
    for (let n = 0; n < clean.reads; n += 1) {
      // Whatever reports damage looks again: the second look fails, too.
      for (const distance of n % 3 === 0 ? [0, 1, clean.reads] : [0]) {
        const { done, after, left } = attempt(work, (read) => read === n || read === n + distance);
        // Salvage takes the bytes for unreadable, and says so.
        const told = name.startsWith('salvage') && done?.includes('"unreadable":[]') === false;
        if (done === undefined || told) thrown += 1;
        else expect(done, `${n}, ${distance}`).toBe(clean.done);
        expect(after).toBe(clean.after);
        expect(left).toEqual(clean.left);
      }
    }
    // Salvage reads again at once, and most of these errors are gone by then.
    expect(thrown).toBeGreaterThan(name.startsWith('salvage') ? 0 : clean.reads / 2);
  },
);

test('after a read that failed, neither what is read ahead nor the window of a cursor holds bytes of another place', () => {
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i % 2 === 0 ? 0x4b : Math.floor(i / 65_536)));
  let fails = false;
  const inner = MemoryFile.of(bytes);
  const file = new Proxy(inner, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name !== 'read') return typeof value === 'function' ? value.bind(target) : value;
      return (offset: number, into: Uint8Array) => {
        // As a long read that fails half way.
        if (!fails) return target.read(offset, into);
        target.read(offset, into.subarray(0, into.length >> 1));
        throw EIO;
      };
    },
  });
  const ahead = new ReadAhead();
  const cursor = new PickleCursor(file, 65_536);
  const find = (offset: number) => ahead.find(file, offset, 100);
  for (let at = 0; at < 65_000; at += 4096) find(at);
  while (cursor.end < 65_536) cursor.next();
  fails = true;
  expect(() => find(65_500)).toThrow(EIO);
  expect(() => cursor.next()).toThrow(EIO);
  fails = false;
  expect(find(65_510) ?? bytes.subarray(65_510, 65_610)).toEqual(bytes.subarray(65_510, 65_610));
  cursor.seek(1000);
  cursor.next();
  expect(cursor.number()).toBe(0);
});
