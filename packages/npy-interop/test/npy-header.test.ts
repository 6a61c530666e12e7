import { type ErrorCode, isMmdError, type MmdError, NDArray } from '@mmdpickle/core';
import { dump } from '@mmdpickle/core/pickle';
import { formatNpyHeader, npyBytes, readNpy } from '@mmdpickle/npy-interop';
import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

/** A version 1 file with this header text. */
function withHeader(text: string, data = new Uint8Array(4096), version = 1): Uint8Array {
  const body = version === 3 ? new TextEncoder().encode(text) : latin1(text);
  const length =
    version === 1 ? [body.length & 0xff, body.length >> 8] : [body.length & 0xff, (body.length >> 8) & 0xff, 0, 0];
  return join(latin1('\x93NUMPY'), Uint8Array.of(version, 0, ...length), body, data);
}

const header = (fields: { descr?: string; fortran?: string; shape?: string; more?: string }): string =>
  `{'descr': ${fields.descr ?? "'<f8'"}, 'fortran_order': ${fields.fortran ?? 'False'}, 'shape': ${fields.shape ?? '(2,)'}${fields.more ?? ''}}\n`;

/** The cases of numpy's test_format.py, rewritten, and others. */
const MALFORMED: readonly {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly code: ErrorCode;
  readonly offset: number;
}[] = [
  { name: 'an empty file', bytes: latin1(''), code: 'TRUNCATED', offset: 0 },
  { name: 'a wrong first byte', bytes: latin1('\x92NUMPY\x01\x00'), code: 'BAD_FORMAT', offset: 0 },
  { name: 'a zero first byte', bytes: latin1('\x00NUMPY\x01\x00'), code: 'BAD_FORMAT', offset: 0 },
  { name: 'lower-case letters in the magic', bytes: latin1('\x93numpy\x01\x00'), code: 'BAD_FORMAT', offset: 0 },
  { name: 'a different magic', bytes: latin1('\x93MATLB\x01\x00'), code: 'BAD_FORMAT', offset: 0 },
  { name: 'no minor version', bytes: latin1('\x93NUMPY\x01'), code: 'TRUNCATED', offset: 0 },
  { name: 'no version', bytes: latin1('\x93NUMPY'), code: 'TRUNCATED', offset: 0 },
  { name: 'version 1.1', bytes: latin1('\x93NUMPY\x01\x01'), code: 'BAD_FORMAT', offset: 6 },
  { name: 'version 0.0', bytes: latin1('\x93NUMPY\x00\x00'), code: 'BAD_FORMAT', offset: 6 },
  { name: 'version 0.1', bytes: latin1('\x93NUMPY\x00\x01'), code: 'BAD_FORMAT', offset: 6 },
  { name: 'version 2.2', bytes: latin1('\x93NUMPY\x02\x02'), code: 'BAD_FORMAT', offset: 6 },
  { name: 'version 255.255', bytes: latin1('\x93NUMPY\xff\xff'), code: 'BAD_FORMAT', offset: 6 },
  { name: 'version 2 without a length', bytes: latin1('\x93NUMPY\x02\x00'), code: 'TRUNCATED', offset: 8 },
  { name: 'half a length', bytes: latin1('\x93NUMPY\x01\x001'), code: 'TRUNCATED', offset: 8 },
  { name: 'no header', bytes: latin1('\x93NUMPY\x01\x00\x01\x00'), code: 'TRUNCATED', offset: 10 },
  {
    name: 'a header without fortran_order',
    bytes: latin1("\x93NUMPY\x01\x006\x00{'descr': 'x', 'shape': (1, 2), }                    \n"),
    code: 'BAD_FORMAT',
    offset: 10,
  },
  { name: 'a missing key', bytes: withHeader("{'descr': '<f8', 'shape': (2,)}"), code: 'BAD_FORMAT', offset: 10 },
  { name: 'an extra key', bytes: withHeader(header({ more: ", 'extrakey': -1" })), code: 'BAD_FORMAT', offset: 10 },
  { name: 'a key that is not a string', bytes: withHeader(header({ more: ', 1: 2' })), code: 'BAD_FORMAT', offset: 66 },
  { name: 'not a dictionary', bytes: withHeader('(1, 2)\n'), code: 'BAD_FORMAT', offset: 10 },
  { name: 'nothing but padding', bytes: withHeader('      \n'), code: 'BAD_FORMAT', offset: 17 },
  { name: 'a call', bytes: withHeader(header({ shape: '__import__("os").getpid()' })), code: 'BAD_FORMAT', offset: 60 },
  { name: 'an open bracket', bytes: withHeader(header({ shape: '(2,' })), code: 'BAD_FORMAT', offset: 63 },
  { name: 'brackets that are never closed', bytes: withHeader('('.repeat(9000)), code: 'LIMIT_EXCEEDED', offset: 111 },
  { name: 'a list as the shape', bytes: withHeader(header({ shape: '[2]' })), code: 'BAD_FORMAT', offset: 10 },
  { name: 'a number as the shape', bytes: withHeader(header({ shape: '2' })), code: 'BAD_FORMAT', offset: 10 },
  { name: 'a string in the shape', bytes: withHeader(header({ shape: "('2',)" })), code: 'BAD_FORMAT', offset: 10 },
  { name: 'a fraction in the shape', bytes: withHeader(header({ shape: '(2.0,)' })), code: 'BAD_FORMAT', offset: 62 },
  {
    name: 'a negative length',
    bytes: withHeader(header({ shape: '(-1,)' })),
    code: 'BAD_FORMAT',
    offset: 10,
  },
  {
    name: 'a length beyond 2^53',
    bytes: withHeader(header({ shape: `(${2n ** 60n},)` })),
    code: 'BAD_FORMAT',
    offset: 10,
  },
  {
    name: 'a shape larger than any file',
    bytes: withHeader(header({ shape: '(1000000000, 1000000000)' })),
    code: 'CORRUPT',
    offset: 10,
  },
  {
    name: '65 dimensions',
    bytes: withHeader(header({ shape: `(${'1, '.repeat(65)})` })),
    code: 'BAD_FORMAT',
    offset: 10,
  },
  { name: '0 as fortran_order', bytes: withHeader(header({ fortran: '0' })), code: 'BAD_FORMAT', offset: 10 },
  {
    name: 'None as descr',
    bytes: withHeader(header({ descr: 'None' })),
    code: 'BAD_FORMAT',
    offset: 10,
  },
  { name: 'an unknown type', bytes: withHeader(header({ descr: "'x'" })), code: 'UNSUPPORTED_DTYPE', offset: 10 },
  { name: 'a class as the type', bytes: withHeader(header({ descr: 'float' })), code: 'BAD_FORMAT', offset: 20 },
  { name: 'a field without a type', bytes: withHeader(header({ descr: "[('a',)]" })), code: 'BAD_FORMAT', offset: 10 },
  ...["['a']", "[('a', '<f8', (2,), 1)]", "[('a', ('<f8',))]"].map((descr) => ({
    name: `the type ${descr}`,
    bytes: withHeader(header({ descr })),
    code: 'BAD_FORMAT' as const,
    offset: 10,
  })),
  {
    name: 'a duplicate field',
    bytes: withHeader(header({ descr: "[('a', '<f8'), ('a', '<f8')]" })),
    code: 'UNSUPPORTED_DTYPE',
    offset: 10,
  },
  {
    name: 'a sub-array of negative length',
    bytes: withHeader(header({ descr: "[('a', '<f8', (-1,))]" })),
    code: 'BAD_FORMAT',
    offset: 10,
  },
  {
    name: 'version 3 with invalid UTF-8',
    bytes: join(withHeader('', new Uint8Array(0), 3).slice(0, 8), Uint8Array.of(2, 0, 0, 0, 0x7b, 0xff)),
    code: 'BAD_FORMAT',
    offset: 12,
  },
  {
    name: "Python 2's L in version 3",
    bytes: withHeader(header({ shape: '(2L,)' }), undefined, 3),
    code: 'BAD_FORMAT',
    offset: 64,
  },
  { name: 'a header over the limit', bytes: withHeader(header({}).padEnd(10_001)), code: 'LIMIT_EXCEEDED', offset: 10 },
  {
    name: 'a length of 4 GiB',
    bytes: latin1('\x93NUMPY\x02\x00\xff\xff\xff\xff{}'),
    code: 'LIMIT_EXCEEDED',
    offset: 12,
  },
  { name: 'too few bytes', bytes: withHeader(header({ shape: '(513,)' })), code: 'TRUNCATED', offset: 68 },
  { name: 'an object array', bytes: withHeader(header({ descr: "'|O'" })), code: 'UNSUPPORTED_VALUE', offset: 0 },
  {
    name: 'an object field',
    bytes: withHeader(header({ descr: "[('a', '|O')]" })),
    code: 'UNSUPPORTED_VALUE',
    offset: 0,
  },
];

