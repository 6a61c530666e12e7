/**
 * Makes types from other types or from rows of `DTYPES`, within the limits, and recognizes the types made here.
 *
 * @module
 */

import { count, DTYPE_LIMITS, overLimit, unsupported } from './dtype-limits.ts';
import { descrList, printDict, printList, printShape, printShort, specDict, specList } from './dtype-text.ts';
import type { Descr, DType, DTypeField, DTypeRow } from './dtypes.ts';
import { PARTS, type SubarrayParts } from './subarray-parts.ts';

/** Marks the types made here, so that no object is taken for one because it looks like one. */
const MADE: unique symbol = Symbol('dtype');

/** Totals over a type and all types within it; shared types count as often as they occur. */
interface Weight {
  readonly fields: number;
  readonly depth: number;
  /** Characters of names and titles. */
  readonly characters: number;
}

const SCALAR_WEIGHT: Weight = Object.freeze({ fields: 0, depth: 0, characters: 0 });

const weightOf = (type: DType): Weight => (type as unknown as { readonly [MADE]: Weight })[MADE];

/** The weight of a structured type, checked against the limits. */
function structWeight(fields: readonly DTypeField[]): Weight {
  let [total, depth, characters] = [0, 0, 0];
  for (const { name, title, dtype } of fields) {
    const within = weightOf(dtype);
    total += 1 + within.fields;
    depth = Math.max(depth, within.depth);
    characters += name.length + (title?.length ?? 0) + within.characters;
  }
  if (total > DTYPE_LIMITS.maxFields) throw overLimit('maxFields', total);
  if (depth >= DTYPE_LIMITS.maxDepth) throw overLimit('maxDepth', depth + 1);
  if (characters > DTYPE_LIMITS.maxTextLength) throw overLimit('maxTextLength', characters);
  return { fields: total, depth: depth + 1, characters };
}

/**
 * Whether a value is a type that {@link parseDType} made; an object that only looks like one is not.
 *
 * @example
 * ```ts
 * import { isDType, parseDType } from '@mmdpickle/core/ndarray';
 *
 * isDType(parseDType('f8')); // true
 * isDType({ name: 'float64', kind: 'f' }); // false
 * ```
 */
export function isDType(value: unknown): value is DType {
  return typeof value === 'object' && value !== null && MADE in value;
}

/**
 * Whether two types describe the same bytes: fields, names, titles, offsets and byte order.
 *
 * @example
 * ```ts
 * import { parseDType, sameDType } from '@mmdpickle/core/ndarray';
 *
 * sameDType(parseDType('int'), parseDType('<i8')); // true
 * sameDType(parseDType('<f8'), parseDType('>f8')); // false
 * ```
 */
export function sameDType(a: DType, b: DType): boolean {
  return a === b || JSON.stringify(a.spec) === JSON.stringify(b.spec);
}

function finish(
  parts: Omit<DType, 'descr'>,
  descr: () => Descr,
  weight: Weight = SCALAR_WEIGHT,
  subarray?: SubarrayParts,
): DType {
  // The key order is what people see when they print a type.
  const { name, ...rest } = parts;
  const type = Object.defineProperty({ name, ...rest } as DType, 'descr', { get: descr, enumerable: false });
  if (subarray !== undefined) Object.defineProperty(type, PARTS, { value: subarray });
  return Object.freeze(Object.defineProperty(type, MADE, { value: weight }));
}

/** Makes a type from a row. @param itemsize - any for a flexible row; else the row's */
export function makeScalar(row: DTypeRow, itemsize: number, byteorder: DType['byteorder'], unit: DType['unit']): DType {
  const brackets = unit === undefined ? '' : `[${unit.count === 1 ? '' : unit.count}${unit.base}]`;
  const length = row.flexible === true ? String(itemsize / row.itemsize) : '';
  const typestr = `${byteorder}${row.code}${length}${brackets}`;
  const native = byteorder !== '>' && row.flexible !== true;
  return finish(
    {
      name: native ? row.name + brackets : typestr,
      kind: row.kind,
      char: row.char,
      itemsize,
      byteorder,
      alignment: row.alignment,
      spec: typestr,
      hasObject: row.kind === 'O',
      ...(unit === undefined ? {} : { unit }),
    },
    () => typestr,
  );
}

