/**
 * How values that are not plain lists, dicts, tuples, text, numbers and bytes are written: as steps.
 *
 * @module
 */

import { decodeLatin1 } from '../bytes/utf8.ts';
import { newBytes } from '../bytes/view-bytes.ts';
import { MmdError } from '../errors.ts';
import { isArraySource } from '../ndarray/array-source.ts';
import { ndarray } from '../ndarray/create.ts';
import { isDType } from '../ndarray/make-dtype.ts';
import { typeOfTypedArray } from '../ndarray/nested.ts';
import type { Reduction } from './builtin.ts';
import { REDUCERS } from './globals.ts';
import { OPCODES } from './opcodes.ts';
import { Args, BufferRef, Created, Extension, Fill, GlobalRef, Op } from './steps.ts';
import { INSIDE, reduceArray } from './types/numpy.ts';
import { reduceDType } from './types/numpy-dtype.ts';
import { unwritable } from './unwritable.ts';
import { OutOfBandBuffer } from './values/buffer.ts';
import { checkKeys, checkNoSlice, type KeySpace } from './values/keys.ts';
import {
  checkExtension,
  checkKeywords,
  checkOperation,
  OpaqueGlobal,
  OpaqueObject,
  type Operation,
} from './values/opaque.ts';
import { ByteArray, PyConstant, PyFloat, PyString } from './values/scalars.ts';
import { FrozenSet, PySet } from './values/set.ts';
import { Tuple } from './values/tuple.ts';

/** What a writer may know about the pickle it writes into, and do with it. */
export interface WriteContext {
  readonly protocol: 2 | 3 | 4 | 5;
  readonly bufferCallback: ((bytes: Uint8Array) => unknown) | undefined;
  /** The value is an entry of an mmdpickle: if a Python cannot load the value, it cannot load the whole file. */
  readonly entry: boolean;
  /** The reader knows BYTEARRAY8: protocol 5, and entries of an mmdpickle. */
  readonly byteArrays: boolean;
  /** Checks what Python can hash, for Maps and Sets that do not check it themselves. */
  readonly space: () => KeySpace;
  /** A float by its bits. */
  float(bits: bigint): void;
  /** Text by its UTF-8. */
  utf8(bytes: Uint8Array): void;
}

const POP: Op = new Op(OPCODES.POP.code);
const MARK: Op = new Op(OPCODES.MARK.code);
const REDUCE: Op = new Op(OPCODES.REDUCE.code);
const NEWOBJ: Op = new Op(OPCODES.NEWOBJ.code);
const NEWOBJ_EX: Op = new Op(OPCODES.NEWOBJ_EX.code);
const OBJ: Op = new Op(OPCODES.OBJ.code);
const BUILD: Op = new Op(OPCODES.BUILD.code);
const BINPERSID: Op = new Op(OPCODES.BINPERSID.code);
const EMPTY_SET: Op = new Op(OPCODES.EMPTY_SET.code);
const FROZENSET: Op = new Op(OPCODES.FROZENSET.code);

/**
 * The steps that write a value.
 * @throws MmdError UNSUPPORTED_VALUE; BAD_KEY for items of a Set that Python cannot hash
 */
export function stepsOf(value: object, context: WriteContext): readonly unknown[] {
  if (value instanceof PyFloat) {
    context.float(value.bits);
    return [];
  }
  if (value instanceof PyString) {
    // Made again, to check it: its bytes may have been changed.
    context.utf8(new PyString(value.utf8, value.toString()).utf8);
    return [new Created(value)];
  }
  if (value instanceof OpaqueGlobal) return globalSteps(value, context.protocol);
  if (value instanceof OpaqueObject) return opaqueSteps(value, context);
  if (value instanceof Set) return setSteps(value, context);
  if (value instanceof PyConstant) return [new GlobalRef('builtins', value.name)];
  if (value instanceof OutOfBandBuffer) return bufferSteps(value, context);
  const reduce = REDUCERS.get(Object.getPrototypeOf(value));
  if (reduce !== undefined) return reductionSteps(value, reduce(value, context));
  if (isDType(value)) return reductionSteps(value, reduceDType(value));
  // Stubs, and subclasses of arrays.
  if (isArraySource(value)) return reductionSteps(value, reduceArray(value, context));
  // Recognized by the engine's name, which covers subclasses, other realms, and kinds that not every runtime has.
  if (typeOfTypedArray(value) !== undefined) return reductionSteps(value, reduceArray(ndarray(value), context));
  const prototype: unknown = Object.getPrototypeOf(value);
  const name = className(prototype);
  throw unwritable(`an object of class ${name}`, name);
}

function className(prototype: unknown): string {
  const made = (prototype as { constructor?: unknown }).constructor;
  // A static `name` may be anything.
  return typeof made === 'function' ? String(made.name) : 'unknown';
}

/** A buffer goes out of band if requested, else it is bytes or a bytearray, as in Python. */
function bufferSteps(value: OutOfBandBuffer, { bufferCallback }: WriteContext): readonly unknown[] {
  const { bytes, readonly } = value;
  if (bufferCallback !== undefined && !bufferCallback(bytes)) return [new BufferRef(readonly), new Created(value)];
  return [
    readonly
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      : new ByteArray(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length),
    new Created(value),
  ];
}