const caught = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

describe('malformed npy files', () => {
  test.each(MALFORMED)('$name is refused with $code at $offset', ({ bytes, code, offset }) => {
    const error = caught(() => readNpy(bytes, { name: 'bad.npy' }));
    expect(isMmdError(error)).toBe(true);
    expect({ code: (error as MmdError).code, offset: (error as MmdError).offset }).toEqual({ code, offset });
    expect((error as MmdError).message).toContain('bad.npy');
  });

  test.each(MALFORMED)('$name is refused from a Blob as from bytes', async ({ bytes, code }) => {
    await expect(readNpy(new Blob([bytes as BlobPart]))).rejects.toMatchObject({ code });
  });

  test("object arrays are refused in numpy's words", () => {
    expect(() => readNpy(withHeader(header({ descr: "'|O'" })))).toThrow(
      'Object arrays cannot be loaded when allow_pickle=False',
    );
  });

  test('every truncation of a good file is an error, never an array', () => {
    const bytes = npyBytes(new Float64Array([1, 2, 3]));
    for (let length = 0; length < bytes.length; length += 1) {
      const error = caught(() => readNpy(bytes.subarray(0, length)));
      expect(isMmdError(error, 'TRUNCATED')).toBe(true);
    }
  });

  test('every changed byte of a header is an error or another array, never a crash', () => {
    const bytes = npyBytes(new Float64Array([1, 2, 3]));
    for (let pos = 0; pos < 128; pos += 1) {
      for (const value of [0, 0x20, 0x27, 0x28, 0x39, 0x4c, 0x7b, 0xff]) {
        const changed = bytes.slice();
        changed[pos] = value;
        const result = caught(() => readNpy(changed));
        if (result instanceof Error) expect(isMmdError(result)).toBe(true);
      }
    }
  });

  test('a larger header is read if the options allow it', () => {
    const bytes = withHeader(header({}).padEnd(20_000));
    expect(readNpy(bytes, { maxHeaderSize: 20_000 }).shape).toEqual([2]);
  });

  test("numpy's tolerances are kept: bytes after the data, the L of Python 2, spaces, keys in any order", () => {
    const read = (text: string): readonly number[] => readNpy(withHeader(text)).shape;
    expect(read("  { 'shape' : ( 3L , 2 ) , 'descr' : '<f8' , 'fortran_order' : True }  \n\n")).toEqual([3, 2]);
    expect(read("{'descr': u'<f8', u'fortran_order': False, 'shape': (3L,), }")).toEqual([3]);
    expect(read("{'descr': 'float64', 'fortran_order': False, 'shape': (3,), # padded\n}")).toEqual([3]);
    expect(read(header({ descr: "[('a', '<f8', [3])]" }))).toEqual([2]);
    const nested = header({ descr: "[('a', (('<i2', (2,)), 4), (3,))]" });
    expect(readNpy(withHeader(nested)).type.descr).toEqual([['a', '<i2', [3, 4, 2]]]);
    // A CR ends a line and therefore a comment: what follows counts, and of equal keys the last one wins.
    expect(read(header({ more: ", #\r'shape': (3,)\n" }))).toEqual([3]);
    expect(() => read(header({ descr: "[('a\rb', '<f8')]" }))).toThrow('expected closing');
    expect(() => read(`${header({})}# \0\n`)).toThrow('expected the end');
  });

  test.each([
    ["[('', '<i4'), ('b', '<i2')]", ['', 'b']],
    ["[('b', [('', '<i4', (2,))]), (('t', ''), '<i2'), ('', '|V2')]", ['b', '']],
    ["[('f0', '<i4'), ('', '|V4'), ('b', '<i2')]", ['f0', 'b']],
  ])('fields of %s get the names that numpy.load gives them', (descr, names) => {
    const { dtype, type } = readNpy(withHeader(header({ descr })));
    expect(type.fields?.map(({ name }) => name)).toEqual(names);
    // They are also written that way.
    expect(readNpy(npyBytes(NDArray.zeros([2], type))).dtype).toBe(dtype);
  });

  test('records that contain objects are reported as such, not as a damaged file', () => {
    const bytes = Buffer.concat([
      formatNpyHeader({ dtype: [['a', 'O']], shape: [1] }),
      dump(new Map([['what numpy made of it', null]])),
    ]);
    expect(caught(() => readNpy(bytes, { allowPickle: true }))).toMatchObject({ code: 'UNSUPPORTED_VALUE' });
  });
});

