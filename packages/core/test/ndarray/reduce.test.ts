import {
  Complex,
  type DType,
  float16FromBits,
  MaskedArray,
  memoryOver,
  NDArray,
  ndarray,
  parseDType,
  type Reduced,
  slice,
} from '@mmdpickle/core/ndarray';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { MemoryStore } from '../../src/ndarray/element-store.ts';
import { layoutOver } from '../../src/ndarray/layout.ts';
import { max, mean, min, sum } from '../../src/ndarray/reduce.ts';
import { MIN_SIMD_BYTES, SimdMachine } from '../../src/ndarray/simd.ts';
import { NodeFile } from '../../src/node/file.ts';

const CODES = ['b1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16', 'm8[s]'];

/** Elements that exercise signs, both halves of 64 bits, and many magnitudes for floats. */
function randomBytes(type: DType, size: number, seed: number): Uint8Array {
  let state = seed;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  if (type.kind === 'f' || type.kind === 'c') {
    const parts = type.kind === 'c' ? 2 : 1;
    const numbers = Float64Array.from({ length: size * parts }, () => (next() / 2 ** 31 - 1) * 2 ** (next() % 8));
    return Buffer.concat([...ndarray(numbers, undefined, `f${type.itemsize / parts}`).bytes()]);
  }
  const words = Uint32Array.from({ length: Math.ceil((size * type.itemsize) / 4) }, () => next() ^ (next() >>> 16));
  const bytes = new Uint8Array(words.buffer, 0, size * type.itemsize);
  return type.kind === 'b' ? bytes.map((byte) => byte % 2) : bytes;
}

const plain = (value: Reduced): unknown =>
  value instanceof Complex ? [value.re, value.im] : typeof value === 'bigint' ? String(value) : value;

function expectClose(found: unknown, wanted: unknown, tolerance: number, about: string): void {
  if (Array.isArray(wanted)) {
    for (const [i, part] of wanted.entries()) expectClose((found as unknown[])[i], part, tolerance, about);
  } else if (typeof wanted === 'number' && typeof found === 'number' && Number.isFinite(wanted)) {
    expect(
      Math.abs(found - wanted) <= tolerance * Math.max(1, Math.abs(wanted)),
      `${about}: ${found} for ${wanted}`,
    ).toBe(true);
  } else expect(found, about).toEqual(wanted);
}

