import { describe, expect, test } from 'vitest';
import { DictReader, GrowableArray, type GrowableMaskedArray, MmapDict } from '../../src/dict/index.ts';
import type { DictOptions } from '../../src/dict/options.ts';
import { ALIGNMENTS } from '../../src/format/layout.ts';
import { plainCodec } from '../../src/format/plain-codec.ts';
import { tailKey } from '../../src/format/tail-entry.ts';
import { type ArraySource, MaskedArray, NDArray, ndarray, slice } from '../../src/ndarray/index.ts';
import { blobSource, bytesSource, MemoryDisk, MemoryFile, type StorageFile } from '../../src/storage/index.ts';
import { preceded } from '../../src/testing/index.ts';

const growable = (shape: number[], capacity: number) =>
  ({ arraySource: true, dtype: 'float64', shape, capacity }) as const;

function open(): MmapDict {
  return MmapDict.over(MemoryFile.of());
}

describe('a dict is like a Map', () => {
  test('what was set is present, in order, and what was deleted is not', () => {
    using dict = open();
    dict.set('a', 1).set('b', 'x').set('c', [1, null]);
    expect([...dict]).toEqual([
      ['a', 1],
      ['b', 'x'],
      ['c', [1, null]],
    ]);
    dict.set('a', 2);
    expect([...dict.keys()]).toEqual(['b', 'c', 'a']);
    expect(dict.delete('b')).toBe(true);
    expect(dict.delete('b')).toBe(false);
    expect(dict.size).toBe(2);
    expect(dict.has('b')).toBe(false);
    expect(dict.pop('c')).toEqual([1, null]);
    expect(dict.pop('c', 7)).toBe(7);
    expect(dict.setDefault('d', 5)).toBe(5);
    expect(dict.setDefault('d', 6)).toBe(5);
    dict.update({ e: 1, f: 2 }).update(new Map([['g', 3]]));
    expect([...dict.keys()]).toEqual(['a', 'd', 'e', 'f', 'g']);
    expect(dict.clear().size).toBe(0);
  });

  test('all of many small entries are deleted with few reads, and those of the open batch, too', () => {
    const disk = new MemoryDisk();
    const made = MmapDict.over(disk.open('dict', 'create-new'));
    made.batch(() => {
      for (let i = 0; i < 5000; i++) made.set(`key ${i}`, [i]);
    });
    made.close();
    let reads = 0;
    const dict = MmapDict.over(preceded(disk.open('dict', 'r+'), ['read'], () => void reads++));
    dict.batch(() => {
      dict.set('new', 1).set('key 7', 2).delete('key 8');
      expect(dict.clear().size).toBe(0);
      dict.set('key 9', 3).set('last', 4);
    });
    expect(reads).toBeLessThan(100);
    for (const handle of [dict, MmapDict.over(disk.open('dict', 'r'))]) {
      expect([...handle]).toEqual([
        ['key 9', 3],
        ['last', 4],
      ]);
    }
  });

  test('iteration over keys continues correctly after a batch that threw', () => {
    using dict = open().update({ a: 1, b: 2, c: 3, d: 4 });
    const [keys, values] = [dict.keys(), dict.values()];
    expect([keys.next().value, values.next().value]).toEqual(['a', 1]);
    dict.delete('d');
    const change = (): never => {
      dict.delete('b');
      dict.set('d', 5);
      throw new Error('stop');
    };
    expect(() => dict.batch(change)).toThrow('stop');
    expect([...keys]).toEqual(['b', 'c']);
    expect(() => dict.batch(change)).toThrow('stop');
    expect([...values]).toEqual([2, 3]);
  });

  test('a key that another handle replaced is last inside a batch, after it and after a vacuum, as in Python', () => {
    const disk = new MemoryDisk();
    using dict = MmapDict.over(disk.open('d', 'a'));
    using other = MmapDict.over(disk.open('d', 'r+'));
    dict.update({ a: 1, b: 2, c: 3, d: 4 });
    expect(other.size).toBe(4);
    dict.set('a', 5);
    other.batch(() => {
      other.set('b', 6).delete('c');
      expect([...other.keys()]).toEqual(['d', 'a', 'b']);
    });
    other.vacuum();
    for (const each of [other, dict]) {
      expect([...each]).toEqual([
        ['d', 4],
        ['a', 5],
        ['b', 6],
      ]);
    }
  });

  test('a batch that throws changes nothing', () => {
    const file = MemoryFile.of();
    using dict = MmapDict.over(file);
    dict.set('a', 1);
    const before = file.toBytes();
    expect(() =>
      dict.batch(() => {
        dict.set('a', 2).set('b', 'x'.repeat(9000));
        expect(dict.get('a')).toBe(2);
        expect(dict.get('b')).toHaveLength(9000);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(file.toBytes()).toEqual(before);
    expect([...dict]).toEqual([['a', 1]]);
    dict.set('b', 3);
    expect(dict.get('b')).toBe(3);
  });

  test('a key may have 0 to 255 bytes; a longer one is refused before a byte is written', () => {
    const file = MemoryFile.of();
    using dict = MmapDict.over(file);
    dict.set('', 0).set('é'.repeat(127), 1).set('\ud800', 2);
    const before = file.toBytes();
    expect(() => dict.set('é'.repeat(128), 1)).toThrow(expect.objectContaining({ code: 'KEY_TOO_LONG' }));
    expect(() => dict.set(1 as never, 1)).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    const kept = tailKey('index');
    for (const change of [() => dict.set(kept, 1), () => dict.set(kept, ndarray([1])), () => dict.rename('', kept)])
      expect(change).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    expect(() => dict.set('f', () => 1)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    expect(file.toBytes()).toEqual(before);
    expect([...MmapDict.over(MemoryFile.of(before))]).toEqual([
      ['', 0],
      ['é'.repeat(127), 1],
      ['\ud800', 2],
    ]);
  });
});

describe('options that can only be a mistake are refused', () => {
  const wrong: readonly (readonly [name: keyof DictOptions, values: readonly unknown[]])[] = [
    ['mode', ['w', '', 1]],
    ['layout', ['old', true]],
    ['durability', ['sync', 'fsync', true]],
    ['lockTimeout', [-1, Number.NaN, '5']],
    ['codecs', [5, {}]],
    ['load', [5, null]],
    ['lenient', ['yes', 0]],
    ['salvage', [1]],
    ['index', ['no']],
    ['standingIndex', [-1, '16']],
  ];

  test.each(wrong)('%s', (name, values) => {
    for (const value of values) {
      const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(name) });
      const file = MemoryFile.of();
      expect(() => MmapDict.over(file, { [name]: value })).toThrow(refused);
      expect(file.size()).toBe(0);
    }
    expect(MmapDict.over(MemoryFile.of(), { [name]: undefined }).size).toBe(0);
  });

  test('of set, batch and batchAsync', async () => {
    using dict = open();
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => dict.set('a', 1, { layout: 'old' as never })).toThrow(refused);
    expect(() => dict.batch(() => dict.set('a', 1), { lockTimeout: Number.NaN })).toThrow(refused);
    await expect(dict.batchAsync(() => dict.set('a', 1), { lockTimeout: -1 })).rejects.toThrow(refused);
    expect(dict.size).toBe(0);
  });

  test('under a name that no option has', async () => {
    const refused = expect.objectContaining({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining("'durabilty'"),
    });
    const misspelled: object = { durabilty: 'commit' };
    const file = MemoryFile.of();
    expect(() => MmapDict.over(file, misspelled)).toThrow(refused);
    expect(file.size()).toBe(0);
    using dict = open();
    expect(() => dict.set('a', 1, misspelled)).toThrow(refused);
    expect(() => dict.batch(() => dict.set('a', 1), misspelled)).toThrow(refused);
    await expect(dict.batchAsync(() => dict.set('a', 1), misspelled)).rejects.toThrow(refused);
    for (const call of ['vacuum', 'reclaim', 'fsck', 'seal', 'verify'] as const) {
      expect(() => dict[call](misspelled)).toThrow(refused);
    }
    for (const call of ['copy', 'merge', 'salvage'] as const) {
      expect(() =>
        (dict[call] as (...args: unknown[]) => unknown)(...(call === 'copy' ? [[], dict] : [dict]), misspelled),
      ).toThrow(refused);
    }
    await expect(DictReader.open(bytesSource(file.toBytes()), misspelled)).rejects.toThrow(refused);
    // An option of the dict is not an option of a call.
    expect(() => dict.set('a', 1, { durability: 'commit' } as object)).toThrow(/'durability'; expected one of layout/);
    expect(dict.size).toBe(0);
    // Options that only this package uses would not help the user.
    const names = 'mode, layout, durability, lockTimeout, codecs, load, lenient, index, standingIndex';
    expect(() => MmapDict.over(file, misspelled)).toThrow(new RegExp(`one of ${names}$`));
  });
});

describe('arguments that make no sense are refused, and nothing is changed', () => {
  const nothing: unknown[] = [undefined, null, 5, 'abc', true];
  const wrong: readonly (readonly [
    name: string,
    values: readonly unknown[],
    ask: (dict: MmapDict, value: never) => unknown,
  ])[] = [
    [
      'update',
      [...nothing, new Float64Array(2), [1, 2], [['a', 1], 'bc'], new Proxy(new Map([['a', 1]]), {})],
      (dict, value) => dict.update(value),
    ],
    ['batch', nothing, (dict, value) => dict.batch(value)],
    ['forEach', nothing, (dict, value) => dict.forEach(value)],
    ['copy', [...nothing, {}], (dict, value) => dict.copy(['a'], value)],
    ['merge', [...nothing, {}], (dict, value) => dict.merge(value)],
    ['salvage', [...nothing, {}], (dict, value) => dict.salvage(value)],
    [
      'scan',
      [null, 'x', Number.NaN, 25, 1e9, -1, 5n, {}, Object.create(null), Symbol('s')],
      (dict, value) => [...dict.scan(value)],
    ],
    [
      'codecs',
      [[5], [null], [{}], [{ name: 'x', encode() {}, decode() {} }]],
      (_dict, codecs) => MmapDict.over(MemoryFile.of(), { codecs }),
    ],
    [
      'plainCodec',
      [null, 5, {}, { name: 'x' }, { name: 'x', is() {}, toPlain() {}, fromplain() {} }],
      (_dict, value) => plainCodec(value),
    ],
    ['over', [...nothing, {}], (_dict, value) => MmapDict.over(value)],
    ['seal', [null, 5, true, { signal: {} }, { onProgress: 5 }], (dict, value) => dict.seal(value)],
    ['vacuum', [null, 5, true, { inPlace: 1 }], (dict, value) => dict.vacuum(value)],
    ['copy', [undefined, null, 5, {}, 'ab'], (dict, value) => dict.copy(value, MmapDict.over(MemoryFile.of()))],
    [
      'copy, merge and salvage into itself',
      [0, 1, 2],
      (dict, value) => [() => dict.copy(['a'], dict), () => dict.merge(dict), () => dict.salvage(dict)][value]!(),
    ],
    ['fsck', [null, { repair: 'yes' }], (dict, value) => dict.fsck(value)],
  ];

  test.each(wrong)('%s', (_name, values, ask) => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file);
    dict.set('a', [1, 2, 3]);
    const before = file.toBytes();
    for (const value of values) {
      expect(() => ask(dict, value as never)).toThrow(
        expect.objectContaining({ name: 'MmdError', code: 'INVALID_ARGUMENT' }),
      );
      expect(file.toBytes()).toEqual(before);
    }
  });

  test('batchAsync and DictReader.open', async () => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    using dict = open();
    for (const value of nothing) {
      await expect(dict.batchAsync(value as never)).rejects.toThrow(refused);
      await expect(DictReader.open(value as never)).rejects.toThrow(refused);
      expect(() => bytesSource(value as never)).toThrow(refused);
      expect(() => blobSource(value as never)).toThrow(refused);
      if (value !== undefined) expect(() => MemoryFile.of(value as never)).toThrow(refused);
    }
  });

  test.each<[string, object]>([
    ['no size', { size: undefined }],
    ['a size that is not a number', { size: async () => undefined }],
    ['a bigint as size', { size: async () => 35n }],
    ['text as size', { size: async () => '35' }],
    ['a negative size', { size: async () => -1 }],
    ['buffers', { read: async () => new ArrayBuffer(35) }],
    ['nothing', { read: async () => undefined }],
    ['lists', { read: async () => new Array(35).fill(0) }],
  ])('a source that gives %s', async (_what, parts) => {
    using dict = open();
    dict.set('a', 1);
    const source = { ...bytesSource((dict.core.store.file as MemoryFile).toBytes()), ...parts };
    await expect(DictReader.open(source as never)).rejects.toThrow(
      expect.objectContaining({ name: 'MmdError', code: 'INVALID_ARGUMENT' }),
    );
  });

  test('a source that returns fewer bytes than requested, once the dict is open', async () => {
    using dict = open();
    dict.set('text', 'x'.repeat(5000)).set('array', new Float64Array(500));
    const whole = bytesSource((dict.core.store.file as MemoryFile).toBytes());
    let less = 0;
    const reader = await DictReader.open({
      ...whole,
      read: async (offset, length) => (await whole.read(offset, length)).subarray(less),
    });
    less = 1;
    for (const key of ['text', 'array']) {
      await expect(reader.get(key)).rejects.toThrow(expect.objectContaining({ name: 'MmdError', code: 'TRUNCATED' }));
    }
  });

  test("mode 'w-' over a file that is not empty is ALREADY_EXISTS", () => {
    const file = MemoryFile.of();
    MmapDict.over(file, { mode: 'w-' }).set('a', 1);
    expect(() => MmapDict.over(file, { mode: 'w-' })).toThrow(expect.objectContaining({ code: 'ALREADY_EXISTS' }));
  });
});

