/**
 * Shapes and byte strides: the arithmetic of views, on plain lists of numbers.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { shown } from '../options.ts';

/** The maximum number of dimensions in numpy 2 (32 in numpy 1). */
export const MAX_DIMS = 64;

/** The order in which elements are stored: row-major (`'C'`) or column-major (`'F'`, Fortran). */
export type Order = 'C' | 'F';

/** Refuses an axis: many write numpy's `sum(axis)`, and the sum of all elements is not what they want. */
export function refuseAxis(what: string, axis: readonly unknown[]): void {
  if (axis.length > 0) throw invalid(`${what} reduces all elements; for an axis, reduce rows or slices`, axis[0]);
}

/** An INVALID_ARGUMENT error. */
export function invalid(message: string, found: unknown, expected?: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', message, { found, expected });
}

/** The error for a shape that is not a list. */
export const notAShape = (found: unknown): MmdError => invalid('a shape must be a list of dimensions', found);

/**
 * Checks a shape and copies it.
 * @throws INVALID_ARGUMENT for negative or fractional dimensions, more than {@link MAX_DIMS}, or a size beyond 2^53 - 1
 */
export function checkShape(shape: readonly number[], itemsize = 1): readonly number[] {
  if (!Array.isArray(shape)) throw notAShape(shape);
  if (shape.length > MAX_DIMS) throw invalid(`a shape has at most ${MAX_DIMS} dimensions`, shape.length, MAX_DIMS);
  let product = itemsize;
  for (const dim of shape) {
    if (!Number.isSafeInteger(dim) || dim < 0) {
      throw invalid(`dimensions must be non-negative integers, found ${shown(dim)}`, dim);
    }
    // As in numpy, a zero does not exempt the others: strides of an empty array must be exact too.
    if (dim !== 0) product *= dim;
    if (!Number.isSafeInteger(product)) throw invalid('the shape is larger than 2^53 - 1 bytes', [...shape]);
  }
  // -0 would be pickled as a float, and no Python would load the file.
  return Object.freeze(Array.from(shape, (dim) => dim + 0));
}

/** The number of dimensions that every numpy version accepts; from numpy 2 on there may be 64. */
const COMMON_DIMS = 32;

/** @throws INVALID_ARGUMENT for more dimensions than every numpy version accepts */
export function checkDims({ length }: readonly number[]): void {
  if (length <= COMMON_DIMS) return;
  throw invalid(
    `not every numpy version supports more than ${COMMON_DIMS} dimensions, found ${length}`,
    length,
    COMMON_DIMS,
  );
}

/** @throws INVALID_ARGUMENT for anything but an order */
export function checkOrder(order: Order): void {
  if (order !== 'C' && order !== 'F') throw invalid("an order must be 'C' or 'F'", order, ['C', 'F']);
}

/** Beyond this, V8 stores lists as hash tables, and aborts the process if there is no room for one. */
const MOST_ITEMS = 2 ** 25;

/** A list that repeats one item. @throws LIMIT_EXCEEDED for more than 2^25 items */
export function repeated(item: unknown, count: number): unknown[] {
  if (count <= MOST_ITEMS) return new Array<unknown>(count).fill(item);
  throw new MmdError('LIMIT_EXCEEDED', `a list of ${count} values is longer than ${MOST_ITEMS}`, {
    found: count,
    limit: 'Array',
    maximum: MOST_ITEMS,
  });
}

/** The number of elements. */
export function sizeOf(shape: readonly number[]): number {
  let product = 1;
  for (const dim of shape) product *= dim;
  return product;
}

/** The byte strides of elements stored without gaps. */
export function packedStrides(shape: readonly number[], itemsize: number, order: Order): number[] {
  checkOrder(order);
  const strides = new Array<number>(shape.length);
  let stride = itemsize;
  for (let i = 0; i < shape.length; i += 1) {
    const axis = order === 'C' ? shape.length - 1 - i : i;
    strides[axis] = stride;
    stride *= Math.max(1, shape[axis] as number);
  }
  return strides;
}

/** Whether the elements are stored without gaps in `order`; strides of dimensions of 1 do not count, as in numpy. */
export function isPacked(
  shape: readonly number[],
  strides: readonly number[],
  itemsize: number,
  order: Order,
): boolean {
  if (shape.includes(0)) return true;
  let stride = itemsize;
  for (let i = 0; i < shape.length; i += 1) {
    const axis = order === 'C' ? shape.length - 1 - i : i;
    const dim = shape[axis] as number;
    if (dim === 1) continue;
    if (strides[axis] !== stride) return false;
    stride *= dim;
  }
  return true;
}

/** The bytes that elements touch, relative to the first element: `[low, high)`. */
export function extentOf(
  shape: readonly number[],
  strides: readonly number[],
  itemsize: number,
): { readonly low: number; readonly high: number } {
  if (shape.includes(0)) return { low: 0, high: 0 };
  let low = 0;
  let high = 0;
  for (const [axis, dim] of shape.entries()) {
    const reach = (dim - 1) * (strides[axis] as number);
    if (reach < 0) low += reach;
    else high += reach;
  }
  return { low, high: high + itemsize };
}

