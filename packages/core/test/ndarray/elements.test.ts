import {
  Complex,
  DTYPES,
  defaultFillValue,
  float16FromBits,
  float16ToBits,
  memoryOver,
  NDArray,
  parseDType,
} from '@mmdpickle/core/ndarray';
import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';

/** Elements in a form that both sides can write. */
const SHOW = `
import numpy as np
def show(v):
    if isinstance(v, np.ndarray): return [show(i) for i in v]
    if isinstance(v, np.void) and v.dtype.names: return {n: show(v[n]) for n in v.dtype.names}
    if isinstance(v, np.void): return v.tobytes().hex()
    if isinstance(v, (bytes, np.bytes_)): return bytes(v).hex()
    if isinstance(v, (np.datetime64, np.timedelta64)):
        return None if np.isnat(v) else str(v.view('i8') if hasattr(v, 'view') else v)
    if isinstance(v, (np.bool_, bool)): return bool(v)
    if isinstance(v, (np.longdouble, np.clongdouble)): return None
    if isinstance(v, (np.complexfloating, complex)): return [float(v.real).hex(), float(v.imag).hex()]
    if isinstance(v, (np.floating, float)): return float(v).hex()
    if isinstance(v, (np.integer, int)): return str(int(v))
    return str(v)
`;

function show(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Complex) return [value.re, value.im].map(hexFloat);
  if (Array.isArray(value)) return value.map(show);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, show(item)]));
  }
  if (typeof value === 'bigint') return String(value);
  return value;
}

/** Python's float.hex, for the doubles that occur here. */
function hexFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n);
  if (bits === 0n) return `${sign}0x0.0p+0`;
  const fraction = (bits & (2n ** 52n - 1n)).toString(16).padStart(13, '0');
  const power = exponent === 0 ? -1022 : exponent - 1023;
  return `${sign}0x${exponent === 0 ? 0 : 1}.${fraction}p${power < 0 ? '' : '+'}${power}`;
}