describe.each(pythons())('reductions beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it('propagate infinities and NaN between the parts of complex numbers where numpy does', async () => {
    const part = fc.constantFrom(0, 1, -2.5, 3e300, Infinity, -Infinity, Number.NaN);
    const numbers = fc
      .array(fc.tuple(part, part), { minLength: 1, maxLength: 5 })
      .map((list) => Float64Array.from(list.flat()));
    const cases = fc.sample(numbers, { numRuns: 500, seed: 4 });
    const found = await python.run<Uint8Array>(
      `import numpy as np
np.seterr(all='ignore')
result = []
for c in args['cases']:
    a = np.frombuffer(c, 'c16')
    result += [a.sum(), a.mean()]
result = np.array(result).tobytes()`,
      { cases: cases.map((values) => new Uint8Array(values.buffer)) },
    );
    const wanted = new Float64Array(found.slice().buffer);
    for (const [i, values] of cases.entries()) {
      const array = NDArray.over(memoryOver(new Uint8Array(values.buffer)), 'c16', [values.length / 2]);
      const about = String(values);
      const parts = [array.sum(), array.mean()].flatMap(plain);
      expectClose(parts, [...wanted.subarray(4 * i, 4 * i + 4)], 1e-12, about);
      // A hidden element changes nothing.
      const more = new MaskedArray(NDArray.zeros([array.size + 1], 'c16'), NDArray.zeros([array.size + 1], 'bool'));
      more.slice(slice(0, -1)).set(array);
      more.set(array.size, null);
      expect(more.mean(), about).toEqual(array.mean());
    }
  });

  it('match numpy for every type, byte order, alignment, window and stride', async () => {
    for (const code of CODES) {
      for (const [order, offset, maxWindow] of [
        ['<', 0, undefined],
        ['>', 0, undefined],
        ['<', 3, undefined],
        ['<', 8, 1000],
        ['>', 1, 24],
      ] as const) {
        const spec = order + code;
        const type = parseDType(spec);
        const bytes = randomBytes(type, 600, code.length + offset);
        if (type.byteorder === '>')
          NDArray.over(memoryOver(bytes), spec, [600]).set(NDArray.over(memoryOver(bytes.slice()), `<${code}`, [600]));
        const padded = new Uint8Array(offset + bytes.length);
        padded.set(bytes, offset);
        const memory = memoryOver(padded, maxWindow === undefined ? true : { maxWindow });
        const whole = NDArray.over(memory, spec, [20, 30], { offset });
        const found = await python.run<unknown[][]>(
          `import numpy as np
def plain(x):
    if isinstance(x, np.timedelta64): return None if np.isnat(x) else str(x.astype('i8'))
    if isinstance(x, np.bool_): return bool(x)
    if isinstance(x, (np.integer, int)): return str(int(x))
    if isinstance(x, np.complexfloating): return [float(x.real), float(x.imag)]
    return float(x)
a = np.frombuffer(args['bytes'], args['spec']).reshape(20, 30)
result = []
for v in (a, a[::2, ::-3], a.T, a[3], a[5:6, 7:8]):
    w = v.astype('f8') if v.dtype.kind == 'f' else v.astype('c16') if v.dtype.kind == 'c' else v
    result.append([plain(w.sum()), plain(v.min()), plain(v.max()), plain(w.mean())])`,
          { spec, bytes },
        );
        const views = [
          whole,
          whole.slice(slice(null, null, 2), slice(null, null, -3)),
          whole.transpose(),
          whole.row(3),
          whole.slice(slice(5, 6), slice(7, 8)),
        ];
        for (const [i, view] of views.entries()) {
          const about = `${spec} ${offset} ${maxWindow} view ${i}`;
          const small = (value: Reduced): unknown =>
            typeof value === 'number' && !'fc'.includes(type.kind) ? String(value) : plain(value);
          const [wantedSum, wantedMin, wantedMax, wantedMean] = found[i] as unknown[];
          expectClose(plain(view.sum()), wantedSum, 1e-12, `${about} sum`);
          expect(small(view.min()), `${about} min`).toEqual(wantedMin);
          expect(small(view.max()), `${about} max`).toEqual(wantedMax);
          expectClose(plain(view.mean()), wantedMean, 1e-12, `${about} mean`);
        }
      }
    }
  });
});

/** Long enough for several blocks. */
const LARGE = 256 * 1024;

