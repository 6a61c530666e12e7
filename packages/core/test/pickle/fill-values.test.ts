import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { MaskedArray, NDArray, ndarray } from '../../src/ndarray/index.ts';
import { dump, load, NumpyScalar, PyFloat } from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

const SHOW = `
import io, pickle, warnings
import numpy as np
def show(m):
    if isinstance(m, dict): m = m['x']
    if not isinstance(m, np.ma.MaskedArray): return repr(m)
    # Loading swaps what is not in the machine's order, but not what is mapped.
    m = m.astype(m.dtype.newbyteorder('='))
    m.fill_value # Makes the default where there is none, which is cast when it is used.
    f = m._fill_value.astype(m.dtype)
    fill = [str(f.dtype), list(f.shape), repr(f.tolist()) if f.dtype.char not in 'gG' else str(f), '' if f.dtype.char in 'OgG' else f.tobytes().hex()]
    # Long doubles have bytes that are never set.
    data = repr(m.data.tolist()) if m.dtype.char in 'OgG' else m.data.tobytes().hex()
    return [str(m.dtype), list(m.shape), data, m.mask.tobytes().hex(), fill]
def loaded(data):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try: return show(pickle.loads(data))
        except Exception as error: return 'refused: ' + type(error).__name__
`;

/** Masked arrays as programs make them, as numpy pickles them and as constructor calls, and what numpy makes of each. */
const MAKE = `${SHOW}
class Call:
    def __init__(self, *args): self.args = args
    def __reduce__(self): return np.ma.MaskedArray, self.args
warnings.simplefilter('ignore')
made = []
dtypes = ['?', 'i1', 'u1', '>i2', 'i8', 'u8', 'f2', 'f4', '>f8', 'f16', 'c8', 'c16', 'c32', 'S1', 'S5', 'U1', '>U5', 'V1', 'V4', 'M8[s]', 'm8[D]', 'M8', 'O', 'S0', 'U0', 'V0']
for t in dtypes:
    m = np.ma.MaskedArray(np.zeros(2, t), [False, True])
    made.append((t, 'none', pickle.dumps(m)))
    repr(m)
    for protocol in (2, 4, 5): made.append((t, 'shown', pickle.dumps(m, protocol)))
fills = [5, -1, 300, 2**64, 1.5, 1e300, float('nan'), True, 1j, 'N/A', 'é', '5', b'N/A', b'', [1, 2], (1,), {}, np.int64(300), np.int64(-1), np.float64(2.5),
    np.float32(7), np.str_('N/A'), np.bytes_(b'N/A'), np.void(b'abcdef'), np.datetime64(5, 's'), np.datetime64(5, 'D'), np.datetime64('NaT'), np.timedelta64(5, 'D'),
    np.array(7), np.array('N/A'), np.array(b'???'), np.array([1.5]), np.array([1, 2]), np.array(['a', 'b']), np.array(None), np.array([None, 1]), np.longdouble(3), len]
for t in dtypes:
    for i, fill in enumerate(fills):
        # Bytes of it that are never set become the fill value.
        if t == 'V0' and type(fill) is np.longdouble: continue
        made.append((t, repr(fill), pickle.dumps(Call(np.zeros(2, t), np.array([False, True]), None, False, True, 0, fill), 4)))
result = [[t, how, data, loaded(data)] for t, how, data in made if t + how != 'M8none']
`;

