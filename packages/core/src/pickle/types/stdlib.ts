/**
 * Rows of Python's standard library: decimal, fractions, uuid, pathlib, collections, array.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { type ReadContext, type Reconstruct, Unfinished } from '../builtin.ts';
import { attributesOf } from '../values/attributes.ts';
import { isInteger } from '../values/check.ts';
import {
  Counter,
  DefaultDict,
  Deque,
  isBound,
  isFactory,
  itemSize,
  MACHINE_FORMATS,
  OrderedDict,
  PyArray,
  TYPE_CODES,
} from '../values/collections.ts';
import { PyDict } from '../values/dict.ts';
import { PATH_CLASSES, PyDecimal, PyFraction, PyPath, PyUuid } from '../values/numbers.ts';
import { OpaqueGlobal } from '../values/opaque.ts';
import { ByteArray, PyFloat } from '../values/scalars.ts';
import { attempt, reduceCall, row, type TypeRow } from './row.ts';

/** An argument that is one string. */
const oneText = (args: readonly unknown[]): string | undefined =>
  args.length === 1 && typeof args[0] === 'string' ? args[0] : undefined;

/** Maximum bits of a numerator or denominator; reducing takes quadratic time, so longer fractions stay opaque. */
const MAX_FRACTION = 16_384;
const TOO_LONG = 1n << BigInt(MAX_FRACTION);

const bitsOf = (value: number | bigint): number => (typeof value === 'number' ? 53 : 4 * value.toString(16).length);

function readFraction(args: readonly unknown[], context: ReadContext): PyFraction | undefined {
  let [numerator, denominator] = args;
  if (args.length === 1) {
    const text = oneText(args) ?? '';
    const match = text.length < MAX_FRACTION / 2 ? /^(-?\d+)(?:\/(\d+))?$/.exec(text) : null;
    if (match === null) return undefined;
    [numerator, denominator] = [BigInt(match[1]!), BigInt(match[2] ?? 1)];
  }
  if (args.length > 2 || !isInteger(numerator) || !isInteger(denominator)) return undefined;
  // Compared first, which is cheap: one long integer may be shared by many calls.
  if ([numerator, denominator].some((part) => part >= TOO_LONG || part <= -TOO_LONG)) return undefined;
  const [top, bottom] = [bitsOf(numerator), bitsOf(denominator)];
  context.work((top * bottom) / 256);
  return attempt(() => new PyFraction(numerator, denominator));
}

/** Makes a UUID from its state: its 128 bits as one int, and nothing else. */
function finishUuid(state: unknown): PyUuid | undefined {
  if (!(state instanceof PyDict) || state.size !== 1) return undefined;
  const int: unknown = state.get('int');
  if (!isInteger(int) || BigInt(int) < 0n || BigInt(int) >= 1n << 128n) return undefined;
  return new PyUuid(BigInt(int).toString(16).padStart(32, '0'));
}

const readUuid: Reconstruct = (args, _context, kind) => {
  if (kind === 'NEWOBJ' || kind === 'NEWOBJ_EX') return args.length === 0 ? new Unfinished(finishUuid) : undefined;
  const text = oneText(args);
  return text === undefined ? undefined : attempt(() => new PyUuid(text));
};

/** Protocols 0 and 1 make plain objects by `copyreg._reconstructor(cls, object, None)`. */
const readReconstructor: Reconstruct = (args) => {
  const [cls, base, state] = args;
  const known = cls instanceof OpaqueGlobal && cls.module === 'uuid' && cls.name === 'UUID';
  const plain = base instanceof OpaqueGlobal && base.module === 'builtins' && base.name === 'object';
  return known && plain && state === null && args.length === 3 ? new Unfinished(finishUuid) : undefined;
};

const PATH_READERS: Readonly<Record<string, Reconstruct>> = Object.fromEntries(
  PATH_CLASSES.flatMap((type) =>
    ['pathlib', 'pathlib._local'].map((module): [string, Reconstruct] => [
      `${module} ${type}`,
      (args, context) => {
        if (!args.every((part) => typeof part === 'string')) return undefined;
        const path = new PyPath(args as string[], type);
        context.work(64 * path.parts.length);
        return path;
      },
    ]),
  ),
);

