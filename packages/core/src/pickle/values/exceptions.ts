/**
 * Python's builtin exceptions, as data.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { type Inspect, inspectAs, showAs } from '../../inspect.ts';
import { isArraySource } from '../../ndarray/array-source.ts';
import { Complex } from '../../ndarray/complex.ts';
import type { Stateful } from '../builtin.ts';
import { type Attributed, addAttributes, isPlainName } from './attributes.ts';
import { checkArgument } from './check.ts';
import { PyDict } from './dict.ts';
import type { Keyed } from './keys.ts';
import { PyDecimal, PyFraction } from './numbers.ts';
import { NumpyScalar } from './numpy.ts';
import { OpaqueObject } from './opaque.ts';
import { PyFloat, PyString } from './scalars.ts';
import { Tuple } from './tuple.ts';

/** The builtin exceptions of every Python 3. */
// biome-ignore format: a table
export const EXCEPTION_NAMES: readonly string[] = [
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

/** Text or bytes: Python 2 strings are read as either. */
const isString = (value: unknown): boolean =>
  typeof value === 'string' || value instanceof PyString || value instanceof Uint8Array;
const each = (...kinds: readonly ((value: unknown) => boolean)[]): ((args: readonly unknown[]) => boolean) => {
  return (args) => args.length === kinds.length && kinds.every((is, i) => is(args[i]));
};
/** A message alone, or with file, line, column and text, and since Python 3.10 the end of the range. */
const isSyntaxError = ([, details, ...more]: readonly unknown[]): boolean =>
  more.length > 0 || details === undefined || (Array.isArray(details) && [4, 6].includes(details.length));
const isText = (value: unknown): boolean => typeof value === 'string' || value instanceof PyString;
const isGroupOf = (is: (value: unknown) => boolean): ((args: readonly unknown[]) => boolean) =>
  each(isText, (list) => Array.isArray(list) && list.length > 0 && list.every(is));
const isRaised = (value: unknown): boolean => value instanceof PyException || value instanceof OpaqueObject;

/** Exceptions that do not derive from `Exception`, and cannot be in an ExceptionGroup. */
const BASE: ReadonlySet<unknown> = new Set([
  'BaseException',
  'BaseExceptionGroup',
  'GeneratorExit',
  'KeyboardInterrupt',
  'SystemExit',
]);
const isException = (value: unknown): boolean =>
  isRaised(value) && !(value instanceof PyException && BASE.has(value.type));

/** -0 is a float in Python. */
const isIndex = (value: unknown): boolean => Number.isSafeInteger(value) && !Object.is(value, -0);

/** A number that Python does not accept as a size. */
function isNoSize(value: unknown): boolean {
  if (typeof value === 'number') return !isIndex(value);
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) !== value;
  return NUMBERS.some((type) => value instanceof type) || isArraySource(value);
}
const NUMBERS = [Complex, NumpyScalar, PyDecimal, PyFloat, PyFraction];

/** In place of the file name, a BlockingIOError has the number of characters written; some errors become one. */
const isSystemError = (args: readonly unknown[]): boolean => args.length > 5 || !isNoSize(args[2]);

/** The arguments of the exceptions that do not accept just any: with others Python raises another error. */
const ARGUMENTS: Readonly<Record<string, (args: readonly unknown[]) => boolean>> = {
  BaseExceptionGroup: isGroupOf(isRaised),
  BlockingIOError: isSystemError,
  EnvironmentError: isSystemError,
  ExceptionGroup: isGroupOf(isException),
  IOError: isSystemError,
  IndentationError: isSyntaxError,
  OSError: isSystemError,
  SyntaxError: isSyntaxError,
  TabError: isSyntaxError,
  UnicodeDecodeError: each(isString, isString, isIndex, isIndex, isString),
  UnicodeEncodeError: each(isString, isString, isIndex, isIndex, isString),
  UnicodeTranslateError: each(isString, isIndex, isIndex, isString),
};

const never = (): boolean => false;
const isCause = (value: unknown): boolean => value === null || isRaised(value);

