/**
 * Reads numpy's type descriptions: `'<f8'`, `'datetime64[ns]'`, lists of fields, the dict form, and the text of
 * `str(dtype)` for all of these, which `dtype-text.ts` prints. A fixed grammar; nothing is evaluated.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { commaSpec, isCommaText } from './comma-text.ts';
import { count, DTYPE_LIMITS, overLimit, unsupported } from './dtype-limits.ts';
import { DTYPES, type DType, type DTypeField, type DTypeLike, type DTypeRow } from './dtypes.ts';
import { isDType, makeField, makeScalar, makeStruct, subarrayOf } from './make-dtype.ts';
import { asLists, type PythonLiteral, parsePythonLiteral } from './python-literal.ts';
import { unitOf } from './unit-text.ts';

/** The keys of a type in dict form. */
const DICT_PARTS: readonly string[] = ['names', 'formats', 'offsets', 'titles', 'itemsize', 'aligned'];

const ROWS_BY_NAME: ReadonlyMap<string, DTypeRow> = new Map(
  DTYPES.flatMap((row) => [row.name, row.code, ...row.aliases].map((name): [string, DTypeRow] => [name, row])),
);

/**
 * Makes a type from numpy's names and codes, from everything that numpy itself prints and writes, and from text with commas
 * (`'i4, 3f8'`) and repeats (`'(2,3)f4'`). In lists of fields a nameless void field is padding, as in
 * `dtype.descr` and npy files; other nameless fields are named `f0`, `f1`, ... by position. As in numpy, descriptions within an
 * aligned type are aligned too, except for `DType` objects and `['V8', spec]`; in text as `str(dtype)` prints it, only types that are
 * marked as aligned are.
 *
 * @param spec - text such as `'float64'`, `'<f8'`, `'S5'`, `'M8[25us]'` or `"[('a', '<i4')]"`; a descr list; the dict form; a `DType`,
 *   which may come from another copy of this package or from another thread
 * @throws UNSUPPORTED_DTYPE for types that numpy does not know; LIMIT_EXCEEDED for types beyond {@link DTYPE_LIMITS}
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

class Parser {
  #fields = 0;
  /** True within printed text, in which every type states its own alignment. */
  #printed = false;

  /** @param align - true within an aligned type */
  parse(spec: unknown, depth: number, align = false): DType {
    if (depth > DTYPE_LIMITS.maxDepth) throw overLimit('maxDepth', depth);
    if (typeof spec === 'string') return this.#text(spec, depth, align);
    if (isDType(spec)) return spec;
    if (Array.isArray(spec)) {
      if (isSubarraySpec(spec)) return repeatOf(this.parse(spec[0], depth + 1, align), spec[1]);
      return typeof spec[0] === 'string' && spec.length === 2
        ? this.#void(spec[0], spec[1], depth)
        : this.#list(spec, depth, align);
    }
    if (typeof spec === 'object' && spec !== null) return this.#dict(spec, depth, align);
    throw unsupported(`expected a string, a list of fields or a dict, found ${typeof spec}`, spec);
  }

  #text(text: string, depth: number, align: boolean): DType {
    // A parenthesis is followed by a type in tuples that numpy prints, and by a number in text such as '(2,3)f4'.
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
      throw new MmdError('UNSUPPORTED_DTYPE', `dtype: not a type description: ${text.slice(0, 80)}`, {
        found: text,
        cause,
      });
    }
    this.#printed = true;
    return this.parse(asLists(literal), depth + 1);
  }

  /** Fields laid over void bytes, within which numpy aligns nothing. */
  #void(bytes: string, spec: unknown, depth: number): DType {
    const [outer, type] = [parseScalar(bytes), this.parse(spec, depth + 1)];
    if (outer.kind !== 'V' || type.fields === undefined || type.itemsize !== outer.itemsize || type.alignment > 1) {
      throw unsupported(`these fields cannot be laid over ${outer.name}`, spec);
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
      if (item.length === 3) dtype = repeatOf(dtype, item[2]);
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
    // numpy ignores unknown keys. A file may have some; a program that says 'offset' means 'offsets'.
    const strange =
      dict instanceof Map || names === undefined ? [] : Object.keys(dict).filter((key) => !DICT_PARTS.includes(key));
    if (strange.length > 0)
      throw unsupported(`the dict form has no key '${strange[0]}'; expected ${DICT_PARTS.join(', ')}`, dict);
    // A type from another copy of this package, or from another thread.
    if (names === undefined && formats === undefined && 'spec' in dict) return this.parse(dict.spec, depth + 1);
    if (!Array.isArray(names) || !Array.isArray(formats) || names.length !== formats.length) {
      throw unsupported("the dict form needs 'names' and 'formats' of the same length", dict);
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
      if (aligned && offset % dtype.alignment !== 0)
        throw unsupported("an offset in an aligned type is not a multiple of the field's alignment", offset);
      const title = titles?.[index] ?? undefined;
      if (title !== undefined && typeof title !== 'string') throw unsupported('a title must be a string', title);
      fields.push(makeField(name, title, dtype, offset));
      end = Math.max(end, offset + dtype.itemsize);
    }
    const least = aligned ? Math.ceil(end / alignment) * alignment : end;
    const wanted = part('itemsize') ?? undefined;
    const itemsize = wanted === undefined ? least : count(wanted, 'an itemsize');
    if (itemsize < end) throw unsupported(`itemsize ${itemsize} is less than the ${end} bytes of the fields`, itemsize);
    if (aligned && itemsize % alignment !== 0)
      throw unsupported("the itemsize of an aligned type is not a multiple of the type's alignment", itemsize);
    return makeStruct(fields, itemsize, aligned);
  }
}

