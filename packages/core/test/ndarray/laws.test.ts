import {
  type ArrayMemory,
  ellipsis,
  memoryOver,
  NDArray,
  newAxis,
  type Order,
  type SliceSpec,
  slice,
} from '@mmdpickle/core/ndarray';
import { Python, pythons, type Wire } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

/** One step that makes a view, in a form that numpy can execute too. */
type Step =
  | { readonly op: 'slice'; readonly specs: readonly (number | null | string | readonly (number | null)[])[] }
  | { readonly op: 'transpose'; readonly axes: readonly number[] }
  | { readonly op: 'reshape'; readonly shape: readonly number[] };

const bound = fc.option(fc.integer({ min: -6, max: 6 }), { freq: 3 });
const step = fc.option(fc.constantFrom(1, 2, 3, -1, -2, -3, 100, -100), { freq: 2 });
const range = fc.tuple(bound, bound, step);

/** Steps that fit a shape, most of the time. */
function stepsFor(shape: readonly number[]): fc.Arbitrary<Step[]> {
  const picks = fc.integer({ min: -4, max: 3 });
  const specs = fc.array(
    fc.oneof({ weight: 4, arbitrary: range }, fc.constant(null), picks, fc.constantFrom('new', '...')),
    {
      maxLength: shape.length + 2,
    },
  );
  const sliced = specs.map((list): Step => ({ op: 'slice', specs: list }));
  const turned = fc
    .shuffledSubarray(
      shape.map((_, axis) => axis),
      { minLength: shape.length },
    )
    .map((axes): Step => ({ op: 'transpose', axes }));
  const shaped = fc
    .array(fc.constantFrom(1, 2, 3, 4, 6, 12, -1), { maxLength: 4 })
    .map((to): Step => ({ op: 'reshape', shape: to }));
  return fc.array(fc.oneof({ weight: 3, arbitrary: sliced }, turned, shaped), { maxLength: 4 });
}

interface Case {
  readonly shape: readonly number[];
  readonly order: Order;
  readonly dtype: string;
  readonly offset: number;
  readonly maxWindow: number | undefined;
  readonly steps: readonly Step[];
}

const cases: fc.Arbitrary<Case> = fc.array(fc.constantFrom(0, 1, 2, 3, 4, 4), { maxLength: 4 }).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    order: fc.constantFrom<Order>('C', 'F'),
    dtype: fc.constantFrom('<i4', '>i4', '<f8', '>f8', '|i1', '<i2', '<f4', '>u2', '<f2'),
    offset: fc.constantFrom(0, 8, 1, 3),
    maxWindow: fc.constantFrom(undefined, 1, 3, 8, 17, 64, 100),
    steps: stepsFor(shape),
  }),
);

/** An array with counting elements, over memory with an odd start and windows of a few bytes. */
function arange({ shape, order, dtype, offset, maxWindow }: Case): NDArray {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const numbers = NDArray.over(memoryOver(new Uint8Array(new Float64Array(size).map((_, i) => i % 100).buffer)), 'f8', [
    size,
  ]);
  const packed = numbers.astype(dtype);
  const bytes = new Uint8Array(offset + packed.nbytes + 5);
  bytes.set(Buffer.concat([...packed.bytes()]), offset);
  const memory = memoryOver(bytes, maxWindow === undefined ? true : { maxWindow });
  return NDArray.over(memory, dtype, shape, { order, offset });
}

const toSpec = (spec: number | null | string | readonly (number | null)[]): SliceSpec => {
  if (spec === 'new') return newAxis;
  if (spec === '...') return ellipsis;
  return Array.isArray(spec)
    ? slice(...(spec as [number | null, number | null, number | null]))
    : (spec as number | null);
};

function take(array: NDArray, step: Step): NDArray {
  switch (step.op) {
    case 'slice':
      return array.slice(...step.specs.map(toSpec));
    case 'transpose':
      return array.transpose(...step.axes);
    case 'reshape':
      return array.reshape(step.shape);
  }
}

/** A view, or the code of the error. Every step that fails is skipped, as on the other side. */
function follow(array: NDArray, steps: readonly Step[]): { view: NDArray; failed: boolean[] } {
  let view = array;
  const failed = steps.map((step) => {
    try {
      view = take(view, step);
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
      return true;
    }
  });
  return { view, failed };
}

