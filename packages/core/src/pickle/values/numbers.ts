/**
 * Stand-ins for Python's exact numbers and identifiers.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { showAs } from '../../inspect.ts';
import { checkArgument } from './check.ts';
import { canonical, canonicalOf, integerKey, type Keyed, type KeySpace, numberKey } from './keys.ts';

const DECIMAL = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:E([+-]?\d+))?$/i;
const SPECIAL = /^[+-]?(?:inf(?:inity)?|s?nan\d*)$/i;
/** Converting texts longer than this is counted against the budget of keys. */
const MAX_DIGITS = 1000;
/**
 * Beyond this exponent numbers are compared by their digits, not as one long number. No digit of a float is beyond it.
 */
const MAX_EXPONENT = 1100;
/** The denominator of the smallest float. */
const SMALLEST = 2n ** 1074n;

/** The limits of a 64-bit Python for the exponents of the first and of the last digit. */
const MAX_ADJUSTED = 999_999_999_999_999_999n;
const MIN_LAST = -1_999_999_999_999_999_997n;

/** Whether Python's Decimal can hold such digits and exponent; its text may be of any length. */
function isInRange([, , whole = '', after = '', only = '', exponent = '0']: RegExpExecArray): boolean {
  const digits = exponent.replace(/^[+-]?0*/, '');
  // Far from either end, whatever the digits are.
  if (digits.length < 10) return true;
  if (digits.length > 20) return false;
  const last = BigInt(`${exponent.startsWith('-') ? '-' : ''}${digits}`) - BigInt(after.length + only.length);
  const significant = (whole + after + only).replace(/^0+/, '').length;
  return last >= MIN_LAST && last + BigInt(Math.max(significant, 1) - 1) <= MAX_ADJUSTED;
}

/** Python's `decimal.Decimal`, as its text: all digits, trailing zeros, signs and NaNs are kept. */
export class PyDecimal implements Keyed {
  readonly text: string;

  /** @param text - as Python prints it: `'1.50'`, `'1E+3'`, `'-Infinity'`, `'sNaN1'` @throws MmdError INVALID_ARGUMENT */
  constructor(text: string) {
    checkArgument(typeof text === 'string', 'the text of a Decimal must be a string', text);
    const match = DECIMAL.exec(text);
    if (match === null ? !SPECIAL.test(text) : !isInRange(match)) {
      throw new MmdError('INVALID_ARGUMENT', `not a decimal number: ${text.slice(0, 40)}`, { found: text });
    }
    this.text = text;
    Object.freeze(this);
  }

  /** The nearest JavaScript number. */
  toNumber(): number {
    const lower = this.text.toLowerCase();
    if (lower.includes('nan')) return Number.NaN;
    if (lower.includes('inf')) return lower.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    return Number(this.text);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }

  static {
    showAs(PyDecimal, (self) => `Decimal('${self.text}')`);
  }

  /** @internal Python refuses to hash a signaling NaN. */
  get pyUnhashable(): boolean {
    return /^[+-]?snan/i.test(this.text);
  }

  /** @internal Equal to every number of the same value. */
  pyKey(space: KeySpace): string | undefined {
    const match = DECIMAL.exec(this.text);
    if (match === null) {
      const value = this.toNumber();
      return Number.isNaN(value) ? undefined : numberKey(value);
    }
    const [, sign, whole = '', after = '', only = '', exponent = '0'] = match;
    if (this.text.length > MAX_DIGITS) space.spend(this.text.length);
    const digits = (whole + after + only).replace(/^0+/, '');
    const significant = withoutZeros(digits);
    if (significant === '') return numberKey(0);
    const power = Number(exponent) - after.length - only.length + digits.length - significant.length;
    if (!(Math.abs(power) <= MAX_EXPONENT))
      return canonical('decimal', `${sign === '-' ? '-' : ''}${significant}E${power}`);
    const value = BigInt(`${sign === '-' ? '-' : ''}${significant}`);
    return rationalKey(power > 0 ? value * 10n ** BigInt(power) : value, power < 0 ? 10n ** BigInt(-power) : 1n);
  }
}

/** Digits without the zeros at their end. */
function withoutZeros(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits[end - 1] === '0') end--;
  return digits.slice(0, end);
}

/** Python's `fractions.Fraction`: always in lowest terms, with a positive denominator. */
export class PyFraction implements Keyed {
  readonly numerator: bigint;
  readonly denominator: bigint;

