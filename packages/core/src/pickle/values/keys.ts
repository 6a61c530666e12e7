/**
 * Python's equality of dict keys and set items, as canonical strings.
 *
 * V8 seeds the hashes of strings, but not those of numbers and bigints, so chosen integers make a Map quadratic; as
 * canonical strings they do not.
 *
 * @module
 */

import { decodeLatin1 } from '../../bytes/utf8.ts';
import { MmdError } from '../../errors.ts';
import { isArraySource, isBytes as isUint8Array } from '../../ndarray/array-source.ts';
import { Complex } from '../../ndarray/complex.ts';
import { isDType } from '../../ndarray/make-dtype.ts';
import { DEFAULT_LIMITS, limitExceeded } from '../limits.ts';
import { Tuple } from './tuple.ts';

/**
 * The first character of canonical strings, by kind. Each kind has its own, and the rest distinguishes the values of
 * that kind: unequal values never have one string. Integers and floats share the number line: see
 * {@link KeySpace.number}.
 */
export const KINDS = {
  none: 'N',
  text: 's',
  codePoints: 'S',
  bytes: 'b',
  /** Integers within ±(2^53 - 1), decimal. */
  integer: 'i',
  /** All other numbers that a float holds, as JavaScript prints them. */
  float: 'f',
  /** Integers that no float holds, hexadecimal, because that is linear. */
  wide: 'x',
  fraction: 'q',
  decimal: 'd',
  complex: 'c',
  nan: 'n',
  long: 'l',
  identity: 'o',
  tuple: 't',
  frozenset: 'z',
  slice: 'y',
  range: 'r',
  constant: 'e',
  global: 'g',
  uuid: 'u',
  path: 'p',
  windowsPath: 'P',
  timedelta: 'D',
  timezone: 'Z',
  date: 'a',
  /** Without a timezone, or with one that only Python knows ... */
  time: 'h',
  datetime: 'm',
  /** ... or with a fixed offset. */
  utcTime: 'H',
  utcDatetime: 'M',
  dtype: 'T',
  datetime64: 'k',
  timedelta64: 'K',
  badText: 'U',
} as const;

/** A canonical string of one part. */
export function canonical(kind: keyof typeof KINDS, part: string): string {
  return KINDS[kind] + part;
}

/** A canonical string of several parts, each after its length, so that no other parts give the same string. */
export function canonicalOf(kind: keyof typeof KINDS, parts: readonly string[]): string {
  let joined: string = KINDS[kind];
  for (const part of parts) joined += `${part.length}:${part}`;
  return joined;
}

/** A stand-in that provides its canonical string, with a kind of its own: see {@link KINDS}. */
export interface Keyed {
  /** @internal Two values are one key exactly if these are equal. `undefined`: by identity. */
  pyKey(space: KeySpace): string | undefined;
  /** @internal True: Python cannot hash it, and `pyKey` is not called. */
  readonly pyUnhashable?: boolean;
}

/** The error for a value that Python cannot hash. */
export function unhashable(value: unknown): MmdError {
  return new MmdError('BAD_KEY', `${nameOf(value)} cannot be a dict key or set item: Python cannot hash it`, {
    found: nameOf(value),
  });
}

function nameOf(value: unknown): string {
  return typeof value === 'object' && value !== null
    ? (Object.getPrototypeOf(value)?.constructor?.name ?? 'dict')
    : typeof value;
}

/** Canonical strings longer than this are replaced by serial numbers, so that only one map copies or keeps them. */
const LONG_KEY = 64;
/** Characters that cost as much as one part. */
const CHARACTERS = 16;
/** How many long integers have their canonical string remembered: a shared one is converted once. */
const RECENT = 4;

/** Tuples longer than this are remembered once they are checked. */
const SHORT_TUPLE = 16;

/** A frozenset, recognized by its method. */
interface FrozenItems {
  /** The items, some perhaps twice. */
  pyFrozen(): Iterable<unknown>;
}

/** A slice, recognized by its method: equal to another if their parts are, and never to a tuple. */
interface SliceParts {
  pySlice(): readonly unknown[];
}

/** Whether this is a plain object, of this realm or another: it is written as a dict, whatever its property names. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A frozenset holds nothing that cannot be hashed. Recognized by its method, because its class imports this file. */
function isFrozenSet(value: unknown): value is FrozenItems {
  return typeof value === 'object' && value !== null && 'pyFrozen' in value && !isPlain(value);
}

/** Bytes, but not a bytearray, which declares itself unhashable. */
function isBytes(value: object): value is Uint8Array {
  return isUint8Array(value) && !('pyUnhashable' in value);
}

