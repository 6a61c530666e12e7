/**
 * The rows of CSV that comes in pieces, parsed by csv-parse. As a stream, it would skip the rest of the piece after an invalid row, or
 * all rows up to the next quote. So it is given whole lines and, if that fails, one record after the other.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { type CsvError, parse } from 'csv-parse/sync';
import { CSV_TEXT } from '../text.ts';

/** A row, or what should have been one. */
export interface CsvRow {
  readonly cells: readonly string[];
  /** The line in which it begins, from 1. */
  readonly line: number;
  /** Why it is not a valid row, which has no cells then: CORRUPT, or LIMIT_EXCEEDED. */
  readonly problem?: MmdError;
}

const LINE_END = /\r\n|\n|\r/g;

/** Splits pieces of text into rows. Empty lines are not rows. */
export class CsvRows {
  readonly #maximum: number;
  #text = '';
  /** Where the next row begins, in the text and in lines. */
  #at = 0;
  #line = 1;
  /** The position after the first line of the row that was returned last. */
  #second = { at: 0, line: 1 };

  /** @param maximum - characters of the longest row: a quote that is never closed must not fill memory */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /**
   * Takes the next piece and yields the rows that are complete by now, all of which must be consumed. After an invalid row, the next
   * one begins in its second line.
   *
   * @param last - true for the last piece
   * @throws MmdError LIMIT_EXCEEDED for a line that is too long
   */
  *take(piece: string, last = false): Generator<CsvRow> {
    this.#text = this.#text.slice(this.#at) + piece;
    this.#at = 0;
    const lines = this.#lines(last);
    const rows = rowsOf(this.#text.slice(0, lines.at(-1)));
    if (typeof rows !== 'string' && rows.length === this.#countOf(lines)) yield* this.#apiece(rows, lines);
    else yield* this.#oneByOne(lines, last);
  }

  /** Goes back to the second line of the row that was returned last: it was invalid, and may have swallowed others. */
  again(): void {
    this.#at = this.#second.at;
    this.#line = this.#second.line;
  }

  /** The ends of the complete lines. */
  #lines(last: boolean): number[] {
    const text = this.#text;
    const ends = Array.from(text.matchAll(LINE_END), ({ index, 0: { length } }) => index + length);
    // The second half of the line end may follow.
    if (!last && text.endsWith('\r')) ends.pop();
    if (last && (ends.at(-1) ?? 0) < text.length) ends.push(text.length);
    let start = 0;
    for (const [i, end] of [...ends, text.length].entries()) {
      if (end - start > this.#maximum) throw this.#tooLong(this.#line + i, end - start);
      start = end;
    }
    return ends;
  }

  #tooLong(line: number, found: number): MmdError {
    const maximum = this.#maximum;
    const text = `line ${line} is longer than ${maximum} characters`;
    return new MmdError('LIMIT_EXCEEDED', text, { limit: 'line', maximum, found });
  }

  #isBlank(start: number, end: number): boolean {
    return this.#text.slice(start, end).trim() === '';
  }

  #countOf(lines: readonly number[]): number {
    return lines.filter((end, i) => !this.#isBlank(lines[i - 1] ?? 0, end)).length;
  }

  /** The rows, if every row is one line. */
  *#apiece(rows: readonly (readonly string[])[], lines: readonly number[]): Generator<CsvRow> {
    let next = 0;
    for (const end of lines) {
      const [start, line] = [this.#at, this.#line];
      this.#second = { at: end, line: line + 1 };
      this.again();
      if (!this.#isBlank(start, end)) yield { cells: rows[next++] as readonly string[], line };
    }
  }

  *#oneByOne(lines: readonly number[], last: boolean): Generator<CsvRow> {
    const { length } = lines;
    const before = this.#line;
    for (let i = 0; i < length; i = this.#line - before) {
      const { row, upTo } = this.#record(lines, i, last);
      if (upTo === undefined) return;
      this.#second = { at: lines[i] as number, line: this.#line + 1 };
      this.#at = lines[upTo] as number;
      this.#line += upTo - i + 1;
      if (row !== undefined) yield row;
    }
  }

  /** The record that begins in a line, and goes on while a quote is open. Without `upTo` more text must come; a blank line has no `row`. */
  #record(lines: readonly number[], first: number, last: boolean): { row?: CsvRow; upTo?: number } {
    const line = this.#line;
    const broken = (problem: MmdError) => ({ row: { cells: [], line, problem }, upTo: first });
    let open = false;
    let start = this.#at;
    for (let upTo = first; upTo < lines.length; upTo++) {
      const end = lines[upTo] as number;
      if (end - this.#at > this.#maximum) return broken(this.#unclosed(true));
      if (this.#text.slice(start, end).split('"').length % 2 === 0) open = !open;
      start = end;
      // A stray quote would hold back all rows until the next quote.
      if (open && upTo > first) continue;
      const rows = rowsOf(this.#text.slice(this.#at, end));
      if (open && rows === UNCLOSED) continue;
      if (typeof rows === 'string') {
        return broken(new MmdError('CORRUPT', 'csv: a quote inside a cell, or text after a closing quote'));
      }
      const [cells] = rows;
      return cells === undefined ? { upTo } : { row: { cells, line }, upTo };
    }
    if (last) return broken(this.#unclosed(false));
    return this.#text.length - this.#at > this.#maximum ? broken(this.#unclosed(true)) : {};
  }

  #unclosed(tooLong: boolean): MmdError {
    if (!tooLong) return new MmdError('CORRUPT', 'csv: a quote that is not closed');
    const maximum = this.#maximum;
    const text = `csv: a quote that is not closed within ${maximum} characters`;
    return new MmdError('LIMIT_EXCEEDED', text, { limit: 'record', maximum });
  }
}

const UNCLOSED = 'CSV_QUOTE_NOT_CLOSED';

/** The rows of a text; the parser's error code if it refuses the text. */
function rowsOf(text: string): string[][] | string {
  try {
    return parse(text, { ...CSV_TEXT, relax_column_count: true });
  } catch (error) {
    const { code } = error as Partial<CsvError>;
    if (code === undefined) throw error;
    return code;
  }
}
