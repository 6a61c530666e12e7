import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ARRAY_SPELLINGS } from '../../src/format/array-value.ts';
import { CHECKSUM_BLOCK } from '../../src/format/checksums.ts';
import * as layout from '../../src/format/layout.ts';
import { TAIL_KINDS, TAIL_PREFIX_SIZE, tailKey } from '../../src/format/tail-entry.ts';
import { INDEX_BLOCK_SIZE, INDEX_FOOTER_SIZE } from '../../src/format/tail-index.ts';

const SPEC = readFileSync(fileURLToPath(new URL('../../../../docs/format.md', import.meta.url)), 'utf8');

/** The rows of the first table with this header line. */
function table(header: string): string[][] {
  const start = SPEC.indexOf(header);
  expect(start, header).toBeGreaterThan(0);
  const rows: string[][] = [];
  for (const line of SPEC.slice(start).split('\n').slice(2)) {
    if (!line.startsWith('|')) break;
    rows.push(
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

/** All field tables, in the order of the page. */
function fieldTables(): string[][][] {
  const header = '| field | offset | bytes | value | meaning |';
  return SPEC.split(header)
    .slice(1)
    .map((rest) => {
      const rows: string[][] = [];
      for (const line of rest.split('\n').slice(2)) {
        if (!line.startsWith('|')) break;
        rows.push(
          line
            .split('|')
            .slice(1, -1)
            .map((cell) => cell.trim()),
        );
      }
      return rows;
    });
}

const hex = (bytes: readonly number[]): string =>
  bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ');

describe('the specification agrees with the sources', () => {
  test('its field tables are the layout tables', () => {
    const parts = [layout.HEADER, layout.ENTRY_HEAD, layout.ENTRY_TAIL, layout.TERMINATOR_FIELDS];
    const expected = parts.map((part) =>
      part.map(({ name, offset, size, fixed, doc }) => [
        name,
        `${offset}`,
        `${size}`,
        fixed ? hex(fixed) : 'varies',
        doc,
      ]),
    );
    expect(fieldTables()).toEqual(expected);
  });

  test('every layout table covers its part without a gap', () => {
    for (const [part, size] of [
      [layout.HEADER, 24],
      [layout.ENTRY_HEAD, 11],
      [layout.ENTRY_TAIL, 8],
      [layout.TERMINATOR_FIELDS, 11],
    ] as const) {
      let offset = 0;
      for (const field of part) {
        expect(field.offset).toBe(offset);
        expect(field.fixed?.length ?? field.size).toBe(field.size);
        offset += field.size;
      }
      expect(offset).toBe(size);
    }
    expect(layout.EMPTY_SIZE).toBe(35);
    expect(layout.ENTRY_HEAD_SIZE).toBe(layout.TERMINATOR_SIZE);
    expect(layout.COMMIT_NUMBER_OFFSET).toBe(18);
  });

  test('its table of tail entries is TAIL_KINDS', () => {
    expect(table('| kind | word | magic | meaning |')).toEqual(
      Object.entries(TAIL_KINDS).map(([kind, { word, magic, doc }]) => [kind, word, magic, doc]),
    );
    const sizes = Object.fromEntries(
      table('| part | bytes | content |\n|---|---|---|\n| head | 11 | as').map(([part, size]) => [part, size]),
    );
    expect(Number(sizes.head) + Number(sizes.key) + Number(sizes.opcode)).toBe(TAIL_PREFIX_SIZE);
    for (const kind of Object.keys(TAIL_KINDS) as (keyof typeof TAIL_KINDS)[]) {
      expect(tailKey(kind)).toHaveLength(layout.KEY_LENGTH_LIKE_STOP);
    }
    expect(String.fromCharCode(layout.KEY_LENGTH_LIKE_STOP)).toBe('.');
  });

  test('its array prefixes are those of ARRAY_SPELLINGS', () => {
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
    expect(ARRAY_SPELLINGS.map(({ name }) => name)).toEqual(['modern', 'legacy', 'upgraded']);
    for (const row of ARRAY_SPELLINGS) expect(SPEC).toContain(`**${row.name}**`);
    const [modern, legacy, upgraded] = ARRAY_SPELLINGS.map(({ prefix }) => text(prefix));
    expect(modern).toBe('\x8c\x05numpy\x8c\x07ndarray\x93(');
    expect(legacy).toBe(
      '\x8c\x16numpy.core.fromnumeric\x8c\x07reshape\x93\x8c\x15numpy.core.multiarray\x8c\x0afromstring\x93',
    );
    expect(upgraded).toBe(
      `\x8c\x1e${' '.repeat(30)}0\x8c\x05numpy\x8c\x07reshape\x93\x8c\x05numpy\x8c\x0afrombuffer\x93`,
    );
    expect(upgraded).toHaveLength(70);
    expect(legacy).toHaveLength(70);
  });

  test('its alignments are those of ALIGNMENTS', () => {
    const [small, page, large] = layout.ALIGNMENTS.map(({ alignment }) => alignment);
    const power = (n: number): string => `2^${Math.log2(n)}`;
    const [, pages, larges] = layout.ALIGNMENTS;
    expect(SPEC).toContain(
      `a multiple of ${small}, of ${page} where n is ${power(pages!.from)} or more, and of ${large} where n is ${power(larges!.from)} or more, or ${power(larges!.growableFrom)} in an array that grows`,
    );
    expect(layout.ALIGNMENTS).toHaveLength(3);
    expect(pages!.growableFrom).toBe(pages!.from);
  });

  test('its numbers are those of the sources', () => {
    for (const [sentence, value] of [
      [`at least ${layout.FILLER_MIN} bytes in all`, 2 ** 20],
      [`multiple of ${layout.SECTOR} (a sector)`, 2 ** 20],
      [`Blocks of ${INDEX_BLOCK_SIZE} bytes, then ${INDEX_FOOTER_SIZE - 16} bytes of footer`, 2 ** 20],
      ['every started 2^20 bytes', CHECKSUM_BLOCK],
      [`keys of more than ${layout.KEY_MAX} bytes`, 2 ** 20],
    ] as const) {
      expect(SPEC).toContain(sentence);
      expect(value).toBe(2 ** 20);
    }
  });
});
