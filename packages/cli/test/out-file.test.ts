/** The bytes that `export` writes, and the number of calls it takes. */
import { readdirSync, readFileSync } from 'node:fs';
import { NodeFile } from '@mmdpickle/core/node';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { writeOut } from '../src/formats/out-file.ts';

const signal = new AbortController().signal;

afterEach(() => void vi.restoreAllMocks());

test('the file is the concatenation of pieces of any size', async () => {
  using dir = new TempDir();
  const path = dir.file('out.csv');
  const sizes = fc.oneof(fc.nat(40), fc.integer({ min: 65_500, max: 65_600 }), fc.constantFrom(65_535, 65_536, 65_537));
  await fc.assert(
    fc.asyncProperty(fc.array(sizes, { maxLength: 12 }), async (lengths) => {
      const pieces = lengths.map((length, i) =>
        i % 2 === 0 ? 'é'.repeat(length >> 1) : new Uint8Array(length).fill(i),
      );
      await writeOut(path, pieces, { signal });
      expect(readFileSync(path).equals(Buffer.concat(pieces.map((piece) => Buffer.from(piece as string))))).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('ten thousand lines take few write calls', async () => {
  using dir = new TempDir();
  const write = vi.spyOn(NodeFile.prototype, 'write');
  const lines = Array.from({ length: 10_000 }, (_, i) => `${i}\n`);
  await writeOut(dir.file('out.csv'), lines, { signal });
  expect(write.mock.calls.length).toBeLessThan(5);
  expect(readFileSync(dir.file('out.csv'), 'utf8')).toBe(lines.join(''));
});

test('aborted lines leave no file', async () => {
  using dir = new TempDir();
  const abort = new AbortController();
  function* lines(): Generator<string> {
    for (let i = 0; i < 1e6; i += 1) {
      if (i === 50_000) abort.abort(new Error('enough'));
      yield `${i}\n`;
    }
  }
  await expect(writeOut(dir.file('out.csv'), lines(), abort)).rejects.toThrow('enough');
  expect(readdirSync(dir.path)).toEqual([]);
});
