import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { type DType, isDType, NDArray, parseDType } from '../../src/ndarray/index.ts';
import { dump, load, NumpyScalar, OpaqueGlobal, OpaqueObject, RecordType, Tuple } from '../../src/pickle/index.ts';

const FACTS = `
import pickle, warnings
import numpy as np
def shown(v):
    # Single bytes may be told to have an order.
    if isinstance(v, np.dtype): return [v.str.lstrip('<|' if v.kind in 'iufcUmM' and v.itemsize != 1 else '<|>'), v.itemsize, v.names, None if v.subdtype is None else v.shape]
    return [type(v).__name__, shown(v.dtype), v.tobytes().hex()]
def loaded(data):
    try: return shown(pickle.loads(data))
    except Exception as error: return 'refused'
`;

/** dtypes in states that numpy does not write, and scalars and arrays of them, except states that crash numpy 2. */
const MAKE = `${FACTS}
class Type:
    def __init__(self, code, state): self.code, self.state = code, state
    def __reduce__(self): return np.dtype, (self.code, False, True), self.state
class Call:
    def __init__(self, *args): self.args = args
    def __reduce__(self): return self.args[0], self.args[1:]
import numpy.core.multiarray as ma
plain = lambda code, order, size, more=(), flags=0: Type(code, (3 + len(more), order, None, None, None, size, -1, 63 if code[0] == 'O' else flags) + more)
values = [plain(c, o, n) for c in ('S3', 'S', 'c', 'a2', 'U3', 'U', 'V3', 'V', 'f8', 'i1', '?', 'c16', 'O', 'O8') for o in '<>|=' for n in (0, 1, 2, 4, 6, 8)]
values += [plain(c, '<', -1) for c in ('f8', 'i4', 'O8', 'O4', 'O7', 'O16')]
unit = lambda *parts: (({}, parts),)
values += [plain(c, o, 8, unit(*u)) for c in ('M8', 'm8', 'M', 'M8[s]') for o in '<>' for u in ((b'D', 1, 1, 1), (b'us', 25, 1, 1), (b'generic', 1, 1, 1), (b'D', 1), (b'D', 1, 1), *((u, n, 1, 1) for u in (b'generic', b's') for n in (-2, 0, 2, 2**31 - 1, 2**31)))]
values += [Type(c, (3, '<', None, None, None, *more)) for c in ('f8', 'S2', 'i1') for more in ((None, -1, 0), (-1, None, 0), (-1, -1, None), (2.5, 8, 0), (8, 2.5, 0), (8, 8, 0.5), (2**31, 8, 0), (8, 2**31, 0), (8, 'a', 0))]
values += [Type('V8', (3, '|', None, names, fields, 8, 1, 16)) for names, fields in ((('a',), None), (None, {'a': (np.dtype('f8'), 0)}))]
f8 = np.dtype('f8')
values += [Type(c, (3, '|', None, ('a',), {'a': (f8, 0)}, 8, 1, 16)) for c in ('', 'V')]
values += [Type('V8', (3, '|', sub, None, None, n, 1, 0)) for sub in ('a', 'f8', ('f8', (2,)), (f8, (2,)), (f8, 2), (f8,), ('V8', [('a', 'f8')]), (f8, [2])) for n in (0, 8, 16)]
values += [Type(c, (3, '|', (f8, (2,)), None, None, n, 8, 0)) for c in ('V16', 'V8', 'f8') for n in (16, 24)]
values += [Type(c, (3, '|', None, ('a',), {'a': (f8, 0)}, n, 1, 16)) for c in ('V8', 'V16', 'f8', 'S8') for n in (8, 12)]
values += [Call(ma.scalar, plain(c, '|', n), bytes(range(1, 1 + n))) for c in ('c', 'S2', 'V4') for n in (1, 4, 8)]
values += [Call(ma.scalar, '<f8', bytes(8)), Call(ma.scalar, [('a', 'i1')], bytes(1)), Call(ma.scalar, np.dtype('>i4'), bytes(4))]
values += [Call(np.ndarray, (2,), plain('S3', '|', 8), bytearray(range(16))), Call(np.ndarray, (2,), '<U1', bytearray(8))]
result = []
warnings.simplefilter('ignore')
for v in values:
    for protocol in (2, 4):
        data = pickle.dumps(v, protocol)
        result.append([data, loaded(data)])
`;

const typeOf = (value: unknown): DType | undefined =>
  isDType(value)
    ? value
    : value instanceof NumpyScalar
      ? value.dtype
      : value instanceof NDArray
        ? value.type
        : undefined;

