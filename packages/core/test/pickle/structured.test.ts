import { Python, pythons, type Wire } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { isDType, NDArray } from '../../src/ndarray/index.ts';
import { dump, load, OpaqueObject } from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

/** A type in full: numpy's equality of types ignores alignment and trailing bytes. */
const FACTS = `
import random, pickle
import numpy as np
def facts(d):
    if d.subdtype: return ['sub', d.itemsize, facts(d.subdtype[0]), list(d.shape)]
    if d.names is None: return [d.str, d.itemsize]
    return [d.type.__name__, d.itemsize, d.isalignedstruct, [[n, d.fields[n][1], (d.fields[n] + (None,))[2], facts(d.fields[n][0])] for n in d.names]]
def shown(v):
    if isinstance(v, np.dtype): return ['dtype', facts(v)]
    return [type(v).__name__, facts(v.dtype), list(v.shape), v.tobytes().hex()]
`;

/** Random types made by numpy: aligned, packed, nested both ways, sub-arrays, titles, overlaps, empty, zero-byte, records. */
const MAKE = `${FACTS}
def make(seed, count):
    rnd = random.Random(seed)
    plain = ['?', 'i1', '<i2', '>i4', '<f8', 'S3', '<U2', 'V2', 'V0', 'S0', '<U0', '<M8[25s]', '<f2', '>c16', '<f16', 'O']
    def some(depth):
        if depth == 0 or rnd.random() < .4: return np.dtype(rnd.choice(plain))
        kind = rnd.random()
        if kind < .2: return np.dtype((some(depth - 1), tuple(rnd.choice([0, 1, 1, 2]) for _ in range(rnd.randint(1, 2)))))
        parts = [(name, some(depth - 1)) for name in 'abc'[:rnd.randint(0, 3)]]
        if kind < .7:
            named = [(n if rnd.random() < .8 else ('t' + n, n), d) for n, d in parts]
            # numpy 1.24 divides by the alignment of an empty type that is aligned, which is 0 there.
            made = np.dtype(named, align=len(parts) > 0 and rnd.random() < .6)
        else:
            offset, offsets = 0, []
            for _, d in parts:
                offset = max(0, offset + rnd.randint(-2, 4))
                offsets.append(offset)
                offset += d.itemsize
            made = np.dtype({'names': [n for n, _ in parts], 'formats': [d for _, d in parts], 'offsets': offsets,
                             'itemsize': max([o + d.itemsize for o, (_, d) in zip(offsets, parts)] + [0]) + rnd.randint(0, 4)})
        return np.dtype((np.record, made)) if rnd.random() < .1 else made
    seen, found = set(), []
    while len(found) < count:
        try: d = some(rnd.randint(1, 4))
        except (ValueError, TypeError): continue  # sub-arrays of V0, S0 and U0; objects that something lies over
        if d.names is None or pickle.dumps(d) in seen: continue
        seen.add(pickle.dumps(d))
        value = d if d.hasobject else rnd.choice([lambda: d, lambda: np.zeros(2, d), lambda: np.zeros(2, d)])()
        found.append([pickle.dumps(value, rnd.choice([2, 4, 5])), shown(value)])
    return found
result = make(args['seed'], args['count'])
`;

/** The cases whose written pickle Python loads differently. */
const JUDGE = `${FACTS}
result = []
for expected, written in args['cases']:
    for data in written:
        try: found = pickle.loads(data)
        except Exception as error: found = error
        found = found['x'] if isinstance(found, dict) else found
        found = repr(found) if isinstance(found, Exception) else shown(found)
        if found != expected: result.append([expected, found])
`;

/** The file of a dict that holds a value, and its pickles. */
function writtenOf(value: unknown): Uint8Array[] {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file);
  dict.set('x', value);
  dict.close();
  return [file.toBytes(), ...[2, 3, 4, 5].map((protocol) => dump(value, { protocol: protocol as 2 | 3 | 4 | 5 }))];
}

/** Describes a value by its type, and an opaque one by its class. */
const facts = (value: unknown): string =>
  value instanceof NDArray ? value.type.name : isDType(value) ? value.name : String((value as object).constructor.name);

describe('structured types', () => {
  const judges = pythons().map((info) => new Python(info));
  afterAll(() => Promise.all(judges.map((python) => python[Symbol.asyncDispose]())));
  const cases: { value: unknown; maker: Python; expected: unknown; written: Uint8Array[] }[] = [];
  beforeAll(async () => {
    for (const [seed, maker] of judges.entries()) {
      const made = await maker.run<[Uint8Array, unknown][]>(MAKE, { seed: seed + 1, count: 1500 });
      for (const [given, expected] of made) {
        const value = load(given);
        const written = writtenOf(value);
        for (const data of written.slice(1)) expect(facts(load(data))).toBe(facts(value));
        cases.push({ value, maker, expected, written });
      }
    }
  });

  it.each(judges.map((python) => ({ python, numpy: python.info.numpy })))(
    'are written so that numpy $numpy makes exactly the same type, in a dict and in pickles of every protocol',
    async ({ python }) => {
      // Opaque values are written with the names and flags of the numpy that they came from.
      const known = cases.filter(({ value, maker }) => maker === python || !(value instanceof OpaqueObject));
      expect(known.length).toBeGreaterThan(0.8 * cases.length);
      for (let i = 0; i < known.length; i += 500) {
        const part = known.slice(i, i + 500).map(({ expected, written }) => [expected, written]);
        expect(await python.run(JUDGE, { cases: part as Wire })).toEqual([]);
      }
    },
  );

  it('are mapped in a dict if they are not records', () => {
    const arrays = cases.map(({ value }) => value).filter((value) => value instanceof NDArray);
    expect(arrays.length).toBeGreaterThan(500);
    for (const array of arrays) {
      const dict = MmapDict.over(MemoryFile.of());
      dict.set('x', array);
      expect(dict.getMeta('x')).toMatchObject({ kind: 'ndarray', type: array.type });
    }
  });
});
