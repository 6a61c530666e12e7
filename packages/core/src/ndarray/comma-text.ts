/**
 * numpy's short text for several types, `'i4, 3f8'`, and for one that is repeated, `'(2,3)f4'`.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** Byte order, repeats, byte order again, and the type. As in numpy, spaces stand around repeats only, and `_` is no part of names. */
const ITEM =
  /^([<>=|]?)(?: *((?:0|[1-9][0-9]{0,9})|\([0-9 ,]*\)) *)?([<>=|]?)([A-Za-z?][A-Za-z0-9?]*(?:\[[A-Za-z0-9]*\])?)$/;

/** No item is longer: types have at most so many characters elsewhere, too. */
const MAX_ITEM = 200;

type Item = string | [type: string, dims: number[]];

/** Tells text of this form. numpy takes all that begins with a number for it, and all with a comma. */
export const isCommaText = (text: string): boolean => /^[<>=|]?[0-9]|,/.test(text);

/**
 * What the text stands for: a list of fields `f0`, `f1`, ..., or one type and its shape.
 *
 * @throws UNSUPPORTED_DTYPE for what no numpy reads, and for what numpy 1 and 2 read differently: a single repeat (`'1f8'`), a comma
 *   behind the only type
 */
export function commaSpec(text: string): [name: string, type: Item][] | Item {
  const parts = splitAtCommas(text);
  // numpy trims around commas and behind the last type.
  const items = parts.map((part, i) => itemOf(i === 0 ? part.trimEnd() : part.trim(), text));
  if (items.length === 1) return items[0] as Item;
  return items.map((item, i): [name: string, type: Item] => [`f${i}`, item]);
}

/** Splits where a comma stands in no parentheses or brackets. */
function splitAtCommas(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    if ('(['.includes(character)) depth += 1;
    else if (')]'.includes(character)) depth -= 1;
    else if (character === ',' && depth === 0) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function itemOf(part: string, text: string): Item {
  const match = part.length <= MAX_ITEM ? ITEM.exec(part) : null;
  if (match === null) throw unread(part, text);
  const [, before = '', repeats = '', after = '', type = ''] = match;
  const [first, second] = [before, after].map((order) => (order === '=' ? '<' : order));
  if (before !== '' && after !== '' && first !== second) throw unread(part, text);
  // The machine's order may stand before any type.
  const spec = (before || after) === '>' ? `>${type}` : type;
  const list = repeats.replaceAll(/[() ]/g, '').split(',');
  if (list.length > 1 && list.at(-1) === '') list.pop();
  const tuple = repeats.includes(',');
  if (list.length === 1 && list[0] === '' && !tuple) return spec;
  const dims = list.map((dim) => (/^(?:0|[1-9][0-9]*)$/.test(dim) ? Number(dim) : Number.NaN));
  if (dims.some(Number.isNaN) || /[0-9] +[0-9]/.test(repeats)) throw unread(part, text);
  if (!tuple && dims[0] === 1) {
    const message = `${quoted(part)} is one element in numpy 1, and an array of one in numpy 2; write a list of fields`;
    throw new MmdError('UNSUPPORTED_DTYPE', `dtype: ${message}`, { found: text });
  }
  return [spec, dims];
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

function unread(part: string, text: string): MmdError {
  const message = `dtype: no type ${quoted(part)} in ${quoted(text)}; write a list of fields, or [type, shape]`;
  return new MmdError('UNSUPPORTED_DTYPE', message, { found: text });
}
