/** Handles that had a file open when the writer of a change was killed at any of its writes, and that carry on. */
import { pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { MemoryDisk } from '../../src/storage/index.ts';
import { stateText, valueText } from './canonical.ts';
import { expectText } from './crash-harness.ts';
import {
  CHANGES,
  type Change,
  isWhole,
  KEYS,
  lists,
  type Model,
  NOBODY,
  ROWS,
  recorded,
  survivor,
} from './interleaving.ts';
import { Judge } from './judge.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const RUNS = LONG ? 20_000 : 60;

const judge = new Judge(pythons());
afterAll(() => judge[Symbol.asyncDispose]());
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  return () => void vi.useRealTimers();
});

test('an entry replaced by a killed writer does not come back when a handle that opened by the index deletes the key', () => {
  const key = 'key 60';
  const ways: readonly ((dict: MmapDict, reopened: () => MmapDict) => unknown)[] = [
    (dict) => dict.delete(key),
    (dict) => dict.set(key, 'mine').delete(key),
    (dict) => dict.batch(() => dict.set(key, 'mine').delete(key)),
    (dict, reopened) => {
      dict.set('other', 1).close();
      reopened().delete(key);
    },
    (dict) => {
      dict.set('other', 1).rename(key, 'elsewhere');
      dict.delete('elsewhere');
    },
    (dict) => dict.size > 0 && dict.delete(key),
    (dict) => dict.batch(() => [...dict.keys()].length > 0 && dict.delete(key)),
  ];
  for (const standingIndex of [0, 16_384]) {
    const { images } = recorded([{ kind: 'set', key: 60, closed: false }], standingIndex, KEYS);
    expect(images.length).toBeGreaterThan(4);
    for (const { bytes } of images) {
      for (const [way, go] of ways.entries()) {
        const disk = new MemoryDisk();
        const screen = disk.open('dict', 'create-new');
        screen.write(0, images[0]!.bytes);
        const open = (): MmapDict => MmapDict.over(disk.open('dict', 'r+'), { standingIndex });
        const dict = open();
        expect(dict.get('key 1')).toBe(1);
        screen.truncate(bytes.length);
        screen.write(0, bytes);
        go(dict, open);
        const fresh = open();
        expect(fresh.has(key), `way ${way}`).toBe(false);
        expect([...fresh.keys()]).not.toContain(key);
      }
    }
  }
});

test('a handle that continues with an index forgets the journal of a killed writer once others have carried it out', () => {
  const standingIndex = 0;
  const { images } = recorded([{ kind: 'batch', key: 5, closed: false }], standingIndex, KEYS);
  const text = (dict: MmapDict): string => stateText([...dict].filter(([key]) => key !== 'mine'));
  let journals = 0;
  for (let death = 0; death < images.length; death++) {
    const { disk, dict } = survivor(images, { standingIndex, opened: 0, looked: death, locked: false, death });
    if (dict.core.store.journal !== undefined) journals++;
    {
      using other = MmapDict.over(disk.open('dict', 'r+'), { standingIndex });
      other.vacuum({ inPlace: true });
      other.set('key 2', 'theirs');
    }
    const fresh = (): MmapDict => MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
    const expected = text(fresh());
    vi.setSystemTime(Date.now() + 1);
    dict.set('mine', 1);
    expectText(text(dict), [expected], `killed at ${death}`);
    expectText(text(fresh()), [expected], `killed at ${death}`);
    expect(fresh().fsck().findings).toEqual([]);
  }
  expect(journals).toBeGreaterThan(2);
});

