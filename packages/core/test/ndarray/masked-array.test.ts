import { MaskedArray, memoryOver, NDArray, ndarray, parseDType, slice } from '@mmdpickle/core/ndarray';
import { Python, pythons, type Wire } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

const failsWith = (code: string) => expect.objectContaining({ name: 'MmdError', code });

/** 3 x 4 numbers, every third one masked. */
function sample(fillValue: unknown = null): MaskedArray {
  const data = ndarray(
    Float64Array.from({ length: 12 }, (_, i) => i),
    [3, 4],
  );
  const mask = NDArray.zeros([3, 4], 'bool').set(
    Array.from({ length: 3 }, (_, i) => Array.from({ length: 4 }, (_, j) => (i * 4 + j) % 3 === 0)),
  );
  return new MaskedArray(data, mask, { fillValue });
}

describe.each(pythons())('masked arrays beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it('fill, compress, count and reduce as in numpy', async () => {
    const cases = fc.sample(
      fc.record({
        dtype: fc.constantFrom('f8', 'i4', '>i2', 'u1', 'i8', '?'),
        data: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 12, maxLength: 12 }),
        mask: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        shape: fc.constantFrom([12], [3, 4], [2, 3, 2]),
        order: fc.constantFrom('C' as const, 'F' as const),
      }),
      { numRuns: 200, seed: 3 },
    );
    const found = await python.run<unknown[]>(
      `import numpy as np
def plain(x): return None if x is np.ma.masked else x.item()
def filled(m):
    f = m.filled()
    # numpy 2.1 puts what is too large for an unsigned type into an array of objects.
    return np.array(f.tolist()).astype(m.dtype) if f.dtype.kind == 'O' else f
result = []
for c in args['cases']:
    m = np.ma.array(np.array(c['data']).astype(c['dtype']).reshape(c['shape'], order=c['order']), mask=np.array(c['mask']).reshape(c['shape'], order=c['order']))
    result.append([m.tolist(), filled(m).tolist(), m.compressed().tolist(), int(m.count()), plain(m.sum()), plain(m.min()), plain(m.max()), plain(m.mean())])`,
      { cases: cases as unknown as Wire },
    );
    for (const [i, { dtype, data, mask, shape, order }] of cases.entries()) {
      const ours = new MaskedArray(
        NDArray.zeros(shape, dtype, { order }).set(ndarray(Float64Array.from(data), shape, { order })),
        NDArray.zeros(shape, 'bool', { order }).set(ndarray(Uint8Array.from(mask, Number), shape, { order })),
      );
      const facts = [
        ours.toNested(),
        ours.filled().toNested(),
        ours.compressed().toNested(),
        ours.count(),
        ours.sum(),
        ours.min(),
        ours.max(),
        ours.mean(),
      ];
      const [list, filled, compressed, count, sum, min, max, mean] = found[i] as unknown[];
      const plainNumbers = JSON.parse(
        JSON.stringify(facts, (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
      );
      expect(plainNumbers.slice(0, 7), JSON.stringify(cases[i])).toEqual([
        list,
        filled,
        compressed,
        count,
        sum,
        min,
        max,
      ]);
      if (mean === null) expect(plainNumbers[7]).toBe(null);
      else expect(plainNumbers[7]).toBeCloseTo(mean as number, 12);
    }
  });
});

