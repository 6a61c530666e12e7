/**
 * Complex numbers: elements of complex64 and complex128 arrays, and Python's `complex` in pickles.
 *
 * @module
 */

import { wrongArgument } from '../options.ts';

/**
 * An immutable complex number.
 *
 * @example
 * ```ts
 * import { Complex } from '@mmdpickle/core/ndarray';
 *
 * const z = new Complex(3, -4);
 * z.re; // 3
 * String(z); // '(3-4j)'
 * ```
 */
export class Complex {
  readonly re: number;
  readonly im: number;

  constructor(re: number, im = 0) {
    if (typeof re !== 'number') throw wrongArgument('the real part of a complex number', 'a number', re);
    if (typeof im !== 'number') throw wrongArgument('the imaginary part of a complex number', 'a number', im);
    this.re = re;
    this.im = im;
    // A subclass may have more properties to set.
    if (new.target === Complex) Object.freeze(this);
  }

  /** Whether both parts are the same numbers; NaN equals NaN, and 0 differs from -0. */
  equals(other: Complex): boolean {
    return Object.is(this.re, other.re) && Object.is(this.im, other.im);
  }

  /** As Python prints it: `(3-4j)`, and `2j` when the real part is +0. */
  toString(): string {
    const sign = Object.is(this.im, -0) || this.im < 0 ? '-' : '+';
    const im = `${pythonFloat(Math.abs(this.im))}j`;
    if (Object.is(this.re, 0)) return sign === '-' ? `-${im}` : im;
    return `(${pythonFloat(this.re)}${sign}${im})`;
  }

  /** @internal What `JSON.stringify` sees. */
  toJSON(): { re: number; im: number } {
    return { re: this.re, im: this.im };
  }
}

function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  return Object.is(value, -0) ? '-0' : String(value);
}
