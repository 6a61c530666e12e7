/**
 * The npy header: reading versions 1, 2 and 3, and writing what numpy writes.
 *
 * Definition: the module docstring of numpy's `numpy/lib/_format_impl.py` (NEP 1).
 *
 * | part | bytes | content |
 * |---|---|---|
 * | magic | 6 | `93` `NUMPY` |
 * | version | 2 | major, minor |
 * | length | 2 or 4 | of the text, little-endian; see {@link NPY_VERSIONS} |
 * | text | length | a Python dict with exactly `descr`, `fortran_order`, `shape`, padded to a multiple of 64 |
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import {
  type Descr,
  type DType,
  type DTypeLike,
  type DTypeSpec,
  type DTypeSpecField,
  isLiteralDict,
  isLiteralTuple,
  type PythonLiteral,
  parseDType,
  parsePythonLiteral,
  printPythonLiteral,
} from '@mmdpickle/core/ndarray';

/** Version of the npy format. */
export type NpyVersion = 1 | 2 | 3;

/** The versions of the format. Version 2 allows headers over 64 KiB, version 3 names beyond Latin-1. */
export const NPY_VERSIONS: readonly NpyVersionRow[] = [
  { major: 1, minor: 0, lengthBytes: 2, encoding: 'latin1' },
  { major: 2, minor: 0, lengthBytes: 4, encoding: 'latin1' },
  { major: 3, minor: 0, lengthBytes: 4, encoding: 'utf-8' },
];

/** A row of {@link NPY_VERSIONS}. */
export interface NpyVersionRow {
  readonly major: NpyVersion;
  readonly minor: number;
  /** Of the field that holds the header text's length. */
  readonly lengthBytes: 2 | 4;
  readonly encoding: 'latin1' | 'utf-8';
}

/** The longest header text read by default, in characters: numpy's limit. */
export const MAX_HEADER_SIZE = 10_000;

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
const PRELUDE_BYTES = 8;
const HEADER_ALIGN = 64;
/** Digits that numpy leaves room for in the growing axis: enough for any 64-bit count of bits. */
const GROWTH_AXIS_MAX_DIGITS = 21;
const EXPECTED_KEYS = "['descr', 'fortran_order', 'shape']";
/** numpy 2 allows up to 64 dimensions. */
const MAX_DIMENSIONS = 64;

/** A parsed npy header. */
export interface NpyHeader {
  readonly version: NpyVersion;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  /** Where the array's bytes start, absolute in the input. */
  readonly dataOffset: number;
  /** Size of the array in bytes; -1 for object arrays, as the size of their pickle is unknown. */
  readonly nbytes: number;
}

/** Options of every npy reader. */
export interface NpyReadOptions {
  /** The longest header text to parse, in characters. Default {@link MAX_HEADER_SIZE}. */
  readonly maxHeaderSize?: number | undefined;
}

/** A range that a reader requests; fewer bytes are returned only at the end of the input. */
export interface WantedRange {
  readonly offset: number;
  readonly length: number;
}

/** The name for error messages and the place of an npy file inside its input. */
export interface NpyPlace {
  readonly name: string;
  /** Where the npy file starts. Default 0. */
  readonly offset?: number;
}

/**
 * Reads a header by requesting byte ranges, so that one reader serves bytes, files, Blobs and HTTP.
 * Drive it with {@link readSteps} or {@link readStepsAsync}.
 *
 * @throws BAD_FORMAT for what is not an npy file or has no valid header, TRUNCATED, LIMIT_EXCEEDED, UNSUPPORTED_DTYPE
 */
export function* npyHeaderSteps(
  place: NpyPlace,
  options: NpyReadOptions = {},
): Generator<WantedRange, NpyHeader, Uint8Array> {
  const { name, offset = 0 } = place;
  const maxHeaderSize = options.maxHeaderSize ?? MAX_HEADER_SIZE;
  const prelude = yield { offset, length: PRELUDE_BYTES };
  const row = readVersion(prelude, name, offset);
  const lengthOffset = offset + PRELUDE_BYTES;
  const lengthField = yield { offset: lengthOffset, length: row.lengthBytes };
  need(lengthField, row.lengthBytes, `${name}: length of the npy header`, lengthOffset);
  const view = new DataView(lengthField.buffer, lengthField.byteOffset, lengthField.byteLength);
  const length = row.lengthBytes === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
  const textOffset = lengthOffset + row.lengthBytes;
  const mostBytes = row.encoding === 'utf-8' ? maxHeaderSize * 4 : maxHeaderSize;
  // Negated, so that nothing fits a limit that is not a number.
  if (!(length <= mostBytes)) throw tooLong(name, textOffset, length, maxHeaderSize);
  const bytes = yield { offset: textOffset, length };
  need(bytes, length, `${name}: npy header`, textOffset);
  const text = decode(bytes, row.encoding, name, textOffset);
  const characters = countCodePoints(text);
  if (!(characters <= maxHeaderSize)) throw tooLong(name, textOffset, characters, maxHeaderSize);
  const fields = parseHeaderText(text, row.major, name, textOffset);
  return { version: row.major, ...fields, dataOffset: textOffset + length };
}

