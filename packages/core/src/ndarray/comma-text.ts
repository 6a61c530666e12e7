/**
 * numpy's comma-separated text for several types, `'i4, 3f8'`, and for a repeated one, `'(2,3)f4'`.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** As in numpy: byte order, repeats, byte order again, and the type. All are optional: an empty match is not an item. */
const ITEM = /([<>=|]?)( *\(?[ ,0-9]*\)? *)([<>=|]?)([A-Za-z0-9.?]*(?:\[[A-Za-z0-9,.]*\])?)/y;
const SEPARATOR = /[ \t\n\v\f\r]*,[ \t\n\v\f\r]*/y;
const REST = /[ \t\n\v\f\r]+$/y;

/** Python integers have no leading zeros, except for 0 itself. */
const NUMBER = /^(?:0+|[1-9][0-9]*)$/;

type Item = string | [type: string, repeats: number | number[]];

/** Whether text has this form, by numpy's rule: it begins with a number or `()`, or has a comma outside of brackets. */
export function isCommaText(text: string): boolean {
  return (
    /^[<>=|]?(?:[0-9]|\(\))/.test(text) || (text.includes(',') && text.replaceAll(/\[[^\]]*\]/g, '').includes(','))
  );
}

/**
 * Parses the text into a list of fields `f0`, `f1`, ..., or into one type, with its shape or length if there is one.
 *
 * @param unsized - whether a type takes its length from the number before it: `'2S'` is `'S2'`
 * @throws UNSUPPORTED_DTYPE for text that no numpy accepts, and for text that numpy 1 and 2 read differently: a single repeat (`'1f8'`),
 *   a comma after the only type
 */
export function commaSpec(text: string, unsized: (type: string) => boolean): [name: string, type: Item][] | Item {
  const items: Item[] = [];
  let separated = false;
  for (let at = 0; at < text.length; ) {
    const [part, before, repeats, after, type] = matchAt(ITEM, text, at) as unknown as [string, ...ItemParts];
    const item = part === '' ? undefined : itemOf([before, repeats, after, type], unsized);
    const end = at + part.length;
    const next = end + (matchAt(SEPARATOR, text, end) ?? matchAt(REST, text, end) ?? [''])[0].length;
    if (item === undefined || (next === end && end < text.length)) throw unread(text.slice(at), text);
    items.push(item);
    separated ||= text.slice(end, next).includes(',');
    at = next;
  }
  const [only] = items;
  if (items.length > 1) return items.map((item, i): [name: string, type: Item] => [`f${i}`, item]);
  if (only === undefined || separated) throw unread(text, text);
  return only;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

type ItemParts = [before: string, repeats: string, after: string, type: string];

/** `undefined` for text that numpy does not accept. */
function itemOf([before, repeats, after, type]: ItemParts, unsized: (type: string) => boolean): Item | undefined {
  const [first, second] = [before, after].map((order) => (order === '=' ? '<' : order));
  if (before !== '' && after !== '' && first !== second) return undefined;
  // Only `>` is passed on: the native order may precede any type.
  const spec = (before || after) === '>' ? `>${type}` : type;
  if (repeats === '') return spec;
  const times = repeatsOf(repeats.trim());
  if (times === undefined) return undefined;
  if (times === 1 && !unsized(spec)) {
    const message = `${quoted(repeats + type)} is one element in numpy 1 but an array of one in numpy 2; write a list of fields`;
    throw new MmdError('UNSUPPORTED_DTYPE', `dtype: ${message}`, { found: repeats + type });
  }
  return [spec, times];
}

/** Parses a Python integer, or a tuple of integers. */
function repeatsOf(text: string): number | number[] | undefined {
  const [open, close] = [text.startsWith('('), text.endsWith(')')];
  if (open !== close) return undefined;
  const list = (open ? text.slice(1, -1) : text).split(',').map((dim) => dim.trim());
  if (open && list.length === 1 && list[0] === '') return [];
  const tuple = list.length > 1;
  if (tuple && list.at(-1) === '') list.pop();
  if (!list.every((dim) => NUMBER.test(dim))) return undefined;
  return tuple ? list.map(Number) : Number(list[0]);
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

function unread(part: string, text: string): MmdError {
  const message = `dtype: ${quoted(part)} in ${quoted(text)} is not a type; write a list of fields, or [type, shape]`;
  return new MmdError('UNSUPPORTED_DTYPE', message, { found: text });
}
