/**
 * Values of other files: one that Python cannot load would make the whole dict unloadable.
 *
 * @module
 */

import { failedToRead, MmdError } from '../errors.ts';
import { BINBYTES8, BYTEARRAY8, parseArray } from '../format/array-value.ts';
import type { EntryDecoder } from '../format/codecs.ts';
import type { EncodedValue } from '../format/encoded-value.ts';
import { parseMasked } from '../format/masked-value.ts';
import { opcodesOf } from '../pickle/genops.ts';
import { Decoder, OPCODES, type OpcodeName } from '../pickle/index.ts';
import type { DictCore } from './core.ts';
import type { EntryView } from './entry-view.ts';
import { endOfOpcode } from './pickle-cursor.ts';
import { rawValue } from './raw-value.ts';

/** CPython's C unpickler allocates its memo up to the largest index, 16 bytes each: 256 MiB. */
const MEMO_END = 2 ** 24;

/** Opcodes that only a program prepared for them can load, wherever they are, even if the result is popped again. */
const NEEDS_MORE: { readonly [N in OpcodeName]?: string } = {
  PERSID: 'a persistent id',
  BINPERSID: 'a persistent id',
  NEXT_BUFFER: 'an out-of-band buffer',
};

/** Opcodes that only make plain values: Python loads a value of these alone if it can be loaded here. */
const PLAIN_NAMES: readonly OpcodeName[] = [
  ...(['NONE', 'NEWTRUE', 'NEWFALSE', 'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT'] as const),
  ...(['SHORT_BINUNICODE', 'BINUNICODE', 'SHORT_BINBYTES', 'BINBYTES', 'BINPUT', 'BINGET', 'MARK'] as const),
  ...(['EMPTY_LIST', 'APPEND', 'APPENDS', 'EMPTY_TUPLE', 'TUPLE', 'TUPLE1', 'TUPLE2', 'TUPLE3'] as const),
  ...(['EMPTY_DICT', 'SETITEM', 'SETITEMS'] as const),
];
const PLAIN = new Uint8Array(256);
for (const name of PLAIN_NAMES) PLAIN[OPCODES[name].code] = 1;

function isPlain(bytes: Uint8Array): boolean {
  for (let pos = 0; pos < bytes.length; ) {
    if (PLAIN[bytes[pos]!] !== 1) return false;
    pos = endOfOpcode(bytes, pos);
    if (pos > bytes.length) return false;
  }
  return true;
}

/**
 * A value of another file for `to`: its bytes unchanged. If Python loads those only with the encoding that `from` was opened with, for
 * strings of Python 2, it is encoded anew. Of arrays only the head is checked; unknown globals are left to the owner.
 * @throws MmdError UNSUPPORTED_VALUE, BAD_KEY, CORRUPT, BAD_OPCODE, LIMIT_EXCEEDED and whatever `load` and `set` throw, for a value that
 * `set` refuses, or that no `pickle.load` takes
 */
export function foreignValue(from: DictCore, to: DictCore, view: EntryView): EncodedValue {
  try {
    checkLoads(from, to, view);
    return rawValue(view);
  } catch (error) {
    if (!(error instanceof MmdError) || error.key !== undefined) throw error;
    const asIs = from.store.options.load.encoding === undefined || failedToRead(error);
    const anew = asIs ? undefined : writtenAnew(from, to, view);
    if (anew !== undefined) return anew;
    const { code, message, stack: _, name: __, ...fields } = error;
    const { name: path } = from;
    const { key } = view;
    throw new MmdError(code, `${path}: ${JSON.stringify(key)} cannot be copied: ${message}`, {
      ...fields,
      key,
      path,
      cause: error,
    });
  }
}

/** Like {@link foreignValue}, but returns the error instead of throwing it, unless a system call failed. */
export function foreignValueOrError(from: DictCore, to: DictCore, view: EntryView): EncodedValue | MmdError {
  try {
    return foreignValue(from, to, view);
  } catch (error) {
    if (error instanceof MmdError && !failedToRead(error)) return error;
    throw error;
  }
}

function writtenAnew(from: DictCore, to: DictCore, view: EntryView): EncodedValue | undefined {
  const { limits, encoding } = from.store.options.load;
  try {
    const value = new Decoder({ lossless: true, limits, encoding }).loadEntry(view.bytes(), 0, view.length);
    return to.encodeValue(value, undefined);
  } catch (error) {
    if (error instanceof MmdError && !failedToRead(error)) return undefined;
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
  const bytes = view.bytes();
  // The fast path for most values, in a tenth of the time. If it fails, the value is checked again for the proper error.
  if (isPlain(bytes) && loads(view.decoder, bytes)) return;
  checkOpcodes(from, to, bytes);
}

function loads(decoder: EntryDecoder, bytes: Uint8Array): boolean {
  try {
    decoder.loadEntry(bytes, 0, bytes.length);
    return true;
  } catch {
    return false;
  }
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
    if (needed !== undefined) throw refused(`plain pickle.load does not accept ${needed}`, name);
    if ((name === 'LONG_BINPUT' || name === 'PUT') && Number(arg) >= MEMO_END)
      throw refused(`Python would use too much memory for a memo up to index ${String(arg)}`, arg);
  }
}

function refused(message: string, found: unknown): MmdError {
  return new MmdError('UNSUPPORTED_VALUE', message, { found });
}