test('whenever a handle last checked the file and whenever another one was killed after that, its next change meets no half-done one', async () => {
  const changed = (...kinds: Change['kind'][]): Change[] => kinds.map((kind) => ({ kind, key: 0, closed: false }));
  const histories = [
    changed('rows', 'seal'),
    changed('rows', 'many rows'),
    changed('many rows', 'many rows'),
    changed('set', 'set'),
    changed('delete'),
    changed('batch', 'set'),
  ];
  const next: readonly Change['kind'][] = ['set', 'rows', 'many rows', 'seal', 'delete', 'batch'];
  for (const history of histories) {
    const { images, states } = recorded(history, 16_384, 3);
    for (const [death, { before, after }] of images.entries()) {
      for (let looked = 0; looked <= death; looked++) {
        for (const locked of isWhole(images[looked]!) ? [false, true] : [false]) {
          for (const [turn, kind] of next.entries()) {
            // The ordinary suite makes half of the changes, the others one look later.
            if (!LONG && (looked + death + turn) % 2 === 1) continue;
            const fate = { standingIndex: 16_384, opened: 0, looked, locked, death };
            const { disk, dict, seen } = survivor(images, fate);
            const possible = states.slice(before, after + 1);
            const done = possible.map((state) => new Map(state));
            CHANGES[kind](dict, new Map(possible[0]), 'key 1', 9);
            for (const model of done) CHANGES[kind](NOBODY, model, 'key 1', 9);
            const what = `${kind} after ${history.map((one) => one.kind).join()}, ${looked} ${death}`;
            expectText(stateText(dict), done.map(stateText), what);
            const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
            expectText(stateText(fresh), [stateText(dict)], what);
            const texts = [...possible, ...done].map(stateText);
            for (const image of seen) await judge.add(image, '', (text) => expectText(text, texts, what));
            await judge.add(disk.open('dict', 'r').toBytes(), '', (text) => expectText(text, texts, what));
          }
        }
      }
    }
  }
  await judge.finish();
});

test('a handle that looked in the middle of a delete whose writer was killed sees the delete once it has the lock', () => {
  const history: readonly Change[] = [
    { kind: 'set', key: 0, closed: true },
    { kind: 'set', key: 0, closed: false },
    { kind: 'delete', key: 0, closed: false },
  ];
  const { images } = recorded(history, 16_384, KEYS);
  const opened = images.findIndex((image) => isWhole(image) && image.before === 1);
  for (let death = opened; death < images.length; death++) {
    for (let looked = opened; looked <= death; looked++) {
      const { disk, dict } = survivor(images, { standingIndex: 16_384, opened, looked, locked: false, death });
      dict.set('key 1', 9);
      const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
      expectText(stateText(dict), [stateText(fresh)], `${looked} ${death}`);
    }
  }
});

describe.each([0, 16_384])('with indexes that stay from %i bytes on', (standingIndex) => {
  test.each(Object.keys(CHANGES) as Change['kind'][])(
    'a handle that looked in the middle of a %s whose writer was killed loses nothing that it sets afterwards',
    (kind) => {
      const history: readonly Change[] = [
        { kind: 'rows', key: 0, closed: true },
        { kind, key: 0, closed: false },
      ];
      const { images } = recorded(history, standingIndex, KEYS);
      const begun = images.findIndex((image) => isWhole(image) && image.before === 1);
      // By the index, or before there was one.
      for (const opened of [0, begun]) {
        for (let death = begun; death < images.length; death++) {
          for (let looked = begun; looked <= death; looked++) {
            const { disk, dict } = survivor(images, { standingIndex, opened, looked, locked: false, death });
            dict.set('key 1', 9).set('last', 10);
            const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
            const at = [opened, looked, death];
            expect([...at, fresh.get('key 1'), fresh.get('last')]).toEqual([...at, 9, 10]);
            expectText(stateText(dict), [stateText(fresh)], at.join(' '));
          }
        }
      }
    },
  );
});

/** A handle that met a journal, and then an index that was written after an in-place vacuum had moved the entries. */
const MET_A_JOURNAL: [Change[], Change[], [], 0, 66, number, number, boolean, boolean] = [
  [
    { kind: 'batch', key: 0, closed: true },
    { kind: 'vacuum in place', key: 0, closed: false },
    { kind: 'set', key: 0, closed: true },
    { kind: 'rows', key: 0, closed: false },
    { kind: 'reclaim', key: 0, closed: true },
  ],
  [{ kind: 'rows', key: 0, closed: false }],
  [],
  0,
  KEYS,
  39226950,
  1080946727,
  false,
  false,
];

