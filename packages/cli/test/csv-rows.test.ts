import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvRows } from '../src/ingest/csv-rows.ts';

/** The rows of a text that comes in pieces; those that are none as what is wrong. */
function cut(pieces: readonly string[], maximum = 1000): unknown[] {
  const csv = new CsvRows(maximum);
  return [...pieces, ''].flatMap((piece, i) =>
    Array.from(csv.take(piece, i === pieces.length), ({ cells, line, problem }) =>
      problem === undefined ? cells : `${line}: ${problem.message}`,
    ),
  );
}

const inPieces = (text: string, length: number): string[] =>
  Array.from({ length: Math.ceil(text.length / length) }, (_, i) => text.slice(i * length, (i + 1) * length));

describe('CSV in pieces', () => {
  it('is cut as csv-parse cuts it, wherever the pieces end', () => {
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
      { numRuns: 800 },
    );
  });

  it.each([
    { what: 'a quote that is never closed', bad: '2,"b', rows: ['2: csv: a quote that is not closed'] },
    { what: 'a quote inside a cell', bad: '2,b"', rows: ['2: csv: a quote inside a cell, or text behind one'] },
    { what: 'text behind a quote', bad: '2,"b" c', rows: ['2: csv: a quote inside a cell, or text behind one'] },
  ])('$what costs its own line', ({ bad, rows }) => {
    const text = `1,a\n${bad}\n3,c\n4,d\n`;
    expect(cut([text])).toEqual([['1', 'a'], ...rows, ['3', 'c'], ['4', 'd']]);
  });

  it('has all rows behind one that is none, however many they are', () => {
    for (let count = 0; count < 40; count++) {
      const rows = Array.from({ length: count }, (_, i) => [`${i}`]);
      const bad = '1: csv: a quote that is not closed';
      expect(cut([['"', ...rows].join('\n')])).toEqual([bad, ...rows]);
    }
  });

  it('has a row of as many characters as are allowed, its end among them', () => {
    const text = '"aaaa\nbbb",c\n';
    expect(cut([text], text.length)).toEqual([['aaaa\nbbb', 'c']]);
    expect(cut([text], text.length - 1)).toEqual([
      '1: csv: a quote that is not closed within 12 characters',
      '2: csv: a quote inside a cell, or text behind one',
    ]);
  });

  it('has rows and lines of so many characters at most', () => {
    expect(cut(['1,"', ...Array.from({ length: 20 }, () => 'line\n')], 30).slice(0, 2)).toEqual([
      '1: csv: a quote that is not closed within 30 characters',
      ['line'],
    ]);
    expect(() => cut(['x'.repeat(20), 'x'.repeat(20), '\n'], 30)).toThrow('line 1 is longer than 30 characters');
  });
});
