/**
 * The codec of arrays: typed arrays and everything that implements ArraySource, stored so that they can be mapped.
 *
 * @module
 */

import type { ByteWriter } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { checkSource, exactBytes, isBytes } from '../ndarray/array-source.ts';
import {
  type ArraySource,
  type DType,
  type FileRange,
  isArraySource,
  NDArray,
  ndarray,
  parseDType,
} from '../ndarray/index.ts';
import { orderOf } from '../ndarray/layout.ts';
import { typeOfTypedArray } from '../ndarray/nested.ts';
import { checkDims, checkShape } from '../ndarray/shapes.ts';
import { RecArray } from '../pickle/index.ts';
import {
  type ArrayForm,
  type ArrayPreamble,
  dataAlignment,
  encodeLegacyArray,
  encodeModernArray,
  type ParsedArray,
  parseArray,
} from './array-value.ts';
import type { ArrayLayout, StoredValue, ValueCodec, ValueMeta } from './codecs.ts';
import type { ArrayBody, EncodedValue, ValuePart } from './encoded-value.ts';
import { alignUp, ENTRY_HEAD_SIZE, FILLER_MIN, toSectorEnd } from './layout.ts';

/** An array to write: its form and where its bytes come from. */
export interface ArrayToWrite {
  readonly form: ArrayForm;
  readonly body: ArrayBody;
}

/** Codec of typed arrays and array sources, which are stored as mapped arrays. */
export const arrayCodec: ValueCodec = {
  name: 'ndarray',
  encode(value, { layout, preamble }) {
    const source = asSource(value);
    if (source === undefined || source.mask !== undefined) return undefined;
    const array = arrayToWrite(source);
    return array && encodeArray(array, layout, preamble);
  },
  describe(stored) {
    const parsed = parseWhole(stored);
    return parsed && { kind: 'ndarray', ...arrayMeta(stored, parsed) };
  },
  decode(stored, meta) {
    // describe() has found everything needed: the head is not parsed again.
    const { type, shape, order, nbytes, dataOffset, capacity } = meta as ArrayMeta;
    if (capacity !== undefined && stored.growable !== undefined) return stored.growable(type, shape.slice(1));
    return NDArray.over(stored.memory(dataOffset - stored.offset, nbytes), type, [...shape], { order });
  },
};

function parseWhole(stored: StoredValue): ParsedArray | undefined {
  const reader = stored.reader();
  const parsed = parseArray(reader);
  if (parsed === undefined) return undefined;
  // If a crash interrupted its growth, a growable array is followed by room that it does not claim yet.
  return reader.pos === reader.length || parsed.countPos !== undefined ? parsed : undefined;
}

/** An array over the mapping. */
export function arrayOver(stored: StoredValue, parsed: ParsedArray): NDArray {
  const nbytes = bytesOf(parsed.shape, parsed.type);
  return NDArray.over(stored.memory(parsed.dataPos, nbytes), parsed.type, [...parsed.shape], { order: parsed.order });
}

/** The part of {@link ValueMeta} that an array has. */
type ArrayMeta = Required<Pick<ValueMeta, 'dtype' | 'type' | 'shape' | 'order' | 'nbytes' | 'dataOffset' | 'layout'>> &
  Pick<ValueMeta, 'capacity'>;

/** The metadata of a parsed array. */
export function arrayMeta(stored: StoredValue, parsed: ParsedArray): ArrayMeta {
  const { type, shape, order, dataPos, dataLength, countPos, spelling } = parsed;
  const row = bytesOf(shape.slice(1), type);
  return {
    dtype: type.name,
    type,
    shape,
    order,
    nbytes: bytesOf(shape, type),
    dataOffset: stored.offset + dataPos,
    layout: spelling,
    ...(countPos !== undefined && { capacity: row === 0 ? shape[0]! : Math.floor(dataLength / row) }),
  };
}

/** Size of an array in bytes. */
export function bytesOf(shape: readonly number[], type: DType): number {
  let product = type.itemsize;
  for (const dim of shape) product *= dim;
  return product;
}

/** Whether a value is stored as an array. */
export function isArrayValue(value: unknown): boolean {
  return isArraySource(value) || elementsOf(value) !== undefined;
}

/** The dtype of a typed array that is stored as an array; a Uint8Array is stored as bytes. */
function elementsOf(value: unknown): DType | undefined {
  return isBytes(value) ? undefined : typeOfTypedArray(value);
}

/** The value as a source of array bytes; `undefined` for everything else. */
function asSource(value: unknown): ArraySource | undefined {
  // No spelling of a mapped array loads as numpy's recarray: the pickle machine writes it.
  if (value instanceof RecArray) return undefined;
  if (isArraySource(value)) return value;
  return elementsOf(value) === undefined ? undefined : ndarray(value);
}

/**
 * Checks a source and returns what to write.
 * @returns `undefined` for object dtypes, which are never mapped
 * @throws UNSUPPORTED_DTYPE, INVALID_ARGUMENT
 */
