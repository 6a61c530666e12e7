/**
 * Errors for values that no pickle can hold: what to pass instead, and where in the whole value they are.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { DICT, type Frame, type Frames, LIST, TUPLE } from './frame.ts';

const AS_BYTES = 'pass new Uint8Array(buffer)';
/** Advice by the name of a type or class. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ['undefined', 'pass null, or omit it'],
  ['Promise', 'await it first'],
  ['ArrayBuffer', AS_BYTES],
  ['SharedArrayBuffer', AS_BYTES],
  ['DataView', 'pass a Uint8Array of its bytes'],
  ['URL', 'pass its text, String(url)'],
  ['Number', 'pass the number itself'],
  ['String', 'pass the string itself'],
]);
const FOR_CLASSES = 'pass a plain object or a Map, or define a codec for the class';
/** Codes of errors about one value within the whole. */
const PLACED: ReadonlySet<string> = new Set(['UNSUPPORTED_VALUE', 'UNSUPPORTED_DTYPE', 'BAD_KEY', 'INVALID_ARGUMENT']);
/** How many steps of a path are shown at its start, and at its end. */
const SHOWN = 8;

/**
 * @param what - the value, described for people
 * @param name - its type or class
 */
export function unwritable(what: string, name: string): MmdError {
  const instead = INSTEAD.get(name) ?? (what.startsWith('an object') ? FOR_CLASSES : undefined);
  const message = `${what} cannot be written${instead === undefined ? '' : `; ${instead}`}`;
  return new MmdError('UNSUPPORTED_VALUE', message, { found: name });
}

/** Adds the path of the value at fault to the message of an error that ended a write. */
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

/** The path step to the item that a frame is writing; `undefined` if no JavaScript path leads to it. */
function stepInto({ kind, items, index }: Frame): string | undefined {
  const at = index - 1;
  if (at < 0) return undefined;
  if (kind === LIST || kind === TUPLE) return `[${at}]`;
  if (kind !== DICT) return undefined;
  const key = items[at - (at % 2)];
  return typeof key === 'string' ? `[${JSON.stringify(key.slice(0, 64))}]` : `[key ${at >> 1}]`;
}
