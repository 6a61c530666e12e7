/**
 * numpy's dtype objects: from the arguments and states that pickles hold, and back.
 *
 * @module
 */

import { decodeLatin1 } from '../../bytes/utf8.ts';
import { parseDType } from '../../ndarray/descr.ts';
import { DTYPES, type DType, type DTypeSpec } from '../../ndarray/dtypes.ts';
import { isDType } from '../../ndarray/make-dtype.ts';
import { type ReadContext, type Reconstruct, type Reduction, Unfinished } from '../builtin.ts';
import { PyDict } from '../values/dict.ts';
import { RecordType } from '../values/numpy.ts';
import { OpaqueGlobal } from '../values/opaque.ts';
import { Tuple } from '../values/tuple.ts';
import { attempt, bytesOf, reduceCall } from './row.ts';

/** Maximum nesting of dtypes: it bounds the recursion, and numpy's own descriptions are far below it. */
const MAX_DEPTH = 40;

const isRecord = (value: unknown): boolean =>
  value instanceof OpaqueGlobal && value.module === 'numpy' && value.name === 'record';

/** The numbers of a shape: a tuple of ints, or one int. */
export function shapeOf(value: unknown): readonly number[] | undefined {
  const dims = typeof value === 'number' ? [value] : value;
  if (!(typeof value === 'number' || value instanceof Tuple)) return undefined;
  const ok = (dims as readonly unknown[]).every((dim) => Number.isSafeInteger(dim) && (dim as number) >= 0);
  return ok ? (dims as readonly number[]) : undefined;
}

/** Units of the budget `work` for reading a field, or four characters of the text that describes one. */
const FIELD = 256;
const CHARACTER: number = FIELD / 4;

/** Counts the items of a value that many dtypes may share. */
function countItems(value: unknown, context: ReadContext): void {
  if (Array.isArray(value)) context.work(FIELD * value.length);
}

/**
 * The spec that Python values describe, such as a list of field tuples; undefined for anything else. It is counted as
 * it is walked: lists that each hold the previous one twice expand to 2^depth lists.
 */
function specOf(value: unknown, context: ReadContext, depth = 0): DTypeSpec | DType | undefined {
  if (typeof value === 'string') {
    context.work(CHARACTER * value.length);
    return value;
  }
  if (isDType(value)) return value;
  if (depth > MAX_DEPTH) return undefined;
  countItems(value, context);
  // Within another dtype records would lose their class: such a dtype stays opaque.
  if (value instanceof RecordType) return depth === 0 ? value.dtype : undefined;
  if (value instanceof Tuple) {
    if (value.length !== 2) return undefined;
    const [base, second] = value;
    countItems(second, context);
    const shape = shapeOf(second);
    // Fields over void bytes, or a sub-array. Only one of the two is walked: tuples may be shared at every level.
    if (shape === undefined) return typeof base === 'string' ? voidSpec(base, second, context, depth) : undefined;
    const spec = specOf(base, context, depth + 1);
    return spec === undefined ? undefined : ([spec, [...shape]] as unknown as DTypeSpec);
  }
  if (Array.isArray(value)) return listSpec(value, context, depth);
  return value instanceof PyDict ? dictSpec(value, context, depth) : undefined;
}

function voidSpec(bytes: string, fields: unknown, context: ReadContext, depth: number): DTypeSpec | undefined {
  const spec = specOf(fields, context, depth + 1);
  // An empty list would be taken for a shape.
  const empty = Array.isArray(spec) && spec.length === 0;
  return spec === undefined || empty ? undefined : ([bytes, spec] as unknown as DTypeSpec);
}

function listSpec(fields: readonly unknown[], context: ReadContext, depth: number): DTypeSpec | undefined {
  const list: unknown[] = [];
  for (const field of fields) {
    if (!(field instanceof Tuple) || field.length < 2 || field.length > 3) return undefined;
    const [name, format, dims] = field;
    countItems(dims, context);
    const spec = specOf(format, context, depth + 1);
    const shape = field.length === 3 ? shapeOf(dims) : [];
    const named =
      typeof name === 'string' ||
      (name instanceof Tuple && name.length === 2 && name.every((n) => typeof n === 'string'));
    if (spec === undefined || shape === undefined || !named) return undefined;
    const title = typeof name === 'string' ? name : [...(name as Tuple)];
    list.push(field.length === 3 ? [title, spec, [...shape]] : [title, spec]);
  }
  return list as unknown as DTypeSpec;
}

