/**
 * The opcodes of a pickle, one after the other.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { isBytes, isWhole, wrongArgument } from '../options.ts';
import { ARGUMENTS, type Argument, ArgumentReader } from './arguments.ts';
import { namingForeign } from './foreign.ts';
import { OPCODE_BY_CODE, type Opcode, type OpcodeName } from './opcodes.ts';
import { reprBytes } from './python-repr.ts';

/** One opcode and its position. */
export interface GenOp {
  readonly name: OpcodeName;
  readonly opcode: Opcode;
  /** The decoded argument; null if the opcode has none. Floats are `PyFloat`; bytes are borrowed. */
  readonly arg: Argument | null;
  /** Position of the opcode. */
  readonly pos: number;
  /** Position after its argument. */
  readonly end: number;
}

/**
 * Decodes opcodes up to the first STOP, without executing them. As in pickletools, FRAME lengths are ignored.
 *
 * @param bytes - borrowed
 * @param start - where the pickle starts
 * @throws MmdError TRUNCATED, CORRUPT, BAD_OPCODE, with the text of pickletools' ValueError; INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { dump, genops } from '@mmdpickle/core/pickle';
 *
 * [...genops(dump([1], { protocol: 2 }))].map(({ name }) => name);
 * // ['PROTO', 'EMPTY_LIST', 'BININT1', 'APPEND', 'STOP']
 * ```
 */
export function genops(bytes: Uint8Array, start = 0): Generator<GenOp, void> {
  return opcodesOf(bytes, start, true);
}

/**
 * The same as {@link genops}, also for pickles that are to be loaded.
 * @param ascii - false: text lines may hold any byte, as in CPython's readers, and are read as Latin-1
 */
export function* opcodesOf(bytes: Uint8Array, start: number, ascii: boolean): Generator<GenOp, void> {
  if (!isBytes.takes(bytes)) throw wrongArgument('a pickle', isBytes.expected, bytes);
  if (!isWhole.takes(start)) throw wrongArgument('the start of a pickle', isWhole.expected, start);
  const from = new ArgumentReader(bytes, start, ascii);
  try {
    for (;;) {
      const { pos } = from;
      if (pos >= bytes.length) throw from.fail('TRUNCATED', 'pickle exhausted before seeing STOP');
      const opcode = OPCODE_BY_CODE[bytes[pos]!];
      if (opcode === undefined) {
        const found = reprBytes(bytes.subarray(pos, pos + 1));
        const code = pos === start ? 'NOT_A_PICKLE' : 'BAD_OPCODE';
        throw new MmdError(code, `at position ${pos}, opcode ${found} unknown`, { offset: pos, found: bytes[pos] });
      }
      from.pos = pos + 1;
      const arg = opcode.arg === null ? null : ARGUMENTS[opcode.arg].read(from);
      yield { name: opcode.name, opcode, arg, pos, end: from.pos };
      if (opcode.name === 'STOP') return;
    }
  } catch (error) {
    throw namingForeign(error, bytes, start, start);
  }
}
