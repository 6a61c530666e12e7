/**
 * Reads and prints numpy's type descriptions: `'<f8'`, `'datetime64[ns]'`, lists of fields, the dict form,
 * and the text of `str(dtype)` for all of these. A fixed grammar; nothing is evaluated.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { commaSpec, isCommaText } from './comma-text.ts';
import {
  type Descr,
  type DescrField,
  DTYPES,
  type DType,
  type DTypeField,
  type DTypeLike,
  type DTypeRow,
  type DTypeSpec,
  type DTypeSpecDict,
  type DTypeSpecField,
  type DTypeSpecSubarray,
} from './dtypes.ts';
import { asLists, type PythonLiteral, parsePythonLiteral, printPythonLiteral } from './python-literal.ts';
import { unitOf } from './unit-text.ts';

/** What a type in dict form says. */
const DICT_PARTS: readonly string[] = ['names', 'formats', 'offsets', 'titles', 'itemsize', 'aligned'];

/** What {@link DTYPE_LIMITS} limits. */
export interface DTypeLimits {
  /** Characters of the text of a structured type. */
  readonly maxTextLength: number;
  /** Types within types. */
  readonly maxDepth: number;
  /** Fields of a type, nested ones included. */
  readonly maxFields: number;
  /** Bytes of one element. */
  readonly maxItemsize: number;
  /** Dimensions of a sub-array field. */
  readonly maxSubarrayDims: number;
}

/** Budgets for types from files. numpy itself ends an element at 2^31 - 1 bytes and a shape at 32 dimensions. */
export const DTYPE_LIMITS: DTypeLimits = {
  maxTextLength: 1_000_000,
  maxDepth: 32,
  maxFields: 16_384,
  maxItemsize: 2 ** 31 - 1,
  maxSubarrayDims: 32,
};

const ROWS_BY_NAME: ReadonlyMap<string, DTypeRow> = new Map(
  DTYPES.flatMap((row) => [row.name, row.code, ...row.aliases].map((name): [string, DTypeRow] => [name, row])),
);

const unsupported = (message: string, found: unknown): MmdError =>
  new MmdError('UNSUPPORTED_DTYPE', `dtype: ${message}`, { found });

const overLimit = (limit: keyof DTypeLimits, found: number): MmdError =>
  new MmdError('LIMIT_EXCEEDED', `dtype: ${limit} is ${DTYPE_LIMITS[limit]}, found ${found}`, {
    limit,
    maximum: DTYPE_LIMITS[limit],
    found,
  });

/**
 * Makes a type from numpy's names and codes, from all that numpy itself prints and writes, and from text with commas (`'i4, 3f8'`) and
 * repeats (`'(2,3)f4'`). In lists of fields a nameless void field is padding, as in
 * `dtype.descr` and npy files; other nameless fields are called `f0`, `f1`, ... by their position. As in numpy, what is
 * described within an aligned type is aligned too, but for types, and for `['V8', spec]`; text is read as `str(dtype)` prints it, where
 * nothing is aligned that does not say so.
 *
 * @param spec - text such as `'float64'`, `'<f8'`, `'S5'`, `'M8[25us]'` or `"[('a', '<i4')]"`; a descr list; the dict form; a type, also
 *   one that another copy of this package made, or that was posted from another thread
 * @throws UNSUPPORTED_DTYPE for what numpy does not know; LIMIT_EXCEEDED for what passes {@link DTYPE_LIMITS}
 *
 * @example
 * ```ts
 * import { parseDType } from '@mmdpickle/core/ndarray';
 *
 * parseDType('>M8[25us]').unit; // { base: 'us', count: 25 }
 * parseDType([['x', '<f4'], ['n', '<u2', [3]]]).itemsize; // 10
 * ```
 */
export function parseDType(spec: DTypeLike): DType {
  const known = typeof spec === 'string' ? SCALARS.get(spec) : isDType(spec) ? spec : undefined;
  return known ?? new Parser().parse(spec, 0);
}

/** Marks the types made here, so that nothing is taken for one because of how it looks. */
const MADE: unique symbol = Symbol('dtype');

/** What a type holds in all: types are made of types, and shared ones count as often as they occur. */
interface Weight {
  readonly fields: number;
  readonly depth: number;
  /** Characters of names and titles. */
  readonly characters: number;
}

const SCALAR_WEIGHT: Weight = Object.freeze({ fields: 0, depth: 0, characters: 0 });

