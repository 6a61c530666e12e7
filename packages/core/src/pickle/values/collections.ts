/**
 * Stand-ins for Python's `collections` and `array`.
 *
 * @module
 */

import { type Inspect, inspectAs, showAs } from '../../inspect.ts';
import type { Stateful } from '../builtin.ts';
import { type Attributed, addAttributes, isPlainName } from './attributes.ts';
import { checkArgument } from './check.ts';
import { PyDict } from './dict.ts';
import { isOpaque } from './opaque.ts';
import { Tuple } from './tuple.ts';

/** A dict with a class of its own, and attributes. */
abstract class DictClass<K, V> extends PyDict<K, V> implements Stateful, Attributed {
  attributes: unknown = null;

  /**
   * @internal What BUILD does without `__setstate__`: a dict of attributes or None, alone or before a dict that is set
   *   item by item.
   */
  pySetState(state: unknown): boolean {
    const [dict, slots] = state instanceof Tuple && state.length === 2 ? state : [state, NO_SLOTS];
    if (!(dict === null || dict instanceof PyDict) || !(slots instanceof PyDict)) return false;
    for (const name of slots.keys()) if (!isPlainName(name)) return false;
    return addAttributes(this, dict, slots);
  }
}

const NO_SLOTS: PyDict = new PyDict();

/** Python's `collections.OrderedDict`. */
export class OrderedDict<K = unknown, V = unknown> extends DictClass<K, V> {}

/** Python's `collections.Counter`. */
export class Counter<K = unknown> extends DictClass<K, number> {}

/** Whether a value may be the factory of a defaultdict. */
export function isFactory(value: unknown): boolean {
  return value === null || isOpaque(value);
}

/** Python's `collections.defaultdict`. A missing key stays missing here: the factory is a name, and is never called. */
export class DefaultDict<K = unknown, V = unknown> extends PyDict<K, V> {
  /** Usually an `OpaqueGlobal` such as `builtins.list`; null for None. */
  readonly factory: unknown;

  /** @throws MmdError INVALID_ARGUMENT for a factory that Python could not call */
  constructor(factory: unknown = null, entries?: Iterable<readonly [K, V]> | null) {
    checkArgument(isFactory(factory), 'a factory must be an OpaqueGlobal, an OpaqueObject or null', factory);
    super(entries);
    this.factory = factory;
  }
}

/** Whether a value may be the bound of a deque. */
export function isBound(value: unknown): value is number | null {
  return value === null || (Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0));
}

/** Python's `collections.deque`: an Array with the bound that Python keeps. */
export class Deque<T = unknown> extends Array<T> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  /** The bound, or null. A program may exceed it; Python, and any reader of the pickle, drops the first items. */
  maxlen: number | null = null;

  /** A deque of items. */
  static over<T>(items: Iterable<T>, maxlen: number | null = null): Deque<T> {
    const deque = new Deque<T>();
    for (const item of items) deque.push(item);
    Object.defineProperty(deque, 'maxlen', { value: maxlen, writable: true, enumerable: false });
    return deque;
  }

  /** @internal Drops the first items of a deque that exceeds its bound. */
  static keepBound(deque: Deque): void {
    if (deque.maxlen !== null && deque.length > deque.maxlen) deque.splice(0, deque.length - deque.maxlen);
  }
}

/** The byte order, kind and size of an item, by the machine format code of `array._array_reconstructor`. */
export const MACHINE_FORMATS = [
  'u1',
  'i1',
  '<u2',
  '>u2',
  '<i2',
  '>i2',
  '<u4',
  '>u4',
  '<i4',
  '>i4',
  '<u8',
  '>u8',
  '<i8',
  '>i8',
  '<f4',
  '>f4',
  '<f8',
  '>f8',
  '<U2',
  '>U2',
  '<U1',
  '>U1',
] as const;

/** The formats that a type code has on some machine; that of a little-endian 64-bit Python comes first. */
export const TYPE_CODES: ReadonlyMap<unknown, readonly number[]> = new Map(
  Object.entries({
    b: [1],
    B: [0],
    h: [4, 5],
    H: [2, 3],
    i: [8, 9],
    I: [6, 7],
    l: [12, 13, 8, 9],
    L: [10, 11, 6, 7],
    q: [12, 13],
    Q: [10, 11],
    f: [14, 15],
    d: [16, 17],
    u: [20, 21, 18, 19],
    w: [20, 21],
  }),
);

/** The bytes of an item in a machine format. */
export function itemSize(format: number): number {
  const code = MACHINE_FORMATS[format]!;
  return code.at(-2) === 'U' && code.at(-1) === '1' ? 4 : Number(code.at(-1));
}

/** Python's `array.array`: a type code, and the bytes in a machine format. */
export class PyArray {
  readonly typecode: string;
  /** The machine format code: see {@link MACHINE_FORMATS}. */
  readonly format: number;
  /** Borrowed or owned, as they were given. */
  readonly bytes: Uint8Array;

  /** @throws MmdError INVALID_ARGUMENT for a type code that no machine has in that format, and for incomplete items */
  constructor(typecode: string, format: number, bytes: Uint8Array) {
    const known = TYPE_CODES.get(typecode)?.includes(format) === true;
    checkArgument(known, 'an array must have a type code of TYPE_CODES in one of its formats', [typecode, format]);
    checkArgument(bytes instanceof Uint8Array, 'the items of an array must be a Uint8Array', bytes);
    checkArgument(bytes.length % itemSize(format) === 0, 'the bytes of an array must be whole items', bytes.length);
    this.typecode = typecode;
    this.format = format;
    this.bytes = bytes;
    Object.freeze(this);
  }

  /** The items, copied: numbers, bigints for 64-bit items, characters for type codes u and w. */
  toArray(): (number | bigint | string)[] {
    const { bytes, format } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const little = format % 2 === 0 || format < 2;
    const [kind, size] = [MACHINE_FORMATS[format]!.at(-2), Number(MACHINE_FORMATS[format]!.at(-1))];
    const step = itemSize(format);
    const items: (number | bigint | string)[] = [];
    for (let pos = 0; pos + step <= bytes.length; pos += step) items.push(itemAt(view, pos, `${kind}${size}`, little));
    return items;
  }

  static {
    showAs(PyArray, (self, depth: number, options: object, inspect?: Inspect) =>
      inspectAs(`array(${self.typecode})`, self.bytes, depth, options, inspect),
    );
  }

  /** @internal */
  get pyUnhashable(): boolean {
    return true;
  }
}

function itemAt(view: DataView, pos: number, item: string, little: boolean): number | bigint | string {
  switch (item) {
    case 'u1':
      return view.getUint8(pos);
    case 'i1':
      return view.getInt8(pos);
    case 'u2':
      return view.getUint16(pos, little);
    case 'i2':
      return view.getInt16(pos, little);
    case 'u4':
      return view.getUint32(pos, little);
    case 'i4':
      return view.getInt32(pos, little);
    case 'u8':
      return view.getBigUint64(pos, little);
    case 'i8':
      return view.getBigInt64(pos, little);
    case 'f4':
      return view.getFloat32(pos, little);
    case 'f8':
      return view.getFloat64(pos, little);
    case 'U2':
      return String.fromCharCode(view.getUint16(pos, little));
    default:
      return String.fromCodePoint(Math.min(view.getUint32(pos, little), 0x10ffff));
  }
}
