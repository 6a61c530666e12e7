import { writeFileSync } from 'node:fs';
import { TempDir } from '@mmdpickle/test-support';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCsv } from '../src/formats/csv-import.ts';
import { CsvRows } from '../src/ingest/csv-rows.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

/** The rows of a text that arrives in pieces; a bad row is given as its error message. */
function cut(pieces: readonly string[], maximum = 1000): unknown[] {
  const csv = new CsvRows(maximum);
  return [...pieces, ''].flatMap((piece, i) =>
    Array.from(csv.take(piece, i === pieces.length), ({ cells, line, problem }) =>
      problem === undefined ? cells : `${line}: ${problem.message}`,
    ),
  );
}

/** The rows of a text that arrives in pieces, with the line that each starts on, then the error that ended it, if any. */
function placed(pieces: readonly string[], maximum = 1000): unknown[] {
  const csv = new CsvRows(maximum);
  const rows: unknown[] = [];
  try {
    for (const [i, piece] of [...pieces, ''].entries())
      for (const { cells, line, problem } of csv.take(piece, i === pieces.length))
        rows.push({ cells, line, problem: problem?.code });
  } catch (error) {
    rows.push(error);
  }
  return rows;
}

const inPieces = (text: string, length: number): string[] =>
  Array.from({ length: Math.ceil(text.length / length) }, (_, i) => text.slice(i * length, (i + 1) * length));

/** Options of csv-parse that match how rows are read; only the first row. */
const FIRST = {
  record_delimiter: ['\r\n', '\n', '\r'],
  skip_empty_lines: true,
  trim: true,
  relax_column_count: true,
  to: 1,
};

describe('CSV in pieces', () => {
  it('is cut into rows as csv-parse does, wherever the pieces end', () => {
    const alphabet = [
      'a',
      '1',
      ',',
      '"',
      '""',
      '\n',
      '\r\n',
      '\r',
      ' a',
      'a ',
      '\t1',
      'é',
      ' ',
      '"b"',
      '"c\nd"',
      '"e""f"',
    ];
    const texts = fc.array(fc.constantFrom(...alphabet), { maxLength: 20 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 25 }), (text, length) => {
        let expected: unknown;
        try {
          const options = { record_delimiter: ['\r\n', '\n', '\r'], skip_empty_lines: true, trim: true };
          expected = parse(text, { ...options, relax_column_count: true });
        } catch {
          expected = expect.arrayContaining([expect.stringMatching(/^\d+: csv: a quote/)]);
        }
        expect(cut(inPieces(text, length))).toEqual(expected);
        expect(cut(inPieces(text, length))).toEqual(cut([text]));
      }),
      { numRuns: LONG ? 800 : 300 },
    );
  });

  it('gives every row the line that it starts on, wherever the pieces end, even with rows of the maximum length', () => {
    const part = fc.constantFrom('a', ',', '"', '""', '\n', '\r\n', '\r', ' ', '"c\nd"', '"e\r\nf",g', '"\r"');
    const texts = fc.array(part, { maxLength: 20 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 9 }), fc.nat(8), (text, length, more) => {
        const lines = text.split(/(?<=\r\n|\n|\r(?!\n))/);
        const maximum = Math.max(...lines.map((line) => line.length)) + more;
        const rows = placed([text], maximum) as { line: number; cells: string[]; problem?: string }[];
        expect(placed(inPieces(text, length), maximum)).toEqual(rows);
        for (const { line, cells, problem } of rows)
          if (problem === undefined) expect(parse(lines.slice(line - 1).join(''), FIRST)[0]).toEqual(cells);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    { what: 'a quote that is never closed', bad: '2,"b', rows: ['2: csv: a quote that is not closed'] },
    {
      what: 'a quote inside a cell',
      bad: '2,b"',
      rows: ['2: csv: a quote inside a cell, or text after a closing quote'],
    },
    {
      what: 'text after a closing quote',
      bad: '2,"b" c',
      rows: ['2: csv: a quote inside a cell, or text after a closing quote'],
    },
  ])('$what costs only its own line', ({ bad, rows }) => {
    const text = `1,a\n${bad}\n3,c\n4,d\n`;
    expect(cut([text])).toEqual([['1', 'a'], ...rows, ['3', 'c'], ['4', 'd']]);
  });

  it('keeps all rows after a bad one, however many there are', () => {
    for (let count = 0; count < 40; count++) {
      const rows = Array.from({ length: count }, (_, i) => [`${i}`]);
      const bad = '1: csv: a quote that is not closed';
      expect(cut([['"', ...rows].join('\n')])).toEqual([bad, ...rows]);
    }
  });

  it('may have a row of exactly the maximum length, including its line ending', () => {
    const text = '"aaaa\nbbb",c\n';
    expect(cut([text], text.length)).toEqual([['aaaa\nbbb', 'c']]);
    expect(cut([text], text.length - 1)).toEqual([
      '1: csv: a quote that is not closed within 12 characters',
      '2: csv: a quote inside a cell, or text after a closing quote',
    ]);
  });

  it('has rows and lines of at most the maximum length', () => {
    expect(cut(['1,"', ...Array.from({ length: 20 }, () => 'line\n')], 30).slice(0, 2)).toEqual([
      '1: csv: a quote that is not closed within 30 characters',
      ['line'],
    ]);
    for (const before of ['', 'a\n', '\n\n']) {
      const [line, rows] = [before.split('\n').length, before === 'a\n' ? [['a']] : []];
      expect(cut([before, 'x'.repeat(29), '\n'], 30)).toEqual([...rows, ['x'.repeat(29)]]);
      expect(placed([before, 'x'.repeat(30), '\n'], 30).at(-1)).toMatchObject({ code: 'LIMIT_EXCEEDED', found: 31 });
      expect(() => cut([`${before}${'x'.repeat(30)}\n`], 30)).toThrow(`line ${line} is longer`);
    }
    expect(() => cut(['x'.repeat(20), 'x'.repeat(20), '\n'], 30)).toThrow('line 1 is longer than 30 characters');
  });
});

