/**
 * Python literals, as in printed dtypes and npy headers: a parser and a printer.
 *
 * Definition: "Literals" in the Python language reference, of which this reads the part that
 * `ast.literal_eval` accepts and the `repr` of a dtype description can hold: strings, integers, `True`,
 * `False`, `None`, tuples, lists and dicts with string keys. Nothing is ever evaluated.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import {
  checkOptions,
  isCount,
  isFlag,
  isText,
  isWhole,
  type OptionRow,
  type OptionTable,
  wrongArgument,
} from '../options.ts';

/** A tuple, distinct from a list because numpy gives them different meanings. */
export interface LiteralTuple {
  readonly tuple: readonly PythonLiteral[];
}

/** A dict with string keys. If a key occurs twice, the later one wins, as in Python. */
export type LiteralDict = ReadonlyMap<string, PythonLiteral>;

/** The value of a literal. Integers beyond ±(2^53 - 1) are bigint. */
export type PythonLiteral =
  | null
  | boolean
  | number
  | bigint
  | string
  | LiteralTuple
  | readonly PythonLiteral[]
  | LiteralDict;

/** Options of {@link parsePythonLiteral}. */
export interface PythonLiteralOptions {
  /** Accept Python 2's `L` after an integer. Default false. */
  readonly longSuffix?: boolean;
  /** What is being read, for error messages. */
  readonly name?: string;
  /** The offset of the text in the input, added to the offsets of errors. */
  readonly offset?: number;
  /** The maximum number of characters. Default: unlimited. */
  readonly maxLength?: number;
  /** The maximum nesting depth. Default 100. */
  readonly maxDepth?: number;
}

const LITERAL_OPTIONS: OptionTable = {
  longSuffix: isFlag,
  name: isText,
  offset: isWhole,
  maxLength: isCount('characters'),
  maxDepth: isCount('levels'),
} satisfies Record<keyof PythonLiteralOptions, OptionRow>;

const NAME = 'Python literal';
/** The default maximum nesting depth; Python's own parser stops at 200. */
const MAX_DEPTH = 100;
/** The maximum length of an integer; CPython refuses longer decimals by default. */
const MAX_DIGITS = 4300;

