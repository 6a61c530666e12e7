import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { type GrowableArray, ndarray, slice } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { GrowableNDArray } from '@mmdpickle/stubs';
import { afterAll, describe, expect, it } from 'vitest';
import { Bench } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());

/** More rows than an unread pipe holds: `tail` blocks in the middle of printing them. */
const ROWS = 20_000;

/**
 * What `tail -f` of key `k` told until it told `last`.
 * @param change - called while it prints what was there, and waits for somebody to read that
 */
async function followed(cwd: string, change: () => void, last: unknown): Promise<unknown[]> {
  const tail = bench.start(cwd, ['tail', '-f', '-n', `${ROWS}`, 'a.mmdpickle', 'k', '--json']);
  const closed = once(tail, 'close');
  const stdout = tail.stdout as Readable;
  await once(stdout, 'readable');
  change();
  const told: unknown[] = [];
  for await (const line of createInterface({ input: stdout })) {
    told.push((JSON.parse(line) as { data: unknown }).data);
    if (told.at(-1) === last) tail.kill('SIGINT');
  }
  expect(await closed).toEqual([0, null]);
  return told;
}

describe('tail -f', () => {
  it('prints rows that arrive while it prints others', async () => {
    const cwd = bench.folder();
    using dict = MmapDict.open(join(cwd, 'a.mmdpickle'));
    dict.set('k', new GrowableNDArray([], 'int32', { capacity: 2 ** 15 }));
    const array = dict.get('k') as GrowableArray;
    array.append(new Int32Array(ROWS).fill(7));
    const told = await followed(cwd, () => array.append(Int32Array.of(1, 2, 3)), 3);
    expect([told.length, ...told.slice(-4)]).toEqual([ROWS + 3, 7, 1, 2, 3]);
  });

  it('detects that an array was replaced even if the first and last rows are the same', async () => {
    const cwd = bench.folder();
    using dict = MmapDict.open(join(cwd, 'a.mmdpickle'));
    const rows = (inner: number, ...more: number[]) =>
      ndarray(Int32Array.of(1, ...Array<number>(ROWS - 2).fill(inner), 2, ...more));
    dict.set('k', rows(7));
    const told = await followed(cwd, () => dict.set('k', rows(8, 3)), 3);
    expect([told.length, told[ROWS], told[ROWS + 1], told.at(-1)]).toEqual([ROWS + ROWS + 1, 1, 8, 3]);
  });

  it.each(['int32', 'O'] as const)(
    'prints all rows of a %s array that replaced the one it is printing',
    async (dtype) => {
      const cwd = bench.folder();
      using dict = MmapDict.open(join(cwd, 'a.mmdpickle'));
      const rows = (first: number, last: number) =>
        ndarray([first, ...Array<number>(ROWS).fill(7), last], [ROWS + 2], { dtype });
      dict.set('k', rows(1, 2).slice(slice(0, ROWS)));
      const told = await followed(cwd, () => dict.set('k', rows(3, 4)), 4);
      expect([told.length, told[0], told[ROWS], told.at(-1)]).toEqual([ROWS + ROWS + 2, 1, 3, 4]);
    },
  );
});