type Composite = Tuple | FrozenItems | SliceParts;

function isSlice(value: unknown): value is SliceParts {
  return typeof value === 'object' && value !== null && 'pySlice' in value && !isPlain(value);
}

/** The items of a tuple or slice, all of which must be hashable for it to be. */
function partsOf(value: unknown): readonly unknown[] | undefined {
  if (value instanceof Tuple) return value;
  return isSlice(value) ? value.pySlice() : undefined;
}

const itemsOf = (value: Composite): Iterable<unknown> => partsOf(value) ?? (value as FrozenItems).pyFrozen();

function composite(value: unknown): value is Composite {
  return value instanceof Tuple || isFrozenSet(value) || partsOf(value) !== undefined;
}

/** Whether Python can hash an object, apart from what a tuple or slice holds. */
function isHashable(value: object): boolean {
  if (isPlain(value)) return isDType(value);
  if ((value as Partial<Keyed>).pyUnhashable === true) return false;
  if ('pyKey' in value || isFrozenSet(value) || isBytes(value) || isDType(value)) return true;
  return !(
    isArraySource(value) ||
    Array.isArray(value) ||
    // Written as lists, too.
    Object.getPrototypeOf(value) === Array.prototype ||
    ArrayBuffer.isView(value) ||
    value instanceof Map ||
    value instanceof Set
  );
}

/**
 * Makes canonical strings. Values that compare by identity, tuples and frozensets get serial numbers, so a space is
 * shared by all dicts and sets of one loaded pickle.
 */
export class KeySpace {
  readonly #maximum: number;
  #work = 0;
  #serial = 0;
  /** Canonical strings of tuples, slices and frozensets, by their parts: the string stays short, however deep they nest. */
  readonly #parts = new Map<string, string>();
  readonly #cache = new WeakMap<object, string>();
  /** Short strings for long texts, which are looked up as they are: the text of a memo slot already has its hash ... */
  readonly #texts = new Map<string, string>();
  /** ... and for all other long canonical strings. */
  readonly #long = new Map<string, string>();
  /** Canonical strings of elements given as bytes, by their type: many scalars may share the bytes. */
  readonly #elements = new WeakMap<Uint8Array, Map<string, string>>();
  #recent: { readonly value: bigint; readonly key: string }[] = [];
  /** Tuples that were checked and would be costly to check again. */
  readonly #hashable = new WeakSet<object>();
  /** Tuples and frozensets that are being searched for slices, or have none. */
  readonly #sliceless = new WeakSet<object>();

  /** @param maximum - the budget `keys` */
  constructor(maximum: number = DEFAULT_LIMITS.keys) {
    this.#maximum = maximum;
  }