describe.each(pythons())('dtype states beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it('give the type that numpy makes of them, or stay opaque; both are written so that numpy makes it again', async () => {
    const made = await python.run<[Uint8Array, unknown][]>(MAKE);
    const values = made.map(([data]) => load(data));
    const again = await python.run<unknown[]>(
      `${FACTS}\nwarnings.simplefilter('ignore')\nresult = [loaded(d) for d in args['pickles']]`,
      {
        pickles: values.map((value) => dump(value)),
      },
    );
    let known = 0;
    for (const [i, value] of values.entries()) {
      const expected = made[i]![1];
      const type = typeOf(value);
      const what = JSON.stringify([expected, type]);
      if (expected === 'refused') expect(value, what).toBeInstanceOf(OpaqueObject);
      else expect(again[i], what).toEqual(expected);
      if (type === undefined) continue;
      known += 1;
      const [, size] = (isDType(value) ? expected : (expected as unknown[])[1]) as [string, number];
      expect(type.itemsize, what).toBe(size);
    }
    expect(known).toBeGreaterThan(300);
  });

  it('stay opaque if the flags claim objects that are not there, or omit them: numpy would read bytes as objects', async () => {
    const pickles = await python.run<Uint8Array[]>(`${MAKE}
result = [pickle.dumps(plain(c, '<', -1, (), f), 4) for c in ('f8', 'S3', 'M8') for f in (1, 2, 3, 63)]
result += [pickle.dumps(Type('O', (3, '|', None, None, None, -1, -1, f)), 4) for f in (0, 1, 2, None)]
result += [pickle.dumps(Type('V8', (3, '|', None, ('a',), {'a': (np.dtype(t), 0)}, 8, 1, f)), 4) for t, f in (('f8', 27), ('O', 16))]`);
    for (const data of pickles) expect(load(data)).toBeInstanceOf(OpaqueObject);
  });

  it('stay opaque if fields are not in a dict, names are not in a tuple, or fields come with a sub-array', async () => {
    const pickles = await python.run<Uint8Array[]>(`${MAKE}
fields = {'a': (f8, 0)}
states = [(None, ('a',), [fields]), (None, ['a'], fields), ((f8, (1,)), ('a',), fields)]
result = [pickle.dumps(Type('V8', (3, '|', *s, 8, 1, 16)), 4) for s in states]`);
    for (const data of pickles) expect(load(data)).toBeInstanceOf(OpaqueObject);
  });

  it('of time types without metadata stay opaque: numpy 2 crashes on them', async () => {
    const pickles = await python.run<Uint8Array[]>(`${MAKE}
result = [pickle.dumps(Type(c, (len(m) + 3, '<', None, None, None, 8, 8, 0) + m), 4) for c in ('M8', 'm8', 'M', 'M8[s]') for m in ((), (None,), ({},))]`);
    for (const data of pickles) expect(load(data)).toBeInstanceOf(OpaqueObject);
  });
});

describe('dtype specs', () => {
  const made = (...args: unknown[]): unknown =>
    load(dump(new OpaqueObject('REDUCE', new OpaqueGlobal('numpy', 'dtype'), Tuple.from(args))));
  const record = new RecordType(parseDType([['a', 'i4']]));

  it.each<[string, unknown, string | undefined]>([
    ['fields over void bytes', Tuple.of('V8', [Tuple.of('x', '<f8')]), "[('x', '<f8')]"],
    ['fields over other bytes', Tuple.of('V9', [Tuple.of('x', '<f8')]), undefined],
    ['an empty list over void bytes', Tuple.of('V0', []), undefined],
    ['nothing over void bytes', Tuple.of('V8', null), undefined],
    ['a non-text type under fields', Tuple.of(1, [Tuple.of('x', '<f8')]), undefined],
    ['three items', Tuple.of('V8', 1, 2), undefined],
    ['a sub-array without a type', Tuple.of(null, Tuple.of(2)), undefined],
    ['a record type inside', [Tuple.of('r', record)], undefined],
  ])('become types or stay opaque: %s', (_, spec, name) => {
    const value = made(spec);
    if (name === undefined) expect(value).toBeInstanceOf(OpaqueObject);
    else expect(value).toMatchObject({ name });
  });

  it('keep the class of records', () => {
    expect(made(record)).toMatchObject({ dtype: record.dtype });
    expect(made(record)).toBeInstanceOf(RecordType);
  });

  it('are walked once if tuples are shared at every level', () => {
    let spec: unknown = 'V8';
    for (let i = 0; i < 60; i += 1) spec = Tuple.of(spec, spec);
    expect(made(spec)).toBeInstanceOf(OpaqueObject);
  });
});
