/**
 * Stand-ins for plain Python values that JavaScript has no type of its own for.
 *
 * @module
 */

import { decodeLatin1, decodeUtf8 } from '../../bytes/utf8.ts';
import { showAs } from '../../inspect.ts';
import { Complex } from '../../ndarray/complex.ts';
import { checkArgument, isInteger } from './check.ts';
import { canonical, canonicalOf, type Keyed, type KeySpace, numberKey } from './keys.ts';

/**
 * A Python bytearray: a Uint8Array that is written as a bytearray again. `slice` and `subarray` give the same class.
 */
export class ByteArray extends Uint8Array {
  /** @internal */
  get pyUnhashable(): boolean {
    return true;
  }
}

/**
 * Lossless mode: a float that a JavaScript number would not preserve, such as 1.0 (it would be an int) or a NaN with a
 * payload.
 */
export class PyFloat implements Keyed {
  readonly value: number;
  /** The IEEE 754 bits. */
  readonly bits: bigint;

  /** @param value - the number, or the 64 bits of one as a bigint @throws MmdError INVALID_ARGUMENT */
  constructor(value: number | bigint) {
    const ok = typeof value === 'bigint' ? BigInt.asUintN(64, value) === value : typeof value === 'number';
    checkArgument(ok, 'the value of a PyFloat must be a number, or its 64 bits', value);
    const view = new DataView(new ArrayBuffer(8));
    if (typeof value === 'bigint') view.setBigUint64(0, value);
    else view.setFloat64(0, value);
    this.bits = view.getBigUint64(0);
    this.value = view.getFloat64(0);
    Object.freeze(this);
  }

  valueOf(): number {
    return this.value;
  }

  toJSON(): number {
    return this.value;
  }

  toString(): string {
    return Number.isInteger(this.value) ? `${this.value}.0` : String(this.value);
  }

  static {
    showAs(PyFloat, (self) => self.toString());
  }

  /** @internal */
  pyKey(): string | undefined {
    return Number.isNaN(this.value) ? undefined : numberKey(this.value);
  }
}

/** Lossless mode: a complex number with a part that is a NaN with a payload, which a JavaScript number may lose. */
export class PyComplex extends Complex {
  readonly real: PyFloat;
  readonly imag: PyFloat;

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(real: PyFloat, imag: PyFloat) {
    for (const part of [real, imag])
      checkArgument(part instanceof PyFloat, 'the parts of a complex number must be PyFloats', part);
    super(real.value, imag.value);
    this.real = real;
    this.imag = imag;
    Object.freeze(this);
  }
}

/**
 * Lossless mode: a str that holds a surrogate pair as two code points, where a JavaScript string would make one
 * astral character of it.
 */
export class PyString implements Keyed {
  /** The code points as UTF-8 with surrogatepass. */
  readonly utf8: Uint8Array;
  readonly #text: string;

  /**
   * @param utf8 - the code points as UTF-8 with surrogatepass; they are copied
   * @param text - what they decode to
   * @throws MmdError INVALID_ARGUMENT; CORRUPT for bytes that are not UTF-8
   */
  constructor(utf8: Uint8Array, text: string) {
    checkArgument(utf8 instanceof Uint8Array, 'the code points of a string must be a Uint8Array', utf8);
    checkArgument(decodeUtf8(utf8, 0, utf8.length) === text, 'the text must be what the bytes decode to', text);
    this.utf8 = utf8.slice();
    this.#text = text;
    Object.freeze(this);
  }

  /** The code points, each as a string; the halves of a surrogate pair are two. */
  *[Symbol.iterator](): Generator<string, void> {
    // 0xED never occurs inside another character, so cutting there keeps the halves apart.
    for (let from = 0; from < this.utf8.length; ) {
      const next = this.utf8.indexOf(0xed, from + 1);
      const end = next === -1 ? this.utf8.length : next;
      yield* decodeUtf8(this.utf8, from, end);
      from = end;
    }
  }

  /** The text, in which the pair has become one character. */
  toString(): string {
    return this.#text;
  }

  toJSON(): string {
    return this.#text;
  }

  static {
    showAs(PyString, (self) => `PyString(${JSON.stringify(self.#text)})`);
  }

  /** @internal */
  pyKey(): string {
    return canonical('codePoints', decodeLatin1(this.utf8));
  }
}

/** A Python singleton: {@link ELLIPSIS} or {@link NOT_IMPLEMENTED}. */
export class PyConstant implements Keyed {
  readonly name: 'Ellipsis' | 'NotImplemented';

  /** @internal */
  constructor(name: 'Ellipsis' | 'NotImplemented') {
    checkArgument(
      name === 'Ellipsis' || name === 'NotImplemented',
      'the name must be Ellipsis or NotImplemented',
      name,
    );
    this.name = name;
    Object.freeze(this);
  }

  toString(): string {
    return this.name;
  }

  static {
    showAs(PyConstant, (self) => self.name);
  }

  /** @internal */
  pyKey(): string {
    return canonical('constant', this.name);
  }
}

/** The one `Ellipsis`. */
export const ELLIPSIS: PyConstant = new PyConstant('Ellipsis');

/** The one `NotImplemented`. */
export const NOT_IMPLEMENTED: PyConstant = new PyConstant('NotImplemented');

/** The cost of a digit where long integers are divided. */
const LONG_DIVISION = 4;

/** Python's `range`. The parts are numbers where safe, else bigints. */
export class PyRange implements Keyed {
  readonly start: number | bigint;
  readonly stop: number | bigint;
  readonly step: number | bigint;

  /** @throws MmdError INVALID_ARGUMENT for parts that are not integers, and for a step of 0 */
  constructor(start: number | bigint, stop: number | bigint, step: number | bigint = 1) {
    for (const part of [start, stop, step])
      checkArgument(isInteger(part), 'the parts of a range must be integers', part);
    checkArgument(BigInt(step) !== 0n, 'the step of a range must not be 0', step);
    // -0 is a float in Python, and cannot be part of a range.
    this.start = start === 0 ? 0 : start;
    this.stop = stop === 0 ? 0 : stop;
    this.step = step;
    Object.freeze(this);
  }

  /** How many numbers the range holds. */
  get length(): bigint {
    const [start, stop, step] = [BigInt(this.start), BigInt(this.stop), BigInt(this.step)];
    const span = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    return span <= 0n ? 0n : (span + stride - 1n) / stride;
  }

  /** @internal Ranges are equal if they hold the same numbers. */
  pyKey(space: KeySpace): string {
    const { start, stop, step } = this;
    // Dividing the longest integers takes half a second.
    for (const part of [start, stop, step]) space.spendDigits(part, typeof step === 'bigint' ? LONG_DIVISION : 1);
    const { length } = this;
    const told = length === 0n ? [] : length === 1n ? [length, start] : [length, start, step];
    return canonicalOf(
      'range',
      told.map((part) => space.key(part)),
    );
  }

  toString(): string {
    return `range(${this.start}, ${this.stop}${BigInt(this.step) === 1n ? '' : `, ${this.step}`})`;
  }

  static {
    showAs(PyRange, (self) => self.toString());
  }
}

/** Python's `slice`, whose parts may be any value; null stands for None. */
export class PySlice {
  readonly start: unknown;
  readonly stop: unknown;
  readonly step: unknown;

  constructor(start: unknown, stop: unknown, step: unknown = null) {
    this.start = start;
    this.stop = stop;
    this.step = step;
    Object.freeze(this);
  }

  /** @internal The parts that it is compared by as a key, which a slice can be since Python 3.12. */
  pySlice(): readonly unknown[] {
    return [this.start, this.stop, this.step];
  }
}