const NUMPY = `
import numpy as np
def arange(c):
    size = int(np.prod(c['shape'], dtype=int))
    raw = bytes(c['offset']) + (np.arange(size) % 100).astype(c['dtype']).tobytes() + bytes(5)
    return np.ndarray(c['shape'], c['dtype'], bytearray(raw), c['offset'], order=c['order'])
def spec(s):
    return None if s == 'new' else Ellipsis if s == '...' else slice(None) if s is None else slice(*s) if isinstance(s, list) else s
def take(a, s):
    if s['op'] == 'slice':
        r = a[tuple(spec(x) for x in s['specs'])]
        if not isinstance(r, np.ndarray):  # an element: as a view without axes
            r = a[tuple(spec(x) for x in s['specs']) + (Ellipsis,)]
        return r
    if s['op'] == 'transpose': return a.transpose(s['axes']) if s['axes'] else a
    r = a.reshape(s['shape'])
    if r.size and not np.shares_memory(r, a): raise ValueError('copied')
    return r
def follow(c):
    a = arange(c)
    failed = []
    v = a
    for s in c['steps']:
        try:
            v = take(v, s)
            failed.append(False)
        except (ValueError, IndexError): failed.append(True)
    return a, v, failed
`;

const LONG = process.env.MMDPICKLE_LONG === '1';

describe.each(pythons())('views beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());
  const samples = fc.sample(cases, { numRuns: 1200, seed: 11 });

  it('have the shape, strides, contiguity and elements that numpy gives them', async () => {
    const found = await python.run<
      { failed: boolean[]; shape: number[]; strides: number[]; flags: boolean[]; list: unknown }[]
    >(
      `${NUMPY}
result = []
for c in args['cases']:
    a, v, failed = follow(c)
    result.append({'failed': failed, 'shape': list(v.shape), 'strides': list(v.strides), 'list': v.tolist(),
                   'flags': [v.flags.c_contiguous, v.flags.f_contiguous]})`,
      { cases: samples.map((each) => ({ ...each, maxWindow: null })) as unknown as Wire },
    );
    let views = 0;
    for (const [i, each] of samples.entries()) {
      const { view, failed } = follow(arange(each), each.steps);
      const expected = found[i] as (typeof found)[number];
      const about = JSON.stringify(each);
      expect(failed, about).toEqual(expected.failed);
      expect(view.shape, about).toEqual(expected.shape);
      expect(view.toNested(), about).toEqual(expected.list);
      expect([view.isContiguous('C'), view.isContiguous('F')], about).toEqual(expected.flags);
      // Strides along axes of 0 or 1 elements mean nothing, and numpy's versions differ in them.
      const meant = (strides: readonly number[]) => strides.filter((_, axis) => (view.shape[axis] as number) > 1);
      if (view.size > 0) expect(meant(view.byteStrides), about).toEqual(meant(expected.strides));
      if (failed.includes(false)) views += 1;
    }
    expect(views).toBeGreaterThan(500);
  });

  it('accept assignments as numpy does: broadcast, overlapping, to any byte order', async () => {
    const found = await python.run<unknown[]>(
      `${NUMPY}
result = []
for c in args['cases']:
    a, v, _ = follow(c)
    if v.ndim and v.size:
        v[...] = 7
        v[...] = np.arange(v.shape[-1])[::-1]
        if v.shape[0] > 1: v[:-1] = v[1:]
        v[::-1] = v
    result.append(a.tolist())`,
      { cases: samples.map((each) => ({ ...each, maxWindow: null })) as unknown as Wire },
    );
    for (const [i, each] of samples.entries()) {
      const array = arange(each);
      const { view } = follow(array, each.steps);
      if (view.ndim > 0 && view.size > 0) {
        view.fill(7);
        view.set(Array.from({ length: view.shape.at(-1) as number }, (_, k) => k).reverse());
        if ((view.shape[0] as number) > 1) view.rows(0, -1).set(view.rows(1, view.shape[0] as number));
        view.slice(slice(null, null, -1)).set(view);
      }
      expect(array.toNested(), JSON.stringify(each)).toEqual(found[i]);
    }
  });

  it('give their bytes in their order, as numpy writes them', async () => {
    const found = await python.run<Uint8Array[]>(
      `${NUMPY}
result = []
for c in args['cases']:
    a, v, _ = follow(c)
    result.append(v.tobytes('F' if v.flags.f_contiguous and not v.flags.c_contiguous else 'C'))`,
      { cases: samples.map((each) => ({ ...each, maxWindow: null })) as unknown as Wire },
    );
    for (const [i, each] of samples.entries()) {
      const { view } = follow(arange(each), each.steps);
      // Borrowed pieces are copied here before the next one is requested.
      const pieces = Array.from(view.bytes(), (piece) => piece.slice());
      expect(Buffer.concat(pieces).toString('hex'), JSON.stringify(each)).toBe(
        Buffer.from(found[i] as Uint8Array).toString('hex'),
      );
    }
  });
});