describe.each(pythons())('elements beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it('all 65,536 half-precision values match numpy, and numbers round to half precision as in numpy', async () => {
    const found = await python.run<Uint8Array>(
      `import numpy as np\nresult = np.arange(65536, dtype='u2').view('f2').astype('f8').tobytes()`,
    );
    const doubles = new Float64Array(found.buffer);
    for (let bits = 0; bits < 65_536; bits += 1) {
      const number = doubles[bits] as number;
      if (!Object.is(float16FromBits(bits), number)) expect(float16FromBits(bits), `bits ${bits}`).toBe(number);
      if (!Number.isNaN(number) && float16ToBits(number) !== bits) expect(float16ToBits(number)).toBe(bits);
    }
    // Between neighbours: the midpoint, and the values next to it.
    const between: number[] = [
      1e300,
      -1e300,
      65519.99999999999,
      65520,
      2 ** -25,
      2 ** -26,
      3e-8,
      1.0000000000000002 * 2 ** -25,
      5e-324,
    ];
    for (let bits = 0; bits < 0x7bff; bits += 7) {
      const middle = ((doubles[bits] as number) + (doubles[bits + 1] as number)) / 2;
      between.push(middle, -middle, middle * (1 + 2 ** -40), middle * (1 - 2 ** -40));
    }
    const rounded = await python.run<Uint8Array>(
      `import numpy as np\nwith np.errstate(all='ignore'): result = np.frombuffer(args['bytes']).astype('f2').tobytes()`,
      { bytes: new Uint8Array(new Float64Array(between).buffer) },
    );
    expect(Array.from(between, float16ToBits)).toEqual(Array.from(new Uint16Array(rounded.buffer)));
  });

  it('random bytes read as the elements that numpy sees, for every type and byte order, and are written back unchanged', async () => {
    const specs = DTYPES.filter(({ kind }) => kind !== 'O').flatMap(({ code, flexible, kind }) => {
      const sized = flexible === true ? `${code}6` : 'mM'.includes(kind) ? `${code}[3us]` : code;
      return [`<${sized}`, `>${sized}`];
    });
    const struct = [
      ['n', '>i2'],
      ['s', 'S3'],
      [
        'inner',
        [
          ['c', '<c8'],
          ['u', '|u1', [2, 2]],
        ],
      ],
      ['f', '<f2'],
    ] as const;
    const cases = [
      ...specs,
      "[('n', '>i2'), ('s', 'S3'), ('inner', [('c', '<c8'), ('u', 'u1', (2, 2))]), ('f', '<f2')]",
    ];
    expect(parseDType(cases.at(-1) as string).itemsize).toBe(parseDType(struct as never).itemsize);
    let seed = 1;
    const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 24;
    for (const spec of cases) {
      const type = parseDType(spec);
      const bytes = Uint8Array.from({ length: type.itemsize * 12 }, random);
      if (type.kind === 'U') {
        const view = new DataView(bytes.buffer);
        for (let at = 0; at < bytes.length; at += 4)
          view.setUint32(at, view.getUint32(at) % 0xd800, type.byteorder === '<');
      }
      if (type.kind === 'b') for (let at = 0; at < bytes.length; at += 1) bytes[at] = (bytes[at] as number) % 2;
      bytes.fill(0, 0, type.itemsize);
      const array = NDArray.over(memoryOver(bytes), spec, [12]);
      // Long doubles are bytes here; numpy shows them as numbers.
      if (!'gG'.includes(type.char)) {
        const found = await python.run<unknown[]>(
          `${SHOW}\nimport ast\ns = args['spec']\nresult = [show(v) for v in np.frombuffer(args['bytes'], np.dtype(ast.literal_eval(s) if s[0] == '[' else s))]`,
          { spec, bytes },
        );
        expect(
          (array.toNested() as unknown[]).map((value) => showAs(type.kind, value)),
          spec,
        ).toEqual(found);
      }
      const copy = NDArray.zeros([12], spec);
      const hasNaN = JSON.stringify(showAs(type.kind, array.toNested())).includes('nan');
      for (let i = 0; i < 12; i += 1) copy.set(i, array.get(i));
      // A NaN's payload may be lost through a number; as bytes it is kept.
      if (!hasNaN) expect(Buffer.concat([...copy.bytes()]).equals(bytes), spec).toBe(true);
      expect(Buffer.concat([...array.copy().bytes()]).equals(bytes), spec).toBe(true);
    }
  });

  it("masked elements are filled with numpy's values", async () => {
    const specs = [
      '?',
      'i1',
      'u1',
      'i2',
      'u2',
      'i4',
      'u4',
      'i8',
      'u8',
      'f2',
      'f4',
      '>f8',
      'g',
      'c8',
      'c16',
      'S5',
      'S2',
      'U2',
      '>U5',
      'V5',
      'M8[s]',
    ];
    for (const spec of specs) {
      const found = await python.run<Uint8Array>(
        `import numpy as np
with np.errstate(all='ignore'):
    filled = np.ma.array(np.zeros(1, args['spec']), mask=[1]).filled()
    # numpy 2.1 puts what is too large for an unsigned type into an array of objects.
    if filled.dtype.kind == 'O': filled = np.array(filled.tolist()).astype(args['spec'])
    result = filled.tobytes()`,
        { spec },
      );
      const filled = NDArray.zeros([1], spec).fill(defaultFillValue(parseDType(spec)));
      expect(Buffer.concat([...filled.bytes()]).toString('hex'), spec).toBe(Buffer.from(found).toString('hex'));
    }
  });
});

/** Numbers of float types are written as Python writes floats, the others as integers. */
function showAs(kind: string, value: unknown): unknown {
  if (typeof value === 'number') return kind === 'f' ? hexFloat(value) : String(value);
  if (Array.isArray(value)) return value.map((item) => showAs(kind, item));
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !(value instanceof Complex)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, showAs(name === 'f' ? 'f' : 'i', item)]),
    );
  }
  return show(value);
}

