/**
 * Reads and writes one element of any type, structured and sub-array ones too.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { type DType, type DTypeField, rowOf } from './dtypes.ts';
import { sizeOf } from './shapes.ts';

/** Converts elements of one type between bytes and JavaScript values. */
export interface ElementCodec {
  /** Reads the element at `pos`; the result holds no borrowed bytes. */
  get(view: DataView, pos: number): unknown;
  /** @throws UNSUPPORTED_VALUE for a value that the type cannot hold; the element is then unchanged */
  set(view: DataView, pos: number, value: unknown): void;
}

/** Makes the codec of a type. Keep it: making one takes time for structured types. */
export function codecOf(type: DType): ElementCodec {
  const { fields, base, shape, itemsize: length } = type;
  if (fields !== undefined) return atOnce(structCodec(fields), length);
  if (base !== undefined && shape !== undefined) return atOnce(subarrayCodec(base, shape), length);
  const row = rowOf(type);
  const little = type.byteorder !== '>';
  const { itemsize } = type;
  return {
    get: (view, pos) => row.get(view, pos, little, itemsize),
    set: (view, pos, value) => row.set(view, pos, value, little, itemsize),
  };
}

/** Stores elements of several parts completely or, if a part is refused, not at all; padding is kept. */
function atOnce(codec: ElementCodec, length: number): ElementCodec {
  return {
    get: (view, pos) => codec.get(view, pos),
    set(view, pos, value) {
      const place = new Uint8Array(view.buffer, view.byteOffset + pos, length);
      const draft = place.slice();
      codec.set(new DataView(draft.buffer), 0, value);
      place.set(draft);
    },
  };
}

function structCodec(fields: readonly DTypeField[]): ElementCodec {
  const parts = fields.map(({ name, offset, dtype }) => ({ name, offset, codec: codecOf(dtype) }));
  return {
    get(view, pos) {
      const record: { [name: string]: unknown } = Object.create(null);
      for (const { name, offset, codec } of parts) record[name] = codec.get(view, pos + offset);
      return Object.freeze(record);
    },
    set(view, pos, value) {
      const values = fieldValues(parts, value);
      for (const [index, { offset, codec }] of parts.entries()) codec.set(view, pos + offset, values[index]);
    },
  };
}

/** The values of the fields, from a record, a Map, or a list in the order of the fields (Python's tuple). */
function fieldValues(parts: readonly { readonly name: string }[], value: unknown): readonly unknown[] {
  const misfit = (message: string): MmdError =>
    new MmdError('UNSUPPORTED_VALUE', `a structured element ${message}`, {
      expected: parts.map(({ name }) => name),
      found: value,
    });
  if (Array.isArray(value)) {
    if (value.length !== parts.length)
      throw misfit(`has ${parts.length} fields, but the list has ${value.length} items`);
    return value;
  }
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    throw misfit('must be a record, a Map or a list of its fields');
  }
  return parts.map(({ name }) => {
    if (value instanceof Map) {
      if (!value.has(name)) throw misfit(`needs the field ${JSON.stringify(name)}`);
      return value.get(name) as unknown;
    }
    if (!Object.hasOwn(value, name)) throw misfit(`needs the field ${JSON.stringify(name)}`);
    return (value as { [name: string]: unknown })[name];
  });
}

function subarrayCodec(base: DType, shape: readonly number[]): ElementCodec {
  const codec = codecOf(base);
  const [length = 0, ...rest] = shape;
  const inner = rest.length === 0 ? codec : subarrayCodec(base, rest);
  const step = sizeOf(rest) * base.itemsize;
  return {
    get: (view, pos) => Object.freeze(Array.from({ length }, (_, i) => inner.get(view, pos + i * step))),
    set(view, pos, value) {
      const items = Array.isArray(value) || ArrayBuffer.isView(value) ? (value as ArrayLike<unknown>) : undefined;
      if (items === undefined || items.length !== length) {
        throw new MmdError('UNSUPPORTED_VALUE', `a sub-array of shape [${shape.join(', ')}] needs ${length} items`, {
          expected: [...shape],
          found: value,
        });
      }
      for (let i = 0; i < length; i += 1) inner.set(view, pos + i * step, items[i]);
    },
  };
}
