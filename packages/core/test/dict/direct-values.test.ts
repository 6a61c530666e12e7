import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import type { DictOptions } from '../../src/dict/options.ts';
import { isMmdError } from '../../src/errors.ts';
import { maybeArray, parseArray } from '../../src/format/array-value.ts';
import type { ValueCodec } from '../../src/format/index.ts';
import { parseMasked } from '../../src/format/masked-value.ts';
import { ValueReader } from '../../src/format/value-reader.ts';
import { MaskedArray, NDArray, ndarray } from '../../src/ndarray/index.ts';
import { dump } from '../../src/pickle/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { pickleValues } from '../../src/testing/index.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

/** A codec that claims nothing: with a user codec in the list, every value is read on the slow path. */
const nobody: ValueCodec = {
  name: 'nobody',
  encode: () => undefined,
  describe: () => undefined,
  decode: () => undefined,
};

function open(bytes: Uint8Array, options: DictOptions = {}): MmapDict {
  return MmapDict.over(MemoryFile.of(bytes), { lenient: true, ...options });
}

/** The outcome of a get: the pickle of the value, or the error. */
function outcome(dict: MmapDict, key: string): unknown {
  try {
    return dump(dict.get(key));
  } catch (error) {
    if (!isMmdError(error)) throw error;
    const { code, message, offset, expected } = error;
    return { code, message, offset, expected };
  }
}

/** Enough gets that later ones read from pages, if the file has any whole pages. */
function warm(dict: MmapDict): MmapDict {
  for (let i = 0; i < 70; i++) dict.get('last');
  return dict;
}

/** The file of a dict of these values, with a tail index from 64 keys on. */
function fileOf(values: readonly unknown[], index = true): Uint8Array {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.batch(() => {
    for (const [i, value] of values.entries()) dict.set(`k${i}`, value);
  });
  const copy = MemoryFile.of(file.toBytes());
  MmapDict.over(copy, { index }).set('last', 0).close();
  return copy.toBytes();
}

/** Bytes of the first entries. */
function entriesOf(dict: MmapDict, count: number): number {
  const { place } = dict.core.find(`k${count - 1}`)!;
  return place.offset + 9 + place.frameLength - 24;
}

/** Sizes around every limit of the fast path. */
const SIZES = [0, 1, 17, 18, 200, 245, 246, 247, 256, 400, 480, 500, 512, 4080, 4090, 4096, 5000];

