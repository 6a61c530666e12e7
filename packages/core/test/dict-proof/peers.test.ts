import { Worker } from 'node:worker_threads';
import { pythons, TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/node.ts';
import { beside, ENTRY, report, runPython, start } from './processes.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const TURNS = LONG ? 3000 : 80;

interface Looks {
  readonly looks: number;
  readonly last: number;
}

describe.each(pythons())('with Python $version and numpy $numpy', (info) => {
  test('four writers lose no update and two readers see nothing torn', { timeout: 600_000 }, async () => {
    using dir = new TempDir();
    const path = dir.file('shared');
    using dict = MmapDict.open(path);
    dict.set('counter', 0);
    const readers = [
      start(process.execPath, [beside('peer-reader.mjs'), ENTRY, path]),
      start(info.executable, [beside('peer-writer.py'), 'read', path]),
    ];
    await Promise.all(readers.map((reader) => reader.saw('ready')));
    const worker = new Worker(beside('peer-writer.mjs'), { workerData: [ENTRY, dict.token(), 'thread', TURNS] });
    const writers = [
      start(process.execPath, [beside('peer-writer.mjs'), ENTRY, path, 'process', String(TURNS)]).ended,
      start(info.executable, [beside('peer-writer.py'), 'write', path, 'first', String(TURNS)]).ended,
      start(info.executable, [beside('peer-writer.py'), 'write', path, 'second', String(TURNS)]).ended,
      new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
    ];
    await Promise.all(writers);
    const looks: Looks[] = [];
    for (const { child, ended } of readers) {
      child.stdin?.end('stop\n');
      looks.push(report<Looks>(await ended));
    }
    expect(dict.get('counter')).toBe(4 * TURNS);
    for (const name of ['thread', 'process', 'first', 'second']) expect(dict.get(name)).toBe(TURNS);
    for (const { looks: count, last } of looks) {
      expect(count).toBeGreaterThan(5);
      expect(last).toBeLessThanOrEqual(4 * TURNS);
    }
    expect(dict.fsck().findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(await runPython(info, 'result = pickle.load(open(args["path"], "rb"))["counter"]', path)).toBe(4 * TURNS);
  });
});
