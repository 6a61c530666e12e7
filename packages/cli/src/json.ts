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
    return JSON.stringify(value, jsonValue) ?? 'null';
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    throw new MmdError('UNSUPPORTED_VALUE', 'a value with cycles, or nested this deeply, has no JSON form', { cause });
  }
}

function jsonValue(_key: string, value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'object':
      return objectValue(value);
    default:
      return value;
  }
}

function objectValue(value: object | null): unknown {
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (value instanceof Map) {
    const object = Object.fromEntries([...value].map(([key, item]) => [String(key), item]));
    return Object.keys(object).length === value.size ? object : [...value];
  }
  if (value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>);
  return value;
}