function dictSpec(dict: PyDict, context: ReadContext, depth: number): DTypeSpec | undefined {
  const formats = dict.get('formats');
  const names = dict.get('names');
  if (!Array.isArray(formats) || !Array.isArray(names)) return undefined;
  for (const part of ['names', 'formats', 'offsets', 'titles']) countItems(dict.get(part), context);
  const spec: Record<string, unknown> = {
    names: [...names],
    formats: formats.map((format) => specOf(format, context, depth + 1)),
  };
  for (const key of ['offsets', 'titles']) {
    const list = dict.get(key);
    if (Array.isArray(list)) spec[key] = [...list];
  }
  for (const key of ['itemsize', 'aligned']) if (dict.has(key)) spec[key] = dict.get(key);
  return spec as unknown as DTypeSpec;
}

/** The dtype that an argument of numpy's functions names: a dtype, text, a list of fields, a dict. */
export function dtypeOf(value: unknown, context: ReadContext): DType | undefined {
  if (isDType(value)) return value;
  const spec = specOf(value, context);
  return spec === undefined
    ? undefined
    : counted(
        attempt(() => parseDType(spec)),
        context,
      );
}

/** Making a structured dtype spells out its name, with all dtypes within it. */
function counted(dtype: DType | undefined, context: ReadContext): DType | undefined {
  if (dtype?.fields !== undefined) context.work(2 * dtype.name.length);
  return dtype;
}

/** A dtype, and whether it is one of records. */
export function typeOf(value: unknown, context: ReadContext): { dtype: DType; record: boolean } | undefined {
  const dtype = dtypeOf(value, context);
  return dtype === undefined ? undefined : { dtype, record: value instanceof RecordType };
}

/** `numpy.dtype(typestr, align, copy)` followed by a state, as numpy writes it, or `numpy.dtype(spec)`. */
export const readDType: Reconstruct = (args, context) => {
  const [given, align, copy] = args;
  const spec = textOf(given);
  if (args.length === 1) {
    if (spec instanceof Tuple && isRecord(spec[0])) {
      const dtype = spec.length === 2 ? dtypeOf(spec[1], context) : undefined;
      return dtype === undefined ? undefined : new RecordType(dtype);
    }
    return spec instanceof RecordType ? spec : dtypeOf(spec, context);
  }
  const text = typeof spec === 'string' && spec !== '';
  if (args.length !== 3 || flagOf(align) !== 0 || flagOf(copy) !== 1 || !(text || isRecord(spec))) return undefined;
  return new Unfinished((state) => {
    const made = state instanceof Tuple ? attempt(() => finish(text ? spec : '', state, context)) : undefined;
    const dtype = made !== undefined && hasFlags(made, (state as Tuple)[7] as number) ? made : undefined;
    return dtype === undefined || text ? dtype : new RecordType(dtype);
  });
};

/**
 * Whether the flags in a state agree with the dtype about holding objects: otherwise numpy takes bytes for objects, or
 * objects for bytes.
 */
function hasFlags({ hasObject }: DType, flags: number): boolean {
  return (flags & OBJECT_FLAGS) === (hasObject ? OBJECT_FLAGS : 0);
}

/** NPY_ITEM_REFCOUNT and NPY_LIST_PICKLE. */
const OBJECT_FLAGS = 3;

/** The dtype of numpy's state: version, byte order, sub-array, names, fields, itemsize, alignment, flags, metadata. */
function finish(typestr: string, state: Tuple, context: ReadContext): DType | undefined {
  const [version, mark, subarray, names, fields, itemsize, alignment, flags, metadata] = state;
  const order = textOf(mark);
  const versioned = (version === 3 && state.length === 8) || (version === 4 && state.length === 9);
  if (!versioned || typeof order !== 'string' || !/^[<>|=]$/.test(order)) return undefined;
  // Checked even where they have no effect: numpy reads C ints.
  if (![itemsize, alignment, flags].every(isInt32)) return undefined;
  const prefix = order === '|' || order === '=' ? '' : order;
  // numpy refuses the one without the other.
  if ((names === null) !== (fields === null)) return undefined;
  // Sub-arrays and fields are void; with another code numpy makes dtypes that have fields and are numbers, too.
  if (subarray !== null || names !== null) {
    if (!/^(V\d*)?$/.test(typestr)) return undefined;
    if (subarray === null)
      return plainMetadata(metadata)
        ? counted(finishFields(names, fields, itemsize, flags as number), context)
        : undefined;
    const shaped = names === null && subarray instanceof Tuple && isDType(subarray[0]) && shapeOf(subarray[1]);
    const made = shaped ? dtypeOf(subarray, context) : undefined;
    return made?.itemsize === itemsize ? made : undefined;
  }
  const type = parseDType(prefix + typestr.replace(/^O[48]$/, 'O'));
  const { kind } = type;
  // The unit comes from the metadata alone; without metadata numpy 2 crashes.
  if (kind === 'M' || kind === 'm') {
    const unit = unitOf(metadata);
    return unit === undefined || type.unit !== undefined ? undefined : parseDType(`${prefix}${kind}8${unit}`);
  }
  if (!plainMetadata(metadata)) return undefined;
  const width = WIDTHS.get(kind);
  if (width === undefined) return type;
  const length = (itemsize as number) / width;
  return Number.isSafeInteger(length) && length >= 0 ? parseDType(`${prefix}${kind}${length}`) : undefined;
}