  /**
   * The canonical string of a value, always short.
   * @throws MmdError BAD_KEY for what Python cannot hash; LIMIT_EXCEEDED
   */
  key(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'boolean':
        return numberKey(value ? 1 : 0);
      case 'number':
        return this.number(value);
      case 'bigint':
        return this.#integer(value);
      case 'undefined':
      case 'symbol':
        throw unhashable(value);
      default:
        return value === null ? KINDS.none : this.#object(value as object);
    }
  }

  /** The canonical string of a number: integers, floats and bools share one number line. Every NaN is distinct. */
  number(value: number): string {
    return Number.isNaN(value) ? this.#next('nan') : numberKey(value);
  }

  #text(value: string): string {
    if (value.length <= LONG_KEY) return `${KINDS.text}${value}`;
    let short = this.#texts.get(value);
    if (short === undefined) this.#texts.set(value, (short = this.#next('long')));
    return short;
  }

  #integer(value: bigint): string {
    const key = narrowKey(value);
    if (key !== undefined) return key;
    const met = this.#recent.find((other) => other.value === value);
    if (met !== undefined) return met.key;
    const wide = wideKey(value);
    if (wide.length <= LONG_KEY) return wide;
    const short = this.#short(wide);
    this.#recent = [{ value, key: short }, ...this.#recent.slice(0, RECENT - 1)];
    return short;
  }

  /**
   * Counts the digits of an integer before calculating with it.
   * @param each - the cost of a hexadecimal digit
   * @throws MmdError LIMIT_EXCEEDED
   */
  spendDigits(value: number | bigint, each: number): void {
    if (typeof value === 'bigint') this.spend(each * value.toString(16).length);
  }

  #next(kind: keyof typeof KINDS): string {
    return `${KINDS[kind]}${this.#serial++}`;
  }

  /**
   * Counts what keys cost beyond a few parts: the budget `keys`.
   * @throws MmdError LIMIT_EXCEEDED
   */
  spend(count: number): void {
    this.#work += count;
    if (this.#work > this.#maximum) throw limitExceeded('keys', this.#maximum);
  }

  #object(value: object): string {
    this.spend(1);
    const known = this.#cache.get(value);
    if (known !== undefined) return known;
    if (composite(value)) return this.#composite(value);
    const key = this.#canonicalOf(value);
    if (key === undefined) return this.identity(value);
    const short = this.#short(key);
    if (short !== key) this.#cache.set(value, short);
    return short;
  }

  /** The canonical string of an object, of any length; undefined if it is equal only to itself. */
  #canonicalOf(value: object): string | undefined {
    if (isBytes(value)) return bytesKey(value);
    if (!isHashable(value)) throw unhashable(value);
    if ('pyKey' in value) return (value as Keyed).pyKey(this);
    if (value instanceof Complex) return complexKey(value);
    if (value instanceof Date) return dateKey(value);
    return isDType(value) ? canonical('dtype', JSON.stringify(value.spec)) : undefined;
  }

  /** A short string for a canonical string of any length: equal for equal ones. */
  #short(key: string): string {
    if (key.length <= LONG_KEY) return key;
    this.spend(key.length / CHARACTERS);
    let short = this.#long.get(key);
    if (short === undefined) this.#long.set(key, (short = this.#next('long')));
    return short;
  }

  /**
   * The canonical string of an element given as bytes, made once for bytes that many share.
   * @param type - how the bytes are interpreted
   */
  element(bytes: Uint8Array, type: string, make: () => string): string {
    if (bytes.length <= LONG_KEY) return make();
    let known = this.#elements.get(bytes);
    if (known === undefined) this.#elements.set(bytes, (known = new Map()));
    let key = known.get(type);
    if (key === undefined) {
      this.spend(bytes.length / CHARACTERS);
      known.set(type, (key = this.#short(make())));
    }
    return key;
  }

  /**
   * Checks that Python can hash a value, without making its canonical string. Tuples and slices are walked without
   * native recursion, each distinct one once.
   * @throws MmdError BAD_KEY, LIMIT_EXCEEDED
   */
  check(root: object): void {
    if (partsOf(root) === undefined) {
      this.#checkWhole(root);
      return;
    }
    const pending: object[] = [root];
    for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
      if (this.#hashable.has(top)) continue;
      const parts = partsOf(top)!;
      this.spend(parts.length);
      let remember = parts.length > SHORT_TUPLE;
      for (const child of parts) {
        if (child === undefined) throw unhashable(child);
        if (typeof child !== 'object' || child === null) continue;
        if (partsOf(child) === undefined) this.#checkWhole(child);
        else {
          pending.push(child);
          remember = true;
        }
      }
      if (remember) this.#hashable.add(top);
    }
  }

  /**
   * Whether a key is a slice or holds one.
   * @throws MmdError LIMIT_EXCEEDED
   */
  holdsSlice(root: unknown): boolean {
    const pending: unknown[] = [root];
    while (pending.length > 0) {
      const top = pending.pop();
      if (!composite(top) || this.#sliceless.has(top)) continue;
      if (isSlice(top)) return true;
      this.#sliceless.add(top);
      for (const item of itemsOf(top)) {
        this.spend(1);
        pending.push(item);
      }
    }
    return false;
  }

  #checkWhole(value: object): void {
    if (isBytes(value)) return;
    this.spend(1);
    if (!isHashable(value)) throw unhashable(value);
  }

  /** The canonical string of an object that is equal only to itself. */
  identity(value: object): string {
    const key = this.#next('identity');
    this.#cache.set(value, key);
    return key;
  }

  /** Post-order over tuples, slices and frozensets, each distinct one once, without native recursion. */
  #composite(root: Composite): string {
    const pending: Composite[] = [root];
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const depth = pending.length;
      if (!this.#cache.has(top)) {
        for (const child of itemsOf(top)) {
          this.spend(1);
          if (composite(child) && !this.#cache.has(child)) pending.push(child);
        }
        if (pending.length > depth) continue;
        this.#cache.set(top, this.#join(top));
      }
      pending.pop();
    }
    return this.#cache.get(root)!;
  }

  #join(value: Composite): string {
    const kind = value instanceof Tuple ? 'tuple' : isFrozenSet(value) ? 'frozenset' : 'slice';
    const items: string[] = [];
    for (const child of itemsOf(value)) items.push(this.key(child));
    const joined = canonicalOf(kind, kind === 'frozenset' ? [...new Set(items)].sort() : items);
    let key = this.#parts.get(joined);
    if (key === undefined) this.#parts.set(joined, (key = this.#next(kind)));
    return key;
  }
}

