/**
 * The journal's program: opcodes by which stock Python, should it load the file before a writer finished the batch, gets
 * the dict as the batch made it. They come before a STOP of their own, so Python reads no further.
 *
 * `dict.pop(d, key, None)` for every deleted key; for every array with new rows
 * `operator.setitem(d, key, numpy.ndarray(shape, dtype, operator.getitem(d, key).base))`. Each may run again after it was done.
 *
 * @module
 */

import { ByteWriter, encodeUtf8 } from '../bytes/index.ts';
import type { DType } from '../ndarray/index.ts';
import { putDType, putShape, putText } from './literal-value.ts';

/** An array that gets rows. */
export interface RowsProgram {
  readonly key: string;
  readonly type: DType;
  /** The shape with the new row count. */
  readonly shape: readonly number[];
  readonly masked: boolean;
  /** Masked arrays: there is a fill value to keep. */
  readonly filled: boolean;
}

const POP = 0x30;
const REDUCE = 0x52;
const MARK = 0x28;
const TUPLE = 0x74;
const PAIR = 0x86;
const TRIPLE = 0x87;

/** The opcodes, from the popping of the switch's float and of the journal's own key to STOP. */
export function encodeProgram(deleted: readonly string[], rows: readonly RowsProgram[]): Uint8Array {
  const writer = new ByteWriter(256);
  const global = (module: string, name: string): void => {
    putText(writer, module);
    putText(writer, name);
    writer.u8(0x93);
  };
  const dict = (): void => writer.raw([0x68, 0]);
  const key = (text: string): void => {
    const bytes = encodeUtf8(text);
    writer.u8(0x8c);
    writer.u8(bytes.length);
    writer.raw(bytes);
  };
  /** The attribute of what `object` pushes. */
  const attribute = (object: () => void, name: string): void => {
    global('builtins', 'getattr');
    object();
    putText(writer, name);
    writer.raw([PAIR, REDUCE]);
  };
  const item = (name: string): void => {
    global('operator', 'getitem');
    dict();
    key(name);
    writer.raw([PAIR, REDUCE]);
  };
  const array = (shape: readonly number[], type: () => void, buffer: () => void): void => {
    global('numpy', 'ndarray');
    writer.u8(MARK);
    putShape(writer, shape, false);
    type();
    buffer();
    writer.raw([TUPLE, REDUCE]);
  };
  writer.raw([POP, POP, 0x64]);
  writer.raw([0x71, 0]);
  for (const name of deleted) {
    global('builtins', 'dict.pop');
    dict();
    key(name);
    writer.raw([0x4e, TRIPLE, REDUCE, POP]);
  }
  for (const { key: name, type, shape, masked, filled } of rows) {
    global('operator', 'setitem');
    dict();
    key(name);
    const own = (): void => item(name);
    const dtype = (): void => putDType(writer, type);
    if (!masked) array(shape, dtype, () => attribute(own, 'base'));
    else {
      const buffer = (part: string) => () => attribute(() => attribute(() => attribute(own, part), 'base'), 'base');
      global('numpy.ma', 'MaskedArray');
      writer.u8(MARK);
      array(shape, dtype, buffer('data'));
      array(shape, () => putText(writer, '|b1'), buffer('mask'));
      if (filled) {
        writer.raw([0x4e, 0x89, 0x88, 0x4b, 0]);
        attribute(own, 'fill_value');
      }
      writer.raw([TUPLE, REDUCE]);
    }
    writer.raw([TRIPLE, REDUCE, POP]);
  }
  writer.u8(0x2e);
  return writer.finish();
}