/** Bytes per unit of length, for the kinds whose size numpy takes from the state, whatever the code says. */
const WIDTHS: ReadonlyMap<string, number> = new Map(
  DTYPES.flatMap(({ kind, flexible, itemsize }) => (flexible === true ? [[kind, itemsize]] : [])),
);

const isInt32 = (value: unknown): boolean => typeof value === 'number' && (value | 0) === value;

/** A bool, or the int that Python 2 writes for one. */
const flagOf = (value: unknown): unknown => (typeof value === 'boolean' ? Number(value) : value);

/** Text that Python 2 wrote, which the encoding 'bytes' leaves as bytes. */
const textOf = (value: unknown): unknown => (value instanceof Uint8Array ? decodeLatin1(value) : value);

/** Whether there is no metadata of the user's, which has no place here: such a dtype stays opaque. */
function plainMetadata(metadata: unknown): boolean {
  return metadata === undefined || metadata === null || (metadata instanceof PyDict && metadata.size === 0);
}

/** `(metadata, (unit, count, numerator, denominator))` of a datetime64 or timedelta64. */
function unitOf(metadata: unknown): string | undefined {
  if (!(metadata instanceof Tuple) || metadata.length !== 2 || !plainMetadata(metadata[0])) return undefined;
  const [base, count, ...rest] = metadata[1] instanceof Tuple ? metadata[1] : [];
  const bytes = bytesOf(base);
  const plain = (rest.length === 0 || rest.length === 2) && rest.every((part) => part === 1);
  if (bytes === undefined || !Number.isSafeInteger(count) || !plain) return undefined;
  const unit = decodeLatin1(bytes);
  // A count without a unit has no spelling.
  if (unit === 'generic') return count === 1 ? '' : undefined;
  return `[${count === 1 ? '' : count}${unit}]`;
}

function finishFields(names: unknown, fields: unknown, itemsize: unknown, flags: number): DType | undefined {
  if (!(names instanceof Tuple) || !(fields instanceof PyDict)) return undefined;
  const spec: { names: unknown[]; formats: unknown[]; offsets: unknown[]; titles: unknown[] } = {
    names: [],
    formats: [],
    offsets: [],
    titles: [],
  };
  for (const name of names) {
    const field: unknown = fields.get(name);
    if (!(field instanceof Tuple) || field.length < 2 || field.length > 3 || !isDType(field[0])) return undefined;
    spec.names.push(name);
    spec.formats.push(field[0]);
    spec.offsets.push(field[1]);
    spec.titles.push(field[2] ?? null);
  }
  // The flag ALIGNED_STRUCT; numpy before 2 writes flags as a signed byte.
  const aligned = (flags & 0x80) !== 0;
  const { titles, ...rest } = spec;
  const titled = titles.some((title) => title !== null) ? { titles } : {};
  return parseDType({ ...rest, ...titled, itemsize, ...(aligned ? { aligned } : {}) } as unknown as DTypeSpec);
}

/** A spec as the Python values that `numpy.dtype` takes. Specs nest at most as deep as dtypes do. */
export function pythonSpec(spec: unknown): unknown {
  if (typeof spec === 'string') return spec;
  if (!Array.isArray(spec)) return dictOf(spec as Record<string, unknown>);
  const [base, second] = spec as [unknown, unknown];
  const subarray = spec.length === 2 && Array.isArray(second) && second.every((dim) => typeof dim === 'number');
  if (subarray) return Tuple.of(pythonSpec(base), Tuple.from(second as number[]));
  if (spec.length === 2 && typeof base === 'string') {
    // numpy does not overlay objects on bytes. A dtype object it leaves as it is, within an aligned one too.
    const type = parseDType(second as DTypeSpec);
    return type.hasObject ? type : Tuple.of(base, pythonSpec(second));
  }
  return (spec as unknown[][]).map(([name, format, dims]) => {
    const field = [Array.isArray(name) ? Tuple.from(name) : name, pythonSpec(format)];
    return Tuple.from(dims === undefined ? field : [...field, Tuple.from(dims as number[])]);
  });
}

function dictOf(spec: Record<string, unknown>): Map<string, unknown> {
  const dict = new Map(Object.entries(spec));
  const { formats } = spec;
  dict.set('formats', (formats as unknown[]).map(pythonSpec));
  return dict;
}

/** How a dtype is written: by numpy's public constructor. */
export function reduceDType(dtype: DType, record = false): Reduction {
  const spec = pythonSpec(dtype.spec);
  return reduceCall('numpy dtype', [record ? Tuple.of(new OpaqueGlobal('numpy', 'record'), spec) : spec]);
}
