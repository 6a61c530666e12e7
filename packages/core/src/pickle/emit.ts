/**
 * Pickles from opcodes by name: an assembler.
 *
 * @module
 */

import { ByteWriter } from '../bytes/byte-writer.ts';
import { MmdError } from '../errors.ts';
import { ARGUMENTS, type Argument } from './arguments.ts';
import { OPCODES, type OpcodeName } from './opcodes.ts';

/** An opcode by name, with its argument if it has one. */
export type EmitOp = OpcodeName | readonly [name: OpcodeName, arg: Argument];

/**
 * Encodes opcodes. Nothing is checked but the arguments, so that damaged pickles can be made for tests too; the
 * length that FRAME states is its argument.
 *
 * @returns bytes that belong to the caller
 * @throws MmdError INVALID_ARGUMENT for an argument that the encoding cannot hold, or that is missing
 *
 * @example
 * ```ts
 * import { emit, load } from '@mmdpickle/core/pickle';
 *
 * load(emit([['PROTO', 2], ['BININT1', 7], 'TUPLE1', 'STOP'])); // Tuple [7]
 * ```
 */
export function emit(ops: Iterable<EmitOp>): Uint8Array {
  const to = new ByteWriter();
  for (const op of ops) {
    const [name, arg] = typeof op === 'string' ? [op, undefined] : op;
    const { code, arg: encoding } = OPCODES[name];
    to.u8(code);
    if ((encoding === null) !== (arg === undefined)) {
      throw new MmdError('INVALID_ARGUMENT', `${name} takes ${encoding === null ? 'no' : 'an'} argument`, {
        found: arg,
      });
    }
    if (encoding !== null) ARGUMENTS[encoding].write(to, arg!);
  }
  return to.finish();
}
