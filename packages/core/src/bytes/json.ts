/** JSON whose numbers keep their value. @module */

/** An integer of fewer digits than this fits a JavaScript number. */
const MANY_DIGITS = /\d{16}/;

/** The pickle reader's limit too: conversion takes more than linear time, and about a second for this many digits. */
const MOST_DIGITS = 4_194_304;

/**
 * Parses JSON as `JSON.parse` does, but reads integers beyond 2^53 - 1, such as times in nanoseconds, as bigints instead of
 * silently rounding them.
 *
 * @param readNumber - converts the text of a number; a result of another type (a bigint, an object) replaces the parsed number
 * @param objects - what JSON objects become: a JavaScript object puts keys such as `"2"` first, in numeric order; a Map keeps the
 *   order of the text
 * @throws SyntaxError from `JSON.parse`, or if one of these integers is longer than 4,194,304 characters
 *
 * @example
 * ```ts
 * import { parseJson } from '@mmdpickle/core';
 *
 * parseJson('{"t": 1732246372123456789}'); // { t: 1732246372123456789n }
 * ```
 */
export function parseJson(
  text: string,
  readNumber?: (token: string) => unknown,
  objects: 'object' | 'map' = 'object',
): unknown {
  const parsed: unknown = JSON.parse(text);
  const maps = objects === 'map';
  if (readNumber === undefined && !maps && !MANY_DIGITS.test(text)) return parsed;
  const read = readNumber ?? wholeNumber;
  const values: unknown[] = [];
  let marked = '';
  let copied = 0;
  const put = (from: number, to: number, place: string): void => {
    marked += text.slice(copied, from) + place;
    copied = to;
  };
  for (const { start, end, key } of jsonTokens(text)) {
    // String values get a prefix so that none is mistaken for a number's placeholder; keys of maps, so that none is reordered as an index.
    if (text[start] === '"') {
      if (!key) put(start, start + 1, '"s');
      else if (maps) put(start, start + 1, '"k');
      continue;
    }
    if ('{}[]'.includes(text[start] as string)) continue;
    const value = read(text.slice(start, end));
    if (typeof value !== 'number') put(start, end, `"n${values.push(value) - 1}"`);
  }
  if (values.length === 0 && !maps) return parsed;
  return unmarked(JSON.parse(marked + text.slice(copied)), values, maps);
}

/** Replaces the placeholders with their values. Not a reviver of `JSON.parse`, which overflows the stack on deeply nested JSON. */
function unmarked(root: unknown, values: readonly unknown[], maps: boolean): unknown {
  const todo: (() => void)[] = [];
  const read = (value: unknown): unknown => {
    if (typeof value === 'string') return value.startsWith('s') ? value.slice(1) : values[Number(value.slice(1))];
    if (typeof value !== 'object' || value === null) return value;
    const map = maps && !Array.isArray(value) ? new Map<string, unknown>() : undefined;
    todo.push(() => {
      for (const [key, item] of Object.entries(value)) {
        if (map === undefined) (value as Record<string, unknown>)[key] = read(item);
        else map.set(key.slice(1), read(item));
      }
    });
    return map ?? value;
  };
  const value = read(root);
  while (todo.length > 0) todo.pop()!();
  return value;
}

/** A string, a number or a bracket in JSON. */
export interface JsonToken {
  readonly start: number;
  readonly end: number;
  /** Whether it is a string used as a key. */
  readonly key: boolean;
}

/**
 * Yields the strings, numbers and brackets of JSON that is known to be valid. Strings are not matched by a regular expression, whose
 * stack is too small for long ones.
 *
 * @example
 * ```ts
 * import { jsonTokens } from '@mmdpickle/core';
 *
 * [...jsonTokens('[7]')].length; // 3: two brackets, and a number between them
 * ```
 */
export function* jsonTokens(text: string): Generator<JsonToken> {
  const tokens = /["{}[\]]|-?\d[\d.eE+-]*/g;
  const colon = /\s*:/y;
  for (let match = tokens.exec(text); match !== null; match = tokens.exec(text)) {
    const string = match[0] === '"';
    if (string) tokens.lastIndex = stringEnd(text, tokens.lastIndex);
    const end = tokens.lastIndex;
    colon.lastIndex = end;
    yield { start: match.index, end, key: string && colon.test(text) };
  }
}

/** The position after a string's closing quote, the first quote with an even number of backslashes before it. */
function stringEnd(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let first = quote;
    while (first > from && text[first - 1] === '\\') first -= 1;
    if ((quote - first) % 2 === 0) return quote + 1;
  }
  return text.length;
}

function wholeNumber(token: string): number | bigint {
  const value = Number(token);
  // Not `isInteger`: for an integer of more than 308 digits, `value` is infinite.
  if (Number.isSafeInteger(value) || /[^-\d]/.test(token)) return value;
  if (token.length <= MOST_DIGITS) return BigInt(token);
  throw new SyntaxError(`JSON with an integer of ${token.length} characters; at most ${MOST_DIGITS} are allowed`);
}