describe('views', () => {
  it('match their data, offset and strides', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const { view } = follow(arange(each), each.steps);
        const { data, offset, strides } = view;
        const at = (index: number): unknown => ('get' in data ? data.get(index) : data[index]);
        const list = (axis: number, position: number): unknown =>
          axis === view.ndim
            ? at(position)
            : Array.from({ length: view.shape[axis] as number }, (_, i) =>
                list(axis + 1, position + i * (strides[axis] as number)),
              );
        expect(list(0, offset)).toEqual(view.toNested());
        if (ArrayBuffer.isView(data)) expect(view.aligned).toBe(true);
      }),
    );
  });

  it('element access, iteration, rows and chunks agree with the nested lists', () => {
    fc.assert(
      fc.property(cases, fc.integer({ min: 1, max: 50 }), (each, bytes) => {
        const { view } = follow(arange(each), each.steps);
        const nested = view.toNested();
        if (view.ndim > 0) {
          const rows = [...view].map((row) => (row instanceof NDArray ? row.toNested() : row));
          expect(rows).toEqual(nested);
          for (let i = 0; i < rows.length; i += 1) {
            expect(view.row(i - rows.length).toNested()).toEqual(rows[i]);
            expect(view.rows(i, i + 2).toNested()).toEqual(rows.slice(i, i + 2));
          }
        }
        const copy = NDArray.zeros(view.shape, view.type).fill(99);
        let count = 0;
        for (const { start, array } of view.chunks({ bytes })) {
          expect(array.nbytes <= bytes || array.size === 1).toBe(true);
          expect(start.length).toBe(view.ndim);
          copy.slice(...start.map((at, axis) => slice(at, at + (array.shape[axis] as number)))).set(array);
          count += array.size;
        }
        expect(count).toBe(view.size);
        expect(copy.toNested()).toEqual(nested);
      }),
    );
  });

  it('copies are packed, equal and independent', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom<Order>('C', 'F'), (each, order) => {
        const { view } = follow(arange(each), each.steps);
        const before = view.toNested();
        const copy = view.copy({ order });
        expect(copy.isContiguous(order)).toBe(true);
        expect(copy.toNested()).toEqual(before);
        copy.fill(1);
        expect(view.toNested()).toEqual(before);
      }),
    );
  });

  it('typed() shows the same memory in C order, or says why it cannot', () => {
    fc.assert(
      fc.property(cases, (each) => {
        const { view } = follow(arange(each), each.steps);
        let typed: ArrayLike<unknown>;
        try {
          typed = view.typed();
        } catch (error) {
          expect(error).toMatchObject({ code: view.dtype === 'float16' ? 'UNSUPPORTED_DTYPE' : 'INVALID_ARGUMENT' });
          return;
        }
        expect(Array.from(typed)).toEqual([view.toNested()].flat(Infinity));
        if (view.size > 0) {
          view.fill(5);
          expect(typed[0]).toBe(5);
        }
      }),
    );
  });
});

/** Bytes that hold elements with gaps, as one window, in windows, or written by positional writes. */
type Kind = 'one window' | 'windows' | 'writes';

interface Place {
  readonly kind: Kind;
  readonly step: number;
  readonly start: number;
}

