/** Option values from the command line. The program puts the option's name before the message. @module */

import { usageError } from './errors.ts';
import { parseBytes, parseDuration } from './text.ts';

/** A whole number from 0. */
export function parseNatural(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw usageError(`expected a number, found ${text}`, text);
  return value;
}

/** A whole number from 1. */
export function parsePositive(text: string): number {
  const value = parseNatural(text);
  if (value === 0) throw usageError('expected at least 1, found 0', text);
  return value;
}

/** A time such as `500ms`, `10s`, `5m`, in milliseconds. */
export function parseTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw usageError(`expected a time such as 500ms, 10s, 5m or 2h, found ${text}`, text);
  return ms;
}

/** A byte count such as `64MiB`. */
export function parseByteCount(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes < 1) throw usageError(`expected bytes such as 64MiB, found ${text}`, text);
  return bytes;
}