export function arrayToWrite(source: ArraySource): ArrayToWrite | undefined {
  // An NDArray's type and shape are already checked, and do not change.
  const ours = source instanceof NDArray ? source.laid() : undefined;
  if (ours === undefined) checkSource(source);
  const type = ours === undefined ? parseDType(source.dtype) : ours.type;
  if (type.hasObject) return undefined;
  // A zero dimension does not lift the limits of the others: numpy would refuse the array, and so the whole file.
  const shape = ours === undefined ? checkShape(source.shape, Math.max(1, type.itemsize)) : ours.shape;
  const order = ours === undefined ? (source.order ?? 'C') : orderOf(ours);
  checkDims(shape);
  const { capacity } = source;
  const growable = capacity !== undefined;
  const nbytes = bytesOf(shape, type);
  let dataLength = nbytes;
  if (growable) {
    if (shape.length === 0) refuse('a growable array needs at least one dimension', shape);
    if (!Number.isSafeInteger(capacity) || capacity < shape[0]!) {
      refuse(`capacity must be a whole number of at least ${shape[0]} rows, found ${capacity}`, capacity);
    }
    if (order === 'F') refuse('a growable array must be in C order', order);
    dataLength = bytesOf(checkShape([capacity, ...shape.slice(1)], Math.max(1, type.itemsize)), type);
  }
  const { file } = source;
  if (file !== undefined && file.length !== nbytes) {
    refuse(`the file range has ${file.length} bytes, but the array needs ${nbytes}`, file.length);
  }
  return {
    form: { type, shape, order, dataLength, growable },
    body: new SourceBody(source, nbytes, dataLength),
  };
}

function refuse(message: string, found: unknown): never {
  throw new MmdError('INVALID_ARGUMENT', `array to store: ${message}`, { found });
}

/** The bytes of a source. A class, so that a stream of frames needs no closures. */
class SourceBody implements ArrayBody {
  readonly body = true;
  readonly nbytes: number;
  readonly file: FileRange | undefined;
  readonly reserve: boolean;
  readonly #source: ArraySource;
  /** Bytes that the source gives; with a capacity, the body has more. */
  readonly #given: number;

  constructor(source: ArraySource, given: number, nbytes: number) {
    this.nbytes = nbytes;
    this.file = source.file;
    this.reserve = source.reserve === true;
    this.#source = source;
    this.#given = given;
  }

  piece(): Uint8Array | undefined {
    const source = this.#source;
    return source instanceof NDArray && this.#given === this.nbytes && !this.reserve ? source.piece() : undefined;
  }

  chunks(): Iterable<Uint8Array> {
    return typeof this.#source.bytes === 'function' ? exactBytes(this.#source, this.#given) : [];
  }
}

/** An array in the spelling of `layout`. */
export function encodeArray({ form, body }: ArrayToWrite, layout: ArrayLayout, preamble?: ArrayPreamble): EncodedValue {
  if (layout === 'legacy') {
    const { head, tail } = encodeLegacyArray(form);
    const toData = head.length;
    return {
      kind: 'ndarray',
      place: () => [head, body, tail],
      fillerBefore: (entryOffset, keyLength) => {
        const dataOffset = entryOffset + ENTRY_HEAD_SIZE + keyLength + toData;
        return fillerTo(dataOffset, dataAlignment(form.dataLength));
      },
      memoHint: 0,
    };
  }
  return new ModernArray(form, body, preamble);
}

/** An array in the modern spelling, whose padding is inside the value. */
class ModernArray implements EncodedValue {
  readonly kind = 'ndarray';
  readonly memoHint = 0;
  readonly #form: ArrayForm;
  readonly #body: ArrayBody;
  readonly #preamble: ArrayPreamble | undefined;

  constructor(form: ArrayForm, body: ArrayBody, preamble: ArrayPreamble | undefined) {
    this.#form = form;
    this.#body = body;
    this.#preamble = preamble;
  }

  place(offset: number, scratch?: ByteWriter): readonly ValuePart[] {
    const { head, tail } = encodeModernArray(this.#form, offset, scratch, this.#preamble);
    return [head, this.#body, tail];
  }

  fillerBefore(entryOffset: number): number {
    return this.#form.growable === true ? frameLengthFiller(entryOffset) : 0;
  }
}

/** Bytes of filler that move `offset` to a multiple of `alignment`: 0, or at least the smallest filler. */
export function fillerTo(offset: number, alignment: number): number {
  const filler = alignUp(offset, alignment) - offset;
  return filler === 0 ? 0 : filler < FILLER_MIN ? filler + alignUp(FILLER_MIN - filler, alignment) : filler;
}

/** Bytes of filler that keep an entry's FRAME length, which growing in place overwrites, inside one sector. */
export function frameLengthFiller(entryOffset: number): number {
  return toSectorEnd(entryOffset + 1) < 8 ? FILLER_MIN : 0;
}
