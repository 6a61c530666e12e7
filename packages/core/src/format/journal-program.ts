/**
 * The journal's program: opcodes that give stock Python the dict as the batch changes it, if it loads the file before a writer
 * has finished the batch. They end with a STOP of their own, so Python reads no further.
 *
 * `dict.pop(d, key, None)` for every deleted key; for every array with new rows
 * `operator.setitem(d, key, numpy.ndarray(shape, dtype, operator.getitem(d, key).base))`. Each may run again after its change was made.
 *
 * @module
 */

import { ByteWriter } from '../bytes/index.ts';
import type { DType } from '../ndarray/index.ts';
import { putDType, putInteger, putText, putTuple } from './literal-value.ts';

/** An array that gets new rows. */
export interface RowsTarget {
  readonly key: string;
  readonly type: DType;
  readonly rowShape: readonly number[];
  readonly masked: boolean;
  /** Masked arrays: there is a fill value to keep. */
  readonly filled: boolean;
}

/** The opcodes that give an array its new rows, split where the row count goes, which is all that changes from batch to batch. */
export type RowsOpcodes = readonly Uint8Array[];

/** An array's new row count. */
export interface RowsProgram {
  readonly opcodes: RowsOpcodes;
  readonly rows: number;
}

const POP = 0x30;
const REDUCE = 0x52;
const MARK = 0x28;
const TUPLE = 0x74;
const PAIR = 0x86;
const TRIPLE = 0x87;

const PAIR_REDUCE = [PAIR, REDUCE];
const TUPLE_REDUCE = [TUPLE, REDUCE];
const DICT = [0x68, 0];

/**
 * Encodes the program, from the POPs of the switch's float and of the journal's own key to STOP.
 *
 * @param writer - receives the opcodes, from its beginning; the result borrows them
 */
export function encodeProgram(
  deleted: readonly string[],
  rows: readonly RowsProgram[],
  writer: ByteWriter = new ByteWriter(1024),
): Uint8Array {
  writer.length = 0;
  writer.raw([POP, POP, 0x64, 0x71, 0]);
  for (const key of deleted) {
    putGlobal(writer, 'builtins', 'dict.pop');
    writer.raw(DICT);
    putText(writer, key);
    writer.raw([0x4e, TRIPLE, REDUCE, POP]);
  }
  for (const { opcodes, rows: count } of rows) {
    for (const [i, piece] of opcodes.entries()) {
      if (i > 0) putInteger(writer, count);
      writer.raw(piece);
    }
  }
  writer.u8(0x2e);
  return writer.bytes.subarray(0, writer.length);
}

/** Encodes {@link RowsOpcodes}, which stay valid as long as the target stays the same. */
export function encodeRows({ key, type, rowShape, masked, filled }: RowsTarget): RowsOpcodes {
  const writer = new ByteWriter();
  const pieces: Uint8Array[] = [];
  /** Pushes an attribute of what `object` pushes. */
  const attribute = (object: () => void, name: string): void => {
    putGlobal(writer, 'builtins', 'getattr');
    object();
    putText(writer, name);
    writer.raw(PAIR_REDUCE);
  };
  const own = (): void => {
    putGlobal(writer, 'operator', 'getitem');
    writer.raw(DICT);
    putText(writer, key);
    writer.raw(PAIR_REDUCE);
  };
  /** Leaves out the shape's first number, the row count: a piece ends there. */
  const shape = (): void => {
    putTuple(writer, [0, ...rowShape], (dim, index) => {
      if (index > 0) {
        putInteger(writer, dim);
        return;
      }
      pieces.push(writer.finish());
      writer.length = 0;
    });
  };
  const array = (putType: () => void, buffer: () => void): void => {
    putGlobal(writer, 'numpy', 'ndarray');
    writer.u8(MARK);
    shape();
    putType();
    buffer();
    writer.raw(TUPLE_REDUCE);
  };
  putGlobal(writer, 'operator', 'setitem');
  writer.raw(DICT);
  // A key has at most 255 bytes, so it is short text.
  putText(writer, key);
  const dtype = (): void => putDType(writer, type);
  if (!masked) array(dtype, () => attribute(own, 'base'));
  else {
    const buffer = (part: string) => () => attribute(() => attribute(() => attribute(own, part), 'base'), 'base');
    putGlobal(writer, 'numpy.ma', 'MaskedArray');
    writer.u8(MARK);
    array(dtype, buffer('data'));
    array(() => putText(writer, '|b1'), buffer('mask'));
    if (filled) {
      writer.raw([0x4e, 0x89, 0x88, 0x4b, 0]);
      attribute(own, 'fill_value');
    }
    writer.raw(TUPLE_REDUCE);
  }
  writer.raw([TRIPLE, REDUCE, POP]);
  return [...pieces, writer.finish()];
}

function putGlobal(writer: ByteWriter, module: string, name: string): void {
  putText(writer, module);
  putText(writer, name);
  writer.u8(0x93);
}