describe('a masked array', () => {
  it.each([
    ['int64', -(2n ** 62n)],
    ['>i8', 2n ** 62n],
    ['uint64', 2n ** 63n],
  ])('has the mean of its %s, however far their sum is out of range', (dtype, element) => {
    const data = ndarray([element, element, 5n, element], [4], dtype);
    const masked = new MaskedArray(data, ndarray([false, false, true, false], [4], 'bool'));
    expect(masked.mean()).toBe(Number(element));
    expect(masked.mean()).toBe(masked.compressed().mean());
  });

  it('reads null for masked elements, and null masks elements', () => {
    const masked = sample();
    expect(masked.toNested()).toEqual([
      [null, 1, 2, null],
      [4, 5, null, 7],
      [8, null, 10, 11],
    ]);
    masked.set(0, 1, null).set(0, 0, 42);
    expect([masked.get(0, 1), masked.get(0, 0), masked.data.get(0, 1), masked.mask.get(0, 0)]).toEqual([
      null,
      42,
      1,
      false,
    ]);
    expect(JSON.stringify(masked.row(0))).toBe('[42,null,2,null]');
  });

  it('gives views that share both parts and keep the fill value', () => {
    const masked = sample(-1);
    const view = masked.slice(slice(null, null, -2), slice(1, 3));
    expect([view.toNested(), view.fillValue]).toEqual([
      [
        [null, 10],
        [1, 2],
      ],
      -1,
    ]);
    view.set(0, 0, 99);
    expect(masked.get(2, 1)).toBe(99);
    const copy = masked.copy();
    copy.fill(0);
    expect([copy.fillValue, masked.get(2, 1)]).toEqual([-1, 99]);
    expect(masked.transpose().shape).toEqual([4, 3]);
    expect(masked.reshape([-1]).rows(0, 3).toNested()).toEqual([null, 1, 2]);
    expect([...masked].map((row) => (row as MaskedArray).count())).toEqual([2, 3, 4]);
    expect([...masked.row(0)]).toEqual([null, 1, 2, null]);
    expect(view.filled().toNested()).toEqual([
      [99, 10],
      [1, 2],
    ]);
    expect(masked.filled().get(0, 0)).toBe(-1);
    expect(masked.filled(7).get(0, 0)).toBe(7);
    const whole = new MaskedArray(NDArray.zeros([2], 'i1'), NDArray.zeros([2], 'bool'));
    expect(() => whole.filled(128)).toThrow(failsWith('UNSUPPORTED_VALUE'));
    expect(new MaskedArray(masked.data, masked.mask, { fillValue: ndarray(3) }).filled().get(0, 0)).toBe(3);
  });

  it('keeps the visible elements of every type, at any alignment and order', () => {
    for (const dtype of ['u1', '>i2', 'f4', 'f8', 'c16', 'U3', "[('a', 'u1'), ('b', '<f8')]"]) {
      const { itemsize } = parseDType(dtype);
      for (const [offset, order] of [
        [0, 'C'],
        [3, 'C'],
        [0, 'F'],
      ] as const) {
        const shape = [37, 41];
        const bytes = Uint8Array.from({ length: offset + 37 * 41 * itemsize }, (_, i) => (i * 31) % 101);
        const data = NDArray.over(memoryOver(bytes), dtype, shape, { offset, order });
        const mask = NDArray.zeros(shape, 'bool', { order });
        for (let i = 0; i < 37 * 41; i += 1) if ((i * i) % 7 < 3) mask.set(Math.floor(i / 41), i % 41, true);
        const wanted: Uint8Array[] = [];
        for (let i = 0; i < 37; i += 1) {
          for (let j = 0; j < 41; j += 1) {
            const at = offset + itemsize * (order === 'C' ? i * 41 + j : j * 37 + i);
            if (mask.get(i, j) !== true) wanted.push(bytes.subarray(at, at + itemsize));
          }
        }
        const found = new MaskedArray(data, mask).compressed();
        expect(found.shape).toEqual([wanted.length]);
        expect(Buffer.compare(Buffer.concat([...found.bytes()]), Buffer.concat(wanted)), `${dtype} ${order}`).toBe(0);
      }
    }
  });

  it('reduces rows longer than one piece', () => {
    const length = 2 ** 24 + 5;
    const data = NDArray.zeros([2, length], 'u1', { order: 'F' }).fill(2);
    const mask = NDArray.zeros([2, length], 'bool', { order: 'F' });
    mask.set(1, length - 1, true);
    const masked = new MaskedArray(data, mask);
    expect(masked.row(0).compressed().size).toBe(length);
    expect(masked.compressed().size).toBe(2 * length - 1);
    expect(masked.sum()).toBe(BigInt(4 * length - 2));
  });

  it.each<[string, unknown, string]>([
    [
      'a value that does not fit after a null',
      [
        [1, null],
        [300, 2],
      ],
      'UNSUPPORTED_VALUE',
    ],
    [
      'a value that does not fit in the last place',
      [
        [1, null],
        [3, 300],
      ],
      'UNSUPPORTED_VALUE',
    ],
    [
      'a value of another kind',
      [
        [1, null],
        ['x', 2],
      ],
      'UNSUPPORTED_VALUE',
    ],
    ['a row that is too short', [[1, null], [2]], 'INVALID_ARGUMENT'],
    [
      'a row that is too long',
      [
        [1, null],
        [2, 3, 4],
      ],
      'INVALID_ARGUMENT',
    ],
    ['a row that is not a list', [[1, null], 2], 'INVALID_ARGUMENT'],
    ['rows that do not broadcast', [null, [1, 2, 3]], 'INVALID_ARGUMENT'],
    [
      'too many rows',
      [
        [1, null],
        [2, 3],
        [4, 5],
      ],
      'INVALID_ARGUMENT',
    ],
    ['a broadcast row with a value that does not fit', [null, 300], 'UNSUPPORTED_VALUE'],
    [
      'a list that is too deep',
      [
        [[1], [null]],
        [[1], [2]],
      ],
      'INVALID_ARGUMENT',
    ],
    [
      'a masked array that does not fit',
      new MaskedArray(
        ndarray([
          [1, 2],
          [300, 4],
        ]),
        ndarray([
          [true, false],
          [false, false],
        ]),
      ),
      'UNSUPPORTED_VALUE',
    ],
  ])('is unchanged after it refuses %s', (_, from, code) => {
    const mask = ndarray([
      [true, false],
      [false, false],
    ]);
    const masked = new MaskedArray(
      ndarray(
        [
          [9, 8],
          [7, 6],
        ],
        undefined,
        'u1',
      ),
      mask,
    );
    expect(() => masked.set(from)).toThrow(failsWith(code));
    expect(masked.data.toNested()).toEqual([
      [9, 8],
      [7, 6],
    ]);
    expect(masked.toNested()).toEqual([
      [null, 8],
      [7, 6],
    ]);
    const row = new MaskedArray(ndarray([9, 8, 7], undefined, 'u1'), ndarray([true, false, false]));
    expect(() => row.set([1, null, 300])).toThrow(failsWith('UNSUPPORTED_VALUE'));
    expect(row.toNested()).toEqual([null, 8, 7]);
  });

  it('refuses sums and extremes that its type does not have, however many elements are visible', () => {
    const cases: [string, string[]][] = [
      ['M8[s]', ['sum', 'mean']],
      ...['S3', 'U2', 'V4', 'f16', 'c32'].map((type): [string, string[]] => [type, ['sum', 'min', 'max', 'mean']]),
    ];
    for (const [type, refused] of cases) {
      for (const mask of [[], [true, true], [true, false]]) {
        const masked = new MaskedArray(NDArray.zeros([mask.length], type), ndarray(mask, undefined, 'bool'));
        for (const name of ['sum', 'min', 'max', 'mean'] as const) {
          const call = () => masked[name]();
          if (refused.includes(name)) expect(call, `${name} of ${type}`).toThrow(failsWith('UNSUPPORTED_DTYPE'));
          else if (mask.length === 0) expect(call).toThrow(failsWith('INVALID_ARGUMENT'));
          else expect(call(), `${name} of ${type}`).toBe(mask.includes(false) ? 0n : null);
        }
      }
    }
  });

  it('refuses a list that contains itself at once', () => {
    const list: unknown[] = [];
    list.push(list, list);
    expect(() => sample().set(list)).toThrow(failsWith('INVALID_ARGUMENT'));
    list[0] = null;
    expect(() => sample().set(list)).toThrow(failsWith('INVALID_ARGUMENT'));
  });

  it('broadcasts lists with nulls like arrays; the data under a null stays', () => {
    const shapes = fc.constantFrom([2, 3], [1, 3], [2, 1], [3], [1], [1, 1], [1, 2, 3]);
    fc.assert(
      fc.property(shapes, fc.infiniteStream(fc.option(fc.integer({ min: 0, max: 255 }))), (shape, stream) => {
        const lists = (axis: number): unknown =>
          axis === shape.length
            ? (stream.next().value ?? null)
            : Array.from({ length: shape[axis]! }, () => lists(axis + 1));
        const from = lists(0) as unknown[];
        const before = ndarray(
          [
            [1, 2, 3],
            [4, 5, 6],
          ],
          undefined,
          'u1',
        );
        const masked = new MaskedArray(before.copy(), NDArray.zeros([2, 3], 'bool')).set(from);
        const flat = from.flat(3);
        const [rows, columns] = [shape.at(-2) ?? 1, shape.at(-1)!];
        for (const i of [0, 1]) {
          for (const j of [0, 1, 2]) {
            const item = flat[(rows === 1 ? 0 : i) * columns + (columns === 1 ? 0 : j)];
            expect([masked.get(i, j), masked.data.get(i, j)]).toEqual([item, item ?? before.get(i, j)]);
          }
        }
      }),
    );
  });

  it('accepts arrays, masked arrays, lists with nulls and single values', () => {
    const masked = sample();
    expect(masked.set(5).count()).toBe(12);
    expect(masked.set([1, null, 3, 4]).toNested()).toEqual(Array.from({ length: 3 }, () => [1, null, 3, 4]));
    expect(masked.set(ndarray(new Float64Array(4))).count()).toBe(12);
    expect(masked.set(sample()).toNested()).toEqual(sample().toNested());
    expect(
      masked
        .set([
          [1, 2, 3, null],
          [null, null, null, null],
          [0, 0, 0, 0],
        ])
        .count(),
    ).toBe(7);
    expect(masked.fill(null).count()).toBe(0);
    expect(() => masked.set([[null], [1]])).toThrow(failsWith('INVALID_ARGUMENT'));
  });

  it('accepts masked arrays with hidden elements that its type cannot hold', () => {
    const integers = (): MaskedArray => new MaskedArray(NDArray.zeros([2], 'int8'), NDArray.zeros([2], 'bool'));
    const floats = new MaskedArray(ndarray([Number.NaN, 5]), ndarray([true, false]));
    expect(integers().set(floats).toNested()).toEqual([null, 5]);
    expect(integers().set(floats.row(0)).toNested()).toEqual([null, null]);
    const kept = integers().set([null, 3]);
    expect(() => kept.set(floats.set(1, 500))).toThrow(failsWith('UNSUPPORTED_VALUE'));
    expect(kept.toNested()).toEqual([null, 3]);
  });

  it('reads lists as axes only as deep as its own axes; anything deeper is the element', () => {
    const none = (dims: readonly number[]) => NDArray.zeros(dims, 'bool');
    const objects = () => NDArray.ofObjects([0, 0, 0], [3]);
    const list = [7, [1, null], 'x'];
    expect(objects().set(list).toNested()).toEqual(list);
    expect(new MaskedArray(objects(), none([3])).set(list).toNested()).toEqual(list);
    const hidden = new MaskedArray(objects(), none([3])).set([null, [1, null], 'x']);
    expect([hidden.toNested(), hidden.data.get(0)]).toEqual([[null, [1, null], 'x'], 0]);
    expect(objects().fill(list).get(1)).toBe(list);
    expect(new MaskedArray(objects(), none([3])).fill(list).get(1)).toBe(list);
    const one = new MaskedArray(NDArray.ofObjects([0], []), none([])).set(list);
    expect(one.get()).toBe(list);
    const record = new MaskedArray(NDArray.zeros([], "[('a', 'i4'), ('t', 'M8[s]')]"), none([])).set([5, null]);
    expect(record.get()).toEqual({ a: 5, t: null });
  });

  it('walks in chunks, data and mask together', () => {
    const masked = sample();
    let count = 0;
    for (const { start, array } of masked.chunks({ bytes: 24 })) {
      expect(array.data.nbytes).toBeLessThanOrEqual(24);
      expect(array.get(0, 0)).toBe(masked.get(...start));
      count += array.count();
    }
    expect(count).toBe(masked.count());
  });

  it('refuses masks of other types and shapes, and stores into read-only arrays', () => {
    const data = NDArray.zeros([2]);
    expect(() => new MaskedArray(data, NDArray.zeros([2], 'u1'))).toThrow(failsWith('INVALID_ARGUMENT'));
    expect(() => new MaskedArray(data, NDArray.zeros([3], 'bool'))).toThrow(failsWith('INVALID_ARGUMENT'));
    const frozen = new MaskedArray(data, NDArray.over(memoryOver(new Uint8Array(2), false), 'bool', [2]));
    expect(frozen.writable).toBe(false);
    expect(() => frozen.set(0, 1)).toThrow(failsWith('READ_ONLY'));
    expect(data.get(0)).toBe(0);
  });
});