describe.each(pythons())('fill values beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it('are those of numpy when loaded, written again and in a dict; refused ones leave the array opaque', async () => {
    const made = await python.run<[string, string, Uint8Array, unknown][]>(MAKE);
    const rows = made.map(([type, how, data, expected]) => {
      const value = load(data);
      const file = MemoryFile.of();
      MmapDict.over(file).set('x', value).close();
      return {
        what: `${type} ${how}`,
        how,
        value,
        expected,
        pickles: [dump(value), dump(value, { protocol: 2 })],
        file,
      };
    });
    const found = await python.run<unknown[][]>(
      `${SHOW}\nresult = [[loaded(d) for d in pickles] + [loaded(file) if file else None] for pickles, file in args['cases']]`,
      {
        // A value that numpy refuses is left out of the file, which has to load.
        cases: rows.map(({ pickles, file, expected }) => [
          pickles,
          typeof expected === 'string' ? null : file.toBytes(),
        ]),
      },
    );
    const bad: unknown[] = [];
    for (const [i, { what, how, value, expected }] of rows.entries()) {
      const refused = typeof expected === 'string';
      const [four, two, file] = found[i]!;
      if (String([four, two, file]) !== String([expected, expected, refused ? null : expected]))
        bad.push(JSON.stringify([what, expected, four, two, file]));
      // Zero-size types with a non-empty fill value keep it only while they are opaque.
      const known = how === 'none' || (how === 'shown' && !/^[SUV]0/.test(what));
      if (refused || known) expect(value instanceof MaskedArray, what).toBe(!refused);
    }
    expect(bad).toEqual([]);
    expect(rows.filter(({ value }) => value instanceof MaskedArray).length).toBeGreaterThan(300);
  });

  it('that are empty, of arrays of empty elements, round-trip, and Python reads them', async () => {
    const empty = new Uint8Array(0);
    for (const [type, fillValue] of [
      ['S0', empty],
      ['S0', ''],
      ['V0', empty],
      ['U0', ''],
    ] as const) {
      const value = new MaskedArray(NDArray.zeros([2], type), ndarray([false, true]), { fillValue });
      const file = MemoryFile.of();
      const dict = MmapDict.over(file).set('x', value).set('list', [value]);
      const back = [dict.get('x'), (dict.get('list') as unknown[])[0], load(dump(value))];
      dict.close();
      for (const each of back) {
        expect(each, type).toBeInstanceOf(MaskedArray);
        expect((each as MaskedArray).fillValue).toEqual(type === 'U0' ? '' : empty);
      }
      const found = await python.run<unknown[]>(
        "import pickle\nd = pickle.loads(args['file'])\nresult = [str(d['x'].dtype), repr(d['x'].filled().tolist())]",
        { file: file.toBytes() },
      );
      expect(found).toEqual([type === 'U0' ? '<U0' : `|${type}`, type === 'U0' ? "['', '']" : "[b'', b'']"]);
    }
  });

  it('set in this library are written for the type, or refused before a byte is written', async () => {
    const mask = ndarray([false, true]);
    const rows: [string, unknown][] = [
      ['f8', new NumpyScalar(ndarray(5, [], 'i4').type, new Uint8Array([5, 0, 0, 0]))],
      ['f8', NumpyScalar.of('abc', 'U3')],
      ['f8', NumpyScalar.of(5, 'f8')],
      ['f8', ndarray(['a', 'b'])],
      ['f8', ndarray([1n, 2n])],
      ['f8', ndarray([1, 2])],
      ['f8', ndarray(2.5)],
      ['f8', new PyFloat(2)],
      ['O', NDArray.ofObjects(['a', 'b'])],
      ['O', NDArray.ofObjects(['a'], [])],
      ['U1', 'N/A'],
      ['U1', 'N'],
      ['i1', 300],
      ['f16', new Uint8Array(16)],
      ['M8', 5n],
      ['M8[s]', 5n],
      ['m8[s]', null],
      ['O', '?'],
      ['O', [1, 2]],
      ['O', new Map([['a', 1]])],
      ['O', null],
    ];
    const results: string[] = [];
    for (const [type, fillValue] of rows) {
      const data = type === 'O' ? NDArray.ofObjects([1, 'b']) : NDArray.zeros([2], type);
      const value = new MaskedArray(data, mask, { fillValue });
      const file = MemoryFile.of();
      const dict = MmapDict.over(file);
      try {
        dict.set('x', value);
      } catch (error) {
        results.push((error as { code: string }).code);
        expect(() => dump(value)).toThrow(expect.objectContaining({ code: results.at(-1) }));
        expect([...dict.keys()]).toEqual([]);
        continue;
      }
      dict.close();
      const [stored, dumped] = await python.run<unknown[]>(
        `${SHOW}\nresult = [loaded(args['file']), loaded(args['pickle'])]`,
        { file: file.toBytes(), pickle: dump(value) },
      );
      expect(stored).toEqual(dumped);
      results.push((stored as [string, number[], string, string, string[] | null])[4]?.[2] ?? '');
    }
    const bad = 'UNSUPPORTED_VALUE';
    expect(results).toEqual([
      '5.0',
      bad,
      '5.0',
      bad,
      '[1.0, 2.0]',
      '[1.0, 2.0]',
      '2.5',
      '2.0',
      "['a', 'b']",
      "'a'",
      bad,
      "'N'",
      bad,
      '0.0',
      'None', // Python's value for a time without a unit.
      'datetime.datetime(1970, 1, 1, 0, 0, 5)',
      'None',
      "'?'",
      '[1, 2]',
      "{'a': 1}",
      "'?'",
    ]);
  });
});
