/**
 * Rows of Python's builtin types.
 *
 * @module
 */

import { encodeLatin1, encodeUtf8, isWellFormed } from '../../bytes/utf8.ts';
import { MmdError } from '../../errors.ts';
import { Complex } from '../../ndarray/complex.ts';
import type { ReadContext, Reconstruct } from '../builtin.ts';
import { attributesOf } from '../values/attributes.ts';
import { isInteger } from '../values/check.ts';
import { checkMembers, EXCEPTION_NAMES, isMadeByPython3, PyException, takesArguments } from '../values/exceptions.ts';
import { ByteArray, PyComplex, PyFloat, PyRange, PySlice } from '../values/scalars.ts';
import { FrozenSet, PySet } from '../values/set.ts';
import { reduceCall, row, type TypeRow } from './row.ts';

/** The items of a list, tuple, set or frozenset. */
function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  return value instanceof PySet ? [...value] : undefined;
}

function readSet<T extends PySet>(make: () => T): (args: readonly unknown[], context: ReadContext) => T | undefined {
  return (args, context) => {
    const items = args.length === 0 ? [] : itemsOf(args[0]);
    if (items === undefined || args.length > 1) return undefined;
    const set = make();
    PySet.fill(set, items, 0, items.length, context.space);
    return set;
  };
}

/** A float or int argument. */
function floatOf(value: unknown): PyFloat | undefined {
  if (value instanceof PyFloat) return value;
  return typeof value === 'number' ? new PyFloat(value) : undefined;
}

/** A NaN that was marked, because it has a payload or a sign. */
const isMarkedNaN = (value: unknown): boolean => value instanceof PyFloat && Number.isNaN(value.value);

const readComplex: Reconstruct = (args) => {
  const [real, imag] = args.map(floatOf);
  if (real === undefined || imag === undefined || args.length !== 2) return undefined;
  return args.some(isMarkedNaN) ? new PyComplex(real, imag) : new Complex(real.value, imag.value);
};

function encodeText(text: unknown, encoding: unknown): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined;
  if (encoding === 'latin1' || encoding === 'latin-1') return encodeLatin1(text);
  // Python's encoder rejects surrogates.
  const utf8 = (encoding === 'utf-8' || encoding === 'utf8') && isWellFormed(text);
  return utf8 ? encodeUtf8(text) : undefined;
}

function copyArray(bytes: Uint8Array, context: ReadContext): ByteArray {
  context.work(2 * bytes.length);
  return new ByteArray(bytes);
}

function readException(type: string): Reconstruct {
  return (args) => (takesArguments(type, args) ? new PyException(type, args) : undefined);
}

/** Rows of Python's builtin types. */
export const PLAIN_ROWS: readonly TypeRow[] = [
  row('complex', Complex, { 'builtins complex': readComplex }, ({ re, im }) =>
    reduceCall('builtins complex', [new PyFloat(re), new PyFloat(im)]),
  ),
  row('complex', PyComplex, {}, ({ real, imag }) => reduceCall('builtins complex', [real, imag])),
  {
    python: 'bytes',
    globals: {
      '_codecs encode': (args) => (args.length === 2 ? encodeText(args[0], args[1]) : undefined),
      'builtins bytes': (args) => {
        if (args.length === 0) return new Uint8Array(0);
        const [first] = args;
        return args.length === 1 && first instanceof Uint8Array && !(first instanceof ByteArray) ? first : undefined;
      },
    },
  },
  {
    python: 'bytearray',
    globals: {
      'builtins bytearray': (args, context) => {
        const [first, encoding] = args;
        if (args.length === 0) return new ByteArray(0);
        if (args.length === 1) return first instanceof Uint8Array ? copyArray(first, context) : undefined;
        const bytes = args.length === 2 ? encodeText(first, encoding) : undefined;
        return bytes === undefined ? undefined : copyArray(bytes, context);
      },
    },
  },
  { python: 'set', globals: { 'builtins set': readSet(() => new PySet()) } },
  { python: 'frozenset', globals: { 'builtins frozenset': readSet(() => new FrozenSet()) } },
  row(
    'range',
    PyRange,
    {
      'builtins range': (args) => {
        const [start, stop, step] = args;
        const ok = args.length === 3 && isInteger(start) && isInteger(stop) && isInteger(step) && BigInt(step) !== 0n;
        return ok ? new PyRange(start, stop, step) : undefined;
      },
    },
    (value) => {
      const { start, stop, step } = new PyRange(value.start, value.stop, value.step);
      return reduceCall('builtins range', [start, stop, step]);
    },
  ),
  row(
    'slice',
    PySlice,
    { 'builtins slice': (args) => (args.length === 3 ? new PySlice(args[0], args[1], args[2]) : undefined) },
    ({ start, stop, step }) => reduceCall('builtins slice', [start, stop, step]),
  ),
  row(
    'exceptions',
    PyException,
    Object.fromEntries(EXCEPTION_NAMES.map((type) => [`builtins ${type}`, readException(type)])),
    (value, { entry }) => {
      // Constructed again to check it: the list of a group may have changed.
      const { type, args } = new PyException(value.type, value.args);
      checkMembers(value);
      // A Python 2 pickle may stay loadable there only; an entry must not make its file unloadable elsewhere.
      if (!entry || isMadeByPython3(value)) return reduceCall(`builtins ${type}`, args, attributesOf(value, true));
      throw new MmdError('UNSUPPORTED_VALUE', `Python 3 cannot construct ${type} from these arguments`, {
        found: args,
      });
    },
  ),
];