const readOrderedDict: Reconstruct = (args, context) => {
  const dict = new OrderedDict();
  const [pairs] = args;
  if (args.length === 0) return dict;
  // Python 2 and 3.4 give a list of pairs.
  const ok =
    args.length === 1 && Array.isArray(pairs) && pairs.every((pair) => Array.isArray(pair) && pair.length === 2);
  if (!ok) return undefined;
  for (const pair of pairs as unknown[][]) PyDict.fill(dict, pair, 0, 2, context.space);
  return dict;
};

const readCounter: Reconstruct = (args, context) => {
  const [from] = args;
  if (args.length !== 1 || !(from instanceof PyDict)) return undefined;
  const counter = new Counter();
  for (const entry of from) PyDict.fill(counter, entry, 0, 2, context.space);
  return counter;
};

const readDefaultDict: Reconstruct = (args) => {
  const [factory = null] = args;
  return isFactory(factory) && args.length <= 1 ? new DefaultDict(factory) : undefined;
};

const readDeque: Reconstruct = (args) => {
  const [items = [], maxlen = null] = args;
  if (args.length > 2 || !Array.isArray(items) || !isBound(maxlen)) return undefined;
  const deque = Deque.over(items as unknown[], maxlen);
  Deque.keepBound(deque);
  return deque;
};

/** `array.array(typecode, list)`, as protocols 0 to 2 write it. */
const readArray: Reconstruct = (args) => {
  const [typecode, items] = args;
  const [format] = TYPE_CODES.get(typecode) ?? [];
  if (args.length !== 2 || format === undefined || !Array.isArray(items)) return undefined;
  const bytes = packItems(items, format);
  return bytes === undefined ? undefined : new PyArray(typecode as string, format, bytes);
};

/** The items in a little-endian machine format; undefined if one does not fit. */
function packItems(items: readonly unknown[], format: number): Uint8Array | undefined {
  const code = MACHINE_FORMATS[format]!;
  const size = itemSize(format);
  const bytes = new Uint8Array(items.length * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < items.length; i++) if (!packItem(view, i * size, items[i], code.at(-2)!, size)) return undefined;
  return bytes;
}

function packItem(view: DataView, pos: number, item: unknown, kind: string, size: number): boolean {
  if (kind === 'U') {
    if (typeof item !== 'string' || item.length !== String.fromCodePoint(item.codePointAt(0) ?? 0).length) return false;
    view.setUint32(pos, item.codePointAt(0)!, true);
    return true;
  }
  if (kind === 'f') {
    const value = item instanceof PyFloat ? item.value : item;
    if (typeof value !== 'number') return false;
    if (size === 4) view.setFloat32(pos, value, true);
    else view.setFloat64(pos, value, true);
    return true;
  }
  if (!isInteger(item)) return false;
  const value = BigInt(item);
  const bits = 8 * size;
  if ((kind === 'i' ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value)) !== value) return false;
  for (let i = 0; i < size; i++) view.setUint8(pos + i, Number((value >> BigInt(8 * i)) & 0xffn));
  return true;
}

/** `array._array_reconstructor(array.array, typecode, machine format, bytes)`, from protocol 3 on. */
const readPackedArray: Reconstruct = (args, context) => {
  const [cls, typecode, format, bytes] = args;
  const known = cls instanceof OpaqueGlobal && cls.module === 'array' && cls.name === 'array';
  const ok = known && args.length === 4 && TYPE_CODES.get(typecode)?.includes(format as number) === true;
  if (!ok || !(bytes instanceof Uint8Array) || bytes instanceof ByteArray) return undefined;
  if (bytes.length % itemSize(format as number) !== 0) return undefined;
  const array = new PyArray(typecode as string, format as number, bytes);
  if (array.format >= FIRST_TEXT) context.work(2 * bytes.length);
  return hasCharacters(array) ? array : undefined;
};