/**
 * Checks that Python can hash a value, without making its canonical string: most keys are never looked up.
 * @throws MmdError BAD_KEY, LIMIT_EXCEEDED
 */
export function checkHashable(value: unknown, space: () => KeySpace): void {
  if (typeof value === 'object' && value !== null) space().check(value);
  else if (value === undefined || typeof value === 'symbol') throw unhashable(value);
}

/**
 * Checks the keys of a Map or the items of a Set of JavaScript, which compare differently from Python's. Rejects what
 * Python cannot hash, and two that are one in Python (`1`, `1n` and `true`; two equal tuples), of which it would
 * silently drop one.
 * @throws MmdError BAD_KEY, LIMIT_EXCEEDED; UNSUPPORTED_VALUE for a Proxy of a Map or Set
 */
export function checkKeys(keyed: { keys(): Iterable<unknown> }, space: () => KeySpace): void {
  // Texts and numbers compare alike in both languages.
  let alike = true;
  for (const key of keysOf(keyed)) alike &&= typeof key === 'string' || typeof key === 'number';
  if (alike) return;
  const known = new Map<string, unknown>();
  for (const key of keyed.keys()) {
    const canonical = space().key(key);
    if (known.has(canonical)) {
      const both = `${nameOf(known.get(canonical))} and a ${nameOf(key)}`;
      throw new MmdError('BAD_KEY', `a ${both} of the same value are one key in Python`, { found: key });
    }
    known.set(canonical, key);
  }
}

/**
 * Rejects a slice among keys that every Python must be able to load: slices are hashable only since 3.12.
 * @throws MmdError BAD_KEY, LIMIT_EXCEEDED
 */
export function checkNoSlice(key: unknown, space: () => KeySpace): void {
  if (typeof key !== 'object' || key === null || !space().holdsSlice(key)) return;
  throw new MmdError('BAD_KEY', 'a slice cannot be a dict key or set item: Python before 3.12 cannot hash it', {
    found: nameOf(key),
  });
}

/** The canonical string of a number other than NaN. */
export function numberKey(value: number): string {
  if (Number.isSafeInteger(value)) return `${KINDS.integer}${value === 0 ? 0 : value}`;
  return `${KINDS.float}${value}`;
}

/** The same for a complex number; undefined if a part is NaN, so that it is equal only to itself. */
export function complexKey({ re, im }: Complex): string | undefined {
  if (Number.isNaN(re) || Number.isNaN(im)) return undefined;
  return im === 0 ? numberKey(re) : canonicalOf('complex', [numberKey(re), numberKey(im)]);
}

/** The milliseconds of a Date; NaN if it is invalid, a Proxy, or only inherits from one. */
export function timeOf(date: Date): number {
  try {
    return date.getTime();
  } catch {
    return Number.NaN;
  }
}

/** The same for a Date, written as a datetime in UTC: one key with every datetime of that moment and a fixed offset. */
function dateKey(date: Date): string | undefined {
  const time = timeOf(date);
  return Number.isNaN(time) ? undefined : canonical('utcDatetime', `${BigInt(time) * 1000n}`);
}

/** The canonical string of bytes. */
export function bytesKey(bytes: Uint8Array): string {
  return canonical('bytes', decodeLatin1(bytes));
}

/** The key under which a native Map of texts, numbers and null holds an equal key; undefined if it cannot hold one. */
export function nativeKey<K>(key: K): K {
  if (typeof key === 'string' || typeof key === 'number' || key === null) return key;
  const known = new KeySpace().key(key);
  const numeric = known.startsWith(KINDS.integer) || known.startsWith(KINDS.float);
  return (numeric ? Number(known.slice(1)) : undefined) as K;
}

/** The canonical string of an integer that a float holds. */
function narrowKey(value: bigint): string | undefined {
  const narrow = Number(value);
  return Number.isSafeInteger(narrow) || (Number.isFinite(narrow) && BigInt(narrow) === value)
    ? numberKey(narrow)
    : undefined;
}

/** The canonical string of any other integer. */
const wideKey = (value: bigint): string => canonical('wide', value.toString(16));

/** The canonical string of an integer of any size. */
export function integerKey(value: bigint): string {
  return narrowKey(value) ?? wideKey(value);
}

function keysOf(keyed: { keys(): Iterable<unknown> }): Iterable<unknown> {
  try {
    return keyed.keys();
  } catch (cause) {
    throw new MmdError('UNSUPPORTED_VALUE', 'the entries of a Proxy of a Map or Set cannot be read', { cause });
  }
}
