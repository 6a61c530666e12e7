/** Values as JSON, for scripts. @module */

import { MmdError } from '@mmdpickle/core';

/**
 * A value as JSON. What JSON has no form for: big integers become text, bytes base64, not-a-number text, a dict
 * whose keys do not stay distinct as text a list of pairs.
 *
 * @throws MmdError UNSUPPORTED_VALUE for cycles, and for what is nested too deeply
 */
export function jsonText(value: unknown): string {
  try {
    return textOf(value);
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new MmdError('UNSUPPORTED_VALUE', 'a value with cycles, or nested this deeply, has no JSON form', { cause });
  }
}

/** Not by way of an object for a dict: objects put keys that look like indices first. */
function textOf(value: unknown): string {
  const plain = plainOf(value);
  if (plain === undefined || plain === null) return 'null';
  if (typeof plain !== 'object') return JSON.stringify(plain) ?? 'null';
  const parts: string[] = [];
  if (Array.isArray(plain)) {
    for (const item of plain) parts.push(textOf(item));
    return `[${parts.join(',')}]`;
  }
  for (const [key, item] of plain instanceof Map ? plain : Object.entries(plain))
    if (item !== undefined) parts.push(`${JSON.stringify(String(key))}:${textOf(item)}`);
  return `{${parts.join(',')}}`;
}

/** What JSON has a form for, and Maps of distinct keys. */
function plainOf(value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'object':
      return plainObject(value);
    default:
      return value;
  }
}

function plainObject(value: object | null): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown };
  if (typeof toJSON === 'function') return plainOf(toJSON.call(value));
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (value instanceof Map) return new Set([...value.keys()].map(String)).size === value.size ? value : [...value];
  if (value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>);
  return value;
}
