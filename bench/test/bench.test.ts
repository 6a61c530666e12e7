import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { BenchCase } from '../src/case.ts';
import { CASES } from '../src/cases.ts';
import { PEERS } from '../src/peers.ts';
import { caseTable, exponentsOf, goalsOf } from '../src/report.ts';
import type { CaseResult, LaneResult } from '../src/runner.ts';
import { bestRatio, growthExponent, median, quantile, speedRatio } from '../src/stats.ts';
import { digits, formatBytes, formatRate, formatTime, renderTable } from '../src/table.ts';

const bench = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

describe('the statistics', () => {
  test('a median of an even number of values is the mean of the two in the middle', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([9, 1, 5])).toBe(5);
    expect(median([])).toBeNaN();
  });

  test('a quantile is linear between its neighbours', () => {
    expect(quantile([10, 20, 30, 40, 50], 0.25)).toBe(20);
    expect(quantile([0, 10], 0.99)).toBeCloseTo(9.9);
  });

  test('a ratio pairs the rounds, so that a slow minute affects both sides', () => {
    expect(speedRatio([1, 100, 1], [2, 200, 2])).toEqual({ median: 2, min: 2, max: 2 });
    expect(bestRatio([3, 100, 1], [500, 4, 200])).toBe(4);
  });

  test('the growth exponent of a power law is its power', () => {
    const points = [1e3, 1e4, 1e5].map((n) => [n, 3 * n ** 1.5] as const);
    expect(growthExponent(points)).toBeCloseTo(1.5, 10);
    expect(growthExponent([1, 10, 100].map((n) => [n, 7] as const))).toBeCloseTo(0, 10);
  });
});

describe('the tables', () => {
  test('columns are as wide as their widest cell, and numbers are right-aligned', () => {
    expect(
      renderTable(
        ['name', 'time '],
        [
          ['a', '10 ms'],
          ['long name', '5 ms'],
        ],
      ),
    ).toBe('name        time\n---------  -----\na          10 ms\nlong name   5 ms');
  });

  test.each([
    [formatTime(12.345), '12.3 ns'],
    [formatTime(1_234_000), '1.23 ms'],
    [formatBytes(3 * 2 ** 29), '1.50 GiB'],
    [formatRate(533_000), '533 k/s'],
    [digits(0.9512), '0.951'],
    [digits(12345), '12345'],
  ])('%s is short and exact enough', (formatted, expected) => {
    expect(formatted).toBe(expected);
  });
});

const lane = (side: string, times: number[], size?: number): LaneResult => ({
  side,
  params: {},
  state: 'measured',
  rounds: times.map((ns) => ({ ns, metrics: { lost: ns === 300 ? 1 : 0 } })),
  peakRss: 50 * 2 ** 20,
  ...(size === undefined ? {} : { size }),
});

const example: BenchCase = {
  name: 'op/shape/dtype',
  op: 'op',
  about: 'an example',
  params: {},
  quick: {},
  sides: ['ours', 'lmdb'],
  work: () => ({ count: 1, unit: 'things' }),
  goals: [
    { peer: 'lmdb', atLeast: 2 },
    { metric: 'lost', atMost: 0 },
    { metric: 'peakMiB', atMost: 80 },
  ],
  touches: () => 0,
};

describe('the verdicts', () => {
  test('a goal is judged by the median ratio, and a loss in any round counts', () => {
    const result: CaseResult = {
      name: example.name,
      about: example.about,
      params: {},
      lanes: [lane('ours', [100, 100, 300]), lane('lmdb', [250, 250, 250])],
    };
    expect(goalsOf(example, result).map(({ beside, verdict }) => [beside, verdict])).toEqual([
      ['lmdb', 'met'],
      ['lost', 'short'],
      ['peakMiB', 'met'],
    ]);
  });

  test('a missing peer is named in the table, with the command that installs it, and its goal is not measured', () => {
    const missing: LaneResult = { ...lane('lmdb', []), state: 'missing', reason: 'lmdb: not found' };
    const result: CaseResult = { name: example.name, about: '', params: {}, lanes: [lane('ours', [100]), missing] };
    expect(goalsOf(example, result)[0]?.verdict).toBe('not measured');
    expect(caseTable(example, result)).toContain('lmdb missing: lmdb: not found (remedy: pnpm install)');
  });

  test('growth is fitted for each side over the sizes it reached', () => {
    const lanes = [lane('ours', [10], 10), lane('ours', [100], 100), lane('lmdb', [7], 10), lane('lmdb', [7], 100)];
    const exponents = exponentsOf({ name: '', about: '', params: {}, lanes });
    expect(exponents.get('ours')).toBeCloseTo(1);
    expect(exponents.get('lmdb')).toBeCloseTo(0);
  });
});

describe('the cases', () => {
  const named = [...readFileSync(bench('README.md'), 'utf8').matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);

  test('the README lists exactly the cases that exist, each once', () => {
    expect(named).toEqual(CASES.map(({ name }) => name));
    expect(new Set(named).size).toBe(named.length);
  });

  test.each(CASES)(
    '$name has code for its sides, ours first, and goals against sides that it runs',
    ({ op, sides, goals, name }) => {
      expect(name.split('/')).toHaveLength(3);
      expect(existsSync(bench(`src/ops/${op}.ts`))).toBe(true);
      expect(sides[0]).toMatch(/^ours/);
      const python = sides.filter((side) => PEERS[side]?.runtime === 'python');
      if (python.length > 0) {
        const source = readFileSync(bench(`python/op_${op.replaceAll('-', '_')}.py`), 'utf8');
        for (const side of python) expect(source).toContain(`"${op}", "${side}"`);
      }
      for (const { side = 'ours', peer } of goals) {
        expect(sides).toContain(side);
        if (peer !== undefined) expect(sides).toContain(peer);
      }
    },
  );

  test('every npm peer is a dependency of this package alone', () => {
    const { devDependencies } = JSON.parse(readFileSync(bench('package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
    };
    const needed = Object.values(PEERS).flatMap(({ runtime, needs }) => (runtime === 'node' ? needs : []));
    for (const name of needed) expect(devDependencies[name]).toBe('catalog:');
  });
});