const weightOf = (type: DType): Weight => (type as unknown as { readonly [MADE]: Weight })[MADE];

/** The weight of a structured type, within the budgets. */
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
 * Tells a type that {@link parseDType} made; what only looks like one is none.
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
 * Tells whether two types describe the same bytes: fields, names, titles, offsets and byte order.
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

class Parser {
  #fields = 0;
  /** Within text, which numpy prints with each type's own alignment. */
  #printed = false;

  /** @param align - within an aligned type */
  parse(spec: unknown, depth: number, align = false): DType {
    if (depth > DTYPE_LIMITS.maxDepth) throw overLimit('maxDepth', depth);
    if (typeof spec === 'string') return this.#text(spec, depth, align);
    if (isDType(spec)) return spec;
    if (Array.isArray(spec)) {
      if (isSubarraySpec(spec)) return subarrayOf(this.parse(spec[0], depth + 1, align), spec[1]);
      return typeof spec[0] === 'string' && spec.length === 2
        ? this.#void(spec[0], spec[1], depth)
        : this.#list(spec, depth, align);
    }
    if (typeof spec === 'object' && spec !== null) return this.#dict(spec, depth, align);
    throw unsupported(`expected text, a list of fields or a dict, found ${typeof spec}`, spec);
  }

  #text(text: string, depth: number, align: boolean): DType {
    // Behind a parenthesis stands a type in tuples that numpy prints, and a number in text such as '(2,3)f4'.
    if (!/^\s*(?:[[{]|\(\s*['"[({])/.test(text)) {
      if (text.length > DTYPE_LIMITS.maxTextLength) throw overLimit('maxTextLength', text.length);
      return isCommaText(text) ? this.parse(commaSpec(text, isUnsized), depth + 1, align) : parseScalar(text);
    }
    const limits = { name: 'dtype', maxLength: DTYPE_LIMITS.maxTextLength, maxDepth: DTYPE_LIMITS.maxDepth * 2 + 2 };
    let literal: PythonLiteral;
    try {
      literal = parsePythonLiteral(text, limits);
    } catch (cause) {
      if (cause instanceof MmdError && cause.code === 'LIMIT_EXCEEDED') throw cause;
      throw new MmdError('UNSUPPORTED_DTYPE', `dtype: not a description: ${text.slice(0, 80)}`, { found: text, cause });
    }
    this.#printed = true;
    return this.parse(asLists(literal), depth + 1);
  }

  /** Fields over void bytes: numpy aligns nothing in there. */
  #void(bytes: string, spec: unknown, depth: number): DType {
    const [outer, type] = [parseScalar(bytes), this.parse(spec, depth + 1)];
    if (outer.kind !== 'V' || type.fields === undefined || type.itemsize !== outer.itemsize || type.alignment > 1) {
      throw unsupported(`no fields lie over ${outer.name} like this`, spec);
    }
    return type;
  }

  #countField(): void {
    this.#fields += 1;
    if (this.#fields > DTYPE_LIMITS.maxFields) throw overLimit('maxFields', this.#fields);
  }

  #list(items: readonly unknown[], depth: number, align: boolean): DType {
    const fields: DTypeField[] = [];
    let offset = 0;
    let alignment = 1;
    for (const [index, item] of items.entries()) {
      this.#countField();
      if (!Array.isArray(item) || item.length < 2 || item.length > 3) {
        throw unsupported('a field must be (name, type) or (name, type, shape)', item);
      }
      const { name, title } = parseName(item[0]);
      let dtype = this.parse(item[1], depth + 1, align);
      if (item.length === 3) dtype = subarrayOf(dtype, item[2]);
      if (align) {
        offset = Math.ceil(offset / dtype.alignment) * dtype.alignment;
        alignment = Math.max(alignment, dtype.alignment);
      }
      const padding = name === '' && dtype.kind === 'V' && dtype.fields === undefined && dtype.shape === undefined;
      if (!padding) fields.push(makeField(name === '' ? `f${index}` : name, title, dtype, offset));
      offset += dtype.itemsize;
    }
    return makeStruct(fields, Math.ceil(offset / alignment) * alignment, align);
  }

  #dict(dict: object, depth: number, align: boolean): DType {
    const part = (key: string): unknown =>
      dict instanceof Map ? dict.get(key) : (dict as { [key: string]: unknown })[key];
    const names = part('names');
    const formats = part('formats');
    // numpy passes over what it does not know. A file may have it; a program that says 'offset' means 'offsets'.
    const strange =
      dict instanceof Map || names === undefined ? [] : Object.keys(dict).filter((key) => !DICT_PARTS.includes(key));
    if (strange.length > 0)
      throw unsupported(`a dict has no part '${strange[0]}'; expected ${DICT_PARTS.join(', ')}`, dict);
    // A type that another copy of this package made, or that came from another thread.
    if (names === undefined && formats === undefined && 'spec' in dict) return this.parse(dict.spec, depth + 1);
    if (!Array.isArray(names) || !Array.isArray(formats) || names.length !== formats.length) {
      throw unsupported("the dict form needs 'names' and 'formats' of one length", dict);
    }
    const offsets = optionalList(part('offsets'), names.length, 'offsets');
    const titles = optionalList(part('titles'), names.length, 'titles');
    const flag = part('aligned') ?? false;
    if (typeof flag !== 'boolean') throw unsupported("'aligned' must be True or False", flag);
    const aligned = flag || align;
    const fields: DTypeField[] = [];
    let end = 0;
    let alignment = 1;
    for (const [index, name] of names.entries()) {
      this.#countField();
      if (typeof name !== 'string') throw unsupported('a field name must be a string', name);
      const dtype = this.parse(formats[index], depth + 1, aligned && !this.#printed);
      alignment = Math.max(alignment, dtype.alignment);
      const packed = aligned ? Math.ceil(end / dtype.alignment) * dtype.alignment : end;
      const offset = offsets === undefined ? packed : count(offsets[index], 'an offset');
      if (aligned && offset % dtype.alignment !== 0) throw unsupported('an offset of an aligned type is not', offset);
      const title = titles?.[index] ?? undefined;
      if (title !== undefined && typeof title !== 'string') throw unsupported('a title must be a string', title);
      fields.push(makeField(name, title, dtype, offset));
      end = Math.max(end, offset + dtype.itemsize);
    }
    const least = aligned ? Math.ceil(end / alignment) * alignment : end;
    const wanted = part('itemsize') ?? undefined;
    const itemsize = wanted === undefined ? least : count(wanted, 'an itemsize');
    if (itemsize < end) throw unsupported(`itemsize ${itemsize} is less than the ${end} bytes of the fields`, itemsize);
    if (aligned && itemsize % alignment !== 0) throw unsupported('the itemsize of an aligned type is not', itemsize);
    return makeStruct(fields, itemsize, aligned);
  }
}

function isSubarraySpec(spec: readonly unknown[]): spec is readonly [unknown, unknown] {
  if (spec.length !== 2) return false;
  const shape = spec[1];
  // A field starts with a name, so a list of numbers (or none) is never one.
  return typeof shape === 'number' || (Array.isArray(shape) && shape.every((dim) => typeof dim === 'number'));
}

function optionalList(value: unknown, length: number, what: string): readonly unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length !== length) throw unsupported(`'${what}' must have one item a name`, value);
  return value;
}

