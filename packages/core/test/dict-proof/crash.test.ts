import { pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import { type Checked, checkCrashes, type Tally } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { baseOf, OPERATIONS } from './operations.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const BORDERS = [200, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

const tally: Tally = { states: 0, distinct: 0, repaired: 0, nested: 0 };
// The long mode checks each writer, whatever it made of the file.
const checked: Checked = { readers: new Set(), writers: LONG ? undefined : new Map() };
const recent = pythons();
const old = recent.filter(({ numpy }) => numpy.startsWith('1.'));
const judge = new Judge(recent);
const legacyJudge = new Judge(old, { lenient: true });

afterAll(async () => {
  await judge[Symbol.asyncDispose]();
  await legacyJudge[Symbol.asyncDispose]();
});

describe.each(OPERATIONS)('after a crash during "$name" the file holds the old or the new state', (operation) => {
  test.each(['none', 'commit'] as const)('durability %s', { timeout: 600_000 }, async (durability) => {
    // The ordinary suite tries two fifths of the borders for each operation, in turn, or a quarter; the long mode tries all.
    const turn = OPERATIONS.indexOf(operation);
    const tried = (border: number): boolean => (operation.heavy ? border % 4 === 0 : [0, 2].includes(border % 5));
    const borders = LONG ? BORDERS : BORDERS.filter((border) => border > 10 || tried(border + turn));
    const states = LONG
      ? { allSubsetsUpTo: 8, samples: 64, tears: 64 }
      : { allSubsetsUpTo: 8, samples: operation.heavy ? 8 : 12, tears: operation.heavy ? 6 : 8 };
    const to = operation.legacy ? legacyJudge : judge;
    for (const border of borders) {
      const base = baseOf(operation, border);
      await checkCrashes(operation, base, { judge: to, tally, checked, states, durability, nestEvery: LONG ? 1 : 20 });
    }
    await to.finish();
  });
});

test('more than 20,000 different states were checked', () => {
  expect(tally.distinct + tally.nested).toBeGreaterThan(20_000);
});
