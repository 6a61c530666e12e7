import { pythons, TempDir } from '@mmdpickle/test-support';
import { expect, test } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/node.ts';
import { growable } from './operations.ts';
import { beside, ENTRY, report, runPython, start } from './processes.ts';

const ROWS = process.env.MMDPICKLE_LONG === '1' ? 100_000 : 10_000;

test(`readers that sum while ${ROWS} rows are appended see each row whole, in order, and only once committed`, {
  timeout: 600_000,
}, async () => {
  using dir = new TempDir();
  const path = dir.file('rows');
  using dict = MmapDict.open(path);
  dict.set('rows', growable([3], 'float64', 16));
  const [info] = pythons();
  const readers = [
    start(process.execPath, [beside('rows-reader.mjs'), ENTRY, path, String(ROWS)]),
    ...(info ? [start(info.executable, [beside('rows-reader.py'), path, String(ROWS)])] : []),
  ];
  await Promise.all(readers.map((reader) => reader.saw('ready')));
  const writer = start(process.execPath, [beside('rows-writer.mjs'), ENTRY, path, String(ROWS)]);
  // Each has looked while some but not all rows were there, however seldom it was scheduled.
  await Promise.all(readers.map((reader) => reader.saw('some')));
  writer.child.stdin?.write('on\n');
  await writer.ended;
  for (const { ended } of readers) {
    const { looks, seen } = report<{ looks: number; seen: number }>(await ended);
    expect(seen).toBe(ROWS);
    expect(looks).toBeGreaterThan(1);
  }
  const rows = dict.get('rows') as GrowableArray;
  expect(rows.shape).toEqual([ROWS, 3]);
  expect(Number(rows.slice(null, 0).sum())).toBe((ROWS * (ROWS - 1)) / 2);
  if (info === undefined) return;
  const code = 'result = float(pickle.load(open(args["path"], "rb"))["rows"][:, 0].sum())';
  expect(await runPython(info, code, path)).toBe((ROWS * (ROWS - 1)) / 2);
});