function count(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw unsupported(`${what} must be a non-negative integer`, value);
  }
  if (value > DTYPE_LIMITS.maxItemsize) throw overLimit('maxItemsize', value);
  // -0 would be pickled as a float, which is no dimension to numpy.
  return value + 0;
}

function parseName(value: unknown): { name: string; title: string | undefined } {
  if (typeof value === 'string') return { name: value, title: undefined };
  if (Array.isArray(value) && value.length === 2) {
    const [title, name] = value as [unknown, unknown];
    if (typeof title === 'string' && typeof name === 'string') return { name, title };
  }
  throw unsupported('a field name must be a string or (title, name)', value);
}

function makeField(name: string, title: string | undefined, dtype: DType, offset: number): DTypeField {
  return Object.freeze(title === undefined ? { name, dtype, offset } : { name, title, dtype, offset });
}

/** As C reads a number behind a letter: `'i04'`, `'S 4'`, `'f+8'`. */
const LOOSE_SIZE = /^([<>=|]?[A-Za-z])[ \t\n\v\f\r]*\+?0*([0-9]+)$/;

const SCALAR = /^([<>=|]?)([A-Za-z?_][A-Za-z_]*[A-Za-z0-9_]*?)([0-9]*)(?:\[([^\]]*)\])?$/;