/**
 * The strides that broadcast an array to a larger shape, by numpy's rules.
 * @throws INVALID_ARGUMENT if the shapes are not compatible
 */
export function broadcastStrides(
  shape: readonly number[],
  strides: readonly number[],
  target: readonly number[],
): number[] {
  const extra = target.length - shape.length;
  // Leading dimensions of 1 are dropped, as numpy does in assignments.
  for (let axis = 0; axis < -extra; axis += 1) {
    if (shape[axis] !== 1) throw noBroadcast(shape, target);
  }
  return target.map((dim, axis) => {
    const own = axis - extra;
    const size = own < 0 ? 1 : (shape[own] as number);
    if (size === dim) return own < 0 ? 0 : (strides[own] as number);
    if (size !== 1) throw noBroadcast(shape, target);
    return 0;
  });
}

function noBroadcast(shape: readonly number[], target: readonly number[]): MmdError {
  return invalid(`shape [${shape.join(', ')}] cannot be broadcast to [${target.join(', ')}]`, [...shape], [...target]);
}

/** A shape and the strides of several operands, with neighbouring axes merged where every operand allows it. */
export interface Merged {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** Merges axes, so that loops over elements become few and long. The C order of elements is kept. */
export function mergeAxes(shape: readonly number[], operands: readonly (readonly number[])[]): Merged {
  const merged: number[] = [];
  const strides: number[][] = operands.map(() => []);
  for (const [axis, dim] of shape.entries()) {
    if (dim === 1) continue;
    const last = merged.length - 1;
    const joins =
      last >= 0 && operands.every((own, k) => (strides[k] as number[])[last] === (own[axis] as number) * dim);
    if (joins) merged[last] = (merged[last] as number) * dim;
    else merged.push(dim);
    for (const [k, own] of operands.entries()) (strides[k] as number[])[joins ? last : last + 1] = own[axis] as number;
  }
  return { shape: merged, strides };
}

/**
 * Calls `run` for every innermost run of elements, in C order of the shape: operand k's run starts at `positions[k]` and
 * has `count` elements, `steps[k]` apart (in the units of the operand's strides). `positions` is reused between calls.
 */
export function forEachRun(
  shape: readonly number[],
  operands: readonly { readonly position: number; readonly strides: readonly number[] }[],
  run: (positions: readonly number[], count: number, steps: readonly number[]) => void,
): void {
  if (shape.includes(0)) return;
  const merged = mergeAxes(
    shape,
    operands.map(({ strides }) => strides),
  );
  const inner = merged.shape.length - 1;
  const count = inner < 0 ? 1 : (merged.shape[inner] as number);
  const steps = merged.strides.map((own) => (inner < 0 ? 0 : (own[inner] as number)));
  const positions = operands.map(({ position }) => position);
  const counters = new Array<number>(Math.max(0, inner)).fill(0);
  for (;;) {
    run(positions, count, steps);
    let axis = inner - 1;
    for (; axis >= 0; axis -= 1) {
      const next = (counters[axis] as number) + 1;
      const wraps = next === merged.shape[axis];
      counters[axis] = wraps ? 0 : next;
      for (let k = 0; k < positions.length; k += 1) {
        const stride = (merged.strides[k] as number[])[axis] as number;
        positions[k] = (positions[k] as number) + (wraps ? stride * (1 - next) : stride);
      }
      if (!wraps) break;
    }
    if (axis < 0) return;
  }
}

/** Replaces one `-1` by the dimension that makes the sizes equal, and checks them. */
export function resolveReshape(from: readonly number[], to: readonly number[]): readonly number[] {
  if (!Array.isArray(to)) throw notAShape(to);
  const size = sizeOf(from);
  const unknown = to.indexOf(-1);
  const given = checkShape([...to].filter((_, axis) => axis !== unknown));
  const known = sizeOf(given);
  const shape = unknown < 0 ? given : checkShape(to.map((dim, axis) => (axis === unknown ? size / known : dim)));
  if (sizeOf(shape) !== size) {
    throw invalid(`${size} elements do not fit the shape [${to.join(', ')}]`, [...to], size);
  }
  return shape;
}

/** The strides of a view with another shape in C order; undefined if only a copy can have that shape. */
export function reshapeStrides(
  shape: readonly number[],
  strides: readonly number[],
  target: readonly number[],
  itemsize: number,
): number[] | undefined {
  if (sizeOf(shape) === 0) return packedStrides(target, itemsize, 'C');
  const merged = mergeAxes(shape, [strides]);
  const source = merged.strides[0] as readonly number[];
  const result = new Array<number>(target.length).fill(itemsize);
  // Each merged axis must be cut into whole target axes, from the last to the first.
  let axis = target.length - 1;
  for (let own = merged.shape.length - 1; own >= 0; own -= 1) {
    let rest = merged.shape[own] as number;
    let stride = source[own] as number;
    while (rest > 1) {
      const dim = target[axis];
      if (dim === undefined || rest % dim !== 0) return undefined;
      result[axis] = stride;
      stride *= dim;
      rest /= dim;
      axis -= 1;
    }
  }
  return result;
}
