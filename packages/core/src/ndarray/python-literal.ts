/**
 * The little Python literals that numpy prints types with: strings, integers, tuples, lists, dicts,
 * True, False and None. Nothing is evaluated.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** Budgets for literal text from files. */
export interface LiteralLimits {
  /** Characters of the whole text. */
  readonly maxLength: number;
  /** Brackets within brackets. */
  readonly maxDepth: number;
}

/** A tuple is an array with `tuple` set; a dict is a Map. */
export type Literal = null | boolean | number | bigint | string | LiteralList | Map<Literal, Literal>;
/** A list or a tuple. */
export type LiteralList = Literal[] & { tuple?: true };

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ['\n', ''],
]);
const HEX_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);
const CONSTANTS: ReadonlyMap<string, null | boolean> = new Map([
  ['None', null],
  ['True', true],
  ['False', false],
]);
const CLOSERS: ReadonlyMap<string, string> = new Map([
  ['(', ')'],
  ['[', ']'],
  ['{', '}'],
]);

/**
 * Reads one literal, the whole text.
 * @throws CORRUPT with the offset in the text; LIMIT_EXCEEDED
 */
export function parsePythonLiteral(text: string, limits: LiteralLimits): Literal {
  if (text.length > limits.maxLength) {
    throw new MmdError('LIMIT_EXCEEDED', `a literal of ${text.length} characters, more than ${limits.maxLength}`, {
      limit: 'maxLength',
      maximum: limits.maxLength,
      found: text.length,
    });
  }
  return new LiteralParser(text, limits).whole();
}

class LiteralParser {
  readonly #text: string;
  readonly #limits: LiteralLimits;
  #pos = 0;

  constructor(text: string, limits: LiteralLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  whole(): Literal {
    const value = this.#value(0);
    this.#space();
    if (this.#pos < this.#text.length) throw this.#bad('the end');
    return value;
  }

  #bad(expected: string): MmdError {
    const found = this.#text.slice(this.#pos, this.#pos + 12) || 'the end';
    return new MmdError(
      'CORRUPT',
      `literal: expected ${expected} at ${this.#pos}, found ${JSON.stringify(found)} in ${JSON.stringify(this.#text.slice(0, 80))}`,
      { offset: this.#pos, expected, found },
    );
  }

  #space(): void {
    while (/[ \t\r\n]/.test(this.#text.charAt(this.#pos))) this.#pos += 1;
  }

  #take(token: string): boolean {
    this.#space();
    if (!this.#text.startsWith(token, this.#pos)) return false;
    this.#pos += token.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#pos;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#pos += found.length;
    return found;
  }

  #value(depth: number): Literal {
    if (depth > this.#limits.maxDepth) {
      throw new MmdError('LIMIT_EXCEEDED', `a literal nested more than ${this.#limits.maxDepth} deep`, {
        limit: 'maxDepth',
        maximum: this.#limits.maxDepth,
        offset: this.#pos,
      });
    }
    this.#space();
    const head = this.#text.charAt(this.#pos);
    if (head === "'" || head === '"') return this.#string();
    const closer = CLOSERS.get(head);
    if (closer !== undefined) {
      this.#pos += 1;
      return head === '{' ? this.#dict(depth) : this.#list(closer, depth);
    }
    const word = this.#match(/[A-Za-z]+/y);
    if (word !== undefined) {
      const constant = CONSTANTS.get(word);
      if (constant !== undefined) return constant;
      this.#pos -= word.length;
      throw this.#bad('a literal');
    }
    const digits = this.#match(/-?[0-9]{1,20}L?/y);
    if (digits === undefined) throw this.#bad('a literal');
    const integer = BigInt(digits.replace('L', ''));
    const number = Number(integer);
    return Number.isSafeInteger(number) ? number : integer;
  }

  #list(closer: string, depth: number): LiteralList {
    const items: LiteralList = [];
    let commas = 0;
    while (!this.#take(closer)) {
      if (commas < items.length) throw this.#bad(`a comma or ${closer}`);
      items.push(this.#value(depth + 1));
      if (this.#take(',')) commas += 1;
    }
    if (closer === ']') return items;
    // Brackets around one value without a comma are no tuple.
    if (items.length === 1 && commas === 0) throw this.#bad('a comma after the only item of a tuple');
    items.tuple = true;
    return items;
  }

  #dict(depth: number): Map<Literal, Literal> {
    const dict = new Map<Literal, Literal>();
    let open = true;
    while (!this.#take('}')) {
      if (!open) throw this.#bad('a comma or }');
      const key = this.#value(depth + 1);
      if (!this.#take(':')) throw this.#bad('a colon');
      dict.set(key, this.#value(depth + 1));
      open = this.#take(',');
    }
    return dict;
  }

  #string(): string {
    const quote = this.#text.charAt(this.#pos);
    this.#pos += 1;
    let value = '';
    for (;;) {
      value += this.#match(quote === "'" ? /[^'\\\n]*/y : /[^"\\\n]*/y) ?? '';
      const next = this.#text.charAt(this.#pos);
      if (next === quote) {
        this.#pos += 1;
        return value;
      }
      if (next !== '\\') throw this.#bad('the closing quote');
      this.#pos += 1;
      value += this.#escape();
    }
  }

  #escape(): string {
    const kind = this.#text.charAt(this.#pos);
    const plain = ESCAPES.get(kind);
    if (plain !== undefined) {
      this.#pos += 1;
      return plain;
    }
    const octal = this.#match(/[0-7]{1,3}/y);
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    const digits = HEX_ESCAPES.get(kind);
    if (digits === undefined) throw this.#bad('an escape sequence');
    const hex = this.#text.slice(this.#pos + 1, this.#pos + 1 + digits);
    const code = hex.length === digits && /^[0-9a-fA-F]+$/.test(hex) ? Number.parseInt(hex, 16) : Number.NaN;
    if (!(code <= 0x10ffff)) throw this.#bad(`${digits} hexadecimal digits`);
    this.#pos += 1 + digits;
    return String.fromCodePoint(code);
  }
}

/** A string as Python's `repr` prints it. */
export function printPythonString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = quote;
  for (const character of text) {
    if (character === quote || character === '\\') out += `\\${character}`;
    else if (character === '\n') out += '\\n';
    else if (character === '\r') out += '\\r';
    else if (character === '\t') out += '\\t';
    else if (character !== ' ' && /[\p{C}\p{Z}]/u.test(character))
      out += escapeCode(character.codePointAt(0) as number);
    else out += character;
  }
  return out + quote;
}

function escapeCode(code: number): string {
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}
