/**
 * An assembler: makes pickles from opcodes by name.
 *
 * @module
 */

import { ByteWriter } from '../bytes/byte-writer.ts';
import { MmdError } from '../errors.ts';
import { wrongArgument } from '../options.ts';
import { ARGUMENTS, type Argument } from './arguments.ts';
import { OPCODES, type OpcodeName } from './opcodes.ts';

/** An opcode by name, with its argument if it has one. */
export type EmitOp = OpcodeName | readonly [name: OpcodeName, arg: Argument];

/**
 * Encodes opcodes. Only the arguments are checked, so damaged pickles can be made for tests too; the length in FRAME is
 * its argument.
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
  if (typeof ops === 'string' || typeof (ops as Iterable<EmitOp> | null)?.[Symbol.iterator] !== 'function')
    throw wrongArgument('ops', 'a list of opcodes', ops);
  const to = new ByteWriter();
  for (const op of ops) {
    // Not by its type: anything that is neither a name nor a pair is an unknown name.
    const [name, arg] = Array.isArray(op) ? (op as Exclude<EmitOp, string>) : [op as OpcodeName, undefined];
    if (!Object.hasOwn(OPCODES, name)) throw wrongArgument('an opcode', 'a name in OPCODES', name);
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
