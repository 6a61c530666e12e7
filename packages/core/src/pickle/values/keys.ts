/**
 * Python's equality of dict keys and set items, as canonical strings.
 *
 * V8 seeds the hashes of strings, not those of numbers and bigints, so that chosen integers make a Map quadratic;
 * under canonical strings they do not.
 *
 * @module
 */

import { decodeLatin1 } from '../../bytes/utf8.ts';
import { MmdError } from '../../errors.ts';
import { isArraySource } from '../../ndarray/array-source.ts';
import { Complex } from '../../ndarray/complex.ts';
import { isDType } from '../../ndarray/descr.ts';
import { DEFAULT_LIMITS, limitExceeded } from '../limits.ts';
import { Tuple } from './tuple.ts';

/**
 * A stand-in that tells its canonical string; two are one key exactly if the strings are equal. `undefined`: by
 * identity. An exception: it cannot be a key.
 */
export interface Keyed {
  /** @internal */
  pyKey(space: KeySpace): string | undefined;
}

/** The error of a value that Python cannot hash. */
export function unhashable(value: unknown): MmdError {
  return new MmdError('BAD_KEY', `a ${nameOf(value)} cannot be a dict key or set item: Python cannot hash it`, {
    found: nameOf(value),
  });
}

function nameOf(value: unknown): string {
  return typeof value === 'object' && value !== null
    ? (Object.getPrototypeOf(value)?.constructor?.name ?? 'dict')
    : typeof value;
}

/** Canonical strings longer than this are replaced by a serial number inside others, which would copy them. */
const LONG_KEY = 64;
/** Characters that cost as much as one part. */
const CHARACTERS = 16;

/** Tuples longer than this are remembered when they were checked. */
const SHORT_TUPLE = 16;

/** A frozenset, told by its method. */
interface FrozenItems {
  /** The items, some perhaps twice. */
  pyFrozen(): Iterable<unknown>;
}

/** A frozenset holds nothing that cannot be hashed. Told by a mark, because its class imports this file. */
function isFrozenSet(value: unknown): value is FrozenItems {
  return typeof value === 'object' && value !== null && 'pyFrozen' in value;
}

/** Bytes; a bytearray has a `pyKey` that throws. */
function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && !('pyKey' in value);
}

type Composite = Tuple | FrozenItems;

const itemsOf = (value: Composite): Iterable<unknown> => (value instanceof Tuple ? value : value.pyFrozen());

function composite(value: unknown): value is Composite {
  return value instanceof Tuple || isFrozenSet(value);
}

/**
 * Gives out canonical strings. Values that compare by identity, tuples and frozensets get serial numbers, so a space
 * is shared by all dicts and sets of one loaded pickle.
 */
export class KeySpace {
  readonly #maximum: number;
  #work = 0;
  #serial = 0;
  /** Canonical strings of tuples and frozensets, by their parts: the string stays short, however deep they nest. */
  readonly #parts = new Map<string, string>();
  readonly #cache = new WeakMap<object, string>();
  /** Short strings for objects with long ones. */
  readonly #shorts = new WeakMap<object, string>();
  /** Short strings for long ones. */
  readonly #long = new Map<string, string>();
  /** Tuples that were checked, where checking again would cost. */
  readonly #hashable = new WeakSet<object>();

  /** @param maximum - the budget `keys` */
  constructor(maximum: number = DEFAULT_LIMITS.keys) {
    this.#maximum = maximum;
  }