const looking = fc.record({ kind: fc.constantFrom('get', 'has', 'rows', 'all'), key: fc.nat(KEYS + 5) });

test('a handle that had the file open when a writer was killed at any of its writes carries on, and nothing is lost', {
  timeout: 600_000,
}, async () => {
  let killed = 0;
  let judged = 0;
  await fc.assert(
    fc.asyncProperty(
      lists((change) => change, 10),
      lists((change) => change, 8),
      fc.array(looking, { maxLength: 6 }),
      fc.constantFrom(0, 16_384),
      fc.constantFrom(3, KEYS),
      fc.nat(),
      fc.nat(),
      fc.boolean(),
      fc.boolean(),
      async (changes, later, looks, standingIndex, count, first, last, warm, locked) => {
        const { images, states } = recorded(changes, standingIndex, count);
        // Opened while no change was in progress; it checks the file once more before the other handle is killed.
        const wholes = images.flatMap((image, number) => (isWhole(image) ? [number] : []));
        const opened = wholes[first % wholes.length]!;
        const death = opened + (last % (images.length - opened));
        const between = images.flatMap((image, number) =>
          number >= opened && number <= death && (!locked || isWhole(image)) ? [number] : [],
        );
        const looked = between[(first >> 3) % between.length]!;
        const { disk, dict, rows, seen } = survivor(images, { standingIndex, opened, looked, locked, warm, death });
        if (!isWhole(images[death]!)) killed++;
        const possible = states.slice(images[death]!.before, images[death]!.after + 1);
        if (last % 2 === 0) vi.setSystemTime(Date.now() + 1);
        for (const { kind, key: number } of looks) {
          const key = `key ${number}`;
          const text = (state: Model): string => (state.has(key) ? valueText(state.get(key)) : 'none');
          if (kind === 'rows') {
            rows.refresh();
            const texts = possible.map((state) => valueText(state.get(ROWS)));
            expectText(valueText(rows), texts, ROWS);
          } else if (kind === 'has')
            expectText(
              String(dict.has(key)),
              possible.map((state) => String(state.has(key))),
              key,
            );
          else if (kind === 'all') expectText(stateText(dict), possible.map(stateText), 'all');
          else expectText(dict.has(key) ? valueText(dict.get(key)) : 'none', possible.map(text), key);
        }
        // Do not read first which of the two it is: the first change has to find out.
        let models = possible.map((state) => new Map(state));
        for (const [turn, { kind, key, closed }] of later.entries()) {
          const next = models.map((model) => new Map(model));
          const scratch = new Map(next[0]);
          seen.length = 0;
          CHANGES[kind](dict, scratch, `key ${key}`, 1000 + turn);
          for (const model of next) CHANGES[kind](NOBODY, model, `key ${key}`, 1000 + turn);
          const texts = [...models, ...next].map(stateText);
          models = next;
          for (const image of seen) {
            if (LONG && ++judged % 16 !== 0) continue;
            await judge.add(image, '', (text) => expectText(text, texts, `stock Python during ${kind}`));
          }
          if (closed)
            expectText(stateText(MmapDict.over(disk.open('dict', 'r'), { mode: 'r' })), models.map(stateText), kind);
        }
        const found = stateText(dict);
        expectText(found, models.map(stateText), 'who goes on');
        const fresh = MmapDict.over(disk.open('dict', 'r'), { mode: 'r' });
        expectText(stateText(fresh), [found], 'who opens it');
        // The replaced entry may still be live, hidden by its successor, and the last bytes written may lie after the terminator.
        const harmless = new Set(['shadowed-entry', 'unclaimed-bytes']);
        const severe = fresh.fsck().findings.filter(({ severity, code }) => severity !== 'info' && !harmless.has(code));
        expect(later.length === 0 ? [] : severe).toEqual([]);
      },
    ),
    { numRuns: RUNS, examples: [MET_A_JOURNAL] },
  );
  await judge.finish();
  expect(judge.distinct).toBeGreaterThan(RUNS);
  expect(killed).toBeGreaterThan(RUNS / 2);
});