describe('a value is the same on the fast and the slow path', () => {
  it('for any value', () => {
    fc.assert(
      fc.property(fc.array(pickleValues(), { maxLength: 6 }), fc.constantFrom(0, 70, 300), (some, more) => {
        const values = [...some, ...new Array<number>(more).fill(1)];
        const bytes = fileOf(values);
        const short = open(bytes);
        const long = open(bytes, { codecs: [nobody] });
        for (const i of some.keys()) expect(outcome(short, `k${i}`)).toEqual(outcome(long, `k${i}`));
        warm(short);
        for (const i of some.keys()) expect(outcome(short, `k${i}`)).toEqual(outcome(long, `k${i}`));
        expect(short.get('none')).toBeUndefined();
      }),
    );
  });

  it.each([0, 70])('for values of any size, with %i more keys', (more) => {
    const values = [
      ...SIZES.flatMap((size) => ['x'.repeat(size), new Uint8Array(size).fill(7)]),
      ...new Array(more).fill(1),
    ];
    const bytes = fileOf(values);
    for (const dict of [open(bytes), warm(open(bytes)), warm(open(fileOf(values, false)))])
      for (const [i, value] of values.entries()) expect(dict.get(`k${i}`)).toEqual(value);
  });

  it.each([
    [0, [0x01, 0x80, 0xff]],
    [70, [0x01, 0x80, 0xff]],
    // Read from pages.
    [150, [0x80]],
  ])(
    'for entries with any byte changed: the same value, or the same error at the same offset (%i more keys)',
    (more, changes) => {
      const record = { seq: 77, time: 1.5, sensor: 's1', ok: true, list: [1, null, 2n ** 70n] };
      const values = [
        record,
        'numpy',
        new Uint8Array(30),
        ndarray(new Float64Array(2)),
        ndarray(new Float64Array(2)),
        12,
      ];
      const bytes = fileOf([...values, ...new Array<number>(more).fill(1)]);
      const end = 24 + entriesOf(open(bytes), values.length);
      for (let i = 24; i < end; i++) {
        for (const [n, change] of changes.entries()) {
          // The ordinary suite makes every other change: the others of a byte at the next one.
          if (!LONG && (i + n) % 2 === 1) continue;
          const damaged = bytes.slice();
          damaged[i] = damaged[i]! ^ change;
          let short: MmapDict;
          let long: MmapDict;
          try {
            short = more > 70 ? warm(open(damaged)) : open(damaged);
            long = open(damaged, { codecs: [nobody] });
          } catch (error) {
            if (!isMmdError(error)) throw error;
            continue;
          }
          // The fourth before the fifth, so that its head is already known.
          for (const key of values.keys()) expect(outcome(short, `k${key}`)).toEqual(outcome(long, `k${key}`));
        }
      }
    },
  );

  it.each([0, 70])('for arrays of any type, shape, order and size (%i more keys)', (more) => {
    const shapes = [[], [0], [3], [2, 3], [1, 0, 2], [40, 16], [600]];
    const arrays = ['i1', '<f8', '>f8', 'S3', 'M8[ns]', '?', 'c16', "[('a', '<i4'), ('b', '>u2', (2,))]"].flatMap(
      (dtype) =>
        shapes.flatMap((shape) => (['C', 'F'] as const).map((order) => NDArray.zeros(shape, dtype, { order }))),
    );
    const bytes = fileOf([...arrays, ...arrays, ...new Array<number>(more).fill(1)]);
    const short = open(bytes);
    const long = open(bytes, { codecs: [nobody] });
    for (let i = 0; i < arrays.length * 2; i++) {
      const [array, expected] = [short.get(`k${i}`), long.get(`k${i}`)] as [NDArray, NDArray];
      for (const each of [
        'dtype',
        'shape',
        'strides',
        'offset',
        'order',
        'size',
        'nbytes',
        'byteOffset',
        'byteStrides',
        'writable',
        'aligned',
      ] as const)
        expect(array[each]).toEqual(expected[each]);
      expect(array.memory.byteLength).toBe(expected.memory.byteLength);
      expect(array.toNested()).toEqual(expected.toNested());
    }
  });

  it('for arrays that other handles write to, replace, delete or grow', () => {
    const disk = new MemoryDisk();
    const writer = MmapDict.over(disk.open('d', 'create-new'));
    const values = new Float64Array([1, 2]);
    writer
      .set('a', values)
      .set('b', values)
      .set('grows', { arraySource: true, dtype: 'f8', shape: [0, 2], capacity: 4 });
    const reader = MmapDict.over(disk.open('d', 'r'));
    const array = reader.get('a') as NDArray;
    expect(array.toNested()).toEqual([1, 2]);
    (writer.get('a') as NDArray).set(0, 5);
    expect(array.toNested()).toEqual([5, 2]);
    writer.set('b', new Float64Array([7, 8]));
    expect((reader.get('b') as NDArray).toNested()).toEqual([7, 8]);
    writer.delete('a');
    expect(reader.get('a')).toBeUndefined();
    (writer.get('grows') as GrowableArray).append(values);
    expect((reader.get('grows') as NDArray).toNested()).toEqual([[1, 2]]);
    expect(() => (reader.get('b') as NDArray).set(0, 1)).toThrow(expect.objectContaining({ code: 'READ_ONLY' }));
  });

  it('when user options mark or limit values', () => {
    const bytes = fileOf([2n ** 40n, new Uint8Array(20), 'text']);
    for (const load of [{ lossless: true }, { limits: { bytes: 5 } }, { limits: { string: 3 } }]) {
      const short = open(bytes, { load });
      const long = open(bytes, { load, codecs: [nobody] });
      for (const key of ['k0', 'k1', 'k2']) expect(outcome(short, key)).toEqual(outcome(long, key));
    }
  });
});