  /**
   * The canonical string of a value.
   * @throws MmdError BAD_KEY for what Python cannot hash; LIMIT_EXCEEDED
   */
  key(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return `s${value}`;
      case 'boolean':
        return value ? 'i1' : 'i0';
      case 'number':
        return this.number(value);
      case 'bigint': {
        const key = integerKey(value);
        this.spend(key.length / CHARACTERS);
        return key;
      }
      case 'undefined':
        throw unhashable(value);
      default:
        return value === null ? 'None' : this.#object(value as object);
    }
  }

  /** The canonical string of a number: integers, floats and bools share one line. Every NaN is its own. */
  number(value: number): string {
    if (Number.isSafeInteger(value)) return `i${value === 0 ? 0 : value}`;
    if (Number.isInteger(value)) return integerKey(BigInt(value));
    return Number.isNaN(value) ? this.#next('n') : `f${value}`;
  }

  #next(prefix: string): string {
    return `${prefix}#${this.#serial++}`;
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
    if (composite(value)) return this.#composite(value);
    const known = this.#cache.get(value);
    if (known !== undefined) return known;
    if ('pyKey' in value) return this.#kept(value, (value as Keyed).pyKey(this) ?? this.identity(value));
    if (value instanceof Complex) {
      return value.im === 0 ? this.number(value.re) : `c${this.number(value.re)},${this.number(value.im)}`;
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (value instanceof Uint8Array) return this.#kept(value, `b${decodeLatin1(value)}`);
    if (isDType(value)) return this.#kept(value, `dtype${JSON.stringify(value.spec)}`);
    const plain = prototype === Object.prototype || prototype === null;
    if (
      plain ||
      isArraySource(value) ||
      Array.isArray(value) ||
      ArrayBuffer.isView(value) ||
      value instanceof Map ||
      value instanceof Set
    ) {
      throw unhashable(value);
    }
    return this.identity(value);
  }

  /** Remembers what cost something to find. */
  #kept(value: object, key: string): string {
    if (key.length > LONG_KEY) {
      this.spend(key.length / CHARACTERS);
      this.#cache.set(value, key);
    }
    return key;
  }

  /** A string that stands for a canonical string inside another: short, and the same for the same one. */
  #part(child: unknown): string {
    // A text is looked up as it is: the text of a memo slot knows its hash.
    const object = typeof child === 'object' && child !== null;
    const met = object ? this.#shorts.get(child) : undefined;
    if (met !== undefined) return met;
    const text = typeof child === 'string';
    const key = text ? child : this.key(child);
    if (key.length <= LONG_KEY) return text ? `s${key}` : key;
    const looked = text ? key : `!${key}`;
    let short = this.#long.get(looked);
    if (short === undefined) {
      this.spend(key.length / CHARACTERS);
      this.#long.set(looked, (short = this.#next('l')));
    }
    if (object) this.#shorts.set(child, short);
    return short;
  }

  /**
   * Checks that Python can hash a value. Tuples are walked without native recursion, each distinct one once.
   * @throws MmdError BAD_KEY, LIMIT_EXCEEDED
   */
  check(root: unknown): void {
    if (!(root instanceof Tuple)) {
      if (!isFrozenSet(root) && !isBytes(root)) this.key(root);
      return;
    }
    const pending: Tuple[] = [root];
    for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
      if (this.#hashable.has(top)) continue;
      this.spend(top.length);
      let remember = top.length > SHORT_TUPLE;
      for (const child of top) {
        if (child instanceof Tuple) {
          pending.push(child);
          remember = true;
        } else if (typeof child === 'object' && child !== null) this.check(child);
      }
      if (remember) this.#hashable.add(top);
    }
  }

  /** The canonical string of an object that is equal only to itself. */
  identity(value: object): string {
    const key = this.#next('o');
    this.#cache.set(value, key);
    return key;
  }

  /** Post-order over tuples and frozensets, each distinct one once, without native recursion. */
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
    const parts: string[] = [];
    for (const child of itemsOf(value)) {
      const key = this.#part(child);
      parts.push(`${key.length}:${key}`);
    }
    const kind = value instanceof Tuple ? 't' : 'z';
    const joined = kind + (kind === 't' ? parts : [...new Set(parts)].sort()).join('');
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
  if (typeof value === 'object' ? value !== null : value === undefined) space().check(value);
}

/** The key under which a native Map of texts, numbers and null holds a key; undefined if it can hold no equal one. */
export function nativeKey<K>(key: K): K {
  if (typeof key === 'string' || typeof key === 'number' || key === null) return key;
  const canonical = new KeySpace().key(key);
  if (canonical.startsWith('i0x') || !/^[fi]/.test(canonical)) return undefined as K;
  return Number(canonical.slice(1)) as K;
}

/** The canonical string of an integer of any size; hexadecimal beyond 2^53, because that is linear. */
export function integerKey(value: bigint): string {
  const narrow = Number(value);
  return Number.isSafeInteger(narrow) ? `i${narrow}` : `i0x${value.toString(16)}`;
}