describe('the SIMD kernels', () => {
  const machine = new SimdMachine(2 ** 25);

  it('match the JavaScript loops for every type, at any alignment, length, stride and byte order', () => {
    for (const code of ['b1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16', 'm8']) {
      const { itemsize } = parseDType(code);
      const least = LARGE / itemsize;
      const shortest = MIN_SIMD_BYTES / itemsize;
      for (const [count, offset, step, order] of [
        [shortest, 0, 1, '<'],
        [shortest + 9, 1, 1, '>'],
        [least, 0, 1, '<'],
        [least + 1, 3, 1, '<'],
        [least * 2 + 17, 1, 2, '<'],
        [least + 15, 0, 1, '>'],
        [least * 3 + 5, 5, -1, '<'],
      ] as const) {
        const type = parseDType(order + code);
        const bytes = new Uint8Array(offset + count * itemsize);
        bytes.set(randomBytes(parseDType(`<${code}`), count, count), offset);
        const length = Math.ceil(count / Math.abs(step));
        const layout = layoutOver({
          memory: memoryOver(bytes),
          dtype: type,
          shape: [length],
          strides: [step * itemsize],
          offset: step < 0 ? offset + (count - 1) * itemsize : offset,
        });
        const about = `${type.name} ${count} ${offset} ${step}`;
        expectClose(plain(sum(layout, machine)), plain(sum(layout, null)), 1e-9, about);
        expect(min(layout, machine), about).toEqual(min(layout, null));
        expect(max(layout, machine), about).toEqual(max(layout, null));
        expectClose(plain(mean(layout, machine)), plain(mean(layout, null)), 1e-9, about);
      }
    }
  });

  it('read half-precision floats of every exponent exactly', () => {
    const size = LARGE / 2 + 3;
    for (const order of ['<', '>']) {
      const bytes = new Uint8Array(2 * size);
      const layout = layoutOver({ memory: memoryOver(bytes), dtype: `${order}f2`, shape: [size] });
      const view = new DataView(bytes.buffer);
      for (let high = 0; high < 0x10000; high += 0x400) {
        for (const low of [0, 1, 2, 0x155, 0x200, 0x3fe, 0x3ff]) {
          const at = 2 * (((high | low) * 31) % size);
          view.setUint16(at, high | low, order === '<');
          const value = float16FromBits(high | low);
          const about = `${order} ${high | low}`;
          expect(sum(layout, machine), about).toBe(value + 0);
          expect((min(layout, machine) as number) + 0, about).toBe(Math.min(0, value) + 0);
          expect((max(layout, machine) as number) + 0, about).toBe(Math.max(0, value) + 0);
          view.setUint16(at, 0);
        }
      }
    }
  });

  it('do not report cancelling infinities, or overflowing sums, as NaN', () => {
    for (const code of ['f4', 'f8']) {
      const size = LARGE / Number(code[1]);
      const layout = layoutOver({ memory: memoryOver(new Uint8Array(LARGE)), dtype: code, shape: [size] });
      layout.store.set(100, Number.POSITIVE_INFINITY);
      layout.store.set(102, Number.NEGATIVE_INFINITY);
      expect([min(layout, machine), max(layout, machine)]).toEqual([
        Number.NEGATIVE_INFINITY,
        Number.POSITIVE_INFINITY,
      ]);
      layout.store.set(5000, Number.NaN);
      expect([min(layout, machine), max(layout, machine)]).toEqual([Number.NaN, Number.NaN]);
    }
  });

  it('find the extreme of complex numbers by both parts, and the first one with a NaN', () => {
    for (const code of ['c8', 'c16']) {
      const itemsize = Number(code.slice(1));
      const size = LARGE / itemsize + 3;
      const layout = layoutOver({ memory: memoryOver(new Uint8Array(size * itemsize)), dtype: code, shape: [size] });
      const both = () => [min(layout, machine), max(layout, machine)];
      layout.store.set(70, new Complex(0, -2));
      layout.store.set(size - 2, new Complex(0, 2));
      expect(both()).toEqual([new Complex(0, -2), new Complex(0, 2)]);
      layout.store.set(5001, new Complex(3, -7));
      layout.store.set(9000, new Complex(3, -8));
      layout.store.set(9001, new Complex(-3, 8));
      expect(both()).toEqual([new Complex(-3, 8), new Complex(3, -7)]);
      layout.store.set(size - 3000, new Complex(Number.NaN, 2));
      expect(both()).toEqual([new Complex(Number.NaN, 2), new Complex(Number.NaN, 2)]);
      layout.store.set(9002, new Complex(1, Number.NaN));
      layout.store.set(9003, new Complex(Number.NaN, 1));
      expect(both()).toEqual([new Complex(1, Number.NaN), new Complex(1, Number.NaN)]);
    }
  });

  it('give means of 64-bit integers whose sum exceeds 64 bits', () => {
    const size = LARGE / 8 + 3;
    for (const [code, value] of [
      ['i8', 2n ** 63n - 1n],
      ['i8', -(2n ** 63n)],
      ['u8', 2n ** 64n - 1n],
      ['>u8', 2n ** 64n - 2n ** 32n],
    ] as const) {
      const layout = layoutOver({ memory: memoryOver(new Uint8Array(size * 8)), dtype: code, shape: [size] });
      for (let i = 0; i < size; i += 1) layout.store.set(i, value);
      expect(mean(layout, machine)).toBe(Number(value));
      expect(mean(layout, null)).toBe(Number(value));
    }
  });

  it('propagate NaN from any position, and find extremes at any position', () => {
    for (const code of ['f4', 'f8']) {
      const size = LARGE / Number(code[1]) + 21;
      const layout = layoutOver({
        memory: memoryOver(new Uint8Array(size * Number(code[1]))),
        dtype: code,
        shape: [size],
      });
      for (const at of [0, 1, 7, 15, 16, 17, 31, 4095, 4096, size - 22, size - 21, size - 1]) {
        layout.store.set(at, Number.NaN);
        for (const reduce of [sum, min, max]) expect(reduce(layout, machine), `${code} NaN at ${at}`).toBe(Number.NaN);
        layout.store.set(at, -5);
        expect([min(layout, machine), max(layout, machine), sum(layout, machine)]).toEqual([-5, 0, -5]);
        layout.store.set(at, Number.POSITIVE_INFINITY);
        expect([min(layout, machine), max(layout, machine)]).toEqual([0, Number.POSITIVE_INFINITY]);
        layout.store.set(at, 0);
      }
    }
  });

  it('wrap 64-bit sums as numpy does, and distinguish signed from unsigned', () => {
    const size = LARGE / 8 + 3;
    const bytes = new Uint8Array(size * 8).fill(0xff);
    const layoutOf = (dtype: string) =>
      layoutOver({ memory: memoryOver(bytes), dtype, shape: [bytes.length / parseDType(dtype).itemsize] });
    expect(sum(layoutOf('i8'), machine)).toBe(-BigInt(size));
    expect(sum(layoutOf('u8'), machine)).toBe(2n ** 64n - BigInt(size));
    expect([min(layoutOf('i8'), machine), max(layoutOf('u8'), machine)]).toEqual([-1n, 2n ** 64n - 1n]);
    expect(sum(layoutOf('u4'), machine)).toBe(BigInt(size * 2) * 0xffffffffn);
  });
});

