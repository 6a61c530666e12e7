/** Columns, sizes and bars as text. @module */

import { MmdError } from '@mmdpickle/core';

/** A column of a table: its heading, and the alignment of its cells. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/**
 * A table that is printed in parts: the columns are as wide as the cells so far require. Widths count visible
 * characters, not escape sequences.
 */
export class Table {
  readonly #columns: readonly Column[];
  readonly #widths: number[];
  #rows: (readonly string[])[];

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
    this.#widths = columns.map(() => 0);
    this.#rows = [];
    this.add(columns.map(({ title }) => title));
  }

  add(row: readonly string[]): void {
    for (const [index, cell] of row.entries()) {
      if (cell.length > (this.#widths[index] ?? 0))
        this.#widths[index] = Math.max(this.#widths[index] ?? 0, width(cell));
    }
    this.#rows.push(row);
  }

  /** The lines of the rows that were added since the last flush. */
  flush(): string {
    const rows = this.#rows;
    this.#rows = [];
    return rows.map((row) => `${this.#line(row)}\n`).join('');
  }

  #line(row: readonly string[]): string {
    let line = '';
    for (const [index, cell] of row.entries()) {
      const gap = ' '.repeat((this.#widths[index] ?? 0) - width(cell));
      const last = index === row.length - 1;
      const right = this.#columns[index]?.align === 'right';
      line += `${index > 0 ? '  ' : ''}${right ? gap : ''}${cell}${right || last ? '' : gap}`;
    }
    return line;
  }
}

/** Lines of a table with a heading. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = new Table(columns);
  for (const row of rows) lines.add(row);
  return lines.flush();
}

const ESCAPE = String.fromCharCode(27);
const ESCAPES = new RegExp(`${ESCAPE}\\[[0-9;]*m`, 'g');
const PLAIN = /^[ -~]*$/;

function width(text: string): number {
  if (PLAIN.test(text)) return text.length;
  return Array.from(text.includes(ESCAPE) ? text.replaceAll(ESCAPES, '') : text).length;
}

/**
 * How CSV is parsed, wherever it comes from. The row delimiters, longest first, are given to the parser, which otherwise takes that of
 * the first line for all rows, and others for text.
 */
export const CSV_TEXT: { record_delimiter: string[]; skip_empty_lines: true; trim: true } = {
  record_delimiter: ['\r\n', '\n', '\r'],
  skip_empty_lines: true,
  trim: true,
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** A byte count for people: `1536` is `1.5 KiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`;
}

/** Parses a byte count as people write it: `64`, `64k`, `64MiB`, `1.5G`. Undefined if it is not one. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const power = 'kmgtp'.indexOf((match[2] ?? '').toLowerCase()) + 1;
  return Math.round(Number(match[1]) * (match[2] ? 1024 ** power : 1));
}

/** Parses a number as JavaScript, Python and numpy spell it; undefined if it is not one. */
export function parseNumber(text: string): number | undefined {
  const word = /^([+-]?)(?:(nan)|inf(?:inity)?)$/i.exec(text.trim());
  if (word !== null) return word[2] === undefined ? Number(`${word[1]}Infinity`) : Number.NaN;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isNaN(value) ? undefined : value;
}

/** Parses a truth value in words or digits; undefined if it is not one. */
export function parseTruth(text: string): boolean | undefined {
  if (/^(1|true|yes)$/i.test(text)) return true;
  return /^(0|false|no)$/i.test(text) ? false : undefined;
}

/** Parses a duration as people write it to milliseconds: `500ms`, `10s`, `5m`, `2h`; plain numbers are seconds. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
  return match === null ? undefined : Number(match[1]) * scale[(match[2] ?? 's') as keyof typeof scale];
}

/** A share as a percentage, or a dash if the whole is 0. */
export function shareText(part: number, whole: number): string {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '-';
}

/**
 * Bytes unchanged, and text as UTF-8.
 *
 * @throws MmdError UNSUPPORTED_VALUE for a lone surrogate, as Python does: encoders silently put U+FFFD there
 */
export function encoded(chunk: string | Uint8Array): Uint8Array {
  if (typeof chunk !== 'string') return chunk;
  if (!/\p{Cs}/u.test(chunk)) return Buffer.from(chunk);
  throw new MmdError('UNSUPPORTED_VALUE', 'text with a lone surrogate cannot be encoded as UTF-8; --json escapes it');
}

/** Text that cannot move the cursor or hide anything: control, format and unassigned characters are spelled out. */
export function printable(text: string): string {
  return text.replaceAll(
    /\p{C}/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}}`,
  );
}

/** Printable form of a key, in quotes only if it needs them. */
export function keyText(key: string): string {
  return /^[^\s'"\\\p{C}]+$/u.test(key) ? key : printable(JSON.stringify(key));
}
