/**
 * Values of other files, which take a whole dict with them where Python does not load them.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { BINBYTES8, BYTEARRAY8, parseArray } from '../format/array-value.ts';
import { parseMasked } from '../format/masked-value.ts';
import { opcodesOf } from '../pickle/genops.ts';
import { Decoder, OPCODES, type OpcodeName } from '../pickle/index.ts';
import type { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';

/** CPython's C unpickler makes room up to the largest index, of 16 bytes each: 256 MiB. */
const MEMO_END = 2 ** 24;

/** What only a program that waits for it can load, wherever it stands: also what is popped again. */
const NEEDS_MORE: { readonly [N in OpcodeName]?: string } = {
  PERSID: 'a persistent id',
  BINPERSID: 'a persistent id',
  NEXT_BUFFER: 'an out-of-band buffer',
};

/**
 * Refuses a value whose bytes are to be copied into another dict, where it is one that `set` refuses, or that no `pickle.load`
 * takes. Arrays are not looked at beyond their heads; what is not known by name stays its owner's matter.
 * @throws MmdError UNSUPPORTED_VALUE, BAD_KEY, CORRUPT, BAD_OPCODE, LIMIT_EXCEEDED and whatever `load` and `set` throw
 */
export function checkForeign(from: DictCore, to: DictCore, view: EntryView): void {
  try {
    checkLoads(from, to, view);
  } catch (error) {
    if (!(error instanceof MmdError) || error.key !== undefined) throw error;
    const { code, message, stack: _, name: __, ...fields } = error;
    const { name: path } = from;
    const { key } = view;
    throw new MmdError(code, `${path}: ${JSON.stringify(key)} is not copied: ${message}`, {
      ...fields,
      key,
      path,
      cause: error,
    });
  }
}

/** The error of {@link checkForeign}; `undefined` where there is none. */
export function foreignProblem(from: DictCore, to: DictCore, view: EntryView): Error | undefined {
  try {
    checkForeign(from, to, view);
    return undefined;
  } catch (error) {
    if (error instanceof MmdError) return error;
    throw error;
  }
}

function checkLoads(from: DictCore, to: DictCore, view: EntryView): void {
  const { length } = view;
  const masked = parseMasked(view.reader());
  if (masked !== undefined) {
    const { fill } = masked;
    if (fill === undefined) return;
    const reader = view.reader();
    reader.skip(fill.start);
    checkOpcodes(from, to, reader.take(fill.end - fill.start).slice());
    return;
  }
  if (parseArray(view.reader()) !== undefined) return;
  const reader = view.reader();
  // Bytes, which may be larger than memory.
  const first = length < 9 ? undefined : reader.u8();
  if ((first === BINBYTES8 || first === BYTEARRAY8) && reader.u64() === length - 9) return;
  checkOpcodes(from, to, view.bytes());
}

function checkOpcodes({ store }: DictCore, to: DictCore, bytes: Uint8Array): void {
  const { limits } = store.options.load;
  const value = new Decoder({ borrow: true, lossless: true, limits }).loadEntry(bytes, 0, bytes.length);
  to.entries.encodeParts(value);
  const pickle = new Uint8Array(bytes.length + 1);
  pickle.set(bytes);
  pickle[bytes.length] = OPCODES.STOP.code;
  for (const { opcode, arg } of opcodesOf(pickle, 0, false)) {
    const { name } = opcode;
    const needed = NEEDS_MORE[name];
    if (needed !== undefined) throw refused(`no pickle.load takes ${needed}`, name);
    if ((name === 'LONG_BINPUT' || name === 'PUT') && Number(arg) >= MEMO_END)
      throw refused(`Python's memo would take all memory up to the index ${String(arg)}`, arg);
  }
}

function refused(message: string, found: unknown): MmdError {
  return new MmdError('UNSUPPORTED_VALUE', message, { found });
}