/** Drives a generator of wanted ranges over a synchronous reader. */
export function readSteps<T>(
  steps: Generator<WantedRange, T, Uint8Array>,
  read: (offset: number, length: number) => Uint8Array,
): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next(read(step.value.offset, step.value.length));
  return step.value;
}

/** Drives a generator of wanted ranges over an asynchronous reader. */
export async function readStepsAsync<T>(
  steps: Generator<WantedRange, T, Uint8Array>,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<T> {
  let step = steps.next();
  while (step.done !== true) step = steps.next(await read(step.value.offset, step.value.length));
  return step.value;
}

/** What {@link formatNpyHeader} writes into a header. */
export interface NpyHeaderFields {
  readonly dtype: DTypeLike;
  readonly shape: readonly number[];
  /** Default `'C'`. */
  readonly order?: 'C' | 'F' | undefined;
}

/** Options of {@link formatNpyHeader}. */
export interface NpyHeaderOptions {
  /** Default: the lowest version that can hold the header. */
  readonly version?: NpyVersion | undefined;
  /** Fill exactly this many bytes, to patch a header in place. Default: the least multiple of 64. */
  readonly length?: number | undefined;
}

/**
 * Writes a header, byte for byte as numpy 2 does: padded to 64 bytes, with room for the growing axis.
 *
 * @returns the header, owned by the caller; the array's bytes follow it
 * @throws UNSUPPORTED_DTYPE; INVALID_ARGUMENT if the header does not fit the requested version or length
 *
 * @example
 * ```ts
 * import { formatNpyHeader } from '@mmdpickle/npy-interop';
 *
 * formatNpyHeader({ dtype: 'float64', shape: [3, 4] }).length; // 128
 * ```
 */
export function formatNpyHeader(fields: NpyHeaderFields, options: NpyHeaderOptions = {}): Uint8Array {
  const header = fitNpyHeader(fields, options);
  if (header !== undefined) return header;
  const place = options.version === undefined ? 'the available space' : `version ${options.version} of the format`;
  throw new MmdError('INVALID_ARGUMENT', `the npy header does not fit in ${place}`, { found: fields.shape });
}

/** As {@link formatNpyHeader}, but returns `undefined` for a header that does not fit. */
export function fitNpyHeader(fields: NpyHeaderFields, options: NpyHeaderOptions): Uint8Array | undefined {
  const { shape } = fields;
  const type = parseDType(fields.dtype);
  const fortran = fields.order === 'F' && shape.length > 1;
  checkList(shape);
  if (shape.some((length) => !Number.isSafeInteger(length) || length < 0)) {
    throw new MmdError('INVALID_ARGUMENT', `dimensions must be non-negative integers, found [${shape.join(', ')}]`, {
      found: shape,
    });
  }
  const descr = printPythonLiteral(descrToLiteral(type.descr));
  const shapeText = printPythonLiteral({ tuple: shape });
  const growing = shape[fortran ? shape.length - 1 : 0];
  const room = growing === undefined ? 0 : GROWTH_AXIS_MAX_DIGITS - String(growing).length;
  const order = fortran ? 'True' : 'False';
  const dict = `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shapeText}, }`;
  const text = options.length === undefined ? dict + ' '.repeat(room) : dict;
  for (const row of NPY_VERSIONS) {
    if (options.version !== undefined && row.major !== options.version) continue;
    const bytes = encode(text, row.encoding);
    if (bytes === undefined) continue;
    const start = PRELUDE_BYTES + row.lengthBytes;
    const unpadded = start + bytes.length + 1;
    const total = options.length ?? unpadded + HEADER_ALIGN - (unpadded % HEADER_ALIGN);
    if (total < unpadded || total - start >= 2 ** (8 * row.lengthBytes)) continue;
    const header = new Uint8Array(total).fill(0x20);
    header.set(MAGIC);
    header.set([row.major, row.minor], MAGIC.length);
    const view = new DataView(header.buffer);
    if (row.lengthBytes === 2) view.setUint16(PRELUDE_BYTES, total - start, true);
    else view.setUint32(PRELUDE_BYTES, total - start, true);
    header.set(bytes, start);
    header[total - 1] = 0x0a;
    return header;
  }
  return undefined;
}

/** @throws INVALID_ARGUMENT for what is not a list of lengths */
export function checkList(shape: unknown): void {
  if (Array.isArray(shape)) return;
  throw new MmdError('INVALID_ARGUMENT', `a shape must be a list of dimensions, found ${String(shape)}`, {
    found: shape,
  });
}

/** Whether bytes start like an npy file. */
export function isNpy(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Size of an array in bytes; -1 for objects. @throws CORRUPT, with the input's name, if no file can hold it */
export function arrayBytes(dtype: DType, shape: readonly number[], name: string, offset?: number): number {
  if (dtype.hasObject) return -1;
  // As in numpy, a length of 0 does not lift the limit of the others.
  const bytes = shape.reduce((product, length) => product * Math.max(1, length), dtype.itemsize);
  if (Number.isSafeInteger(bytes)) return shape.includes(0) ? 0 : bytes;
  throw new MmdError('CORRUPT', `${name}: the shape (${shape.join(', ')}) of ${dtype.name} is larger than any file`, {
    offset,
    found: shape,
  });
}

function readVersion(prelude: Uint8Array, name: string, offset: number): NpyVersionRow {
  const wrong = MAGIC.findIndex((byte, i) => i < prelude.length && prelude[i] !== byte);
  if (wrong !== -1) {
    const found = Array.from(prelude.subarray(0, MAGIC.length), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new MmdError('BAD_FORMAT', `${name}: not an npy file: expected the magic 93 "NUMPY", found ${found}`, {
      offset,
      expected: '93 4e 55 4d 50 59',
      found,
    });
  }
  need(prelude, PRELUDE_BYTES, `${name}: npy magic and version`, offset);
  const [major, minor] = [prelude[6], prelude[7]];
  const row = NPY_VERSIONS.find((candidate) => candidate.major === major && candidate.minor === minor);
  if (row !== undefined) return row;
  throw new MmdError(
    'BAD_FORMAT',
    `${name}: npy format version ${major}.${minor}; only 1.0, 2.0 and 3.0 are supported`,
    {
      offset: offset + MAGIC.length,
      expected: NPY_VERSIONS.map((known) => `${known.major}.${known.minor}`),
      found: `${major}.${minor}`,
    },
  );
}

function need(bytes: Uint8Array, length: number, what: string, offset: number): void {
  if (bytes.length >= length) return;
  throw new MmdError('TRUNCATED', `${what}: expected ${length} bytes, found ${bytes.length}`, {
    offset,
    expected: length,
    found: bytes.length,
  });
}

/** Python's `len`: a pair of surrogates is one character. */
function countCodePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function tooLong(name: string, offset: number, length: number, maximum: number): MmdError {
  return new MmdError(
    'LIMIT_EXCEEDED',
    `${name}: the npy header has ${length} characters, over the limit of ${maximum}; raise maxHeaderSize if the file is trusted`,
    { offset, found: length, limit: 'maxHeaderSize', maximum },
  );
}

function decode(bytes: Uint8Array, encoding: 'latin1' | 'utf-8', name: string, offset: number): string {
  // TextDecoder's latin1 is windows-1252, so Latin-1 is decoded here.
  if (encoding === 'latin1') return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new MmdError('BAD_FORMAT', `${name}: the npy header is not UTF-8`, { offset, cause });
  }
}

function encode(text: string, encoding: 'latin1' | 'utf-8'): Uint8Array | undefined {
  if (encoding === 'utf-8') return new TextEncoder().encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0xff) return undefined;
    bytes[i] = code;
  }
  return bytes;
}