test.each([false, true])('values that were read do not change when others are read (by pages: %s)', (pages) => {
  const rest = new Array<string>(300).fill('x'.repeat(20));
  const values = [new Uint8Array([1, 2, 3]), [new Uint8Array([4]), 'a'], new Uint8Array([9, 9, 9])];
  const dict = open(fileOf([...values, ...rest]));
  if (pages) warm(dict);
  const first = dict.get('k0');
  const second = dict.get('k1');
  dict.get('k2');
  expect(first).toEqual(new Uint8Array([1, 2, 3]));
  expect(second).toEqual([new Uint8Array([4]), 'a']);
});

test.each([0, 70])("a user's constructor may get another value while one is being decoded (%i more keys)", (more) => {
  const text = (letters: string): number[] => [...new TextEncoder().encode(letters)];
  // EMPTY_LIST, MARK, cmine\nGet\n, the key, TUPLE1, REDUCE, a text, APPENDS
  const call = [...text('cmine\nGet\n'), 0x8c, 4, ...text('twin'), 0x85, 0x52];
  const outer = [0x5d, 0x28, ...call, 0x8c, 5, ...text('after'), 0x65];
  // A value with other text at the same offset: confusing it with the first would be visible.
  const first = [0x8c, call.length - 2, ...text('x'.repeat(call.length - 2))];
  const twin = [0x5d, 0x28, ...first, 0x8c, 5, ...text('WRONG'), 0x65];
  const raw: ValueCodec = {
    ...nobody,
    encode: (value) =>
      Array.isArray(value) ? { kind: 'raw', place: () => [Uint8Array.from(value)], memoHint: 0 } : undefined,
  };
  const file = MemoryFile.of();
  const writer = MmapDict.over(file, { codecs: [raw] });
  writer.set('call', outer).set('twin', twin);
  for (let i = 0; i < more; i++) writer.set(`more ${i}`, i);
  const copy = MemoryFile.of(file.toBytes());
  MmapDict.over(copy).set('last', 0).close();
  let dict: MmapDict;
  const globals = { 'mine Get': ([key]: readonly unknown[]) => dict.get(key as string) };
  dict = open(copy.toBytes(), { load: { globals } });
  expect(dict.core.store.entries.base === undefined).toBe(more === 0);
  expect(dict.get('call')).toEqual([['x'.repeat(call.length - 2), 'WRONG'], 'after']);
});

test('no array is mistaken for a plain value', () => {
  const arrays = [
    ndarray(new Float64Array(3)),
    ndarray(
      [
        [1, 2],
        [3, 4],
      ],
      undefined,
      'int16',
    ),
    // numpy's default fill value: the legacy layout can express no other.
    new MaskedArray(ndarray(new Int8Array(2)), ndarray([true, false], undefined, 'bool'), { fillValue: 63 }),
    new Float32Array(0),
  ];
  for (const layout of ['modern', 'legacy'] as const) {
    const dict = MmapDict.over(MemoryFile.of(), { layout });
    for (const [i, array] of arrays.entries()) dict.set(`k${i}`, array);
    const bytes = (dict.core.store.file as MemoryFile).toBytes();
    for (const i of arrays.keys()) {
      const view = dict.core.find(`k${i}`)!;
      const value = bytes.subarray(view.offset, view.offset + view.length);
      const reader = (): ValueReader => new ValueReader(0, value.length, (pos) => value.subarray(pos));
      expect(parseArray(reader()) ?? parseMasked(reader())).toBeDefined();
      expect(maybeArray(value, 0, value.length)).toBe(true);
    }
    dict.upgrade();
    for (const i of arrays.keys()) expect(dict.getMeta(`k${i}`)?.kind).not.toBe('pickle');
  }
});

test('an array is mapped, and a growable one has append, whatever the length of its key', () => {
  for (let length = 0; length < 256; length++) {
    const key = 'k'.repeat(length);
    const grows = { arraySource: true as const, dtype: 'float64', shape: [0, 2], capacity: 5 };
    for (const value of [grows, ndarray(new Float64Array(2))]) {
      const dict = MmapDict.over(MemoryFile.of()).set(key, value);
      const got = dict.get(key) as GrowableArray;
      if (value === grows) expect(got.append, `${length}`).toBeTypeOf('function');
      else got.set(1, 7);
      if (value !== grows) expect((dict.get(key) as NDArray).get(1), `${length}`).toBe(7);
    }
  }
});
