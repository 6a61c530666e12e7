/**
 * Reading pickles.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { isBytes, wrongArgument } from '../options.ts';
import { Machine } from './machine.ts';
import type { LoadOptions } from './options.ts';

/**
 * Reads a pickle. Nothing that it names is imported or called: what is not on the allow-list becomes an opaque object,
 * which `dump` can write again.
 *
 * @param bytes - borrowed: unless `borrow` is false, bytes and arrays in the value are views of them. Bytes after STOP
 *   are ignored; `loadAt` returns where they start
 * @param options - encoding of Python 2 strings, lossless mode, budgets, resolvers and constructors
 * @throws MmdError NOT_A_PICKLE, TRUNCATED, CORRUPT, BAD_OPCODE, LIMIT_EXCEEDED, BAD_KEY, FORBIDDEN_GLOBAL,
 *   UNSUPPORTED_VALUE (a missing buffer; a call that sets the state of a value), with the offset; INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { dump, load } from '@mmdpickle/core/pickle';
 *
 * const value = load(dump(new Map([['a', [1, 2.5, 'x']]]))) as Map<string, unknown>;
 * value.get('a'); // [1, 2.5, 'x']
 * ```
 */
export function load(bytes: Uint8Array, options?: LoadOptions): unknown {
  return new Decoder(options).load(bytes);
}

/**
 * Reads the pickle that starts at `pos`; several may follow one another.
 *
 * @returns the value, and the position after its STOP
 * @throws MmdError as {@link load}
 *
 * @example
 * ```ts
 * import { dump, loadAt } from '@mmdpickle/core/pickle';
 *
 * loadAt(dump(7), 0); // { value: 7, end: 5 }
 * ```
 */
export function loadAt(bytes: Uint8Array, pos: number, options?: LoadOptions): { value: unknown; end: number } {
  const machine = new Machine(options);
  const start = checkedPos(bytes, pos);
  return { value: machine.run(bytes, start, bytes.length), end: machine.pos };
}

/**
 * Reads the value of an entry of an mmdpickle: value opcodes without PROTO, FRAME and STOP. It leaves exactly one
 * object, and refers to no memo slot but its own.
 *
 * @param bytes - the value's opcodes, exactly; borrowed
 * @throws MmdError as {@link load}
 */
export function loadEntry(bytes: Uint8Array, options?: LoadOptions): unknown {
  return new Decoder(options).loadEntry(bytes, 0, Number.POSITIVE_INFINITY);
}

/**
 * Reads many pickles or entries with the same options; faster than starting over for each.
 *
 * @example
 * ```ts
 * import { Decoder, dump } from '@mmdpickle/core/pickle';
 *
 * const decoder = new Decoder({ lossless: true });
 * [1, 2].map((n) => decoder.load(dump(n))); // [1, 2]
 * ```
 */
export class Decoder {
  readonly #options: LoadOptions;
  #pickle: Machine | undefined;
  #entry: Machine | undefined;

  constructor(options: LoadOptions = {}) {
    this.#options = options;
  }

  /** Like the function {@link load}. */
  load(bytes: Uint8Array): unknown {
    checkBytes(bytes);
    if (bytes.length === 0) throw new MmdError('NOT_A_PICKLE', 'the input is empty', { offset: 0 });
    this.#pickle ??= new Machine(this.#options);
    return this.#free(this.#pickle).run(bytes, 0, bytes.length);
  }

  /** A machine that is not reading: a user's resolver may load another pickle meanwhile. */
  #free(machine: Machine): Machine {
    return machine.running ? new Machine(this.#options, machine.entry) : machine;
  }

  /** Like the function {@link loadEntry}, for the value from `start` to `end`. */
  loadEntry(bytes: Uint8Array, start: number, end: number): unknown {
    this.#entry ??= new Machine(this.#options, true);
    const from = checkedPos(bytes, start);
    return this.#free(this.#entry).run(bytes, from, Math.min(end, bytes.length));
  }
}

function checkBytes(bytes: Uint8Array): void {
  if (!isBytes.takes(bytes)) throw wrongArgument('a pickle', isBytes.expected, bytes);
}

function checkedPos(bytes: Uint8Array, pos: number): number {
  checkBytes(bytes);
  if (Number.isSafeInteger(pos) && pos >= 0 && pos <= bytes.length) return pos;
  throw new MmdError('INVALID_ARGUMENT', `position ${String(pos)} is outside the ${bytes.length} bytes`, {
    found: pos,
  });
}