/** Makes a field, frozen like types. */
export function makeField(name: string, title: string | undefined, dtype: DType, offset: number): DTypeField {
  return Object.freeze(title === undefined ? { name, dtype, offset } : { name, title, dtype, offset });
}

/** Makes a sub-array type; without dimensions that is the base type itself. @throws UNSUPPORTED_DTYPE, LIMIT_EXCEEDED */
export function subarrayOf(base: DType, shape: unknown): DType {
  const given = typeof shape === 'number' ? [shape] : shape;
  if (!Array.isArray(given)) throw unsupported('the shape of a sub-array must be an integer or a tuple', shape);
  const own = Array.from(given, (dim) => count(dim, 'a dimension'));
  const dims = [...own, ...(base.shape ?? [])];
  if (dims.length > DTYPE_LIMITS.maxSubarrayDims) throw overLimit('maxSubarrayDims', dims.length);
  if (base.itemsize === 0 && base.fields === undefined) {
    throw unsupported(`numpy has no sub-arrays of ${base.name}`, shape);
  }
  if (own.length === 0) return base;
  const element = base.base ?? base;
  const itemsize = dims.reduce((product, dim) => product * dim, element.itemsize);
  if (itemsize > DTYPE_LIMITS.maxItemsize) throw overLimit('maxItemsize', itemsize);
  return finish(
    {
      name: `(${printShort(base)}, ${printShape(own)})`,
      kind: 'V',
      char: 'V',
      itemsize,
      byteorder: '|',
      alignment: element.alignment,
      spec: [base.spec, own],
      base: element,
      shape: Object.freeze(dims),
      hasObject: element.hasObject,
    },
    () => `|V${itemsize}`,
    weightOf(element),
    { item: base, dims: own },
  );
}

/** Makes a structured type. @throws UNSUPPORTED_DTYPE if two fields share a name or title; LIMIT_EXCEEDED */
export function makeStruct(fields: readonly DTypeField[], itemsize: number, aligned: boolean): DType {
  if (itemsize > DTYPE_LIMITS.maxItemsize) throw overLimit('maxItemsize', itemsize);
  const weight = structWeight(fields);
  const taken = new Set<string>();
  for (const { name, title } of fields) {
    if (taken.has(name) || (title !== undefined && taken.has(title)) || title === name) {
      throw unsupported(`field ${JSON.stringify(name)} occurs more than once`, name);
    }
    taken.add(name);
    if (title !== undefined) taken.add(title);
  }
  Object.freeze(fields);
  const alignment = aligned ? fields.reduce((most, { dtype }) => Math.max(most, dtype.alignment), 1) : 1;
  const packed = isPacked(fields, itemsize) && fields.every(({ name }) => name !== '');
  return finish(
    {
      name: packed && !aligned ? printList(fields) : printDict(fields, itemsize, aligned),
      kind: 'V',
      char: 'V',
      itemsize,
      byteorder: '|',
      alignment,
      spec: packed && !aligned ? specList(fields) : specDict(fields, itemsize, aligned),
      fields,
      hasObject: fields.some(({ dtype }) => dtype.hasObject),
      ...(aligned ? { alignedStruct: true as const } : {}),
    },
    () => descrList(fields, itemsize),
    weight,
  );
}

function isPacked(fields: readonly DTypeField[], itemsize: number): boolean {
  let end = 0;
  for (const { offset, dtype } of fields) {
    if (offset !== end) return false;
    end += dtype.itemsize;
  }
  return end === itemsize;
}