/** Whether a type is text, bytes or void without a length: a number after it is the length. */
const isUnsizedType = ({ kind, itemsize, fields, shape }: DType): boolean =>
  itemsize === 0 && 'SUV'.includes(kind) && fields === undefined && shape === undefined;

const isUnsized = (text: string): boolean => isUnsizedType(parseScalar(text));

/** A sub-array of a type; or, if the type lacks a length and a number follows, the type with that length. */
function repeatOf(base: DType, shape: unknown): DType {
  return typeof shape === 'number' && isUnsizedType(base)
    ? parseScalar(`${base.byteorder}${base.char}${count(shape, 'a length')}`)
    : subarrayOf(base, shape);
}

function isSubarraySpec(spec: readonly unknown[]): spec is readonly [unknown, unknown] {
  if (spec.length !== 2) return false;
  const shape = spec[1];
  // A field starts with a name, so a list of numbers (or an empty list) is never a field.
  return typeof shape === 'number' || (Array.isArray(shape) && shape.every((dim) => typeof dim === 'number'));
}

function optionalList(value: unknown, length: number, what: string): readonly unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length !== length)
    throw unsupported(`'${what}' must have one item per name`, value);
  return value;
}

function parseName(value: unknown): { name: string; title: string | undefined } {
  if (typeof value === 'string') return { name: value, title: undefined };
  if (Array.isArray(value) && value.length === 2) {
    const [title, name] = value as [unknown, unknown];
    if (typeof title === 'string' && typeof name === 'string') return { name, title };
  }
  throw unsupported('a field name must be a string or (title, name)', value);
}

/** A number after a letter as C parses it: `'i04'`, `'S 4'`, `'f+8'`. */
const LOOSE_SIZE = /^([<>=|]?[A-Za-z])[ \t\n\v\f\r]*\+?0*([0-9]+)$/;

const SCALAR = /^([<>=|]?)([A-Za-z?_][A-Za-z_]*[A-Za-z0-9_]*?)([0-9]*)(?:\[([^\]]*)\])?$/;

/**
 * Types by their text. A cache, not state: types are frozen, and results are the same with and
 * without it. Parsing a type took 3 us, a third of the time it takes to get or set a small array.
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

/** Names from other libraries and languages (f64, Float32, np.float32) are a common mistake. */
function unknownType(text: string): MmdError {
  return unsupported(
    `unknown type ${JSON.stringify(text.slice(0, 80))}; use numpy's names and codes, such as 'float32', 'uint16', '<f4' (sizes are in bytes)`,
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
  // numpy accepts the letter alone only without a unit.
  if ((row.kind !== 'M' && row.kind !== 'm') || row.kind === given) throw bad();
  if (meta === 'generic') return undefined;
  const unit = unitOf(meta);
  if (unit === undefined) throw bad();
  return unit;
}
