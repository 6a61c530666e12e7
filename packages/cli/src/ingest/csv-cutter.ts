/**
 * Cuts CSV that comes in pieces into rows of cells. csv-parse, which `import` has, is not for streams that go on behind a row that
 * is none: it leaves out the rest of its piece there, or all rows up to the next quote.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';

/** A row, or what should be one. */
export interface CutRow {
  /** Without the blanks around them; what stands in quotes as it is. */
  readonly cells: readonly string[];
  /** The line that it begins in, from 1. */
  readonly line: number;
  /** Why it is no row, then without cells: CORRUPT, or LIMIT_EXCEEDED. */
  readonly problem: MmdError | undefined;
}

/** How a row at some place ends. */
interface Found {
  readonly cells: readonly string[];
  readonly end: number;
  /** `open`: the text ends inside it. */
  readonly state: 'whole' | 'open' | 'broken';
}

/** Takes pieces of text, gives rows. Empty lines are none. */
export class CsvCutter {
  readonly #maximum: number;
  #text = '';
  /** Where the next row begins, in the text and in lines. */
  #at = 0;
  #line = 1;
  /** Behind the first line of the row that was given last. */
  #second = { at: 0, line: 1 };
  #final = false;
  /** A cell that is not in quotes. */
  readonly #bare = /[^,"\r\n]*/y;
  readonly #blanks = /[ \t\f\v]*/y;
  readonly #lineEnds = /\r\n|\n|\r/g;

  /** @param maximum - characters of the longest row: a quote that is never closed must not fill the memory */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Takes the next piece; all rows before it were taken. */
  push(piece: string): void {
    this.#text = this.#text.slice(this.#at) + piece;
    this.#at = 0;
  }

  /** No more comes. */
  end(): void {
    this.#final = true;
  }

  /**
   * The next row, if it is whole. Behind one that is none, the next begins in its second line.
   *
   * @throws MmdError LIMIT_EXCEEDED for a line that is too long
   */
  next(): CutRow | undefined {
    for (;;) {
      const [text, at, line] = [this.#text, this.#at, this.#line];
      if (at === text.length) return undefined;
      const second = this.#lineEnd(at);
      const first = second ?? text.length;
      if (first - at > this.#maximum) {
        throw new MmdError('LIMIT_EXCEEDED', `line ${line} is longer than ${this.#maximum} characters`, {
          limit: 'line',
          maximum: this.#maximum,
          found: first - at,
        });
      }
      if (second === undefined) return undefined;
      const { cells, end, state } = this.#row(at);
      const tooLong = end - at > this.#maximum;
      if (state === 'open' && !this.#final && !tooLong) return undefined;
      this.#second = { at: first, line: line + 1 };
      if (state !== 'whole' || tooLong) {
        this.again();
        return { cells: [], line, problem: state === 'broken' ? this.#stray() : this.#unclosed(tooLong) };
      }
      this.#at = end;
      this.#line += end === first ? 1 : text.slice(at, end).match(this.#lineEnds)!.length;
      if (cells.length > 1 || cells[0] !== '' || text.slice(at, end).includes('"'))
        return { cells, line, problem: undefined };
    }
  }

  /** Goes back to the second line of the row that was given last: it was none, and may have taken others along. */
  again(): void {
    this.#at = this.#second.at;
    this.#line = this.#second.line;
  }

  /** Behind the line at a place; undefined where more must come before that is known. */
  #lineEnd(at: number): number | undefined {
    this.#lineEnds.lastIndex = at;
    const found = this.#lineEnds.exec(this.#text);
    const end = found === null ? this.#text.length : this.#lineEnds.lastIndex;
    // The other half of a line's end may come.
    const known = found !== null && (found[0] !== '\r' || end < this.#text.length);
    return known || this.#final ? end : undefined;
  }

  #stray(): MmdError {
    return new MmdError('CORRUPT', 'csv: a quote inside a cell, or text behind one');
  }

  #unclosed(tooLong: boolean): MmdError {
    if (!tooLong) return new MmdError('CORRUPT', 'csv: a quote that is not closed');
    const maximum = this.#maximum;
    const text = `csv: a quote that is not closed within ${maximum} characters`;
    return new MmdError('LIMIT_EXCEEDED', text, { limit: 'record', maximum });
  }

  #row(start: number): Found {
    const text = this.#text;
    const cells: string[] = [];
    for (let at = start; ; at += 1) {
      at = behind(this.#blanks, text, at);
      if (text[at] === '"') {
        const close = closing(text, at + 1);
        if (close === -1) return { cells, end: text.length, state: 'open' };
        cells.push(text.slice(at + 1, close).replaceAll('""', '"'));
        at = behind(this.#blanks, text, close + 1);
      } else {
        const end = behind(this.#bare, text, at);
        cells.push(text.slice(at, end).replace(/[ \t\f\v]+$/, ''));
        at = end;
      }
      if (text[at] === ',') continue;
      const line = at === text.length || /[\r\n]/.test(text[at] as string) ? this.#lineEnd(at) : at;
      if (line === undefined) return { cells, end: text.length, state: 'open' };
      // At the end of all text stands no line's end.
      return { cells, end: line, state: line > at || at === text.length ? 'whole' : 'broken' };
    }
  }
}

function behind(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return pattern.lastIndex;
}

/** The quote that closes a cell: two of them stand for one. -1 where there is none. */
function closing(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 2)) if (text[at + 1] !== '"') return at;
  return -1;
}