  /** @throws MmdError INVALID_ARGUMENT for parts that are not integers, and for a denominator of 0 */
  constructor(numerator: number | bigint, denominator: number | bigint = 1n) {
    for (const part of [numerator, denominator]) {
      checkArgument(
        typeof part === 'bigint' || Number.isInteger(part),
        'the parts of a Fraction must be integers',
        part,
      );
    }
    const [top, bottom] = [BigInt(numerator), BigInt(denominator)];
    if (bottom === 0n)
      throw new MmdError('INVALID_ARGUMENT', 'the denominator of a Fraction is 0', { found: denominator });
    const divisor = greatestDivisor(top, bottom) * (bottom < 0n ? -1n : 1n);
    this.numerator = top / divisor;
    this.denominator = bottom / divisor;
    Object.freeze(this);
  }

  toString(): string {
    return `${this.numerator}/${this.denominator}`;
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(PyFraction, (self) => `Fraction(${self.numerator}, ${self.denominator})`);
  }

  /** @internal */
  pyKey(): string {
    return lowestKey(this.numerator, this.denominator);
  }
}

/** The greatest common divisor, positive. */
function greatestDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
}

/** The canonical string of an exact number: that of the int or float that is equal to it, if there is one. */
export function rationalKey(numerator: bigint, denominator: bigint): string {
  const divisor = greatestDivisor(numerator, denominator);
  return lowestKey(numerator / divisor, denominator / divisor);
}