function parseHeaderText(
  text: string,
  version: NpyVersion,
  name: string,
  offset: number,
): { dtype: DType; shape: readonly number[]; order: 'C' | 'F'; nbytes: number } {
  const invalid = (problem: string, found: unknown): MmdError =>
    new MmdError('BAD_FORMAT', `${name}: npy header: ${problem}`, { offset, found });
  const header = parsePythonLiteral(text, { name: `${name}: npy header`, offset, longSuffix: version < 3 });
  if (!isLiteralDict(header)) throw invalid('not a dictionary', printed(header));
  const keys = [...header.keys()].sort();
  if (printPythonLiteral(keys) !== EXPECTED_KEYS) {
    throw invalid(`does not hold the correct keys: ${printed(keys)}`, printed(keys));
  }
  const shape = header.get('shape') as PythonLiteral;
  if (!isLiteralTuple(shape) || !shape.tuple.every((item) => typeof item === 'number' && item >= 0)) {
    throw invalid(`shape is not valid: ${printed(shape)}`, printed(shape));
  }
  if (shape.tuple.length > MAX_DIMENSIONS)
    throw invalid(`${shape.tuple.length} dimensions, more than ${MAX_DIMENSIONS}`, shape.tuple.length);
  const fortran = header.get('fortran_order') as PythonLiteral;
  if (typeof fortran !== 'boolean')
    throw invalid(`fortran_order is not a valid bool: ${printed(fortran)}`, printed(fortran));
  const literal = header.get('descr') as PythonLiteral;
  let dtype: DType;
  try {
    dtype = parseDType(literalToSpec(literal, () => invalid('descr', printed(literal))));
  } catch (cause) {
    const code = cause instanceof MmdError ? cause.code : 'UNSUPPORTED_DTYPE';
    throw new MmdError(code, `${name}: npy header: descr is not a valid dtype: ${printed(literal)}`, {
      offset,
      found: printed(literal),
      cause,
    });
  }
  const dims = shape.tuple as readonly number[];
  return { dtype, shape: dims, order: fortran ? 'F' : 'C', nbytes: arrayBytes(dtype, dims, name, offset) };
}

