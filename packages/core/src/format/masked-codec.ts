/**
 * The codec of masked arrays: data and mask both mapped.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { checkSource } from '../ndarray/array-source.ts';
import { checkMaskable } from '../ndarray/fill-value.ts';
import {
  type ArraySource,
  type DType,
  defaultFillValue,
  isArraySource,
  MaskedArray,
  NDArray,
  parseDType,
} from '../ndarray/index.ts';
import { fillOf, fillToWrite } from '../pickle/types/numpy.ts';
import { arrayMeta, arrayOver, arrayToWrite, bytesOf, fillerTo, frameLengthFiller } from './array-codec.ts';
import { type ArrayForm, dataAlignment, encodeLegacyArray, encodeModernArray } from './array-value.ts';
import type { StoredValue, ValueCodec } from './codecs.ts';
import type { ArrayBody, EncodedValue, ValuePart } from './encoded-value.ts';
import { ENTRY_HEAD_SIZE } from './layout.ts';
import { encodeMasked, type ParsedMasked, parseMasked } from './masked-value.ts';

/** Codec of masked arrays and sources with a mask, which are stored as two mapped arrays. */
export const maskedCodec: ValueCodec = {
  name: 'masked',
  encode(value, context) {
    if (!isArraySource(value)) return undefined;
    const source: ArraySource = value;
    const { mask: given } = source;
    if (given === undefined) return undefined;
    if (!isArraySource(given)) {
      throw new MmdError('INVALID_ARGUMENT', 'the mask of an array source must be an array source', { found: given });
    }
    checkSource(given);
    const { kind, name } = parseDType(given.dtype);
    if (kind !== 'b')
      throw new MmdError('INVALID_ARGUMENT', `a mask must be of type bool, found ${name}`, { found: name });
    const data = arrayToWrite(source);
    if (data === undefined) return undefined;
    checkMaskable(data.form.type);
    const mask = arrayToWrite({
      arraySource: true,
      dtype: 'bool',
      shape: given.shape,
      // The mask's own order: it may differ from that of the data.
      ...(given.order !== undefined && { order: given.order }),
      ...(source.capacity !== undefined && { capacity: source.capacity }),
      ...(given.reserve !== undefined && { reserve: given.reserve }),
      ...(given.bytes !== undefined && { bytes: () => given.bytes!() }),
      ...(given.file !== undefined && { file: given.file }),
    })!;
    if (data.form.shape.join() !== mask.form.shape.join()) {
      throw new MmdError(
        'INVALID_ARGUMENT',
        `the mask has shape [${mask.form.shape}], but the data has shape [${data.form.shape}]`,
        {
          expected: data.form.shape,
          found: mask.form.shape,
        },
      );
    }
    let fill: Uint8Array | undefined;
    let memoHint = 0;
    if (source.fillValue !== undefined && source.fillValue !== null) {
      const { type } = data.form;
      const spelled = (value: unknown): Uint8Array => context.entries.encode(spelledFill(value, type)).slice();
      fill = spelled(source.fillValue);
      memoHint = context.entries.memoEnd;
      if (context.layout === 'legacy') {
        // numpy's own default need not be stored: masked arrays that were printed once have it.
        if (fill.join() !== spelled(defaultFillValue(type)).join()) throw noFillValue(source.fillValue);
        [fill, memoHint] = [undefined, 0];
      }
    }
    return encodeMaskedArray(data.form, data.body, mask.form, mask.body, context.layout, fill, memoHint);
  },
  describe(stored) {
    const parsed = parseMasked(stored.reader());
    const fillValue = parsed && loadFill(stored, parsed);
    if (parsed === undefined || fillValue === undefined) return undefined;
    const { mask } = parsed;
    return {
      kind: 'masked',
      ...arrayMeta(stored, parsed.data),
      fillValue,
      mask: { dataOffset: stored.offset + mask.dataPos, nbytes: bytesOf(mask.shape, mask.type) },
    };
  },
  decode(stored) {
    const parsed = parseMasked(stored.reader());
    const fillValue = parsed && loadFill(stored, parsed);
    if (parsed === undefined || fillValue === undefined)
      throw new MmdError('CORRUPT', `${stored.key}: the array changed while being read`, { key: stored.key });
    const { data, mask } = parsed;
    const { countPos } = data;
    if (countPos !== undefined && stored.growable !== undefined && mask.shapeGot !== undefined) {
      return stored.growable(data.type, data.shape.slice(1), { fillValue });
    }
    return new MaskedArray(arrayOver(stored, data), arrayOver(stored, mask), { fillValue });
  },
};

function noFillValue(found: unknown): MmdError {
  return new MmdError(
    'UNSUPPORTED_VALUE',
    "the legacy layout supports only numpy's default fill value; use layout 'modern'",
    {
      found,
    },
  );
}

/** The fill value to store; a plain value if that loses nothing. @throws UNSUPPORTED_VALUE */
function spelledFill(value: unknown, type: DType): unknown {
  const scalar = fillToWrite(value, type);
  if (scalar instanceof NDArray) return scalar;
  const longDouble = type.kind === 'f' ? type.itemsize > 8 : type.kind === 'c' && type.itemsize > 16;
  // Without a unit, an int does not stand for a time.
  const unitless = 'mM'.includes(type.kind) && type.unit === undefined;
  return type.fields !== undefined || longDouble || unitless ? scalar : scalar.value;
}

/** The fill value, or null for numpy's default; undefined if the stored value does not fit the array's type. */
function loadFill(stored: StoredValue, { fill, data }: ParsedMasked): unknown {
  if (fill === undefined) return null;
  const reader = stored.reader();
  reader.skip(fill.start);
  const bytes = reader.take(fill.end - fill.start).slice();
  return fillOf(stored.decoder.loadEntry(bytes, 0, bytes.length), data.type);
}

function encodeMaskedArray(
  form: ArrayForm,
  body: ArrayBody,
  maskForm: ArrayForm,
  maskBody: ArrayBody,
  layout: 'modern' | 'legacy',
  fill: Uint8Array | undefined,
  memoHint: number,
): EncodedValue {
  const growable = form.growable === true;
  const data = growable ? { ...form, shapePut: 0 } : form;
  const mask = growable ? { ...maskForm, growable: false, shapeGet: 0 } : maskForm;
  const place = (offset: number): readonly ValuePart[] => {
    const spell = layout === 'modern' ? encodeModernArray : encodeLegacyArray;
    const { head, between, tail } = encodeMasked(
      layout,
      offset,
      (at) => spell(data, at),
      form.dataLength,
      (at) => spell(mask, at),
      maskForm.dataLength,
      fill,
    );
    return [head, body, between, maskBody, tail];
  };
  // The legacy layout has no padding inside a value, so only the data can be aligned, by a filler before.
  const legacyFiller = (entryOffset: number, keyLength: number): number => {
    const dataOffset = entryOffset + ENTRY_HEAD_SIZE + keyLength + (place(0)[0] as Uint8Array).length;
    return fillerTo(dataOffset, dataAlignment(form.dataLength));
  };
  return {
    kind: 'masked',
    place,
    ...(layout === 'legacy' ? { fillerBefore: legacyFiller } : growable && { fillerBefore: frameLengthFiller }),
    memoHint: Math.max(memoHint, growable ? 1 : 0),
  };
}