const places: fc.Arbitrary<Place> = fc.record({
  kind: fc.constantFrom<Kind>('one window', 'windows', 'writes'),
  step: fc.constantFrom(1, 1, -1, 2, -2, 3),
  start: fc.constantFrom(0, 8, 3),
});

/** `count` elements of a type at a place, in bytes that are otherwise all `filler`, and the position of each of them. */
function lineOf({ kind, step, start }: Place, dtype: string, itemsize: number, count: number, filler: number) {
  const gap = Math.abs(step);
  const bytes = new Uint8Array(start + count * gap * itemsize + 5).fill(filler);
  const whole = memoryOver(bytes);
  // Elements with gaps between them are also stored through the window.
  const window = (offset: number, length: number): Uint8Array =>
    step === 1 ? whole.bytes(offset, length).slice() : whole.bytes(offset, length);
  const write = (offset: number, given: Uint8Array): unknown => bytes.set(given, offset);
  const memory = {
    'one window': () => memoryOver(bytes, true),
    windows: () => memoryOver(bytes, { maxWindow: 100_003 }),
    writes: (): ArrayMemory => ({ ...whole, bytes: window, write: write as NonNullable<ArrayMemory['write']> }),
  }[kind]();
  const array = NDArray.over(memory, dtype, [count * gap], { offset: start }).slice(slice(null, null, step));
  const at = (i: number): number => start + (step > 0 ? i * gap : (count - i) * gap - 1) * itemsize;
  return { bytes, array, at };
}

describe('more elements than fit into a buffer', () => {
  /** Pairs of types that differ in byte order only, and how many bytes are swapped at a time. */
  const types = [
    ['|u1', '|u1', 1, 1],
    ['<i2', '>i2', 2, 2],
    ['<f4', '>f4', 4, 4],
    ['<f8', '>f8', 8, 8],
    ['|S3', '|S3', 3, 1],
    ['<c16', '>c16', 16, 8],
    ['<U3', '>U3', 12, 4],
  ] as const;
  const counts = (itemsize: number): number[] => {
    const most = Math.floor(2 ** 18 / itemsize);
    return [0, 1, 7, most - 1, most, most + 1, 2 * most + 3];
  };

  it('are stored as if one by one, whatever the place, step, windows and byte order, and nothing else is', () => {
    const all = fc.constantFrom(...types).chain((type) =>
      fc.record({
        type: fc.constant(type),
        count: fc.constantFrom(...counts(type[2])),
        swaps: fc.boolean(),
        from: places,
        to: places,
      }),
    );
    fc.assert(
      fc.property(all, ({ type: [dtype, other, itemsize, word], count, swaps, from, to }) => {
        const source = lineOf(
          { ...from, kind: from.kind === 'writes' ? 'windows' : from.kind },
          dtype,
          itemsize,
          count,
          0,
        );
        const target = lineOf(to, swaps ? other : dtype, itemsize, count, 0xee);
        for (let i = 0; i < source.bytes.length; i += 1) source.bytes[i] = (i * 7 + (i >> 8)) % 251;
        const expected = target.bytes.slice();
        const filled = target.bytes.slice();
        for (let i = 0; i < count; i += 1) {
          for (let b = 0; b < itemsize; b += 1) {
            const turned = swaps && word > 1 ? b - (b % word) + word - 1 - (b % word) : b;
            expected[target.at(i) + b] = source.bytes[source.at(i) + turned] as number;
            filled[target.at(i) + b] = 0;
          }
        }
        target.array.set(source.array);
        expect(Buffer.compare(target.bytes, expected)).toBe(0);
        // Each piece is borrowed until the next one is requested.
        const gathered = Buffer.concat(Array.from(source.array.bytes(), (piece) => piece.slice()));
        expect(gathered.length).toBe(count * itemsize);
        for (let i = 0; i < count; i += 1) {
          for (let b = 0; b < itemsize; b += 1)
            if (gathered[i * itemsize + b] !== source.bytes[source.at(i) + b]) expect.fail(`element ${i}`);
        }
        target.array.fill('SU'.includes(dtype[1] as string) ? '' : 0);
        expect(Buffer.compare(target.bytes, filled)).toBe(0);
      }),
      { numRuns: LONG ? 1500 : 75 },
    );
  });
});