/** White space and comments. No NUL is allowed anywhere. */
const SPACES = /[ \t\f\r\n]*(?:#[^\n\0]*[ \t\f\r\n]*)*/y;
const WORD = /[A-Za-z_][A-Za-z_0-9]*/y;
const NUMBER = /0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|[1-9](?:_?[0-9])*|0(?:_?0)*/y;
const LONG_SUFFIX = /[ \t\f]*L(?![A-Za-z_0-9])/y;
const WORDS: ReadonlyMap<string, PythonLiteral> = new Map<string, PythonLiteral>([
  ['None', null],
  ['True', true],
  ['False', false],
]);
const SIMPLE_ESCAPES: ReadonlyMap<string, string> = new Map([
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

/**
 * Parses a text that is exactly one literal.
 *
 * @param text - Python source
 * @throws BAD_FORMAT with the offset of the syntax error; LIMIT_EXCEEDED for long text, deep nesting and too many digits
 *
 * @example
 * ```ts
 * import { parsePythonLiteral } from '@mmdpickle/core/ndarray';
 *
 * const header = parsePythonLiteral("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }");
 * header instanceof Map && header.get('shape'); // { tuple: [3, 4] }
 * ```
 */
export function parsePythonLiteral(text: string, options: PythonLiteralOptions = {}): PythonLiteral {
  if (typeof text !== 'string') throw wrongArgument('a literal', 'a string', text);
  const { name = NAME, offset = 0, maxLength = Number.POSITIVE_INFINITY } = checkOptions(options, LITERAL_OPTIONS);
  if (text.length > maxLength) {
    throw new MmdError('LIMIT_EXCEEDED', `${name}: ${text.length} characters, more than ${maxLength}`, {
      offset,
      limit: 'maxLength',
      maximum: maxLength,
      found: text.length,
    });
  }
  const parser = new LiteralParser(text, options);
  const value = parser.value(0);
  parser.end();
  return value;
}

class LiteralParser {
  readonly #text: string;
  readonly #name: string;
  readonly #base: number;
  readonly #longSuffix: boolean;
  readonly #maxDepth: number;
  #pos = 0;

  constructor(text: string, options: PythonLiteralOptions) {
    // Python reads every line end as LF, also within strings and after comments. After each CR LF, offsets of errors are one less.
    this.#text = text.replaceAll(/\r\n?/g, '\n');
    this.#name = options.name ?? NAME;
    this.#base = options.offset ?? 0;
    this.#longSuffix = options.longSuffix ?? false;
    this.#maxDepth = options.maxDepth ?? MAX_DEPTH;
  }

  value(depth: number): PythonLiteral {
    if (depth > this.#maxDepth) {
      throw new MmdError('LIMIT_EXCEEDED', `${this.#name}: nested deeper than ${this.#maxDepth} levels`, {
        offset: this.#base + this.#pos,
        limit: 'maxDepth',
        maximum: this.#maxDepth,
      });
    }
    this.#skip();
    const start = this.#text[this.#pos];
    if (start === '(') return this.#parenthesis(depth);
    if (start === '[') return this.#items(']', depth).items;
    if (start === '{') return this.#dict(depth);
    if (start === "'" || start === '"') return this.#strings();
    if (start === '-' || start === '+' || (start !== undefined && start >= '0' && start <= '9')) return this.#integer();
    const word = this.#match(WORD);
    if (word === undefined) throw this.#fail('a literal');
    const quote = this.#text[this.#pos];
    if ((word === 'u' || word === 'U') && (quote === "'" || quote === '"')) return this.#strings();
    const constant = WORDS.get(word);
    if (constant === undefined) {
      this.#pos -= word.length;
      throw this.#fail('a literal');
    }
    return constant;
  }

  end(): void {
    this.#skip();
    if (this.#pos < this.#text.length) throw this.#fail('the end');
  }

  #parenthesis(depth: number): PythonLiteral {
    const { items, comma } = this.#items(')', depth);
    return items.length === 1 && !comma ? (items[0] as PythonLiteral) : { tuple: items };
  }

  #items(close: string, depth: number): { items: PythonLiteral[]; comma: boolean } {
    this.#pos += 1;
    const items: PythonLiteral[] = [];
    for (let comma = false; ; comma = true) {
      this.#skip();
      if (this.#take(close)) return { items, comma };
      if (items.length > 0 && !comma) throw this.#fail(`',' or '${close}'`);
      items.push(this.value(depth + 1));
      this.#skip();
      if (this.#take(close)) return { items, comma: false };
      if (!this.#take(',')) throw this.#fail(`',' or '${close}'`);
    }
  }

  #dict(depth: number): LiteralDict {
    this.#pos += 1;
    const dict = new Map<string, PythonLiteral>();
    for (;;) {
      this.#skip();
      if (this.#take('}')) return dict;
      const keyPos = this.#pos;
      const key = this.value(depth + 1);
      if (typeof key !== 'string') {
        this.#pos = keyPos;
        throw this.#fail('a string as the key');
      }
      this.#skip();
      if (!this.#take(':')) throw this.#fail("':'");
      dict.set(key, this.value(depth + 1));
      this.#skip();
      if (this.#take('}')) return dict;
      if (!this.#take(',')) throw this.#fail("',' or '}'");
    }
  }

  #integer(): number | bigint {
    const sign = this.#text[this.#pos];
    if (sign === '-' || sign === '+') {
      this.#pos += 1;
      this.#skip();
    }
    const digits = this.#match(NUMBER);
    if (digits === undefined) throw this.#fail('an integer');
    if (digits.length > MAX_DIGITS) {
      throw new MmdError(
        'LIMIT_EXCEEDED',
        `${this.#name}: an integer of ${digits.length} digits, more than ${MAX_DIGITS}`,
        {
          offset: this.#base + this.#pos,
          limit: 'maxDigits',
          maximum: MAX_DIGITS,
        },
      );
    }
    const next = this.#text[this.#pos];
    const suffix = this.#longSuffix && this.#match(LONG_SUFFIX) !== undefined;
    if (!suffix && next !== undefined && /[A-Za-z_0-9.]/.test(next)) throw this.#fail('an integer');
    const magnitude = BigInt(digits.replaceAll('_', ''));
    const value = sign === '-' ? -magnitude : magnitude;
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  /** Adjacent string literals are one string. */
  #strings(): string {
    let text = '';
    for (;;) {
      text += this.#string();
      const mark = this.#pos;
      this.#skip();
      const next = this.#text[this.#pos];
      const prefixed = (next === 'u' || next === 'U') && /['"]/.test(this.#text[this.#pos + 1] ?? '');
      if (prefixed) this.#pos += 1;
      else if (next !== "'" && next !== '"') {
        this.#pos = mark;
        return text;
      }
    }
  }

  #string(): string {
    const quote = this.#text[this.#pos] as string;
    const triple = this.#text.startsWith(quote.repeat(3), this.#pos);
    const close = triple ? quote.repeat(3) : quote;
    this.#pos += close.length;
    const parts: string[] = [];
    for (let from = this.#pos; ; ) {
      const character = this.#text[this.#pos];
      if (character === undefined || (character === '\n' && !triple)) throw this.#fail(`closing ${close}`);
      if (character === '\0') throw this.#fail('a character other than NUL');
      if (this.#text.startsWith(close, this.#pos)) {
        parts.push(this.#text.slice(from, this.#pos));
        this.#pos += close.length;
        return parts.join('');
      }
      if (character !== '\\') {
        this.#pos += 1;
        continue;
      }
      parts.push(this.#text.slice(from, this.#pos), this.#escape());
      from = this.#pos;
    }
  }

  #escape(): string {
    const kind = this.#text[this.#pos + 1] ?? '';
    const simple = SIMPLE_ESCAPES.get(kind);
    if (simple !== undefined) {
      this.#pos += 2;
      return simple;
    }
    const octal = /^[0-7]{1,3}/.exec(this.#text.slice(this.#pos + 1, this.#pos + 4));
    if (octal !== null) {
      this.#pos += 1 + octal[0].length;
      return String.fromCodePoint(Number.parseInt(octal[0], 8));
    }
    const length = HEX_ESCAPES.get(kind);
    if (length !== undefined) {
      const digits = this.#text.slice(this.#pos + 2, this.#pos + 2 + length);
      const code = Number.parseInt(digits, 16);
      if (digits.length < length || !/^[0-9a-fA-F]+$/.test(digits) || code > 0x10ffff)
        throw this.#fail('a valid escape');
      this.#pos += 2 + length;
      return String.fromCodePoint(code);
    }
    // Named characters would need Unicode's table of names; repr writes neither them nor unknown escapes.
    throw this.#fail('a valid escape');
  }

  #skip(): void {
    this.#match(SPACES);
  }

  #take(character: string): boolean {
    if (this.#text[this.#pos] !== character) return false;
    this.#pos += 1;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    const sticky = new RegExp(pattern);
    sticky.lastIndex = this.#pos;
    const match = sticky.exec(this.#text);
    if (match === null) return undefined;
    this.#pos += match[0].length;
    return match[0];
  }

  #fail(expected: string): MmdError {
    const found = this.#pos < this.#text.length ? this.#text.slice(this.#pos, this.#pos + 20) : 'the end';
    return new MmdError('BAD_FORMAT', `${this.#name}: expected ${expected}, found ${JSON.stringify(found)}`, {
      offset: this.#base + this.#pos,
      expected,
      found,
    });
  }
}

/**
 * Prints a literal as Python's `repr` does.
 *
 * @example
 * ```ts
 * import { printPythonLiteral } from '@mmdpickle/core/ndarray';
 *
 * printPythonLiteral([{ tuple: ['x', '<f8', { tuple: [3] }] }]); // "[('x', '<f8', (3,))]"
 * ```
 */
export function printPythonLiteral(value: PythonLiteral): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return printString(value);
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (isLiteralTuple(value)) {
    const items = value.tuple.map(printPythonLiteral).join(', ');
    return value.tuple.length === 1 ? `(${items},)` : `(${items})`;
  }
  if (isLiteralDict(value)) {
    const items = [...value].map(([key, item]) => `${printString(key)}: ${printPythonLiteral(item)}`);
    return `{${items.join(', ')}}`;
  }
  return `[${value.map(printPythonLiteral).join(', ')}]`;
}

/** Whether a literal is a {@link LiteralTuple}. */
export function isLiteralTuple(value: PythonLiteral): value is LiteralTuple {
  return typeof value === 'object' && value !== null && 'tuple' in value;
}

/** Whether a literal is a {@link LiteralDict}. */
export function isLiteralDict(value: PythonLiteral): value is LiteralDict {
  return value instanceof Map;
}

const ESCAPED: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** What `str.isprintable` rejects: the categories Other and Separator, except the space. */
const UNPRINTABLE = /[\p{C}\p{Z}]/u;

function printString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let printed = quote;
  for (const character of text) {
    if (character === quote) printed += `\\${character}`;
    else if (ESCAPED.has(character)) printed += ESCAPED.get(character);
    else if (character !== ' ' && UNPRINTABLE.test(character)) printed += hexEscape(character);
    else printed += character;
  }
  return printed + quote;
}

function hexEscape(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

/** The literal with tuples as lists: in a spec, the position tells what numpy expresses by a tuple. */
export function asLists(literal: PythonLiteral): unknown {
  if (isLiteralTuple(literal)) return literal.tuple.map(asLists);
  if (isLiteralDict(literal)) return new Map([...literal].map(([key, value]) => [key, asLists(value)]));
  return Array.isArray(literal) ? literal.map(asLists) : literal;
}