function printed(value: PythonLiteral): string {
  return printPythonLiteral(value).slice(0, 200);
}

/** numpy's `descr_to_dtype`, for the spelling only: tuples and lists mean different things. */
function literalToSpec(literal: PythonLiteral, invalid: () => MmdError): DTypeSpec {
  if (typeof literal === 'string') return literal;
  if (!Array.isArray(literal)) throw invalid();
  const fields = (literal as readonly PythonLiteral[]).map((field): DTypeSpecField => {
    // numpy writes tuples, but also unpacks lists.
    const items = isLiteralTuple(field) ? field.tuple : field;
    if (!Array.isArray(items) || items.length < 2 || items.length > 3) throw invalid();
    const [nameLiteral, typeLiteral, shapeLiteral] = items as readonly PythonLiteral[];
    const name = fieldName(nameLiteral as PythonLiteral, invalid);
    const outer = shapeLiteral === undefined ? [] : fieldShape(shapeLiteral, invalid);
    const { spec, shape: inner } = subarray(typeLiteral as PythonLiteral, invalid);
    const shape = [...outer, ...inner];
    return shape.length === 0 ? [name, spec] : [name, spec, shape];
  });
  return fields.some(([label]) => label === '' || label[1] === '') ? unnamed(fields) : fields;
}

/** The dict form, for fields with empty names: in a list, `numpy.dtype` would rename them, which `numpy.load` does not do. */
function unnamed(fields: readonly DTypeSpecField[]): DTypeSpec {
  const parts: { name: string; title: string | null; format: DTypeSpec; offset: number }[] = [];
  let offset = 0;
  for (const [label, spec, shape] of fields) {
    const [title, name] = typeof label === 'string' ? [null, label] : label;
    const format: DTypeSpec = shape === undefined ? spec : [spec, shape];
    const { itemsize, kind, fields: inner } = parseDType(format);
    const padding = label === '' && kind === 'V' && inner === undefined;
    if (!padding) parts.push({ name, title, format, offset });
    offset += itemsize;
  }
  return {
    names: parts.map(({ name }) => name),
    formats: parts.map(({ format }) => format),
    offsets: parts.map((part) => part.offset),
    titles: parts.map(({ title }) => title),
    itemsize: offset,
  };
}

/** `(type, shape)` inside a field is a sub-array type, which may nest. */
function subarray(literal: PythonLiteral, invalid: () => MmdError): { spec: DTypeSpec; shape: number[] } {
  const shape: number[] = [];
  let rest = literal;
  while (isLiteralTuple(rest)) {
    const [base, dims] = rest.tuple;
    if (rest.tuple.length !== 2) throw invalid();
    shape.push(...fieldShape(dims as PythonLiteral, invalid));
    rest = base as PythonLiteral;
  }
  return { spec: literalToSpec(rest, invalid), shape };
}

function fieldName(literal: PythonLiteral, invalid: () => MmdError): string | [string, string] {
  if (typeof literal === 'string') return literal;
  if (!isLiteralTuple(literal)) throw invalid();
  const [title, name] = literal.tuple;
  if (literal.tuple.length !== 2 || typeof title !== 'string' || typeof name !== 'string') throw invalid();
  return [title, name];
}

function fieldShape(literal: PythonLiteral, invalid: () => MmdError): number[] {
  const items = isLiteralTuple(literal) ? literal.tuple : Array.isArray(literal) ? literal : [literal];
  if (!items.every((item) => typeof item === 'number' && item >= 0)) throw invalid();
  return [...items] as number[];
}

function descrToLiteral(descr: Descr): PythonLiteral {
  if (typeof descr === 'string') return descr;
  return descr.map(([name, type, shape]) => {
    const nameLiteral: PythonLiteral = typeof name === 'string' ? name : { tuple: name };
    const items: PythonLiteral[] = [nameLiteral, descrToLiteral(type)];
    if (shape !== undefined) items.push({ tuple: shape });
    return { tuple: items };
  });
}
