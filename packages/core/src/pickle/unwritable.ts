/**
 * Errors for values that no pickle holds: what to give instead, and where in the whole value it stands.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { DICT, type Frame, type Frames, LIST, TUPLE } from './frame.ts';

const AS_BYTES = 'give new Uint8Array(buffer)';
/** What to do about a type or a class. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ['undefined', 'give null, or leave it out'],
  ['Promise', 'await it first'],
  ['ArrayBuffer', AS_BYTES],
  ['SharedArrayBuffer', AS_BYTES],
  ['DataView', 'give a Uint8Array of its bytes'],
  ['URL', 'give its text, String(url)'],
  ['Number', 'give the number itself'],
  ['String', 'give the string itself'],
]);
const FOR_CLASSES = 'give a plain object, a Map, or a codec for the class';
/** Errors about a value, not about the whole. */
const PLACED: ReadonlySet<string> = new Set(['UNSUPPORTED_VALUE', 'UNSUPPORTED_DTYPE', 'BAD_KEY', 'INVALID_ARGUMENT']);
/** Steps of a place that are shown: the first and the last. */
const SHOWN = 8;

/**
 * @param what - the value, for people
 * @param name - its type or class
 */
export function unwritable(what: string, name: string): MmdError {
  const instead = INSTEAD.get(name) ?? (what.startsWith('an object') ? FOR_CLASSES : undefined);
  const message = `${what} cannot be written${instead === undefined ? '' : `; ${instead}`}`;
  return new MmdError('UNSUPPORTED_VALUE', message, { found: name });
}

/** The error that ended the writing of a value, with the place of what was at fault in its message. */
export function inPlace(error: unknown, frames: Frames): unknown {
  if (!(error instanceof MmdError)) return error;
  const { code, message, cause, name: _, ...fields } = error;
  if (!PLACED.has(code)) return error;
  const steps: string[] = [];
  let all = true;
  for (let depth = 0; depth < frames.depth; depth++) {
    const step = stepInto(frames.at(depth));
    if (step === undefined) continue;
    if (steps.push(step) <= 2 * SHOWN) continue;
    steps.splice(SHOWN, 1);
    all = false;
  }
  if (steps.length === 0) return error;
  if (!all) steps.splice(SHOWN, 0, '...');
  return new MmdError(code, `${message} (at ${steps.join('')} of the value)`, { ...fields, cause });
}

/** How the item that a frame writes at present is reached; `undefined` where no path of JavaScript leads there. */
function stepInto({ kind, items, index }: Frame): string | undefined {
  const at = index - 1;
  if (at < 0) return undefined;
  if (kind === LIST || kind === TUPLE) return `[${at}]`;
  if (kind !== DICT) return undefined;
  const key = items[at - (at % 2)];
  return typeof key === 'string' ? `[${JSON.stringify(key.slice(0, 64))}]` : `[key ${at >> 1}]`;
}