describe('an imported CSV file', () => {
  /** This many numbers are converted to elements at once. */
  const piece = 65_536;
  const width = 64;
  const rows = piece / width;
  const counts = [1, rows - 1, rows, rows + 1, 2 * rows + 3];

  const textOf = (numbers: ArrayLike<number>): string =>
    Array.from(numbers, (n, i) => `${n}${(i + 1) % width === 0 ? '\n' : ','}`).join('');

  /** The columns of a text as int16 bytes. */
  async function imported(text: string, dtype: string): Promise<Record<string, { shape: unknown; bytes: Buffer }>> {
    using dir = new TempDir();
    writeFileSync(dir.file('x.csv'), text);
    const columns: Record<string, { shape: unknown; bytes: Buffer }> = {};
    for (const [key, source] of await readCsv(dir.file('x.csv'), 'x', dtype, {
      signal: new AbortController().signal,
    })) {
      const pieces = Array.from(source.bytes?.() ?? [], (part) => part.slice());
      columns[key] = { shape: source.shape, bytes: Buffer.concat(pieces) };
    }
    return columns;
  }

  it.each(counts)('has %i rows of numbers', async (count) => {
    const numbers = Int16Array.from({ length: width * count }, (_, i) => i % 30_011);
    const bytes = Buffer.from(numbers.buffer);
    expect(await imported(textOf(numbers), 'int16')).toEqual({ x: { shape: [count, width], bytes } });
  });

  it('may have a column of more numbers than are converted at once', async () => {
    const numbers = Int16Array.from({ length: piece + 1 }, (_, i) => i % 30_011);
    const text = `a,b\n${Array.from(numbers, (n) => `${n},${-n}\n`).join('')}`;
    expect(await imported(text, 'int16')).toEqual({
      'x/a': { shape: [piece + 1], bytes: Buffer.from(numbers.buffer) },
      'x/b': { shape: [piece + 1], bytes: Buffer.from(numbers.map((n) => -n).buffer) },
    });
  });

  it.each(counts)('reports the line of a number that does not fit the dtype, even in row %i', async (row) => {
    const numbers = new Float64Array(width * (row + 9)).fill(1);
    for (const column of [0, width - 1]) {
      const bad = numbers.with(width * (row - 1) + column, 40_000);
      await expect(imported(`\n\n${textOf(bad)}`, 'int16')).rejects.toThrow(`x.csv: line ${row + 2}: `);
    }
  });
});
