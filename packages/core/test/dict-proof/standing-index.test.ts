import { pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import type { IndexTable } from '../../src/dict/index-table.ts';
import { crc32c } from '../../src/format/checksum.ts';
import { TERMINATOR_SIZE } from '../../src/format/layout.ts';
import { TAIL_PREFIX_SIZE } from '../../src/format/tail-entry.ts';
import { INDEX_BLOCK_SIZE } from '../../src/format/tail-index.ts';
import { type NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { PassThroughFile } from '../../src/storage/pass-through-file.ts';
import { stateText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { closedBytes } from './operations.ts';

const RUNS = process.env.MMDPICKLE_LONG === '1' ? 3000 : 40;
const judge = new Judge(pythons());
afterAll(() => judge[Symbol.asyncDispose]());

/** What a session does. */
type Change = readonly [kind: 'set' | 'array' | 'delete' | 'batch' | 'rows' | 'get', key: number];
/** How a session ends. */
type Ending = 'close' | 'kill' | 'vacuum' | 'vacuum in place' | 'reclaim' | 'seal' | 'no index';
interface Session {
  readonly changes: readonly Change[];
  readonly ending: Ending;
  /** Size in bytes from which an index is a standing one. */
  readonly standingIndex: number;
}

const sessions: fc.Arbitrary<Session[]> = fc.array(
  fc.record({
    changes: fc.array(fc.tuple(fc.constantFrom('set', 'array', 'delete', 'batch', 'rows', 'get'), fc.nat(130)), {
      maxLength: 8,
    }) as fc.Arbitrary<Change[]>,
    ending: fc.oneof(
      { weight: 6, arbitrary: fc.constant<Ending>('close') },
      {
        weight: 3,
        arbitrary: fc.constantFrom<Ending>('kill', 'vacuum', 'vacuum in place', 'reclaim', 'seal', 'no index'),
      },
    ),
    standingIndex: fc.constantFrom(0, 1500, 16_384),
  }),
  { minLength: 1, maxLength: 12 },
);

const ROWS = 'rows';

function change(dict: MmapDict, model: Map<string, unknown>, [kind, number]: Change, turn: number): void {
  const key = `key ${number}`;
  const other = `key ${(number * 7) % 131}`;
  if (kind === 'get') expect(dict.has(key)).toBe(model.has(key));
  else if (kind === 'delete') expect(dict.delete(key)).toBe(model.delete(key));
  else if (kind === 'rows') {
    (dict.get(ROWS) as { append(rows: unknown): void }).append(new Float64Array([turn]));
    const old = model.get(ROWS) as NDArray;
    const rows = new Float64Array(old.shape[0]! + 1);
    for (let i = 0; i < rows.length - 1; i++) rows[i] = old.get(i) as number;
    rows[rows.length - 1] = turn;
    model.set(ROWS, ndarray(rows));
  } else if (kind === 'batch') {
    dict.batch(() => {
      dict.set(key, turn);
      dict.delete(other);
      dict.set(`${other}!`, turn);
    });
    model.set(key, turn);
    model.delete(other);
    model.set(`${other}!`, turn);
  } else {
    const value = kind === 'set' ? turn : ndarray(new Float64Array([turn, number]));
    dict.set(key, value);
    model.set(key, value);
  }
}

/** A dict of 80 keys and a growable array, closed with an index. */
function start(): { disk: MemoryDisk; model: Map<string, unknown> } {
  const disk = new MemoryDisk();
  const model = new Map<string, unknown>();
  using dict = MmapDict.over(disk.open('dict', 'create-new'));
  dict.batch(() => {
    for (let i = 0; i < 80; i++) {
      dict.set(`key ${i}`, i);
      model.set(`key ${i}`, i);
    }
    dict.set(ROWS, { arraySource: true, dtype: 'float64', shape: [0], capacity: 3 });
    model.set(ROWS, ndarray(new Float64Array(0)));
  });
  return { disk, model };
}

const bytesOf = (disk: MemoryDisk): Uint8Array => (disk.open('dict', 'r') as MemoryFile).toBytes();

/** Looks up keys one by one, then reads everything. */
function expectReads(dict: MmapDict, model: ReadonlyMap<string, unknown>, asked: readonly number[], who: string): void {
  for (const number of asked) {
    const key = `key ${number}`;
    expect(dict.has(key), `${who}: ${key}`).toBe(model.has(key));
    if (model.has(key)) expectText(stateText([[key, dict.get(key)]]), [stateText([[key, model.get(key)]])], who);
  }
  expectText(stateText(dict), [stateText(model)], who);
}

/** The indexes that a dict relies on, newest first. */
function tablesOf(dict: MmapDict): IndexTable[] {
  const tables: IndexTable[] = [];
  let table: IndexTable | undefined | 'torn' = dict.core.store.entries.base?.newest;
  while (table !== undefined && table !== 'torn') {
    tables.push(table);
    table = table.older();
  }
  expect(table).toBeUndefined();
  return tables;
}

function filled(keys: number, options: { standingIndex?: number } = {}): MemoryFile {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, options);
  dict.update(Array.from({ length: keys }, (_, i): [string, number] => [`key ${i}`, i]));
  return MemoryFile.of(closedBytes(file, dict));
}

/** The file after a session that set one key. */
function afterSet(file: MemoryFile, key: string, options: { standingIndex?: number } = {}): MemoryFile {
  const dict = MmapDict.over(file, options);
  dict.set(key, 1);
  return MemoryFile.of(closedBytes(file, dict));
}

describe('a standing index never changes what is read', () => {
  test('after any sessions with any endings, for new handles and for those that stay open', async () => {
    let built = 0;
    await fc.assert(
      fc.asyncProperty(
        sessions,
        fc.array(fc.nat(130), { maxLength: 9 }),
        fc.boolean(),
        async (list, asked, attentive) => {
          const { disk, model } = start();
          const reader = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
          const other = MmapDict.over(disk.open('dict', 'r+'), { index: false });
          for (const [turn, { changes, ending, standingIndex }] of list.entries()) {
            const dict = MmapDict.over(disk.open('dict', 'r+'), { standingIndex, index: ending !== 'no index' });
            for (const item of changes) change(dict, model, item, turn);
            if (ending === 'vacuum') dict.vacuum();
            else if (ending === 'vacuum in place') dict.vacuum({ inPlace: true });
            else if (ending === 'reclaim') dict.reclaim();
            else if (ending === 'seal') dict.seal({ checksums: true });
            if (ending !== 'kill') dict.close();
            if (attentive) {
              for (const number of asked) expect(reader.has(`key ${number}`)).toBe(model.has(`key ${number}`));
              if (turn % 3 === 0) change(other, model, ['set', turn], 1000 + turn);
            }
            using fresh = MmapDict.over(MemoryFile.of(bytesOf(disk)), { mode: 'r' });
            if (tablesOf(fresh).length > 1) built++;
            expectReads(fresh, model, asked, `who opens it after session ${turn}`);
            expect(fresh.size).toBe(model.size);
            expect(fresh.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
          }
          expectReads(reader, model, asked, 'a reader');
          expectReads(other, model, asked, 'another writer');
          await judge.add(bytesOf(disk), '', (text) => expectText(text, [stateText(model)], 'stock Python'));
        },
      ),
      { numRuns: RUNS },
    );
    await judge.finish();
    expect(built).toBeGreaterThan(RUNS / 10);
  });

  test('torn: any bytes of any index changed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
        fc.array(
          fc.tuple(
            fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
            fc.nat(255),
            fc.integer({ min: 1, max: 600 }),
          ),
          { minLength: 1, maxLength: 4 },
        ),
        fc.array(fc.nat(130), { maxLength: 9 }),
        (sizes, damages, asked) => {
          const { disk, model } = start();
          for (const [turn, size] of sizes.entries()) {
            using dict = MmapDict.over(disk.open('dict', 'r+'), { standingIndex: 0 });
            for (let i = 0; i < size; i++) change(dict, model, ['set', 20 * turn + i], turn);
          }
          const tables = tablesOf(MmapDict.over(disk.open('dict', 'r'), { mode: 'r' }));
          const image = bytesOf(disk);
          for (const [where, byte, length] of damages) {
            // The payload, after head and key, before the tail: the rest belongs to the chain of frames.
            const { entry, end } = tables[Math.floor(where * tables.length)]!;
            const first = entry + 11 + 46 + 9;
            const at = first + Math.floor(((where * tables.length) % 1) * (end - 8 - first));
            image.fill(byte, at, Math.min(end - 8, at + length));
          }
          expectReads(MmapDict.over(MemoryFile.of(image), { mode: 'r' }), model, asked, 'a reader');
          const file = MemoryFile.of(image);
          const dict = MmapDict.over(file, { standingIndex: 0 });
          const later = new Map(model);
          change(dict, later, ['set', 5], 7);
          change(dict, later, ['delete', 6], 7);
          const closed = closedBytes(file, dict);
          expectReads(MmapDict.over(MemoryFile.of(closed), { mode: 'r' }), later, asked, 'after a change');
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('a standing index', () => {
  test('is renewed in place if nothing was appended', () => {
    const before = filled(300);
    const { length } = before.toBytes();
    const dict = MmapDict.over(before);
    dict.delete('key 7');
    const after = closedBytes(before, dict);
    expect(after).toHaveLength(length);
    using reader = MmapDict.over(MemoryFile.of(after), { mode: 'r' });
    expect(reader.core.store.entries.base).toBeDefined();
    expect([reader.has('key 7'), reader.get('key 8')]).toEqual([false, 8]);
  });

  test("keeps the bytes written by closing, after one key was set, independent of the file's size", () => {
    const written = [8000, 32_000].map((keys) => {
      const file = afterSet(filled(keys), 'another');
      let count = 0;
      const counting = new Proxy(file, {
        get(target, name) {
          const value = Reflect.get(target, name, target) as unknown;
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            if (name === 'write') count += (args[2] as number | undefined) ?? (args[1] as Uint8Array).length;
            if (name === 'writeParts') for (const part of args[1] as Uint8Array[]) count += part.length;
            return Reflect.apply(value, target, args) as unknown;
          };
        },
      });
      using dict = MmapDict.over(counting);
      dict.set('one more', 1);
      dict.close();
      return count;
    });
    expect(written[0]).toBeLessThan(1500);
    expect(written[1]).toBe(written[0]);
  });

  test('is one of few, and takes little room, however many sessions there were', () => {
    let file = filled(100, { standingIndex: 0 });
    const sessionsCount = 400;
    for (let i = 0; i < sessionsCount; i++) file = afterSet(file, `more ${i}`, { standingIndex: 0 });
    using dict = MmapDict.over(file, { mode: 'r' });
    const tables = tablesOf(dict);
    // Each is larger than the next: 1, 2, 4, 8 blocks and so on.
    expect(tables.length).toBeLessThanOrEqual(6);
    for (let i = 0; i < sessionsCount; i++) expect(dict.get(`more ${i}`)).toBe(1);
    for (let i = 0; i < 100; i++) expect(dict.get(`key ${i}`)).toBe(i);
    expect(dict.has('not there')).toBe(false);
    expect(dict.core.store.entries.base).toBeDefined();
    expect(dict.core.store.entries.catalog.size).toBe(0);
  });

  test('omits entries that died in the session in which it is rebuilt', () => {
    let file = filled(200);
    for (let i = 0; i < 300; i++) file = afterSet(file, 'latest');
    using dict = MmapDict.over(file, { mode: 'r' });
    expect(tablesOf(dict).map(({ slots }) => slots)).toEqual([201]);
  });

  test('contains an entry that was looked up in the session in which it is rebuilt only once', () => {
    let file = filled(200);
    for (let i = 0; i < 5; i++) {
      const dict = MmapDict.over(file);
      expect(dict.getMeta('key 7')).toBeDefined();
      dict.set('latest', i);
      file = MemoryFile.of(closedBytes(file, dict));
    }
    using dict = MmapDict.over(file, { mode: 'r' });
    expect(tablesOf(dict).map(({ slots }) => slots)).toEqual([201]);
  });

  test('is also extended after a kill', () => {
    const file = afterSet(filled(300, { standingIndex: 0 }), 'a', { standingIndex: 0 });
    MmapDict.over(file, { standingIndex: 0 }).set('killed', 1);
    const found = MemoryFile.of(file.toBytes());
    const walked = MmapDict.over(found, { standingIndex: 0 });
    expect(walked.core.store.entries.base).toBeUndefined();
    walked.set('b', 1);
    using dict = MmapDict.over(MemoryFile.of(closedBytes(found, walked)), { mode: 'r' });
    expect(tablesOf(dict)).toHaveLength(2);
    for (const key of ['key 299', 'a', 'killed', 'b']) expect(dict.has(key)).toBe(true);
    expect(dict.core.store.entries.base).toBeDefined();
  });

  test('is not freed by reclaim', () => {
    const file = afterSet(filled(3000, { standingIndex: 0 }), 'a', { standingIndex: 0 });
    const dict = MmapDict.over(file, { standingIndex: 0 });
    expect(dict.reclaim()).toBe(0);
    dict.set('b', 1);
    using after = MmapDict.over(MemoryFile.of(closedBytes(file, dict)), { mode: 'r' });
    expect([after.get('key 2999'), after.get('a'), after.get('b')]).toEqual([2999, 1, 1]);
    expect(tablesOf(after).map(({ slots }) => slots)).toEqual([2, 3000]);
  });

  test('that refers to itself, or to anything that is not an index, is ignored', () => {
    for (const older of [24, 100, 5000, 2 ** 52]) {
      const file = filled(100);
      const bytes = file.toBytes();
      const at = bytes.length - TERMINATOR_SIZE - 8 - 64;
      new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(at + 40, BigInt(older), true);
      using dict = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
      expect([dict.get('key 3'), dict.has('not there')]).toEqual([3, false]);
    }
  });
});

test('a reader with the index in memory sees deletes by another handle', () => {
  const file = filled(100);
  using reader = MmapDict.over(file.disk.open(file.name, 'r'), { mode: 'r' });
  for (let i = 0; i < 100; i++) expect(reader.get(`key ${i}`)).toBe(i);
  expect(reader.core.store.entries.base!.newest.kept).toBe(true);
  using writer = MmapDict.over(file.disk.open(file.name, 'r+'));
  writer.delete('key 5');
  expect([reader.get('key 5'), reader.get('key 6'), reader.size]).toEqual([undefined, 6, 99]);
});

test('a key that hid another when its writer was killed is gone once it is deleted', async () => {
  const file = filled(100);
  const writer = MmapDict.over(file);
  writer.set('key 5', 'hides');
  const image = file.toBytes();
  // The kill came before the state byte of the replaced entry was written.
  const hidden = [...MmapDict.over(MemoryFile.of(image)).scan()].find(({ key }) => key === 'key 5')!;
  image[hidden.end - 2] = 0x88;
  const found = MemoryFile.of(image);
  const later = MmapDict.over(found);
  expect(later.get('key 5')).toBe('hides');
  later.set('another', 1);
  const closed = MemoryFile.of(closedBytes(found, later));
  const last = MmapDict.over(closed);
  expect(last.core.store.entries.base).toBeDefined();
  expect(last.delete('key 5')).toBe(true);
  const bytes = closedBytes(closed, last);
  const expected = new Map<string, unknown>(Array.from({ length: 100 }, (_, i) => [`key ${i}`, i]));
  expected.set('another', 1);
  expected.delete('key 5');
  expectText(stateText(MmapDict.over(MemoryFile.of(bytes))), [stateText(expected)], 'this library');
  await judge.add(bytes, '', (text) => expectText(text, [stateText(expected)], 'stock Python'));
  await judge.finish();
});

/** Counts the bytes that are read. */
class CountingFile extends PassThroughFile {
  bytes = 0;

  override read(offset: number, into: Uint8Array): number {
    const count = super.read(offset, into);
    this.bytes += count;
    return count;
  }
}

test('an index whose blocks are all full is not read to its end for a key that is missing', () => {
  const made = filled(40_000).toBytes();
  const { footer, entry } = MmapDict.over(MemoryFile.of(made), { mode: 'r' }).core.store.index!;
  const view = new DataView(made.buffer, made.byteOffset);
  for (let number = 0; number < footer.blocks; number++) {
    const block = made.subarray(entry + TAIL_PREFIX_SIZE + number * INDEX_BLOCK_SIZE).subarray(0, INDEX_BLOCK_SIZE);
    block.fill(0)[4] = 42;
    view.setUint32(block.byteOffset - made.byteOffset, crc32c(block, 0, 4) ^ number, true);
  }
  const file = new CountingFile(MemoryFile.of(made));
  const dict = MmapDict.over(file, { mode: 'r' });
  expect(dict.has('not there')).toBe(false);
  expect(footer.blocks).toBeGreaterThan(1300);
  expect(file.bytes).toBeLessThan(entry + 1000 * INDEX_BLOCK_SIZE);
  expect([dict.get('key 0'), dict.get('key 39999'), dict.size]).toEqual([0, 39_999, 40_000]);
});

test.each([
  ['sealed the file', (other: MmapDict) => other.seal()],
  ['sealed it twice', (other: MmapDict) => void [other.seal(), other.set('one', 1), other.seal()]],
  ['wrote and closed', (other: MmapDict) => void [other.set('one', 1), other.close()]],
])('a reader does not walk the file again after another handle %s', (_, writes) => {
  const disk = new MemoryDisk();
  const writer = MmapDict.over(disk.open('dict', 'create-new'));
  writer.batch(() => {
    for (let i = 0; i < 20_000; i++) writer.set(`key ${i}`, `value ${i}`);
  });
  writer.close();
  const file = new CountingFile(disk.open('dict', 'r'));
  const reader = MmapDict.over(file, { mode: 'r' });
  const other = MmapDict.over(disk.open('dict', 'r+'));
  expect(reader.get('key 7')).toBe('value 7');
  writes(other);
  file.bytes = 0;
  expect(reader.get('key 19999')).toBe('value 19999');
  expect(reader.get('one')).toEqual(other.closed ? 1 : other.get('one'));
  expect(file.bytes).toBeLessThan(30_000);
});
