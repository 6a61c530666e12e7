/** Several handles of one file take turns in changing it, and each must see what all of them did. */
import { pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { COMMIT_NUMBER_OFFSET, nextCommitNumber, TERMINATOR_SIZE, terminator } from '../../src/format/layout.ts';
import { type NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryDisk, MemoryFile, type StorageFile } from '../../src/storage/index.ts';
import { stateText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { referenceEntry } from './operations.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const RUNS = LONG ? 6000 : 40;
const KEYS = 75;
const ROWS = 'rows';
const judge = new Judge(pythons());
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});
afterAll(() => judge[Symbol.asyncDispose]());

const KINDS = [
  'set',
  'set',
  'array',
  'delete',
  'batch',
  'rows',
  'rows',
  'many rows',
  'get',
  'get all',
  'reopen',
  'kill',
  'vacuum',
  'vacuum in place',
  'reclaim',
  'seal',
  'new rows',
  'rename',
  'give up',
  'kill in a batch',
  'reference',
] as const;

/** One step of one handle. */
interface Step {
  readonly who: number;
  readonly kind: (typeof KINDS)[number];
  readonly key: number;
  /** A millisecond passes first: handles check size and identity at most once per millisecond. */
  readonly later: boolean;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ who: fc.nat(2), kind: fc.constantFrom(...KINDS), key: fc.nat(KEYS + 20), later: fc.boolean() }),
  { minLength: 1, maxLength: LONG ? 200 : 60, size: 'max' },
);

interface Growable {
  append(rows: unknown): void;
}

/** What mmappickle 1.0 does: it knows nothing of tail entries and expects the terminator at the end of the file. */
function appendLikeReference(file: StorageFile, key: string, value: number): void {
  const entry = referenceEntry(key, value);
  file.lock(0);
  const end = file.size() - TERMINATOR_SIZE;
  file.write(end, entry);
  file.write(end + entry.length, terminator());
  file.storeI32(COMMIT_NUMBER_OFFSET, nextCommitNumber(file.loadI32(COMMIT_NUMBER_OFFSET)));
  file.close();
}

function rowsAfter(model: ReadonlyMap<string, unknown>, more: readonly number[]): NDArray {
  const old = model.get(ROWS) as NDArray;
  return ndarray(
    Float64Array.from([...Array.from({ length: old.shape[0]! }, (_, i) => old.get(i) as number), ...more]),
  );
}

test('after any sequence of changes by several handles, every handle, a new handle and stock Python see all of them', {
  timeout: 600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom(0, 1500, 16_384), fc.boolean(), async (list, standingIndex, indexed) => {
      const disk = new MemoryDisk();
      const model = new Map<string, unknown>();
      const open = (): MmapDict => MmapDict.over(disk.open('dict', 'r+'), { standingIndex, index: indexed });
      {
        using dict = MmapDict.over(disk.open('dict', 'create-new'), { standingIndex });
        dict.batch(() => {
          for (let i = 0; i < KEYS; i++) {
            dict.set(`key ${i}`, i);
            model.set(`key ${i}`, i);
          }
          dict.set(ROWS, { arraySource: true, dtype: 'float64', shape: [0], capacity: 2 });
          model.set(ROWS, ndarray(new Float64Array(0)));
        });
      }
      const handles = [open(), open(), open()];
      const growables = handles.map((dict) => dict.get(ROWS) as Growable);
      for (const [turn, { who, kind, key: number, later }] of list.entries()) {
        if (later) vi.setSystemTime(Date.now() + 1);
        const dict = handles[who]!;
        const key = `key ${number}`;
        const other = `key ${(number * 7 + 1) % KEYS}`;
        const put = (name: string, value: unknown): void => {
          dict.set(name, value);
          model.delete(name);
          model.set(name, value);
        };
        if (kind === 'set') put(key, turn);
        else if (kind === 'array') put(key, ndarray(new Float64Array([turn, number])));
        else if (kind === 'delete') expect(dict.delete(key)).toBe(model.delete(key));
        else if (kind === 'batch') {
          dict.batch(() => {
            put(key, `batch ${turn}`);
            expect(dict.delete(other)).toBe(model.delete(other));
            put(`${other}!`, [turn]);
          });
        } else if (kind === 'rows' || kind === 'many rows') {
          const more = Array.from({ length: kind === 'rows' ? 1 : 9 }, (_, i) => turn + i / 16);
          growables[who]!.append(Float64Array.from(more));
          model.set(ROWS, rowsAfter(model, more));
        } else if (kind === 'new rows') {
          dict.set(ROWS, { arraySource: true, dtype: 'float64', shape: [0], capacity: 2 });
          model.delete(ROWS);
          model.set(ROWS, ndarray(new Float64Array(0)));
        } else if (kind === 'rename') {
          const free = `free ${turn}`;
          if (model.has(key)) {
            dict.rename(key, free);
            model.set(free, model.get(key));
            model.delete(key);
          }
        } else if (kind === 'reference') {
          appendLikeReference(disk.open('dict', 'r+'), `theirs ${turn}`, turn);
          model.set(`theirs ${turn}`, turn);
        } else if (kind === 'give up') {
          expect(() =>
            dict.batch(() => {
              dict.set(key, 'given up');
              dict.delete(other);
              throw new Error('stop');
            }),
          ).toThrow('stop');
        } else if (kind === 'kill in a batch') {
          dict.core.begin();
          dict.set(key, 'not committed'.repeat(number));
          dict.delete(other);
          dict.core.writer.settle();
          dict.core.store.file.close();
          handles[who] = open();
          growables[who] = handles[who].get(ROWS) as Growable;
        } else if (kind === 'get') {
          expect(dict.has(key)).toBe(model.has(key));
          expectText(stateText([[key, dict.get(key) ?? null]]), [stateText([[key, model.get(key) ?? null]])], key);
        } else if (kind === 'get all') {
          for (const [name, value] of model)
            expectText(stateText([[name, dict.get(name)]]), [stateText([[name, value]])], name);
        } else if (kind === 'reopen' || kind === 'kill') {
          if (kind === 'reopen') dict.close();
          handles[who] = open();
          growables[who] = handles[who].get(ROWS) as Growable;
        } else if (kind === 'vacuum') dict.vacuum();
        else if (kind === 'vacuum in place') dict.vacuum({ inPlace: true });
        else if (kind === 'reclaim') dict.reclaim();
        else dict.seal({ checksums: true });
      }
      const bytes = (disk.open('dict', 'r') as MemoryFile).toBytes();
      for (const [who, dict] of handles.entries()) {
        expectText(stateText(dict), [stateText(model)], `handle ${who}`);
        expect(dict.size).toBe(model.size);
      }
      const fresh = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
      for (const [name, value] of model)
        expectText(stateText([[name, fresh.get(name)]]), [stateText([[name, value]])], name);
      expectText(stateText(fresh), [stateText(model)], 'who opens it');
      expect(fresh.fsck().findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
      await judge.add(bytes, '', (text) => expectText(text, [stateText(model)], 'stock Python'));
    }),
    { numRuns: RUNS },
  );
  await judge.finish();
});