/** Attributes of these exceptions that are not entries of `__dict__`, and what Python accepts for them. */
const MEMBERS: readonly (readonly [type: RegExp, name: string, is: (value: unknown) => boolean])[] = [
  [/./, 'args', never],
  [/./, '__cause__', isCause],
  [/./, '__context__', isCause],
  [/./, '__traceback__', (value) => value === null],
  [/./, '__suppress_context__', (value) => typeof value === 'boolean'],
  [/./, 'characters_written', isIndex],
  [/^Unicode.*codeError|^UnicodeTrans/, 'start', isIndex],
  [/^Unicode.*codeError|^UnicodeTrans/, 'end', isIndex],
  [/Group$/, 'message', never],
  [/Group$/, 'exceptions', never],
];

/** Whether Python would set such an attribute of an exception. */
const takesAttribute = (type: string, name: unknown, value: unknown): boolean =>
  isPlainName(name) && MEMBERS.every(([of, member, is]) => member !== name || !of.test(type) || is(value));

/** @throws MmdError UNSUPPORTED_VALUE for attributes that Python would not set */
export function checkMembers({ type, attributes }: PyException): void {
  if (!(attributes instanceof Map)) return;
  for (const [name, value] of attributes) {
    if (takesAttribute(type, name, value)) continue;
    throw new MmdError('UNSUPPORTED_VALUE', `Python would not set this attribute of ${type}: ${String(name)}`, {
      found: value,
    });
  }
}

/** Which of the arguments that may be text or bytes is bytes in Python 3; the others are text. */
const BYTES_AT: Readonly<Record<string, number>> = {
  UnicodeDecodeError: 1,
  UnicodeEncodeError: -1,
  UnicodeTranslateError: -1,
};

const KNOWN: ReadonlySet<string> = new Set(EXCEPTION_NAMES);

/** Whether Python makes an exception from these arguments. */
export function takesArguments(type: string, args: readonly unknown[]): boolean {
  return ARGUMENTS[type]?.(args) ?? true;
}

/** Whether Python 3, which is stricter than Python 2, makes the exception from its arguments. */
export function isMadeByPython3({ type, args }: PyException): boolean {
  const bytesAt = BYTES_AT[type];
  if (bytesAt === undefined) return true;
  return args.every((arg, i) => !isString(arg) || arg instanceof Uint8Array === (i === bytesAt));
}

/** A builtin exception, as data. */
export class PyException implements Keyed, Stateful, Attributed {
  /** The class's name in `builtins`: one of {@link EXCEPTION_NAMES}. */
  readonly type: string;
  readonly args: Tuple;
  /** Attributes such as `__notes__`, or null. */
  attributes: unknown = null;

  /** @throws MmdError INVALID_ARGUMENT for an exception that is not builtin, or does not take these arguments */
  constructor(type: string, args: readonly unknown[] = []) {
    checkArgument(KNOWN.has(type), 'the type of an exception must be the name of a builtin exception', type);
    checkArgument(Array.isArray(args), 'the arguments of an exception must be an array', args);
    checkArgument(takesArguments(type, args), 'the arguments must be those that the exception accepts in Python', args);
    this.type = type;
    this.args = args instanceof Tuple ? args : Tuple.from(args);
  }

  /** @internal `BaseException.__setstate__`: None, or a dict of attributes that are set one by one. */
  pySetState(state: unknown): boolean {
    if (state === null) return true;
    if (!(state instanceof PyDict)) return false;
    const attributes = this.type === 'AttributeError' ? this.#withoutArguments(state) : state;
    for (const [name, value] of attributes) if (!takesAttribute(this.type, name, value)) return false;
    return addAttributes(this, attributes);
  }

  /** Since Python 3.12 the state of an AttributeError repeats its arguments, which are set. It accepts any. */
  #withoutArguments(state: PyDict): PyDict {
    const args = state.get('args');
    if (!(args instanceof Tuple)) return state;
    (this as { args: Tuple }).args = args;
    const others = new PyDict(state);
    others.delete('args');
    return others;
  }

  /** The class and the first argument, if it is text. */
  toString(): string {
    const [first] = this.args;
    return typeof first === 'string' ? `${this.type}: ${first}` : this.type;
  }

  static {
    showAs(PyException, (self, depth: number, options: object, inspect?: Inspect) =>
      inspectAs(self.type, self.args, depth, options, inspect),
    );
  }

  /** @internal By identity. */
  pyKey(): undefined {
    return undefined;
  }
}