describe('arrays', () => {
  test("masked ones keep their fill value, or are refused by the legacy layout, which can only express numpy's default", () => {
    for (const [dtype, fill, own] of [
      ['float64', -1, 1e20],
      ['int8', 5, 63],
      ['<U2', 'x', 'N/'],
    ] as const) {
      using dict = MmapDict.over(MemoryFile.of(), { layout: 'legacy' });
      const data = ndarray(dtype === '<U2' ? ['', ''] : [0, 0], [2], dtype);
      const masked = (fillValue: unknown) => new MaskedArray(data, ndarray([true, false]), { fillValue });
      expect(() => dict.set('a', masked(fill))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
      dict.set('a', masked(own)).set('b', masked(null)).set('c', masked(fill), { layout: 'modern' });
      const fills = [...dict].map(([key, value]) => [key, (value as MaskedArray).fillValue]);
      expect(Object.fromEntries(fills)).toEqual({ a: null, b: null, c: fill });
    }
  });

  test('are aligned and mapped, in every layout', () => {
    using dict = open();
    for (const layout of ['modern', 'legacy'] as const) {
      for (let n = 1; n < 20; n++) {
        const key = `${layout}${'k'.repeat(n)}`;
        dict.set(key, ndarray(new Float64Array([n, 2, 3, 4, 5, 6]), [2, 3]), { layout });
        const meta = dict.getMeta(key)!;
        expect(meta).toMatchObject({ kind: 'ndarray', dtype: 'float64', shape: [2, 3], layout, nbytes: 48 });
        expect(meta.offset % 64).toBe(0);
        const array = dict.get(key) as NDArray;
        expect(array.data).toBeInstanceOf(Float64Array);
        array.set(0, 0, -1);
        expect((dict.get(key) as NDArray).get(0, 0)).toBe(-1);
      }
    }
  });

  test.each(
    ALIGNMENTS.flatMap(({ alignment, from, growableFrom }) => [
      { alignment, bytes: from, capacity: undefined },
      { alignment, bytes: growableFrom, capacity: growableFrom },
    ]),
  )('start at a multiple of $alignment from $bytes bytes on (room for $capacity rows)', (row) => {
    const { alignment, bytes, capacity } = row;
    const source = { arraySource: true, dtype: 'uint8', ...(capacity !== undefined && { capacity }) } as const;
    const offset = (length: number, layout: 'modern' | 'legacy', key: string): number => {
      using dict = open();
      const shape = [capacity === undefined ? length : 0];
      dict.set(key, { ...source, shape, ...(capacity !== undefined && { capacity: length }) }, { layout });
      return dict.getMeta(key)!.offset;
    };
    for (const layout of capacity === undefined ? (['modern', 'legacy'] as const) : (['modern'] as const)) {
      for (const key of ['', 'k', 'a longer key']) {
        expect(offset(bytes, layout, key) % alignment).toBe(0);
        // One byte less is not aligned: there is no more padding than needed.
        if (bytes > 0) expect(offset(bytes - 1, layout, key)).toBeLessThan(alignment);
      }
    }
  });

  test('masked arrays keep mask and fill value', () => {
    using dict = open();
    dict.set('m', new MaskedArray(ndarray(new Float64Array([1, 2])), ndarray([true, false]), { fillValue: -1.5 }));
    const m = dict.get('m') as MaskedArray;
    expect([m.get(0), m.get(1), m.fillValue]).toEqual([null, 2, -1.5]);
  });

  test.each([
    ['C', 'F'],
    ['F', 'C'],
    ['F', 'F'],
  ] as const)(
    'masked arrays keep the hidden data, with data in %s order and a mask in %s order',
    (order, maskOrder) => {
      const data = ndarray(new Uint8Array([1, 2, 3, 4, 5, 6]), [2, 3]).copy({ order });
      const mask = NDArray.zeros([2, 3], 'bool', { order: maskOrder }).set(0, 1, true).set(1, 0, true);
      const masked = new MaskedArray(data, mask);
      const values = [
        [1, null, 3],
        [null, 5, 6],
      ];
      using dict = open();
      const found = dict.set('m', masked).set('within', [masked]).get('m') as MaskedArray;
      expect([found.toNested(), found.data.order, found.mask.order]).toEqual([values, order, maskOrder]);
      expect((dict.get('within') as MaskedArray[])[0]!.toNested()).toEqual(values);
    },
  );

  test('a mask of a type other than bool is refused, in every position', () => {
    using dict = open();
    const data = { arraySource: true, dtype: 'u1', shape: [2] } as const;
    for (const dtype of ['uint8', 'float64', 'O']) {
      const masked: ArraySource = { ...data, mask: { ...data, dtype, bytes: () => [new Uint8Array([1, 3])] } };
      for (const value of [masked, [masked]])
        expect(() => dict.set('m', value)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });

  test('growable arrays commit rows, grow in place at the end of the file and move otherwise', () => {
    const file = MemoryFile.of();
    using dict = MmapDict.over(file);
    const rows = dict.set('r', growable([0, 2], 4)).get('r') as GrowableArray;
    expect(rows).toBeInstanceOf(GrowableArray);
    rows.append([1, 2]).append([
      [3, 4],
      [5, 6],
    ]);
    expect(rows.shape).toEqual([3, 2]);
    const entry = dict.getMeta('r')!.entryOffset;
    for (let i = 0; i < 1000; i++) rows.append(new Float64Array([i, i]));
    expect(rows.shape).toEqual([1003, 2]);
    expect(dict.getMeta('r')!.entryOffset).toBe(entry);
    dict.set('after', 1);
    for (let i = 0; i < 2000; i++) rows.append(new Float64Array([i, -i]));
    expect(rows.get(3002, 1)).toBe(-1999);
    expect(dict.getMeta('r')!.entryOffset).not.toBe(entry);
    expect(rows.capacity).toBeGreaterThanOrEqual(3003);
    dict.batch(() => {
      rows.append([7, 7]);
      rows.append([8, 8]);
    });
    expect(rows.shape).toEqual([3005, 2]);
    const size = file.size();
    rows.seal();
    expect(file.size()).toBeLessThan(size);
    expect(rows.capacity).toBe((dict.get('r') as GrowableArray).capacity);
    expect(rows.get(3004, 0)).toBe(8);
    rows.append([9, 9]);
    expect((dict.get('r') as GrowableArray).get(3005, 1)).toBe(9);
    expect(dict.get('after')).toBe(1);
  });

  test('masked rows with zero-byte elements grow by the room of their mask', () => {
    using dict = open();
    const source = { ...growable([0, 2], 4), dtype: 'S0' };
    const mask = { ...growable([0, 2], 4), dtype: 'bool' };
    const rows = dict.set('m', { ...source, mask }).get('m') as GrowableMaskedArray;
    dict.set('after', 'x'.repeat(500));
    for (let i = 0; i < 300; i += 1)
      rows.append(new MaskedArray(ndarray([['', '']], undefined, 'S0'), ndarray([[i % 2 === 0, true]])));
    expect([rows.shape, rows.count(), rows.mask.get(298, 0)]).toEqual([[300, 2], 150, true]);
    expect(rows.capacity).toBeGreaterThanOrEqual(300);
    const values = rows.toNested();
    expect((dict.get('m') as GrowableMaskedArray).toNested()).toEqual(values);
    expect(dict.get('after')).toBe('x'.repeat(500));
    dict.vacuum();
    expect((dict.get('m') as GrowableMaskedArray).toNested()).toEqual(values);
  });

  test('sealing an array through an old handle does not seal the array that took its key', () => {
    const file = MemoryFile.of();
    using dict = MmapDict.over(file);
    for (const mask of [undefined, { ...growable([0], 900), dtype: 'bool' }]) {
      const rows = dict.set('r', { ...growable([0], 900), mask }).get('r') as GrowableArray | GrowableMaskedArray;
      dict.set('r', growable([0, 3], 900));
      const size = file.size();
      expect(() => rows.seal()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      expect(file.size()).toBe(size);
    }
  });

  test('rows of an array are appended in C order, whatever its memory order', () => {
    using dict = MmapDict.over(MemoryFile.of());
    const rows = dict.set('r', growable([0, 2], 100)).get('r') as GrowableArray;
    const columns = ndarray([
      [1, 3, 5],
      [2, 4, 6],
    ]);
    const turned = columns.transpose();
    expect(turned.order).toBe('F');
    rows
      .append(turned)
      .append(turned.astype('float64'))
      .append(turned.slice(slice(null, null, -1)));
    dict.batch(() => rows.append(turned.rows(1, 3)));
    const wanted = turned.toNested() as number[][];
    expect(rows.toNested()).toEqual([...wanted, ...wanted, ...wanted.toReversed(), ...wanted.slice(1)]);
    const masked = dict
      .set('m', { ...growable([0, 2], 100), dtype: 'int16', mask: { arraySource: true, dtype: 'bool', shape: [0, 2] } })
      .get('m') as GrowableMaskedArray;
    masked.append(
      new MaskedArray(
        turned,
        ndarray([
          [false, true, false],
          [false, false, true],
        ]).transpose(),
      ),
    );
    const hidden = new MaskedArray(ndarray([Number.NaN, 6]), ndarray([true, false]));
    masked.append(hidden);
    expect(() => masked.append(hidden.set(0, 0.5))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    expect(masked.toNested()).toEqual([
      [1, 2],
      [null, 4],
      [5, null],
      [null, 6],
    ]);
  });

  test('a typed array that is appended again is written as it is then, and refused once its buffer was transferred', () => {
    using dict = MmapDict.over(MemoryFile.of());
    const rows = dict.set('r', growable([0, 2], 100)).get('r') as GrowableArray;
    const captured = new Float64Array(2);
    for (let i = 0; i < 3; i++) rows.append(captured.fill(i));
    const room = new ArrayBuffer(32);
    const two = new Float64Array(room);
    rows.append(two.fill(7)).append(two.subarray(2).fill(8)).append(two);
    expect(rows.toNested()).toEqual([0, 1, 2, 7, 7, 8, 7, 8].map((n) => [n, n]));
    structuredClone(room, { transfer: [room] });
    expect(() => rows.append(two)).toThrow(/transferred/);
    const gone = new Uint8Array(captured.buffer);
    structuredClone(captured.buffer, { transfer: [captured.buffer] });
    for (let i = 0; i < 2; i++) expect(() => rows.append(captured)).toThrow(/transferred/);
    expect(() => dict.set('a', two)).toThrow(/transferred/);
    expect(() => dict.set('b', new Uint8Array(0)).set('c', [gone])).toThrow(/transferred/);
    expect(() => ndarray(two)).toThrow(/transferred/);
    expect(() => rows.append(new Float64Array(3))).toThrow(/rows of shape/);
    expect([rows.shape, dict.size]).toEqual([[8, 2], 2]);
  });

  test('an array handle refuses rows once its key has an array of another kind, and works again with one of its own kind', () => {
    const masked = { ...growable([0, 2], 4), mask: { ...growable([0, 2], 4), dtype: 'bool' } } as const;
    const kinds = [
      growable([0, 2], 4),
      growable([0, 3], 4),
      { ...growable([0, 2], 4), dtype: 'float32' },
      { ...growable([0, 2], 4), dtype: '>f8' },
      masked,
    ];
    for (const [i, first] of kinds.entries()) {
      for (const [j, second] of kinds.entries()) {
        const file = MemoryFile.of();
        using dict = MmapDict.over(file);
        using other = MmapDict.over(file.disk.open(file.name, 'r+'));
        const width = first.shape[1]!;
        const rows = dict.set('r', first).get('r') as GrowableArray | GrowableMaskedArray;
        rows.append([Array.from({ length: width }, () => 1)]);
        const size = other.set('r', second).set('after', 1).fileSize;
        const append = (): unknown => rows.append([Array.from({ length: width }, () => 2)]);
        if (i === j) {
          append();
          expect(rows.toNested()).toEqual([Array.from({ length: width }, () => 2)]);
          continue;
        }
        for (const use of [append, () => rows.refresh()]) {
          expect(use).toThrow(
            expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('get it again') }),
          );
        }
        expect([dict.fileSize, (dict.get('r') as GrowableArray).shape[0]]).toEqual([size, 0]);
      }
    }
  });
});

describe('maintenance', () => {
  function filled(file: MemoryFile): MmapDict {
    const dict = MmapDict.over(file);
    dict.set('a', 1).set('big', ndarray(new Float64Array(2 ** 17).fill(3)));
    dict
      .set('leg', ndarray(new Int32Array([1, 2, 3])), { layout: 'legacy' })
      .set('dead', 'x'.repeat(20000))
      .set('a', 2);
    (dict.set('r', growable([0], 5000)).get('r') as GrowableArray).append([1, 2, 3]);
    dict.delete('dead');
    return dict;
  }

  function check(dict: MmapDict): void {
    expect([...dict.keys()].sort()).toEqual(['a', 'big', 'leg', 'r']);
    expect(dict.get('a')).toBe(2);
    expect((dict.get('big') as NDArray).get(2 ** 17 - 1)).toBe(3);
    expect(dict.getMeta('big')!.offset % 4096).toBe(0);
    expect((dict.get('leg') as NDArray).toNested()).toEqual([1, 2, 3]);
    expect((dict.get('r') as NDArray).toNested()).toEqual([1, 2, 3]);
  }

  test('vacuum drops dead entries and keeps the rest; other handles continue in the new file', () => {
    const disk = new MemoryDisk();
    const file = disk.open('d', 'create-new');
    const dict = filled(file);
    const other = MmapDict.over(disk.open('d', 'r+'));
    const view = other.get('big') as NDArray;
    const size = dict.fileSize;
    const { commitNumber } = dict;
    dict.vacuum();
    check(dict);
    expect(dict.fileSize).toBeLessThan(size - 20000);
    expect(dict.commitNumber).not.toBe(commitNumber);
    expect([...dict.scan()].every((entry) => entry.live || entry.key === '')).toBe(true);
    check(other);
    expect(view.get(5)).toBe(3);
    other.set('z', 1);
    expect(dict.get('z')).toBe(1);
    dict.close();
    other.close();
  });

  test('after a vacuum, open handles and new ones find keys by an index, without a walk', () => {
    const disk = new MemoryDisk();
    let reads = 0;
    const counted = (): StorageFile => preceded(disk.open('d', 'r+'), ['read'], () => reads++);
    using dict = MmapDict.over(preceded(disk.open('d', 'create-new'), ['read'], () => reads++));
    dict.batch(() => {
      // So large that a walk reads each entry separately.
      for (let i = 0; i < 100; i++) dict.set(`key ${i}`, new Uint8Array(300_000).fill(i));
    });
    using other = MmapDict.over(counted());
    expect(other.size).toBe(100);
    dict.delete('key 3');
    dict.vacuum();
    for (const ask of [() => dict, () => other, () => MmapDict.over(counted())]) {
      reads = 0;
      const asked = ask();
      expect([asked.has('key 3'), asked.has('key 7'), (asked.get('key 99') as Uint8Array)[0]]).toEqual([
        false,
        true,
        99,
      ]);
      expect(reads).toBeLessThan(50);
      expect(asked.size).toBe(99);
    }
  });

  test('a vacuum writes no index if none is wanted, or if a walk is as fast', () => {
    const sizes = [{ index: true }, { index: false }].map((options) =>
      [10, 100].map((keys) => {
        const dict = MmapDict.over(new MemoryDisk().open('d', 'create-new'), options);
        for (let i = 0; i < keys; i++) dict.set(`key ${i}`, i);
        return dict.vacuum().fileSize;
      }),
    );
    expect(sizes[0]![0]).toBe(sizes[1]![0]);
    expect(sizes[0]![1]).toBeGreaterThan(sizes[1]![1]!);
  });

  test('vacuum in place keeps the inode', () => {
    const disk = new MemoryDisk();
    const dict = filled(disk.open('d', 'create-new'));
    const { identity } = dict;
    const size = dict.fileSize;
    dict.vacuum({ inPlace: true });
    check(dict);
    expect(dict.identity).toEqual(identity);
    expect(dict.fileSize).toBeLessThan(size - 20000);
    check(MmapDict.over(disk.open('d', 'r')));
  });

  test('reclaim frees dead values, and the file still loads', () => {
    using dict = filled(MemoryFile.of());
    // Memory has no blocks: all whole pages of dead values count.
    expect(dict.reclaim()).toBeGreaterThan(0);
    check(dict);
  });

  test('reclaim does not rewrite a nine-byte head that a power loss could tear', () => {
    const file = MemoryFile.of();
    using dict = MmapDict.over(file, { index: false });
    let straddling = 0;
    for (let key = 0; key < 60; key++) {
      dict.set('k'.repeat(key), 'v'.repeat(9000));
      const value = [...dict.scan()].at(-1)!.offset + 11 + key;
      const before = file.toBytes().slice(value, value + 9);
      dict.delete('k'.repeat(key));
      dict.reclaim();
      if (value % 512 <= 503) continue;
      straddling++;
      expect(file.toBytes().subarray(value, value + 9)).toEqual(before);
    }
    expect(straddling).toBeGreaterThan(0);
  });

  test('rename, copy and merge move bytes', () => {
    using dict = filled(MemoryFile.of());
    using other = open();
    dict.copy(['leg', 'r', 'leg'], other);
    expect([...other.scan()].filter(({ key }) => key === 'leg')).toHaveLength(1);
    expect((other.get('leg') as NDArray).toNested()).toEqual([1, 2, 3]);
    (other.get('r') as GrowableArray).append([4]);
    expect((other.get('r') as NDArray).toNested()).toEqual([1, 2, 3, 4]);
    other.merge(dict);
    check(other);
    other.rename('leg', 'renamed');
    expect(other.has('leg')).toBe(false);
    expect((other.get('renamed') as NDArray).toNested()).toEqual([1, 2, 3]);
    expect(() => other.rename('leg', 'x')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(() => other.copy(['nope'], dict)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    check(dict);
  });

  test('upgrade and downgrade switch the spelling in place', () => {
    const file = MemoryFile.of();
    using dict = filled(file);
    const before = file.toBytes();
    const { offset } = dict.getMeta('leg')!;
    expect(dict.upgrade()).toBe(1);
    expect(dict.getMeta('leg')).toMatchObject({ layout: 'upgraded', offset });
    check(dict);
    expect(dict.downgrade()).toBe(1);
    expect(file.toBytes().subarray(24, before.length)).toEqual(before.subarray(24));
  });
});

describe('the tail index', () => {
  test('allows opening without a walk, and never changes what is read', () => {
    const disk = new MemoryDisk();
    const names = Array.from({ length: 500 }, (_, i) => `key ${i}`);
    const write = MmapDict.over(disk.open('d', 'create-new'));
    write.update(names.map((name, i): [string, number] => [name, i]));
    write.delete('key 7');
    write.close();
    const dict = MmapDict.over(disk.open('d', 'r+'));
    expect(dict.core.store.entries.base).toBeDefined();
    expect(dict.get('key 499')).toBe(499);
    expect(dict.get('key 7')).toBeUndefined();
    expect(dict.has('nope')).toBe(false);
    dict.set('key 3', 'new').set('more', 1);
    dict.delete('key 4');
    expect(dict.core.store.entries.base).toBeDefined();
    expect([dict.get('key 3'), dict.get('key 4'), dict.get('key 5'), dict.get('more')]).toEqual([
      'new',
      undefined,
      5,
      1,
    ]);
    dict.batch(() => {
      dict.set('in batch', 2);
      dict.delete('key 6');
      expect(dict.size).toBe(500 - 1 - 1 - 1 + 2);
      expect([...dict.keys()].slice(-3)).toEqual(['key 3', 'more', 'in batch']);
    });
    dict.close();
    const again = MmapDict.over(disk.open('d', 'r'));
    expect(again.core.store.entries.base).toBeDefined();
    for (const [key, value] of [
      ['key 3', 'new'],
      ['key 4', undefined],
      ['more', 1],
      ['key 100', 100],
    ] as const) {
      expect(again.get(key)).toBe(value);
    }
    expect(again.size).toBe(499);
  });
});