describe('the SIMD kernels over a mapped file', () => {
  const machine = new SimdMachine(2 ** 23);
  const directory = new TempDir();
  afterAll(() => directory[Symbol.dispose]());
  const size = 2 ** 20 + 3;

  /** A file of counting doubles at an odd offset, larger or smaller than what stays mapped. */
  const fileOf = (name: string, count: number): NodeFile => {
    const file = NodeFile.open(directory.file(name), 'a');
    file.write(5, new Uint8Array(Float64Array.from({ length: count }, (_, i) => i % 1000).buffer));
    return file;
  };
  const layoutIn = (file: NodeFile, count: number) =>
    layoutOver({ memory: file.map(0, 5 + count * 8, 'write'), dtype: 'f8', shape: [count], offset: 5 });

  it('see later stores in each of several files, and drop a file that is closed', () => {
    const files = ['a', 'b', 'c'].map((name) => fileOf(name, size - 4));
    const layouts = files.map((file) => layoutIn(file, size - 4));
    const wanted = layouts.map((layout) => sum(layout, null) as number);
    for (let round = 0; round < 3; round += 1) {
      for (const [i, layout] of layouts.entries()) {
        expect(sum(layout, machine)).toBe(wanted[i]);
        expect(max(layout, machine)).toBe(999 + round);
        layout.store.set(17, 1000 + round);
        wanted[i] = sum(layout, null) as number;
      }
    }
    for (const [i, layout] of layouts.entries()) {
      expect(sum(layout, machine)).toBe(wanted[i]);
      files[i]?.close();
      expect(() => sum(layout, machine)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    }
    const again = layoutOver({ memory: memoryOver(new Uint8Array(size * 8)), dtype: 'f8', shape: [size] });
    expect(sum(again, machine)).toBe(0);
    machine.release();
  });

  it('release the pages of a file that is truncated, and see it grow again', () => {
    using file = fileOf('cut', size - 4);
    const layout = layoutIn(file, size - 4);
    const before = sum(layout, machine) as number;
    file.truncate(5 + 8 * 1000);
    // The truncated part reads as zeros.
    expect(sum(layout, machine)).toBe(499_500);
    file.write(5, new Uint8Array(Float64Array.from({ length: size - 4 }, (_, i) => i % 1000).buffer));
    expect(sum(layoutIn(file, size - 4), machine)).toBe(before);
  });

  it('process data larger than their memory in parts', () => {
    using file = fileOf('large', size);
    const layout = layoutIn(file, size);
    expect([sum(layout, machine), min(layout, machine), max(layout, machine)]).toEqual([sum(layout, null), 0, 999]);
    const part = layoutOver({
      memory: (layout.store as MemoryStore).memory,
      dtype: 'f8',
      shape: [Math.floor(size / 3) - 1, 2],
      strides: [24, 8],
      offset: 13,
    });
    expect(sum(part, machine)).toBe(sum(part, null));
  });
});

describe('reductions', () => {
  it('of large arrays are as exact as pairwise summation', () => {
    const size = 300_000;
    const array = ndarray(new Float64Array(size).fill(0.1));
    expect(Math.abs((array.sum() as number) - size / 10)).toBeLessThan(1e-9);
    expect(ndarray(new Float32Array(size).fill(0.1)).mean()).toBeCloseTo(Math.fround(0.1), 12);
  });

  it('of empty arrays are 0, NaN, or an error', () => {
    expect(NDArray.zeros([0, 3], 'i4').sum()).toBe(0n);
    expect(NDArray.zeros([0]).sum()).toBe(0);
    expect(NDArray.zeros([0]).mean()).toBe(Number.NaN);
    expect(NDArray.zeros([0], 'm8').mean()).toBe(null);
    expect(NDArray.zeros([0], 'M8[s]').sum.bind(NDArray.zeros([0], 'M8[s]'))).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }),
    );
    const masked = new MaskedArray(NDArray.zeros([3, 0]), NDArray.zeros([3, 0], 'bool'));
    expect([masked.sum(), masked.mean()]).toEqual([null, null]);
    for (const what of ['min', 'max'] as const) {
      for (const array of [NDArray.zeros([0]), masked]) {
        expect(() => array[what]()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      }
    }
  });

  it('keep NaT as null', () => {
    const times = NDArray.zeros([3], 'M8[s]').set([5n, 3n, 4n]);
    expect([times.min(), times.max()]).toEqual([3n, 5n]);
    times.set(1, null);
    expect([times.min(), times.max()]).toEqual([null, null]);
    const spans = NDArray.zeros([3], 'm8[s]').set([5n, -3n, -4n]);
    expect([spans.sum(), spans.mean()]).toEqual([-2n, 0n]);
    expect([spans.set(0, null).sum(), spans.mean()]).toEqual([null, null]);
    // A sum that wraps to NaT is NaT, as it would be if stored.
    const long = NDArray.zeros([300_000], 'm8[s]')
      .set(0, 2n ** 62n)
      .set(299_999, 2n ** 62n);
    const visible = new MaskedArray(long, NDArray.zeros([300_000], 'bool'));
    for (const array of [long, visible]) expect([array.sum(), array.mean()]).toEqual([null, null]);
    long.set(1, 2n ** 62n + 5n);
    for (const array of [long, visible]) expect(array.sum()).toBe(-(2n ** 62n) + 5n);
  });

  it('of text, bytes, records, objects and long doubles are typed errors', () => {
    for (const dtype of ['U2', 'S2', 'V2', 'f16', 'c32', "[('a', 'f8')]", 'O']) {
      for (const what of ['sum', 'min', 'max', 'mean'] as const) {
        expect(() => NDArray.zeros([2], dtype)[what](), `${what} ${dtype}`).toThrow(
          expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }),
        );
      }
    }
  });

  it('refuse an axis: ignoring one would silently give the sum of everything', () => {
    const array = NDArray.zeros([2, 3]);
    for (const what of [array, new MaskedArray(array, NDArray.zeros([2, 3], 'bool'))]) {
      for (const name of ['sum', 'min', 'max', 'mean'] as const) {
        for (const axis of [0, { axis: 0 }, undefined]) {
          const reduce = what[name] as (...axis: unknown[]) => unknown;
          expect(() => reduce.call(what, axis)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
        }
      }
    }
  });

  it('of bools count every byte other than 0', () => {
    const array = NDArray.over(memoryOver(new Uint8Array([0, 1, 2, 255])), 'bool', [4]);
    expect([array.sum(), array.min(), array.max(), array.mean()]).toEqual([3n, false, true, 0.75]);
  });

  it('skip masked elements', () => {
    const data = ndarray(new Float64Array([1, Number.NaN, 3, 4]), [2, 2]);
    const masked = new MaskedArray(
      data,
      ndarray([
        [false, true],
        [false, false],
      ]),
    );
    expect([masked.sum(), masked.min(), masked.max(), masked.mean(), masked.count()]).toEqual([8, 1, 4, 8 / 3, 3]);
    const none = masked.copy().fill(null);
    expect([none.sum(), none.min(), none.max(), none.mean(), none.count()]).toEqual([null, null, null, null, 0]);
  });
});
