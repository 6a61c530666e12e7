import { readFileSync, writeFileSync } from 'node:fs';
import { type ErrorCode, isMmdError, type MmdError } from '@mmdpickle/core';
import { parseDType } from '@mmdpickle/core/ndarray';
import type { ByteSource } from '@mmdpickle/core/storage';
import {
  fromRaw,
  readSafetensors,
  SAFETENSORS_DTYPES,
  safetensorsBytes,
  toRaw,
  writeSafetensors,
} from '@mmdpickle/npy-interop';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { arrayOf, bytesOf } from './arrays.ts';

const ALL = SAFETENSORS_DTYPES.map(
  ({ name, dtype }, i) => [name, arrayOf(parseDType(dtype), i % 3 === 0 ? [] : [i, 2], 'C', i + 1)] as const,
);

/** A file with this header text and this many bytes of data. */
function file(header: unknown, data = 0, length?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const tensor = (start: number, end: number, shape = [end - start], dtype = 'U8'): unknown => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

/** A header with one tensor and these spellings of its numbers. */
const written = (shape: string, offsets: string): string =>
  `{"a":{"dtype":"U8","shape":${shape},"data_offsets":${offsets}}}`;

const HOSTILE: readonly { readonly name: string; readonly bytes: Uint8Array; readonly code: ErrorCode }[] = [
  { name: 'nothing', bytes: new Uint8Array(0), code: 'TRUNCATED' },
  { name: 'half a length', bytes: new Uint8Array(5), code: 'TRUNCATED' },
  { name: 'a header longer than the file', bytes: file('{}', 0, 100), code: 'TRUNCATED' },
  { name: 'a header of 2^60 bytes', bytes: file('{}', 0, 2 ** 60), code: 'BAD_FORMAT' },
  { name: 'a text', bytes: new TextEncoder().encode('this is a text, and no file of tensors\n'), code: 'BAD_FORMAT' },
  { name: 'a complete header that is too long', bytes: file('{}'.padEnd(100_000_001)), code: 'LIMIT_EXCEEDED' },
  { name: 'a header that is not JSON', bytes: file('{'), code: 'BAD_FORMAT' },
  { name: 'a header of nested brackets', bytes: file(`{"a":${'['.repeat(1_000_000)}`), code: 'LIMIT_EXCEEDED' },
  {
    name: 'a header with too many values',
    bytes: file(`{"a":[${'[],'.repeat(2_100_000)}0]}`),
    code: 'LIMIT_EXCEEDED',
  },
  { name: 'a header after a space', bytes: file(' {}'), code: 'BAD_FORMAT' },
  { name: 'a header after a byte order mark', bytes: file('\ufeff{}'), code: 'BAD_FORMAT' },
  { name: 'a header that is a list', bytes: file([]), code: 'BAD_FORMAT' },
  { name: 'a tensor that is a number', bytes: file({ a: 1 }), code: 'BAD_FORMAT' },
  { name: 'a tensor without a dtype', bytes: file({ a: { shape: [1], data_offsets: [0, 1] } }, 1), code: 'BAD_FORMAT' },
  { name: 'a negative length', bytes: file({ a: tensor(0, 1, [-1]) }, 1), code: 'BAD_FORMAT' },
  { name: 'a fractional length', bytes: file(written('[1.0]', '[0,1]'), 1), code: 'BAD_FORMAT' },
  { name: 'a length of minus zero', bytes: file(written('[-0]', '[0,0]')), code: 'BAD_FORMAT' },
  { name: 'an offset with an exponent', bytes: file(written('[1]', '[0,1e0]'), 1), code: 'BAD_FORMAT' },
  {
    name: 'a single offset',
    bytes: file({ a: { dtype: 'U8', shape: [1], data_offsets: [0] } }, 1),
    code: 'BAD_FORMAT',
  },
  { name: 'metadata that is a number', bytes: file({ __metadata__: { a: 1 } }), code: 'BAD_FORMAT' },
  { name: 'a tensor that is null', bytes: file({ a: null }), code: 'BAD_FORMAT' },
  { name: 'a shape that does not match', bytes: file({ a: tensor(0, 4, [5]) }, 4), code: 'CORRUPT' },
  { name: 'offsets in the wrong order', bytes: file({ a: tensor(4, 0, [4], 'X') }, 4), code: 'CORRUPT' },
  {
    name: 'a duplicate tensor',
    bytes: file(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ),
    code: 'CORRUPT',
  },
  { name: 'tensors that overlap', bytes: file({ a: tensor(0, 4), b: tensor(2, 6) }, 6), code: 'CORRUPT' },
  { name: 'a gap between tensors', bytes: file({ a: tensor(0, 4), b: tensor(5, 6) }, 6), code: 'CORRUPT' },
  {
    name: 'a duplicate name',
    bytes: file(
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
      2,
    ),
    code: 'CORRUPT',
  },
  {
    name: 'a duplicate dtype',
    bytes: file('{"a":{"dtype":"I8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    code: 'CORRUPT',
  },
  { name: 'duplicate metadata', bytes: file('{"__metadata__":{"k":"1","k":"2"}}'), code: 'CORRUPT' },
  { name: 'bytes after the last tensor', bytes: file({ a: tensor(0, 4) }, 5), code: 'CORRUPT' },
  { name: 'truncated data', bytes: file({ a: tensor(0, 4) }, 3), code: 'TRUNCATED' },
  {
    name: 'an empty shape with huge dimensions',
    bytes: file({ a: tensor(0, 0, [0, 2 ** 52, 2 ** 52]) }),
    code: 'CORRUPT',
  },
  { name: 'a shape larger than any file', bytes: file({ a: tensor(0, 4, [2 ** 40, 2 ** 40]) }, 4), code: 'CORRUPT' },
];

const caught = async (run: () => unknown): Promise<unknown> => {
  try {
    return await run();
  } catch (error) {
    return error;
  }
};

describe('safetensors files', () => {
  test.each(HOSTILE)('$name: $code', async ({ bytes, code }) => {
    using temp = new TempDir();
    writeFileSync(temp.file('bad.safetensors'), bytes);
    for (const source of [bytes, new Blob([bytes as BlobPart]), temp.file('bad.safetensors')]) {
      const error = await caught(() => readSafetensors(source as Uint8Array));
      expect(isMmdError(error)).toBe(true);
      expect((error as MmdError).code).toBe(code);
      expect(typeof (error as MmdError).offset).toBe('number');
    }
  });

  test('every type survives a round trip, aligned, mapped or from memory', async () => {
    using temp = new TempDir();
    writeSafetensors(temp.file('x.safetensors'), ALL, { metadata: { format: 'np' } });
    const bytes = readFileSync(temp.file('x.safetensors'));
    expect(new Uint8Array(bytes)).toEqual(safetensorsBytes(ALL, { metadata: { format: 'np' } }));
    using mapped = readSafetensors(temp.file('x.safetensors'));
    for (const read of [mapped, readSafetensors(bytes), await readSafetensors(new Blob([bytes]))]) {
      expect(read.keys().sort()).toEqual(ALL.map(([name]) => name).sort());
      expect(read.metadata.get('format')).toBe('np');
      for (const [name, array] of ALL) {
        const back = read.get(name);
        expect([back.dtype, back.shape]).toEqual([array.dtype, array.shape]);
        expect(bytesOf(back)).toEqual(bytesOf(array));
      }
      expect(() => read.get('none')).toThrowError(expect.objectContaining({ code: 'NOT_FOUND' }));
    }
  });

  test('a type that numpy lacks is named when it is requested, and the others are read', () => {
    const read = readSafetensors(file({ a: tensor(0, 4, [2], 'BF16'), b: tensor(4, 6) }, 6));
    expect(() => read.get('a')).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE', found: 'BF16' }));
    expect(read.get('b').shape).toEqual([2]);
  });

  test('metadata that is null counts as none, as in the reference', () => {
    expect(readSafetensors(file({ __metadata__: null })).metadata.size).toBe(0);
  });

  test('numbers in fields that the format does not define may have any spelling, as in the reference', () => {
    const read = readSafetensors(
      file('{"a":{"scale":1.0,"scales":[1.5],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    );
    expect(read.get('a').shape).toEqual([1]);
    const inside = '"x":{"shape":1.5,"data_offsets":[1.5],"y":[[1.5]]}';
    const text = `{"a":{${inside},"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metadata__":{"shape":"x"}}`;
    expect(readSafetensors(file(text, 1)).get('a').shape).toEqual([1]);
  });

  test("an aborted read rejects with the signal's reason and issues no more reads", async () => {
    const bytes = safetensorsBytes({ a: new Uint8Array(100) });
    const reason = new Error('enough');
    const abort = new AbortController();
    let reads = 0;
    const source: ByteSource = {
      name: 'slow',
      size: async () => bytes.length,
      read: async (offset, length, signal) => {
        reads += 1;
        abort.abort(reason);
        signal?.throwIfAborted();
        return bytes.subarray(offset, offset + length);
      },
    };
    await expect(readSafetensors(source, { signal: abort.signal })).rejects.toBe(reason);
    expect(reads).toBe(1);
    const unasked = { name: 'unasked', size: () => Promise.reject(new Error('asked')), read: source.read };
    for (const later of [new Blob([bytes]), unasked])
      await expect(readSafetensors(later, { signal: abort.signal })).rejects.toBe(reason);
  });

  test('a long text in the metadata is read', () => {
    const metadata = { long: '\\"'.repeat(2 ** 23) };
    expect(readSafetensors(safetensorsBytes({}, { metadata })).metadata.get('long')).toBe(metadata.long);
  });

  test.each([
    { name: 'a number', metadata: { a: 1 } },
    { name: 'a list', metadata: ['a'] },
    { name: 'a Map', metadata: new Map([['a', 'b']]) },
  ])('metadata of $name is refused, since no reader would accept it', ({ metadata }) => {
    expect(() => safetensorsBytes({}, { metadata } as unknown as object)).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  test('a lone surrogate is refused, in a name and in the metadata', () => {
    expect(() => safetensorsBytes({ '\ud800': new Uint8Array(1) })).toThrowError(
      expect.objectContaining({ code: 'BAD_KEY', key: '\ud800' }),
    );
    for (const metadata of [{ a: '\ud800' }, { '\ud800': 'a' }])
      expect(() => safetensorsBytes({}, { metadata })).toThrowError(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
  });

  test('a header above the read limit is not written', () => {
    expect(() => safetensorsBytes({}, { metadata: { a: 'x'.repeat(100_000_000) } })).toThrowError(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit: 'bytes', maximum: 100_000_000 }),
    );
  });

  test.each([
    { name: 'big-endian', array: arrayOf(parseDType('>f4'), [2]), code: 'UNSUPPORTED_DTYPE' },
    { name: 'text', array: arrayOf(parseDType('U2'), [2]), code: 'UNSUPPORTED_DTYPE' },
    { name: 'Fortran order', array: arrayOf(parseDType('<f4'), [2, 2], 'F'), code: 'UNSUPPORTED_VALUE' },
  ])('$name is refused when writing', ({ array, code }) => {
    expect(() => safetensorsBytes({ a: array })).toThrowError(expect.objectContaining({ code }));
  });
});

describe('raw files', () => {
  test('bytes are mapped as an array, with one length computed from the size', () => {
    using temp = new TempDir();
    expect(toRaw(temp.file('a.bin'), new Int16Array([1, 2, 3, 4, 5, 6]))).toBe(12);
    using array = fromRaw(temp.file('a.bin'), '<i2', [2, -1], { order: 'F', mode: 'r+' });
    expect(array.toNested()).toEqual([
      [1, 3, 5],
      [2, 4, 6],
    ]);
    array.set(1, 2, -6);
    using again = fromRaw(temp.file('a.bin'), '<i2', [-1], { offset: 8 });
    expect(again.toNested()).toEqual([5, -6]);
  });

  test.each([
    { shape: [7], code: 'TRUNCATED' },
    { shape: [-1, 5], code: 'INVALID_ARGUMENT' },
    { shape: [-1, -1], code: 'INVALID_ARGUMENT' },
    { shape: [-1, 0], code: 'INVALID_ARGUMENT' },
    { shape: [1.5], code: 'INVALID_ARGUMENT' },
    { shape: [1], offset: 12, code: 'TRUNCATED' },
  ])('the shape $shape for a file of another size is refused: $code', ({ shape, offset, code }) => {
    using temp = new TempDir();
    toRaw(temp.file('a.bin'), new Int16Array(6));
    expect(() => fromRaw(temp.file('a.bin'), '<i2', shape, { offset })).toThrowError(expect.objectContaining({ code }));
  });
});

describe.each(pythons())('with Python $version', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test('numpy finds the tensors at the offsets in the header', async () => {
    const read = await python.run<[string, number[], Uint8Array][]>(
      `
import json
import numpy as np
DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
  "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8"}
data = args["file"]
length = int.from_bytes(data[:8], "little")
header = json.loads(data[8:8 + length])
result = []
for name, entry in header.items():
    start, end = entry["data_offsets"]
    array = np.frombuffer(data[8 + length + start:8 + length + end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    result.append([name, list(array.shape), array.tobytes()])
`,
      { file: safetensorsBytes(ALL) },
    );
    expect(read).toEqual(ALL.map(([name, array]) => [name, array.shape, bytesOf(array)]));
  });
});

test('an ArrayBuffer is read like its bytes', () => {
  const bytes = safetensorsBytes({ a: new Float32Array([1, 2]) });
  expect(readSafetensors(bytes.buffer).get('a').toNested()).toEqual([1, 2]);
});