/** The first machine format of characters. */
const FIRST_TEXT = 18;

/**
 * Whether all items are characters in Python. It decodes any format but its own, where surrogates are not allowed; and
 * a pair of them in 16 bits would be one item in some Pythons and two in others.
 */
function hasCharacters({ bytes, format }: PyArray): boolean {
  if (format < FIRST_TEXT) return true;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = format % 2 === 0;
  for (let pos = 0; pos < bytes.length; pos += itemSize(format)) {
    const code = format < 20 ? view.getUint16(pos, little) : view.getUint32(pos, little);
    if (code > 0x10ffff || (format !== 20 && code >= 0xd800 && code <= 0xdfff)) return false;
  }
  return true;
}

const unsupported = (message: string, found: unknown): MmdError =>
  new MmdError('UNSUPPORTED_VALUE', message, { found });

/** Rows of Python's standard library. */
export const STDLIB_ROWS: readonly TypeRow[] = [
  row(
    'decimal.Decimal',
    PyDecimal,
    {
      'decimal Decimal': (args) => {
        const text = oneText(args);
        return text === undefined ? undefined : attempt(() => new PyDecimal(text));
      },
    },
    ({ text }) => reduceCall('decimal Decimal', [new PyDecimal(text).text]),
  ),
  row('fractions.Fraction', PyFraction, { 'fractions Fraction': readFraction }, (value) => {
    const { numerator, denominator } = value;
    // Not constructed again: reducing takes quadratic time.
    const ok = typeof numerator === 'bigint' && typeof denominator === 'bigint' && denominator !== 0n;
    if (!ok) throw unsupported('a Fraction needs integers and a denominator other than 0', value);
    return reduceCall('fractions Fraction', [numerator, denominator]);
  }),
  row('uuid.UUID', PyUuid, { 'uuid UUID': readUuid, 'copyreg _reconstructor': readReconstructor }, ({ text }) =>
    reduceCall('uuid UUID', [new PyUuid(text).text]),
  ),
  row('pathlib paths', PyPath, PATH_READERS, (value) => {
    const { type, segments } = new PyPath(value.segments, value.type);
    return reduceCall(`pathlib ${type}`, segments);
  }),
  row('collections.OrderedDict', OrderedDict, { 'collections OrderedDict': readOrderedDict }, (value) =>
    reduceCall('collections OrderedDict', [], { entries: value, ...attributesOf(value) }),
  ),
  row('collections.Counter', Counter, { 'collections Counter': readCounter }, (value) =>
    reduceCall('collections Counter', [new PyDict(value)], attributesOf(value)),
  ),
  row('collections.defaultdict', DefaultDict, { 'collections defaultdict': readDefaultDict }, (value) => {
    const { factory } = value;
    if (!isFactory(factory)) throw unsupported('a factory must be an OpaqueGlobal, an OpaqueObject or null', factory);
    return reduceCall('collections defaultdict', factory === null ? [] : [factory], { entries: value });
  }),
  row('collections.deque', Deque, { 'collections deque': readDeque }, (value) => {
    const { maxlen } = value;
    if (!isBound(maxlen)) throw unsupported('the maxlen of a deque must be a whole number or null', maxlen);
    return reduceCall('collections deque', maxlen === null ? [] : [[], maxlen], { items: value });
  }),
  row(
    'array.array',
    PyArray,
    { 'array array': readArray, 'array _array_reconstructor': readPackedArray },
    (value, { protocol }) => {
      // Constructed again to check it, like all that is frozen: it may be a modified copy, over a shrunk buffer.
      const { typecode, format, bytes } = new PyArray(value.typecode, value.format, value.bytes);
      if (!hasCharacters(value)) throw unsupported('an array contains an invalid character', value);
      if (protocol < 3) return reduceCall('array array', [typecode, value.toArray()]);
      return reduceCall('array _array_reconstructor', [new OpaqueGlobal('array', 'array'), typecode, format, bytes]);
    },
  ),
];
