/**
 * Arrays from JavaScript values: typed arrays, buffers, nested lists, single elements.
 *
 * @module
 */

import { viewBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { isBytes, typedArrayName } from './array-source.ts';
import { Complex } from './complex.ts';
import { parseDType } from './descr.ts';
import { DTYPES, type DType, type TypedArray } from './dtypes.ts';
import { NATIVE_ORDER } from './element-store.ts';
import { countCodePoints } from './element-values.ts';
import { type Layout, layoutOver } from './layout.ts';
import { memoryOver } from './memory-over.ts';
import { checkShape, invalid, MAX_DIMS, sizeOf } from './shapes.ts';
import { zeroLayout } from './transfer.ts';

/** The type of a typed array's elements; undefined for anything that is not a (known) typed array. */
export function typeOfTypedArray(value: unknown): DType | undefined {
  const code = CODES.get(typedArrayName(value)!);
  return code === undefined ? undefined : parseDType(code);
}

/** Typestrs by the class names of typed arrays. */
const CODES: ReadonlyMap<string, string> = new Map([
  ['Uint8ClampedArray', 'u1'],
  // Not available on every runtime, so no row of the table can have it.
  ['Float16Array', `${NATIVE_ORDER}f2`],
  ...DTYPES.filter(({ array, kind }) => array !== undefined && 'iuf'.includes(kind)).map(
    ({ array, ordered, code }): [string, string] => [array!.name, ordered ? NATIVE_ORDER + code : code],
  ),
]);

/**
 * The argument of `set(from)` as an array; undefined for a single element. A Uint8Array is one element for types whose
 * elements are bytes.
 */
export function nestedLayout(value: unknown, type: DType, target: readonly number[]): Layout | undefined {
  const rawElements = typeof type.spec !== 'string' || 'SV'.includes(type.kind) || type.itemsize > 8;
  const typed = rawElements && isBytes(value) ? undefined : typeOfTypedArray(value);
  if (typed !== undefined) {
    const view = value as TypedArray;
    const shape = view.length === sizeOf(target) ? target : [view.length];
    return layoutOver({ memory: memoryOver(viewBytes(view), false), dtype: typed, shape });
  }
  if (!Array.isArray(value)) return undefined;
  return layoutOfNested(value, type, mostAxes(type, target));
}

/** One axis too many is enough to fail the check of a shape; a list may contain itself. */
const TOO_MANY_AXES = MAX_DIMS + 1;

/** How many levels of lists may be axes when stored into `target`; as in numpy, deeper lists are objects themselves. */
export const mostAxes = (type: DType, target: readonly number[]): number =>
  type.hasObject ? target.length : TOO_MANY_AXES;

/** The shape of nested lists. As in numpy, tuples (frozen lists) are elements of structured types, not axes. */
function shapeOfNested(value: unknown, type: DType, most: number): number[] {
  const shape: number[] = [];
  for (let level = value; isAxis(level, type) && shape.length < most; level = level[0]) shape.push(level.length);
  return shape;
}

/** Whether a value is a list of elements or of lists, not an element itself. */
export const isAxis = (level: unknown, type: DType): level is readonly unknown[] =>
  Array.isArray(level) && !(type.fields !== undefined && Object.isFrozen(level));

/** Copies nested lists into memory. @throws INVALID_ARGUMENT for ragged lists, UNSUPPORTED_VALUE */
export function layoutOfNested(value: unknown, type: DType, most: number = TOO_MANY_AXES): Layout {
  const shape = checkShape(shapeOfNested(value, type, most));
  const layout = zeroLayout(type, shape);
  const { store, elementStrides } = layout;
  const level = (item: unknown, axis: number, at: number): void => {
    if (axis === shape.length) {
      store.set(at, item);
      return;
    }
    const length = shape[axis] as number;
    if (!Array.isArray(item) || item.length !== length) {
      throw invalid(`nested lists are ragged: expected ${length} items along axis ${axis}`, item, length);
    }
    const step = elementStrides[axis] as number;
    for (let i = 0; i < length; i += 1) level(item[i], axis + 1, at + i * step);
  };
  level(value, 0, 0);
  return layout;
}

/**
 * The type numpy would choose for nested lists: bool, int64 (for bigints; never for numbers here), float64,
 * complex128, or the shortest U or S.
 * @throws UNSUPPORTED_VALUE for mixed or other elements
 */
export function inferType(value: unknown): DType {
  const found = new Set<string>();
  let longest = 0;
  const visit = (item: unknown, depth: number): void => {
    if (depth > MAX_DIMS) throw invalid(`lists nested more than ${MAX_DIMS} levels deep`, depth, MAX_DIMS);
    if (Array.isArray(item)) {
      for (const each of item) visit(each, depth + 1);
    } else if (item instanceof Complex) found.add('complex');
    else if (isBytes(item)) {
      found.add('bytes');
      longest = Math.max(longest, item.length);
    } else {
      found.add(typeof item);
      if (typeof item === 'string') longest = Math.max(longest, countCodePoints(item));
    }
  };
  visit(value, 0);
  const only = (...kinds: string[]): boolean => [...found].every((kind) => kinds.includes(kind));
  if (only('number')) return parseDType('float64');
  if (only('boolean')) return parseDType('bool');
  if (only('bigint')) return parseDType('int64');
  if (only('number', 'complex')) return parseDType('complex128');
  if (only('string')) return parseDType(`<U${longest}`);
  if (only('bytes')) return parseDType(`|S${longest}`);
  throw new MmdError('UNSUPPORTED_VALUE', `no single dtype holds ${[...found].join(' and ')}; pass a dtype`, {
    found: [...found],
  });
}
