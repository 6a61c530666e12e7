/**
 * Rows of Python's builtin types.
 *
 * @module
 */

import { encodeLatin1, encodeUtf8, isWellFormed } from '../../bytes/utf8.ts';
import { Complex } from '../../ndarray/complex.ts';
import type { ReadContext, Reconstruct } from '../builtin.ts';
import { PyException } from '../values/collections.ts';
import { OpaqueObject } from '../values/opaque.ts';
import { ByteArray, PyComplex, PyFloat, PyRange, PySlice, PyString } from '../values/scalars.ts';
import { FrozenSet, PySet } from '../values/set.ts';
import { isInteger, reduceCall, row, type TypeRow } from './row.ts';

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
  if (real === undefined || imag === undefined) return undefined;
  return args.some(isMarkedNaN) ? new PyComplex(real, imag) : new Complex(real.value, imag.value);
};

function encodeText(text: unknown, encoding: unknown): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined;
  if (encoding === 'latin1' || encoding === 'latin-1') return encodeLatin1(text);
  // Python's encoder takes no surrogates.
  const utf8 = (encoding === 'utf-8' || encoding === 'utf8') && isWellFormed(text);
  return utf8 ? encodeUtf8(text) : undefined;
}

function copyArray(bytes: Uint8Array, context: ReadContext): ByteArray {
  context.work(2 * bytes.length);
  return new ByteArray(bytes);
}

/** The builtin exceptions of every Python 3. */
// biome-ignore format: a table
export const EXCEPTIONS: readonly string[] = [
  'ArithmeticError', 'AssertionError', 'AttributeError', 'BaseException', 'BaseExceptionGroup', 'BlockingIOError',
  'BrokenPipeError', 'BufferError', 'BytesWarning', 'ChildProcessError', 'ConnectionAbortedError', 'ConnectionError',
  'ConnectionRefusedError', 'ConnectionResetError', 'DeprecationWarning', 'EOFError', 'EncodingWarning',
  'EnvironmentError', 'Exception', 'ExceptionGroup', 'FileExistsError', 'FileNotFoundError', 'FloatingPointError',
  'FutureWarning', 'GeneratorExit', 'IOError', 'ImportError', 'ImportWarning', 'IndentationError', 'IndexError',
  'InterruptedError', 'IsADirectoryError', 'KeyError', 'KeyboardInterrupt', 'LookupError', 'MemoryError',
  'ModuleNotFoundError', 'NameError', 'NotADirectoryError', 'NotImplementedError', 'OSError', 'OverflowError',
  'PendingDeprecationWarning', 'PermissionError', 'ProcessLookupError', 'PythonFinalizationError', 'RecursionError',
  'ReferenceError', 'ResourceWarning', 'RuntimeError', 'RuntimeWarning', 'StopAsyncIteration', 'StopIteration',
  'SyntaxError', 'SyntaxWarning', 'SystemError', 'SystemExit', 'TabError', 'TimeoutError', 'TypeError',
  'UnboundLocalError', 'UnicodeDecodeError', 'UnicodeEncodeError', 'UnicodeError', 'UnicodeTranslateError',
  'UnicodeWarning', 'UserWarning', 'ValueError', 'Warning', 'ZeroDivisionError',
];

/** Text or bytes: those of Python 2 are read as either. */
const isString = (value: unknown): boolean =>
  typeof value === 'string' || value instanceof PyString || value instanceof Uint8Array;
const each = (...kinds: readonly ((value: unknown) => boolean)[]): ((args: readonly unknown[]) => boolean) => {
  return (args) => args.length === kinds.length && kinds.every((is, i) => is(args[i]));
};
/** A message alone, or with file, line, column and text, and since Python 3.10 the end of the range. */
const isSyntaxError = ([, details, ...more]: readonly unknown[]): boolean =>
  more.length > 0 || details === undefined || (Array.isArray(details) && [4, 6].includes(details.length));
const isGroup = each(isString, (list) => Array.isArray(list) && list.length > 0 && list.every(isRaised));
const isRaised = (value: unknown): boolean => value instanceof PyException || value instanceof OpaqueObject;

/** The arguments of the exceptions that do not take any: with others Python raises another error. */
const ARGUMENTS: Readonly<Record<string, (args: readonly unknown[]) => boolean>> = {
  BaseExceptionGroup: isGroup,
  ExceptionGroup: isGroup,
  IndentationError: isSyntaxError,
  SyntaxError: isSyntaxError,
  TabError: isSyntaxError,
  UnicodeDecodeError: each(isString, isString, Number.isSafeInteger, Number.isSafeInteger, isString),
  UnicodeEncodeError: each(isString, isString, Number.isSafeInteger, Number.isSafeInteger, isString),
  UnicodeTranslateError: each(isString, Number.isSafeInteger, Number.isSafeInteger, isString),
};

function readException(type: string): Reconstruct {
  const takes = ARGUMENTS[type];
  return (args) => (takes === undefined || takes(args) ? new PyException(type, args) : undefined);
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
    ({ start, stop, step }) => reduceCall('builtins range', [start, stop, step]),
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
    Object.fromEntries(EXCEPTIONS.map((type) => [`builtins ${type}`, readException(type)])),
    ({ type, args, attributes }) =>
      reduceCall(`builtins ${type}`, args, attributes === null ? {} : { state: attributes }),
  ),
];
