/**
 * The arguments of `NDArray.slice`: numpy's basic indexing.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { shown } from '../options.ts';
import { invalid } from './shapes.ts';

/** A range along one axis, made by {@link slice}. */
export class Slice {
  readonly start: number | null;
  readonly stop: number | null;
  readonly step: number | null;

  constructor(start: number | null, stop: number | null, step: number | null) {
    for (const part of [start, stop, step]) {
      const endless = part === Number.POSITIVE_INFINITY || part === Number.NEGATIVE_INFINITY;
      if (part !== null && !Number.isSafeInteger(part) && !(endless && part !== step)) {
        throw invalid(`slice takes integers or null, found ${shown(part)}`, part);
      }
    }
    if (step === 0) throw invalid('the step of a slice must not be 0', step);
    this.start = start;
    this.stop = stop;
    this.step = step;
    Object.freeze(this);
  }

  /** The indices selected along an axis of `length`, clipped as by Python's `slice.indices()`. */
  resolve(length: number): { readonly start: number; readonly step: number; readonly count: number } {
    const step = this.step ?? 1;
    const least = step < 0 ? -1 : 0;
    const most = step < 0 ? length - 1 : length;
    const clip = (index: number): number => Math.min(Math.max(index < 0 ? index + length : index, least), most);
    const start = this.start === null ? (step < 0 ? most : least) : clip(this.start);
    const stop = this.stop === null ? (step < 0 ? least : most) : clip(this.stop);
    return { start, step, count: Math.max(0, Math.ceil((stop - start) / step)) };
  }
}

/**
 * A range along one axis: Python's `start:stop:step`. Negative indices count from the end, `null` means up to the end
 * in the direction of the step, and indices out of bounds are clipped. A single argument is the start, as in
 * `Array.prototype.slice` (and unlike Python's `slice(stop)`).
 *
 * @throws INVALID_ARGUMENT for fractions or a step of 0
 *
 * @example
 * ```ts
 * import { ndarray, slice } from '@mmdpickle/core/ndarray';
 *
 * const a = ndarray([10, 11, 12, 13, 14], undefined, 'int16');
 * a.slice(slice(1, -1)).toNested(); // [11, 12, 13]
 * a.slice(slice(null, null, -2)).toNested(); // [14, 12, 10]
 * ```
 */
export function slice(start: number | null = null, stop: number | null = null, step: number | null = null): Slice {
  return new Slice(start, stop, step);
}

/** Inserts an axis of length 1 in `NDArray.slice`; numpy's `newaxis`. */
export const newAxis: unique symbol = Symbol('newAxis');

/** In `NDArray.slice`, stands for all axes that the other arguments leave; numpy's `...`. */
export const ellipsis: unique symbol = Symbol('ellipsis');

/** An argument of `NDArray.slice`: a number selects one index and drops the axis, `null` keeps the whole axis. */
export type SliceSpec = number | null | Slice | typeof newAxis | typeof ellipsis;

/** Resolves a possibly negative index. @throws INVALID_ARGUMENT with `found: { axis, index, length }` */
export function resolveIndex(index: number, length: number, axis: number): number {
  // Only numbers are compared: comparing a symbol throws a TypeError.
  const position = Number.isInteger(index) ? (index < 0 ? index + length : index) : -1;
  if (position < 0 || position >= length) {
    const what = typeof index === 'bigint' ? 'a bigint' : shown(index);
    const message = Number.isInteger(index)
      ? `index ${what} is out of bounds for axis ${axis} of length ${length}`
      : `an index must be an integer; found ${what} for axis ${axis}`;
    throw new MmdError('INVALID_ARGUMENT', message, {
      expected: length,
      found: { axis, index, length },
    });
  }
  return position;
}

/** Shape, byte strides, and the byte position of the first element relative to some origin. */
export interface Geometry {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly position: number;
}

/** Applies the arguments of `NDArray.slice`. @throws INVALID_ARGUMENT for too many, or out of bounds */
export function sliceGeometry({ shape, strides, position }: Geometry, specs: readonly SliceSpec[]): Geometry {
  const taking = specs.filter((spec) => spec !== newAxis && spec !== ellipsis).length;
  if (taking > shape.length) throw invalid(`${taking} indices for ${shape.length} axes`, taking, shape.length);
  const rest = shape.length - taking;
  const given = specs.includes(ellipsis) ? specs : [...specs, ellipsis];
  if (given.indexOf(ellipsis) !== given.lastIndexOf(ellipsis))
    throw invalid('at most one ellipsis is allowed', specs.length);
  const newShape: number[] = [];
  const newStrides: number[] = [];
  let axis = 0;
  for (const spec of given) {
    if (spec === newAxis) {
      newShape.push(1);
      newStrides.push(0);
    } else if (spec === ellipsis) {
      newShape.push(...shape.slice(axis, axis + rest));
      newStrides.push(...strides.slice(axis, axis + rest));
      axis += rest;
    } else {
      const dim = shape[axis] as number;
      const stride = strides[axis] as number;
      if (spec === null) {
        newShape.push(dim);
        newStrides.push(stride);
      } else if (spec instanceof Slice) {
        const { start, step, count } = spec.resolve(dim);
        newShape.push(count);
        // A step far beyond the axis selects one element; its stride must not exceed 2^53.
        newStrides.push(count > 1 ? stride * step : stride);
        if (count > 0) position += start * stride;
      } else if (typeof spec === 'number') {
        position += resolveIndex(spec, dim, axis) * stride;
      } else throw invalid('slice takes numbers, null, slice(), newAxis and ellipsis', spec);
      axis += 1;
    }
  }
  return { shape: newShape, strides: newStrides, position };
}