describe('elements', () => {
  it('that do not fit are refused, and the stored values stay', () => {
    const cases: [string, unknown[]][] = [
      ['int8', [128, -129, 1.5, Number.NaN, 'x', null, {}, 300n]],
      ['uint8', [256, -1, 0.5]],
      ['int16', [32768]],
      ['uint32', [-1, 2 ** 32]],
      ['int64', [2n ** 63n, -(2n ** 63n) - 1n, 0.5, Number.POSITIVE_INFINITY]],
      ['uint64', [-1n, 2n ** 64n]],
      ['float64', ['1', null, undefined, [1]]],
      ['complex128', ['1', {}]],
      ['S3', ['abcd', 'é', new Uint8Array(4), 5]],
      ['U3', ['abcd', new Uint8Array(1), 5]],
      ['V3', [new Uint8Array(4), 'abc']],
      ['f16', [1, new Uint8Array(15)]],
      ['M8[s]', [1.5, 'now', 2n ** 63n]],
      ["[('a', 'i1'), ('b', 'i1')]", [{ a: 1, b: 200 }, { a: 1 }, [1], 5, null, new Uint8Array(2)]],
      ["[('a', 'i1', (2,))]", [{ a: [1] }, { a: [1, 200] }, { a: 5 }]],
    ];
    for (const [spec, values] of cases) {
      const bytes = Uint8Array.from({ length: parseDType(spec).itemsize }, (_, i) => (i % 4 === 0 ? 1 : 0));
      const before = bytes.slice();
      for (const value of values) {
        const array = NDArray.over(memoryOver(bytes), spec, []);
        expect(() => array.set(value), `${spec} ${String(value)}`).toThrow(
          expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }),
        );
        expect(bytes).toEqual(before);
      }
    }
  });

  it.each(['S4', 'V4', 'f16', 'c32'])('of bytes (%s) may be set from the very memory that holds them', (dtype) => {
    const { itemsize } = parseDType(dtype);
    const bytes = Uint8Array.from({ length: 2 * itemsize }, (_, i) => i + 1);
    const array = NDArray.over(memoryOver(bytes), dtype, [2]);
    const given = bytes.slice(2, 2 + itemsize);
    array.set(1, bytes.subarray(2, 2 + itemsize));
    expect(array.get(1)).toEqual(given);
    array.set(1, bytes.subarray(itemsize));
    expect(array.get(1)).toEqual(given);
  });

  it('of structured types are frozen records without a prototype, and may be set from records, maps and lists', () => {
    const array = NDArray.zeros([4], "[('__proto__', 'i4'), ('p', 'U2')]");
    array.set(
      0,
      Object.fromEntries([
        ['__proto__', 1],
        ['p', 'x'],
      ]),
    );
    array.set(
      1,
      new Map<string, unknown>([
        ['__proto__', 2],
        ['p', 'y'],
      ]),
    );
    array.set(2, [3, 'z']);
    const record = array.get(2) as { p: string };
    expect(Object.getPrototypeOf(record)).toBe(null);
    expect(Object.isFrozen(record)).toBe(true);
    expect(Object.entries(record)).toEqual([
      ['__proto__', 3],
      ['p', 'z'],
    ]);
    expect(array.field('__proto__').toNested() as unknown[]).toEqual([1, 2, 3, 0]);
  });

  it('of text hold any code point, including lone surrogates; a number beyond is CORRUPT', () => {
    const array = NDArray.zeros([1], '<U3');
    for (const text of ['', 'a', '\u{1f600}ab', '\ud800', 'a\0b']) expect(array.set(0, text).get(0)).toBe(text);
    const bytes = new Uint8Array([0, 0, 0x11, 0]);
    expect(() => NDArray.over(memoryOver(bytes), '<U1', [1]).get(0)).toThrow(
      expect.objectContaining({ code: 'CORRUPT' }),
    );
  });

  it('of invalid text leave an array of objects unchanged', () => {
    const text = NDArray.over(memoryOver(new Uint8Array([65, 0, 0, 0, 0, 0, 0x11, 0])), '<U1', [2]);
    const objects = NDArray.ofObjects([7, 8]);
    expect(() => objects.set(text)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
    expect(objects.toNested()).toEqual([7, 8]);
  });

  it('are refused with the class name if a record has a field called constructor', () => {
    const record = NDArray.zeros([1], [['constructor', [['name', [['x', 'i1']]]]]]).get(0);
    expect(() => NDArray.zeros([1]).set(0, record)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
  });

  it('of time types are counts, and NaT is null both ways', () => {
    const array = NDArray.zeros([2], 'M8[ns]');
    array.set(0, 5n).set(1, null);
    expect(array.toNested()).toEqual([5n, null]);
    expect([...array.copy().bytes()][0]?.subarray(8)).toEqual(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 128]));
    array.set(1, 7);
    expect(array.get(1)).toBe(7n);
  });
});