/** A global; below protocol 4 a dotted name becomes calls of getattr, as in CPython. */
function globalSteps(value: OpaqueGlobal, protocol: number): readonly unknown[] {
  const old = protocol === 2 ? OpaqueGlobal.python2(value) : undefined;
  if (old !== undefined) return [new GlobalRef(...old, true)];
  const [first, ...rest] = value.name.split('.') as [string, ...string[]];
  if (protocol >= 4 || rest.length === 0) return [new GlobalRef(value.module, value.name)];
  const steps: unknown[] = rest.flatMap(() => [new GlobalRef('builtins', 'getattr'), MARK]);
  steps.push(new GlobalRef(value.module, first));
  for (const name of rest) steps.push(name, new Op(OPCODES.TUPLE.code), REDUCE);
  return [...steps, new Created(value)];
}

function setSteps(value: Set<unknown>, { protocol, space, entry }: WriteContext): readonly unknown[] {
  const frozen = value instanceof FrozenSet;
  if (!(frozen || value instanceof PySet)) checkKeys(value, space);
  // Through the method that was checked: a subclass may iterate over something else.
  const items = [...value.keys()];
  if (entry) for (const item of items) checkNoSlice(item, space);
  if (protocol < 4) {
    return [new GlobalRef('builtins', frozen ? 'frozenset' : 'set'), new Args([items]), REDUCE, new Created(value)];
  }
  if (frozen) return [MARK, ...items, FROZENSET, new Created(value)];
  return [EMPTY_SET, new Created(value), new Fill('set', items)];
}

function reductionSteps(value: object, reduction: Reduction): readonly unknown[] {
  const { module, name, args, state, items, entries } = reduction;
  const steps: unknown[] = [new GlobalRef(module, name), new Args(args), REDUCE, new Created(value)];
  if (items !== undefined) steps.push(new Fill('list', [...items]));
  if (entries !== undefined) steps.push(new Fill('dict', flat(entries)));
  if (state !== undefined) steps.push(state, BUILD);
  return steps;
}

function flat(entries: Iterable<readonly [unknown, unknown]>): unknown[] {
  const items: unknown[] = [];
  for (const [key, value] of entries) items.push(key, value);
  return items;
}

function opaqueSteps(value: OpaqueObject, { protocol, entry }: WriteContext): readonly unknown[] {
  if (entry && value.kind.endsWith('PERSID')) {
    throw new MmdError('UNSUPPORTED_VALUE', 'plain pickle.load does not accept a dict with a persistent id', {
      found: value.args[0],
    });
  }
  const steps: unknown[] = [...creation(value, protocol), new Created(value)];
  for (const operation of value.operations) steps.push(...operationSteps(operation));
  return steps;
}

/** The arguments as they were: one tuple may belong to several calls. */
function argsOf(value: OpaqueObject): unknown {
  return value.args instanceof Tuple ? value.args : new Args(value.args);
}

function creation(value: OpaqueObject, protocol: number): readonly unknown[] {
  const { kind, callable, args, kwargs } = value;
  switch (kind) {
    case 'REDUCE':
      return [callable, argsOf(value), REDUCE];
    case 'NEWOBJ':
      return [callable, argsOf(value), NEWOBJ];
    case 'NEWOBJ_EX':
      checkKeywords(kwargs);
      if (protocol >= 4) return [callable, argsOf(value), kwargs, NEWOBJ_EX];
      return [new GlobalRef('copyreg', '__newobj_ex__'), new Args([callable, argsOf(value), kwargs]), REDUCE];
    case 'INST':
    case 'OBJ':
      return [MARK, callable, ...args, OBJ];
    case 'PERSID':
    case 'BINPERSID':
      return [args[0], BINPERSID];
    case 'EXT':
      checkExtension(args[0]);
      return [new Extension(args[0])];
  }
}

function operationSteps(operation: Operation): readonly unknown[] {
  checkOperation(operation);
  switch (operation.op) {
    case 'BUILD':
      return [operation.state, BUILD];
    case 'APPEND':
      return [new Fill('list', operation.items)];
    case 'SETITEM':
      return [new Fill('dict', operation.pairs)];
    case 'ADDITEMS':
      return [new Fill('set', operation.items)];
    case 'CALL':
      return [operation.call, POP];
  }
}

/** Joins the pieces of a payload. */
export function joinPieces(pieces: readonly Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = newBytes(length, INSIDE);
  let pos = 0;
  for (const piece of pieces) {
    whole.set(piece, pos);
    pos += piece.length;
  }
  return whole;
}

/**
 * Bytes where the protocol has no opcode for them, as CPython writes them.
 * @param bytes - a plain view of `value`
 */
export function bytesSteps(value: Uint8Array, bytes: Uint8Array): readonly unknown[] {
  const array = value instanceof ByteArray;
  const make = new GlobalRef('builtins', array ? 'bytearray' : 'bytes');
  const done = [REDUCE, new Created(value)];
  if (bytes.length === 0) return [make, new Args([]), ...done];
  if (array) return [make, new Args([bytes]), ...done];
  return [new GlobalRef('_codecs', 'encode'), new Args([decodeLatin1(bytes), 'latin1']), ...done];
}