describe.each(pythons())('beside numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test('numpy refuses the same files', async () => {
    const refused = await python.run<boolean[]>(
      `
import io, warnings
import numpy as np
result = []
for data in args["files"]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.lib.format.read_array(io.BytesIO(data))
        result.append(False)
    except Exception:
        result.append(True)
`,
      { files: MALFORMED.map(({ bytes }) => bytes) },
    );
    const unlike = MALFORMED.filter((_, i) => refused[i] !== true).map(({ name }) => name);
    expect(unlike).toEqual([]);
  });

  test('headers are byte for byte those that numpy 2 writes', async () => {
    const cases = [
      { dtype: '<f8', shape: [], order: 'C' },
      { dtype: '<f8', shape: [3, 4], order: 'C' },
      { dtype: '<f8', shape: [3, 4], order: 'F' },
      { dtype: '>i2', shape: [0], order: 'C' },
      { dtype: '|b1', shape: [10 ** 15], order: 'C' },
      { dtype: '<U5', shape: [2, 0, 3], order: 'F' },
      { dtype: '<M8[25us]', shape: [7], order: 'C' },
      {
        dtype: [
          ['a', '<i4'],
          ['b', '|S3', [2, 3]],
        ],
        shape: [5],
        order: 'C',
      },
      {
        dtype: [
          ['a', '<i4'],
          ['', '|V4'],
          ['b', '<f8'],
        ],
        shape: [5],
        order: 'C',
      },
      { dtype: [[['titled', 'a'], '<i4']], shape: [1], order: 'C' },
      {
        dtype: [
          ["it's", '<i4'],
          ['"', '|u1'],
        ],
        shape: [1],
        order: 'C',
      },
      { dtype: [['é', '<i4']], shape: [1], order: 'C' },
      { dtype: [['整形', '<i8']], shape: [1], order: 'C' },
      {
        dtype: [
          [
            'in',
            [
              ['x', '<f4'],
              ['y', [['z', '|i1']]],
            ],
          ],
        ],
        shape: [1],
        order: 'C',
      },
      { dtype: [['x'.repeat(66_000), '<f4']], shape: [1], order: 'C' },
      ...[22, 23, 24].map((spaces) => ({ dtype: [[' '.repeat(spaces), '<i8']], shape: [2, 100], order: 'F' as const })),
    ] as const;
    const headers = cases.map(({ dtype, shape, order }) => formatNpyHeader({ dtype: dtype as never, shape, order }));
    const same = await python.run<string[]>(
      `
import io, warnings
import numpy as np
def fix(descr):
    if isinstance(descr, str): return descr
    return [(tuple(f[0]) if isinstance(f[0], list) else f[0], fix(f[1])) + ((tuple(f[2]),) if len(f) > 2 else ()) for f in descr]
result = []
for case, ours in zip(args["cases"], args["headers"]):
    out = io.BytesIO()
    dtype = np.lib.format.descr_to_dtype(fix(case["dtype"]))
    d = {"shape": tuple(case["shape"]), "fortran_order": case["order"] == "F", "descr": np.lib.format.dtype_to_descr(dtype)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format._write_array_header(out, d) if hasattr(np.lib.format, "_write_array_header") else __import__("numpy.lib._format_impl", fromlist=["x"])._write_array_header(out, d)
    if out.getvalue() != ours:
        result.append(repr((case, out.getvalue()[:300], ours[:300])))
`,
      { cases: cases as never, headers },
    );
    expect(same).toEqual([]);
  });
});