/** The same, for a number in lowest terms. */
function lowestKey(top: bigint, bottom: bigint): string {
  if (bottom === 1n) return integerKey(top);
  // A float's denominator is a power of two, and its numerator has at most 53 bits.
  const narrow = Number(top);
  if (Number.isSafeInteger(narrow) && bottom <= SMALLEST && (bottom & (bottom - 1n)) === 0n) {
    return numberKey(narrow * 2 ** (1 - bottom.toString(2).length));
  }
  return canonicalOf('fraction', [top.toString(16), bottom.toString(16)]);
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function canonicalUuid(text: string): string {
  const plain = text
    .replaceAll('urn:', '')
    .replaceAll('uuid:', '')
    .replace(/^[{}]+/, '')
    // Only the first brace of a run is tried: otherwise runs within the text take quadratic time.
    .replace(/(?<![{}])[{}]+$/, '');
  const hex = plain.replaceAll('-', '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(hex)) throw new MmdError('INVALID_ARGUMENT', 'not a UUID', { found: text });
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Python's `uuid.UUID`. */
export class PyUuid implements Keyed {
  /** The canonical text: 8-4-4-4-12 lower-case hexadecimal digits. */
  readonly text: string;

  /** @param text - 32 hexadecimal digits; dashes, braces around them and `urn:uuid:` are ignored, as in Python @throws MmdError INVALID_ARGUMENT */
  constructor(text: string) {
    checkArgument(typeof text === 'string', 'the text of a UUID must be a string', text);
    // What Python wrote is canonical.
    this.text = UUID.test(text) ? text : canonicalUuid(text);
    Object.freeze(this);
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }

  static {
    showAs(PyUuid, (self) => `UUID('${self.text}')`);
  }

  /** @internal */
  pyKey(): string {
    return canonical('uuid', this.text);
  }
}

/** The classes of `pathlib`. */
export const PATH_CLASSES = [
  'PosixPath',
  'PurePosixPath',
  'WindowsPath',
  'PureWindowsPath',
  'Path',
  'PurePath',
] as const;

const CLASS_WANTED: string = `the class of a path must be one of ${PATH_CLASSES.join(', ')}`;

/** A name of {@link PATH_CLASSES}. */
export type PathClass = (typeof PATH_CLASSES)[number];

/** The parts of a relative path. */
const split = (path: string, separator: string): string[] =>
  path.split(separator).filter((part) => part !== '' && part !== '.');

/** Drive and root in one, and the parts after them. */
type Split = readonly [anchor: string, tail: string[]];

function splitPosix(segments: readonly string[]): Split {
  const from = segments.findLastIndex((segment) => segment.startsWith('/'));
  let path = '';
  // Not `path.endsWith`, which would copy the path for every segment.
  let open = true;
  for (const segment of segments.slice(Math.max(0, from))) {
    path += open ? segment : `/${segment}`;
    if (segment !== '' || !open) open = segment === '' || segment.endsWith('/');
  }
  // Two leading slashes have a meaning of their own in POSIX; three are one.
  const anchor = /^\/\/(?!\/)/.test(path) ? '//' : path.startsWith('/') ? '/' : '';
  return [anchor, split(path, '/')];
}

/** Recognizes a drive in the first part of a Windows path. */
const DRIVE = /^[^/\\]:/;

/**
 * Drive, root and the rest of a Windows path, as `ntpath.splitroot` gives them since Python 3.12. Slashes stay as they
 * are: joining distinguishes drives by them.
 */
function splitRoot(path: string): [drive: string, root: string, rest: string] {
  const plain = path.replaceAll('/', '\\');
  const cut = (end: number): [string, string, string] =>
    plain[end] === '\\' ? [path.slice(0, end), '\\', path.slice(end + 1)] : [path.slice(0, end), '', path.slice(end)];
  if (!plain.startsWith('\\\\')) return cut(DRIVE.test(plain) ? 2 : 0);
  const share = plain.indexOf('\\', /^\\\\\?\\UNC\\/i.test(plain) ? 8 : 2);
  const end = share === -1 ? -1 : plain.indexOf('\\', share + 1);
  return cut(end === -1 ? plain.length : end);
}

/** Joins the segments, as `ntpath.join` does. */
function joinWindows(segments: readonly string[]): string {
  let [drive, root, path] = ['', '', ''];
  let open = true;
  for (const segment of segments) {
    const [nextDrive, nextRoot, nextPath] = splitRoot(segment);
    if (nextRoot !== '') {
      if (nextDrive !== '' || drive === '') drive = nextDrive;
      [root, path] = [nextRoot, nextPath];
    } else if (nextDrive !== '' && nextDrive.toLowerCase() !== drive.toLowerCase()) {
      [drive, root, path] = [nextDrive, nextRoot, nextPath];
    } else {
      if (nextDrive !== '') drive = nextDrive;
      path += open ? nextPath : `\\${nextPath}`;
    }
    open = nextPath === '' || /[/\\]$/.test(nextPath);
  }
  const between = path !== '' && root === '' && /[^:/\\]$/.test(drive) ? '\\' : root;
  return drive + between + path;
}

function splitWindows(segments: readonly string[]): Split {
  const [drive, given, path] = splitRoot(joinWindows(segments).replaceAll('/', '\\'));
  // A share is its own root: `//host/share` and `//?/UNC/host/share`, but not `//./device`.
  const names = drive.startsWith('\\') && !drive.endsWith('\\') ? drive.split('\\') : [];
  const share = (names.length === 4 && !'?.'.includes(names[2]!)) || names.length === 6;
  return [drive + (share ? '\\' : given), split(path, '\\')];
}

/**
 * A path of Python's `pathlib`. Where Pythons differ (Windows paths that begin with two slashes) it follows 3.12 and
 * later.
 */
export class PyPath implements Keyed {
  readonly type: PathClass;
  /** What Python makes the path from, as given; pickles hold these. */
  readonly segments: readonly string[];
  /** The first may be the root: `['/', 'tmp', 'a']`. */
  readonly parts: readonly string[];
  readonly #text: string;

  /** @param segments - joined and split as `pathlib` does @throws MmdError INVALID_ARGUMENT */
  constructor(segments: readonly string[], type: PathClass = 'PurePosixPath') {
    const texts = Array.isArray(segments) && segments.every((segment) => typeof segment === 'string');
    checkArgument(texts, 'the segments of a path must be an array of strings', segments);
    checkArgument(PATH_CLASSES.includes(type), CLASS_WANTED, type);
    const windows = type.includes('Windows');
    const [anchor, tail] = windows ? splitWindows(segments) : splitPosix(segments);
    // A leading dot distinguishes a name that looks like a drive from one.
    const dot = anchor === '' && (tail.length === 0 || (windows && DRIVE.test(tail[0]!)));
    this.#text = anchor + [...(dot ? ['.'] : []), ...tail].join(windows ? '\\' : '/');
    this.segments = Object.freeze([...segments]);
    this.parts = Object.freeze(anchor === '' ? tail : [anchor, ...tail]);
    this.type = type;
    Object.freeze(this);
  }

  /** The path as text, with the separator of its flavour. */
  toString(): string {
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(PyPath, (self) => `${self.type}('${self.toString()}')`);
  }

  /** @internal Windows paths compare case-insensitively. */
  pyKey(space: KeySpace): string {
    const windows = this.type.includes('Windows');
    const text = windows ? this.#text.toLowerCase() : this.#text;
    return canonicalOf(windows ? 'windowsPath' : 'path', [space.key(text)]);
  }
}
