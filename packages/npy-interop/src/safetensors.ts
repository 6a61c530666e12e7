/**
 * safetensors files: named plain arrays behind a JSON header.
 *
 * Definition: "Format" in the safetensors repository's README: u64 length of the header, the header as JSON
 * (`name -> { dtype, shape, data_offsets }`, and strings under `__metadata__`), then the bytes, without gaps.
 *
 * @module
 */

import { jsonTokens, MmdError } from '@mmdpickle/core';
import { type ArrayMemory, type DType, memoryOver, NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { checkOptions, wrongArgument } from '@mmdpickle/core/options';
import type { ByteSource } from '@mmdpickle/core/storage';
import { arrayPieces, type PlainArray, plainArray, type WritableArray } from './array-bytes.ts';
import { toByteSource } from './npy.ts';
import { arrayBytes, readSteps, readStepsAsync, type WantedRange } from './npy-header.ts';
import { SAFETENSORS_OPTIONS, SIGNAL_OPTIONS } from './options.ts';

/** The types of safetensors that numpy also has. `BF16` and the 8-bit floats are named in errors, but not read. */
export const SAFETENSORS_DTYPES = [
  { name: 'BOOL', dtype: '|b1' },
  { name: 'U8', dtype: '|u1' },
  { name: 'I8', dtype: '|i1' },
  { name: 'U16', dtype: '<u2' },
  { name: 'I16', dtype: '<i2' },
  { name: 'F16', dtype: '<f2' },
  { name: 'U32', dtype: '<u4' },
  { name: 'I32', dtype: '<i4' },
  { name: 'F32', dtype: '<f4' },
  { name: 'U64', dtype: '<u8' },
  { name: 'I64', dtype: '<i8' },
  { name: 'F64', dtype: '<f8' },
  { name: 'C64', dtype: '<c8' },
] as const;

/** The longest header read: the reference implementation's limit. */
const MAX_SAFETENSORS_HEADER = 100_000_000;

/**
 * How many keys and brackets a header may have, enough for 300,000 tensors, and how deeply it may nest: the limit of the reference's
 * JSON reader. Parsing a hundred megabytes of `[` would end the process.
 */
const MAX_HEADER_PARTS = 2 ** 21;
const MAX_HEADER_DEPTH = 128;

const METADATA = '__metadata__';
const LENGTH_BYTES = 8;
/** The reference aligns the data to 8; 64 suits every typed view and vector load. */
const DATA_ALIGN = 64;

/** A tensor of a safetensors file, as the header describes it. */
export interface SafetensorInfo {
  readonly name: string;
  /** As in the file, for example `'F32'`. */
  readonly type: string;
  readonly shape: readonly number[];
  /** Absolute in the file. */
  readonly offset: number;
  readonly nbytes: number;
}

/** The parsed header of a safetensors file. */
export interface SafetensorsHeader {
  readonly tensors: readonly SafetensorInfo[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly dataOffset: number;
}

/** A safetensors file whose bytes are in memory or mapped; its arrays are views of them. */
export class SafetensorsFile {
  readonly name: string;
  /** The tensors, in the order of their bytes. */
  readonly tensors: readonly SafetensorInfo[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly #memory: ArrayMemory;
  readonly #byName: ReadonlyMap<string, SafetensorInfo>;

  constructor(name: string, header: SafetensorsHeader, memory: ArrayMemory) {
    this.name = name;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
    this.#memory = memory;
    this.#byName = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  }

  /** The names of the tensors, in the order of their bytes. */
  keys(): string[] {
    return [...this.#byName.keys()];
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /**
   * Returns a tensor as a view of the file's bytes.
   * @throws NOT_FOUND; UNSUPPORTED_DTYPE for types that numpy lacks, such as BF16
   */
  get(name: string): NDArray {
    if (typeof name !== 'string') throw wrongArgument('the name of a tensor', 'a string', name);
    const tensor = this.#byName.get(name);
    if (tensor === undefined) {
      throw new MmdError('NOT_FOUND', `${this.name}: no tensor ${JSON.stringify(name)}`, { key: name });
    }
    return NDArray.over(this.#memory, tensorDType(tensor, this.name), [...tensor.shape], { offset: tensor.offset });
  }
}

/**
 * The dtype of a tensor.
 * @throws UNSUPPORTED_DTYPE for types that numpy lacks
 */
export function tensorDType(tensor: SafetensorInfo, name: string): DType {
  const row = SAFETENSORS_DTYPES.find((candidate) => candidate.name === tensor.type);
  if (row !== undefined) return parseDType(row.dtype);
  throw new MmdError(
    'UNSUPPORTED_DTYPE',
    `${name}: tensor ${JSON.stringify(tensor.name)} has type ${tensor.type}, which is not supported`,
    {
      offset: tensor.offset,
      key: tensor.name,
      found: tensor.type,
    },
  );
}

/** Options of {@link readSafetensors}. */
export interface ReadSafetensorsOptions {
  /** Stops reading a `ByteSource` or `Blob`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a safetensors file. Bytes are read synchronously and borrowed; a `ByteSource` or `Blob` is read into memory.
 *
 * @throws BAD_FORMAT, TRUNCATED, CORRUPT, LIMIT_EXCEEDED; the signal's reason
 *
 * @example
 * ```ts
 * import { readSafetensors, safetensorsBytes } from '@mmdpickle/npy-interop';
 *
 * const file = readSafetensors(safetensorsBytes({ weights: new Float32Array([1, 2]) }));
 * file.get('weights').get(1); // 2
 * ```
 */
export function readSafetensors(source: Uint8Array | ArrayBuffer, options?: ReadSafetensorsOptions): SafetensorsFile;
export function readSafetensors(source: ByteSource | Blob, options?: ReadSafetensorsOptions): Promise<SafetensorsFile>;
export function readSafetensors(
  source: Uint8Array | ArrayBuffer | ByteSource | Blob,
  options: ReadSafetensorsOptions = {},
): SafetensorsFile | Promise<SafetensorsFile> {
  checkOptions(options, SIGNAL_OPTIONS);
  if (source instanceof Uint8Array) return fromBytes(source);
  if (source instanceof ArrayBuffer) return fromBytes(new Uint8Array(source));
  return fromSource(toByteSource(source), options.signal);
}

function fromBytes(bytes: Uint8Array): SafetensorsFile {
  const steps = safetensorsHeaderSteps('safetensors', bytes.length);
  const header = readSteps(steps, (offset, length) => bytes.subarray(offset, offset + length));
  return new SafetensorsFile('safetensors', header, memoryOver(bytes));
}

async function fromSource(source: ByteSource, signal: AbortSignal | undefined): Promise<SafetensorsFile> {
  signal?.throwIfAborted();
  const size = await source.size(signal);
  const read = (offset: number, length: number): Promise<Uint8Array> =>
    source.read(offset, Math.max(0, Math.min(length, size - offset)), signal);
  const header = await readStepsAsync(safetensorsHeaderSteps(source.name, size), read);
  return new SafetensorsFile(source.name, header, memoryOver(await read(0, size)));
}

/** Reads the header by requesting ranges; checks that the tensors tile the rest of the file exactly. */
export function* safetensorsHeaderSteps(
  name: string,
  size: number,
): Generator<WantedRange, SafetensorsHeader, Uint8Array> {
  const lengthBytes = yield { offset: 0, length: LENGTH_BYTES };
  if (lengthBytes.length < LENGTH_BYTES) throw cut(name, 'header length', 0, LENGTH_BYTES, lengthBytes.length);
  const length = Number(new DataView(lengthBytes.buffer, lengthBytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true));
  if (LENGTH_BYTES + length > size) {
    if (length <= MAX_SAFETENSORS_HEADER) throw cut(name, 'header', LENGTH_BYTES, length, size - LENGTH_BYTES);
    // Such as a text, whose first letters are not a length: no reader would accept the file even if it were complete.
    const message = `${name}: not a safetensors file: no valid header length`;
    throw new MmdError('BAD_FORMAT', message, { offset: 0, expected: size - LENGTH_BYTES, found: length });
  }
  checkBudget(name, 'bytes', length, MAX_SAFETENSORS_HEADER, 0);
  const text = yield { offset: LENGTH_BYTES, length };
  const { tensors, metadata } = parseHeader(text, name, LENGTH_BYTES + length);
  const end = tensors.reduce((reached, tensor) => {
    if (tensor.offset !== reached) {
      const problem = tensor.offset < reached ? 'overlaps the previous one' : 'leaves a gap before it';
      throw new MmdError('CORRUPT', `${name}: tensor ${JSON.stringify(tensor.name)} ${problem}`, {
        offset: tensor.offset,
        expected: reached,
        found: tensor.offset,
      });
    }
    return reached + tensor.nbytes;
  }, LENGTH_BYTES + length);
  if (end > size) throw cut(name, 'tensor data', LENGTH_BYTES + length, end, size);
  if (end < size) {
    throw new MmdError('CORRUPT', `${name}: ${size - end} unexpected bytes after the last tensor`, { offset: end });
  }
  return { tensors, metadata, dataOffset: LENGTH_BYTES + length };
}

function cut(name: string, what: string, offset: number, expected: number, found: number): MmdError {
  return new MmdError('TRUNCATED', `${name}: safetensors ${what}: expected ${expected} bytes, found ${found}`, {
    offset,
    expected,
    found,
  });
}

function parseHeader(
  bytes: Uint8Array,
  name: string,
  dataOffset: number,
): { tensors: SafetensorInfo[]; metadata: Map<string, string> } {
  const bad = (problem: string, found?: unknown, cause?: unknown): MmdError =>
    new MmdError('BAD_FORMAT', `${name}: safetensors header: ${problem}`, { offset: LENGTH_BYTES, found, cause });
  let header: unknown;
  let found: KeyProblems;
  // As in the reference: no spaces before it, and no byte order mark, which a decoder would remove.
  if (bytes[0] !== 0x7b) throw bad('does not begin with {', bytes[0]);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    found = keyProblems(text, name);
    header = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof MmdError) throw cause;
    throw bad('not JSON', undefined, cause);
  }
  if (!isRecord(header)) throw bad('not an object');
  const { repeated, notWhole } = found;
  if (repeated !== undefined) {
    throw new MmdError('CORRUPT', `${name}: safetensors header: ${JSON.stringify(repeated)} occurs twice`, {
      offset: LENGTH_BYTES,
      key: repeated,
    });
  }
  if (notWhole !== undefined) throw bad(`${notWhole} is not written as a whole number`, notWhole);
  const metadata = new Map<string, string>();
  const tensors: SafetensorInfo[] = [];
  for (const [key, value] of Object.entries(header)) {
    // As in the reference, where the metadata are optional.
    if (key === METADATA && value === null) continue;
    if (!isRecord(value)) throw bad(`${JSON.stringify(key)} is not an object`, value);
    if (key === METADATA) {
      for (const [label, text] of Object.entries(value)) {
        if (typeof text !== 'string') throw bad(`metadata ${JSON.stringify(label)} is not a string`, text);
        metadata.set(label, text);
      }
      continue;
    }
    const { dtype, shape, data_offsets: offsets } = value;
    if (typeof dtype !== 'string') throw bad(`tensor ${JSON.stringify(key)} has no dtype`, dtype);
    if (!isCounts(shape)) throw bad(`tensor ${JSON.stringify(key)} has no valid shape`, shape);
    if (!isCounts(offsets) || offsets.length !== 2)
      throw bad(`tensor ${JSON.stringify(key)} has no valid offsets`, offsets);
    const [start, end] = offsets as readonly [number, number];
    const tensor = { name: key, type: dtype, shape, offset: dataOffset + start, nbytes: end - start };
    const row = SAFETENSORS_DTYPES.find((candidate) => candidate.name === dtype);
    const needed = row === undefined ? undefined : arrayBytes(parseDType(row.dtype), shape, name, LENGTH_BYTES);
    if (end < start || (needed !== undefined && needed !== tensor.nbytes)) {
      throw new MmdError('CORRUPT', `${name}: tensor ${JSON.stringify(key)}: the shape does not fit its offsets`, {
        offset: LENGTH_BYTES,
        expected: needed,
        found: tensor.nbytes,
      });
    }
    tensors.push(tensor);
  }
  tensors.sort((a, b) => a.offset - b.offset || a.nbytes - b.nbytes);
  return { tensors, metadata };
}

/** Problems that `JSON.parse` does not report. */
interface KeyProblems {
  /** The first key that an object has twice; `JSON.parse` keeps the last one. */
  readonly repeated: string | undefined;
  /** The first length or offset such as `1.0` or `1e3`, which the reference does not accept. */
  readonly notWhole: string | undefined;
}

const COUNTS: ReadonlySet<string> = new Set(['shape', 'data_offsets']);
/** Depth of a tensor's lengths: in a list, in the tensor's object, in the object of all tensors. */
const COUNTS_DEPTH = 3;

/**
 * Scans a header that may not be JSON.
 *
 * @throws LIMIT_EXCEEDED for what would take more memory than there is; SyntaxError
 */
function keyProblems(text: string, name: string): KeyProblems {
  /** The keys of each object that is open; `undefined` for a list. */
  const open: (Set<string> | undefined)[] = [];
  let [repeated, notWhole, last]: (string | undefined)[] = [];
  let parts = 0;
  for (const { start, end, key } of jsonTokens(text)) {
    const first = text[start] as string;
    const opens = first === '{' || first === '[';
    if (opens) open.push(first === '{' ? new Set() : undefined);
    else if (first === '}' || first === ']') open.pop();
    else if (key) {
      const label = JSON.parse(text.slice(start, end)) as string;
      if (open.at(-1)?.has(label)) repeated ??= label;
      open.at(-1)?.add(label);
      last = label;
    } else if (first !== '"' && mayBeCounts(open) && COUNTS.has(last ?? '')) {
      const number = text.slice(start, end);
      if (!/^\d+$/.test(number)) notWhole ??= number;
    }
    if (opens || key) parts += 1;
    checkBudget(name, 'parts', parts, MAX_HEADER_PARTS, LENGTH_BYTES + start);
    checkBudget(name, 'levels', open.length, MAX_HEADER_DEPTH, LENGTH_BYTES + start);
  }
  return { repeated, notWhole };
}

/** Whether a list is open at the depth of lengths. An object at that depth is not part of the format, and may have such keys. */
function mayBeCounts(open: readonly (Set<string> | undefined)[]): boolean {
  return open.length === COUNTS_DEPTH && open.at(-1) === undefined;
}

function checkBudget(name: string, limit: string, found: number, maximum: number, offset: number): void {
  if (found <= maximum) return;
  throw new MmdError('LIMIT_EXCEEDED', `${name}: safetensors header: ${found} ${limit}, over the limit of ${maximum}`, {
    offset,
    found,
    limit,
    maximum,
  });
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value is text that UTF-8 can encode. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && !/\p{Surrogate}/u.test(value);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** Options of the safetensors writers. */
export interface WriteSafetensorsOptions {
  /** Written under `__metadata__`. */
  readonly metadata?: { readonly [key: string]: string } | undefined;
}

/** A safetensors file that is about to be written. */
export interface SafetensorsPlan {
  /** The length and the header; the arrays' bytes follow one after the other. */
  readonly head: Uint8Array;
  readonly arrays: readonly (PlainArray & { readonly name: string; readonly offset: number })[];
  readonly size: number;
}

/** What a header counts for the metadata: their key and object; and for a tensor: its key and object, three keys, two lists. */
const METADATA_PARTS = 2;
const TENSOR_PARTS = 7;

/**
 * Lays out a safetensors file.
 * @throws UNSUPPORTED_DTYPE for types that the format lacks, such as big-endian ones; UNSUPPORTED_VALUE for Fortran order; BAD_KEY;
 *   INVALID_ARGUMENT; LIMIT_EXCEEDED for a header that no reader would accept
 */
export function planSafetensors(
  arrays: Iterable<readonly [string, PlainArray]>,
  options: WriteSafetensorsOptions = {},
): SafetensorsPlan {
  const steps = safetensorsPlanSteps(arrays, options);
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}

/** As {@link planSafetensors}, in steps: one for each array, of which there may be thousands. */
export function* safetensorsPlanSteps(
  arrays: Iterable<readonly [string, PlainArray]>,
  options: WriteSafetensorsOptions = {},
): Generator<void, SafetensorsPlan, void> {
  const names = new Set<string>();
  const header: string[] = [];
  let parts = 1;
  const { metadata } = options;
  if (metadata !== undefined) {
    const plainObject =
      Object.getPrototypeOf(metadata) === Object.prototype || Object.getPrototypeOf(metadata) === null;
    if (!plainObject || !Object.entries(metadata).flat().every(isText)) {
      const text = 'safetensors: metadata must be a plain object of strings without lone surrogates';
      throw new MmdError('INVALID_ARGUMENT', text, { found: metadata });
    }
    header.push(`${JSON.stringify(METADATA)}:${JSON.stringify(metadata)}`);
    parts += METADATA_PARTS + Object.keys(metadata).length;
  }
  const plain: (PlainArray & { name: string; start: number })[] = [];
  let start = 0;
  for (const [name, array] of arrays) {
    if (!isText(name)) {
      const text = `safetensors: the name ${JSON.stringify(name)} contains a lone surrogate, which UTF-8 cannot encode`;
      throw new MmdError('BAD_KEY', text, { key: name });
    }
    if (names.has(name) || name === METADATA) {
      throw new MmdError('BAD_KEY', `safetensors: the name ${JSON.stringify(name)} is taken`, { key: name });
    }
    const row = SAFETENSORS_DTYPES.find((candidate) => candidate.dtype === array.dtype.descr);
    if (row === undefined) {
      throw new MmdError(
        'UNSUPPORTED_DTYPE',
        `safetensors: ${JSON.stringify(name)}: the format has no type for ${array.dtype.name}`,
        {
          key: name,
          found: array.dtype.name,
        },
      );
    }
    if (array.order === 'F') {
      throw new MmdError(
        'UNSUPPORTED_VALUE',
        `safetensors: ${JSON.stringify(name)} is in Fortran order; copy it first`,
        {
          key: name,
        },
      );
    }
    const tensor = { dtype: row.name, shape: array.shape, data_offsets: [start, start + array.nbytes] };
    names.add(name);
    header.push(`${JSON.stringify(name)}:${JSON.stringify(tensor)}`);
    parts += TENSOR_PARTS;
    plain.push({ ...array, name, start });
    start += array.nbytes;
    yield;
  }
  // What our own reader would not accept is not written either.
  checkBudget('safetensors', 'parts', parts, MAX_HEADER_PARTS, LENGTH_BYTES);
  const json = new TextEncoder().encode(`{${header.join(',')}}`);
  checkBudget('safetensors', 'bytes', json.length + DATA_ALIGN, MAX_SAFETENSORS_HEADER, 0);
  const length = Math.ceil((LENGTH_BYTES + json.length) / DATA_ALIGN) * DATA_ALIGN;
  const head = new Uint8Array(length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length - LENGTH_BYTES), true);
  head.set(json, LENGTH_BYTES);
  return {
    head,
    arrays: plain.map(({ start: at, ...array }) => ({ ...array, offset: length + at })),
    size: length + start,
  };
}

/**
 * A safetensors file as bytes.
 *
 * @returns the file, owned by the caller
 * @throws as {@link planSafetensors}
 *
 * @example
 * ```ts
 * import { safetensorsBytes } from '@mmdpickle/npy-interop';
 *
 * safetensorsBytes({ bias: new Float32Array(4) }, { metadata: { format: 'np' } });
 * ```
 */
export function safetensorsBytes(
  arrays: { readonly [name: string]: WritableArray } | Iterable<readonly [string, WritableArray]>,
  options: WriteSafetensorsOptions = {},
): Uint8Array<ArrayBuffer> {
  checkOptions(options, SAFETENSORS_OPTIONS);
  const plan = planSafetensors(plainTensors(arrays), options);
  const bytes = new Uint8Array(plan.size);
  bytes.set(plan.head);
  for (const array of plan.arrays) {
    let at = array.offset;
    for (const piece of arrayPieces(array, array.name)) {
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  return bytes;
}

/** Checks arrays that are to be written. */
export function* plainTensors(
  arrays: { readonly [name: string]: WritableArray } | Iterable<readonly [string, WritableArray]>,
): Generator<readonly [string, PlainArray]> {
  for (const [name, value] of namedArrays(arrays)) yield [name, plainArray(value, name)];
}

/**
 * Pairs of name and array from a Map, another iterable of pairs, or a plain object.
 * @throws INVALID_ARGUMENT for anything else
 */
export function* namedArrays<T>(
  arrays: { readonly [name: string]: T } | Iterable<readonly [string, T]>,
): Generator<readonly [string, T]> {
  if (typeof arrays !== 'object' || arrays === null) throw notNamed(arrays);
  const pairs = Symbol.iterator in arrays ? (arrays as Iterable<unknown>) : Object.entries(arrays);
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') throw notNamed(pair);
    yield pair as unknown as readonly [string, T];
  }
}

function notNamed(found: unknown): MmdError {
  const text = `arrays must be an object of arrays by name, or pairs of name and array; found ${typeof found}`;
  return new MmdError('INVALID_ARGUMENT', text, { found });
}
