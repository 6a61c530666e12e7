/** Values as JSON, for scripts. @module */

import { MmdError } from '@mmdpickle/core';

/**
 * A value as JSON that cannot control a terminal: control, format and unassigned characters are `\\u` escapes. Values that
 * JSON has no form for: big integers, NaN and infinities become text, bytes base64, and a dict whose keys do not stay
 * distinct as text a list of pairs.
 *
 * @throws MmdError UNSUPPORTED_VALUE for cycles and values nested too deeply; LIMIT_EXCEEDED for a small value that becomes huge
 *   because it refers to the same values many times
 */
export function jsonText(value: unknown): string {
  try {
    return textOf(value, { left: MAX_VALUES });
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new MmdError('UNSUPPORTED_VALUE', 'a value with cycles, or nested this deeply, cannot be written as JSON', {
      cause,
    });
  }
}

/** Values in one JSON text, and in one key. A hundred bytes can hold a tuple of the same tuple twice, and so on for sixty levels. */
const MAX_VALUES = 2 ** 24;
const MAX_IN_KEY = 2 ** 16;

/** How many more values may be printed. */
interface Budget {
  left: number;
}

function spend(budget: Budget, maximum = MAX_VALUES): void {
  if (--budget.left >= 0) return;
  throw new MmdError(
    'LIMIT_EXCEEDED',
    `a value or key that contains more than ${maximum} others cannot be written as JSON`,
    {
      limit: 'values',
      maximum,
    },
  );
}

/** A key as text: for a tuple or frozenset, its items with commas between. */
function keyText(key: unknown, budget: Budget, own: Budget = { left: MAX_IN_KEY }): string {
  spend(budget);
  spend(own, MAX_IN_KEY);
  if (!Array.isArray(key) && !(key instanceof Set)) return String(key);
  return Array.from(key, (item: unknown) => (item === null ? '' : keyText(item, budget, own))).join(',');
}

/**
 * Prints a value. A dict is not converted to an object, which would put keys that look like indices first. A negative zero
 * has a point: without it, Python's json reads the integer 0.
 */
function textOf(value: unknown, budget: Budget): string {
  spend(budget);
  const plain = plainOf(value, budget);
  if (plain === undefined || plain === null) return 'null';
  if (typeof plain === 'string') return quoted(plain);
  if (typeof plain !== 'object') return Object.is(plain, -0) ? '-0.0' : (JSON.stringify(plain) ?? 'null');
  const parts: string[] = [];
  if (Array.isArray(plain)) {
    for (const item of plain) parts.push(textOf(item, budget));
    return `[${parts.join(',')}]`;
  }
  for (const [key, item] of plain instanceof Map ? plain : Object.entries(plain))
    if (item !== undefined) parts.push(`${quoted(key)}:${textOf(item, budget)}`);
  return `{${parts.join(',')}}`;
}

/** JSON.stringify escapes characters below the space, but not the others that move a cursor or reverse text. */
function quoted(text: string): string {
  const units = (characters: string): string =>
    Array.from({ length: characters.length }, (_, i) => hex(characters.charCodeAt(i))).join('');
  return JSON.stringify(text).replaceAll(/\p{C}+/gu, units);
}

function hex(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** A value that JSON has a form for, or a Map by the texts of its keys, if those are distinct. */
function plainOf(value: unknown, budget: Budget): unknown {
  switch (typeof value) {
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'object':
      return plainObject(value, budget);
    default:
      return value;
  }
}

function plainObject(value: object | null, budget: Budget): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  if (typeof toJSON === 'function') return plainOf(toJSON.call(value), budget);
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (value instanceof Map) {
    const named = new Map(Array.from(value, ([key, item]) => [keyText(key, budget), item]));
    return named.size === value.size ? named : [...value];
  }
  if (value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>);
  return value;
}