/**
 * Types by the text that named them. A cache, not a state: types are frozen, and a call gives the same with and
 * without it. Parsing one took 3 us, a third of the time of getting or setting a small array.
 */
const SCALARS = new Map<string, DType>();
const MAX_SCALARS = 512;

function parseScalar(text: string): DType {
  const known = SCALARS.get(text);
  if (known !== undefined) return known;
  const type = parseScalarText(text);
  if (SCALARS.size < MAX_SCALARS) SCALARS.set(text, type);
  return type;
}

/** Names of other libraries and languages (f64, Float32, np.float32) come often. */
function unknownType(text: string): MmdError {
  return unsupported(
    `unknown type ${JSON.stringify(text.slice(0, 80))}; types have numpy's names and codes, such as 'float32', 'uint16', '<f4' (sizes are bytes)`,
    text,
  );
}

function parseScalarText(text: string): DType {
  const match = text.length <= 200 ? SCALAR.exec(text.replace(LOOSE_SIZE, '$1$2')) : null;
  if (match === null) throw unknownType(text);
  const [, prefix = '', stem = '', digits = '', meta] = match;
  const bad = (): MmdError => unknownType(text);
  if (meta === undefined && (stem === 'a' || (stem === 'c' && digits === ''))) {
    return parseScalar(stem === 'c' ? `${prefix}S1` : `${prefix}S${digits}`);
  }
  const row = ROWS_BY_NAME.get(stem + digits) ?? ROWS_BY_NAME.get(stem);
  if (row === undefined) throw bad();
  const time = row.kind === 'M' || row.kind === 'm';
  const isCode = row.code === stem + digits || (stem.length === 1 && ROWS_BY_NAME.has(stem)) || time;
  if (prefix !== '' && !isCode) throw bad();
  let itemsize = row.itemsize;
  if (row.flexible === true) {
    if (digits !== '' && stem !== row.code && !ROWS_BY_NAME.has(stem + digits)) throw bad();
    const length = stem === row.code && digits !== '' ? Number(digits) : 0;
    itemsize *= length;
    if (itemsize > DTYPE_LIMITS.maxItemsize) throw overLimit('maxItemsize', itemsize);
  } else if (!ROWS_BY_NAME.has(stem + digits)) throw bad();
  const unit = meta === undefined ? undefined : parseUnit(row, stem + digits, meta, bad);
  return makeScalar(row, itemsize, row.ordered ? (prefix === '>' ? '>' : '<') : '|', unit);
}

function parseUnit(row: DTypeRow, given: string, meta: string, bad: () => MmdError): DType['unit'] {
  // The letter alone, numpy knows only without a unit.
  if ((row.kind !== 'M' && row.kind !== 'm') || row.kind === given) throw bad();
  if (meta === 'generic') return undefined;
  const unit = unitOf(meta);
  if (unit === undefined) throw bad();
  return unit;
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

function makeScalar(row: DTypeRow, itemsize: number, byteorder: DType['byteorder'], unit: DType['unit']): DType {
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

/** How a sub-array type was made: of which type, which may be a sub-array itself, and of which shape. */
const PARTS: unique symbol = Symbol('sub-array');

interface SubarrayParts {
  readonly item: DType;
  readonly dims: readonly number[];
}

const partsOf = (type: DType): SubarrayParts | undefined =>
  (type as unknown as { readonly [PARTS]?: SubarrayParts })[PARTS];

/** Tells a sub-array whose items are sub-arrays; its `shape` is that of both. */
export const isSubarrayOfSubarrays = (type: DType): boolean => partsOf(type)?.item.shape !== undefined;

/** Text and bytes of no length, which the number behind them gives one. */
const isUnsizedType = ({ kind, itemsize, fields, shape }: DType): boolean =>
  itemsize === 0 && 'SUV'.includes(kind) && fields === undefined && shape === undefined;

const isUnsized = (text: string): boolean => isUnsizedType(parseScalar(text));

function subarrayOf(base: DType, shape: unknown): DType {
  if (typeof shape === 'number' && isUnsizedType(base)) {
    return parseScalar(`${base.byteorder}${base.char}${count(shape, 'a length')}`);
  }
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

function makeStruct(fields: readonly DTypeField[], itemsize: number, aligned: boolean): DType {
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

const nameOf = ({ name, title }: DTypeField): string | [string, string] => (title === undefined ? name : [title, name]);

function specList(fields: readonly DTypeField[]): DTypeSpec {
  return fields.map((field): DTypeSpecField => {
    const { spec } = field.dtype;
    return field.dtype.shape === undefined ? [nameOf(field), spec] : [nameOf(field), ...(spec as DTypeSpecSubarray)];
  });
}

function specDict(fields: readonly DTypeField[], itemsize: number, aligned: boolean): DTypeSpec {
  const dict = makeSpecDict(fields, itemsize, aligned);
  // Without fields numpy 1 gives an aligned type the alignment 0, and divides by it where the type stands in another.
  return aligned && fields.length === 0 ? [`|V${itemsize}`, dict] : dict;
}

/** The spec of a type within an aligned one. */
function specInAligned(type: DType): DTypeSpec {
  const { spec, fields, itemsize, alignedStruct } = type;
  const parts = partsOf(type);
  if (parts !== undefined) return [specInAligned(parts.item), [...parts.dims]];
  if (fields === undefined || alignedStruct === true) return spec;
  // An empty list in second place would be a shape.
  return [`|V${itemsize}`, fields.length === 0 ? makeSpecDict(fields, itemsize, false) : (spec as DTypeSpecField[])];
}

function makeSpecDict(fields: readonly DTypeField[], itemsize: number, aligned: boolean): DTypeSpecDict {
  return Object.freeze({
    names: fields.map(({ name }) => name),
    formats: fields.map(({ dtype }) => (aligned ? specInAligned(dtype) : dtype.spec)),
    offsets: fields.map(({ offset }) => offset),
    ...(fields.some(({ title }) => title !== undefined) ? { titles: fields.map(({ title }) => title ?? null) } : {}),
    itemsize,
    ...(aligned ? { aligned } : {}),
  });
}

function descrList(fields: readonly DTypeField[], itemsize: number): Descr {
  const list: DescrField[] = [];
  let end = 0;
  for (const field of fields) {
    const { offset, dtype } = field;
    if (offset < end) {
      throw unsupported(
        'overlapping or out-of-order fields have no descr; use spec',
        printDict(fields, itemsize, false),
      );
    }
    if (offset > end) list.push(['', `|V${offset - end}`]);
    const { base, shape } = dtype;
    list.push(
      base === undefined || shape === undefined
        ? [nameOf(field), dtype.descr]
        : [nameOf(field), base.descr, [...shape]],
    );
    end = offset + dtype.itemsize;
  }
  if (itemsize > end) list.push(['', `|V${itemsize - end}`]);
  return list;
}

/** As numpy prints a type within another: `'<f8'`, `'i1'`, `'?'`, `'S5'`. */
function printShort(type: DType): string {
  if (type.fields !== undefined || type.base !== undefined) return type.name;
  if (type.kind === 'b') return "'?'";
  const typestr = type.spec as string;
  const text = typestr.startsWith('|') ? typestr.slice(1) : typestr;
  return `'${type.itemsize === 0 ? text.slice(0, -1) : text}'`;
}

const printShape = (shape: readonly number[]): string => `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;

function printList(fields: readonly DTypeField[]): string {
  const items = fields.map(({ name, title, dtype }) => {
    const shown = printPythonLiteral(name);
    const label = title === undefined ? shown : `(${printPythonLiteral(title)}, ${shown})`;
    const parts = partsOf(dtype);
    const format = parts === undefined ? printShort(dtype) : `${printShort(parts.item)}, ${printShape(parts.dims)}`;
    return `(${label}, ${format})`;
  });
  return `[${items.join(', ')}]`;
}

function printDict(fields: readonly DTypeField[], itemsize: number, aligned: boolean): string {
  const list = (items: readonly string[]): string => `[${items.join(', ')}]`;
  const titles = fields.some(({ title }) => title !== undefined)
    ? `, 'titles': ${list(fields.map(({ title }) => (title === undefined ? 'None' : printPythonLiteral(title))))}`
    : '';
  return (
    `{'names': ${list(fields.map(({ name }) => printPythonLiteral(name)))}` +
    `, 'formats': ${list(fields.map(({ dtype }) => printShort(dtype)))}` +
    `, 'offsets': ${list(fields.map(({ offset }) => String(offset)))}${titles}` +
    `, 'itemsize': ${itemsize}${aligned ? ", 'aligned': True" : ''}}`
  );
}
