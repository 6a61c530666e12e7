import { Python, pythons, TempDir, type Wire } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type GrowableArray, MmapDict as MemoryDict } from '../../src/dict/index.ts';
import { ALIGNMENTS } from '../../src/format/layout.ts';
import { MaskedArray, NDArray, ndarray } from '../../src/ndarray/index.ts';
import { MmapDict } from '../../src/node.ts';
import { MemoryFile } from '../../src/storage/index.ts';
import { CrashFile } from '../../src/testing/index.ts';

/** How both of Python's unpicklers load a file, as text; arrays by dtype, shape, order and bytes. */
const LOAD = `
import pickle, io
import numpy as np
def show(v):
    if isinstance(v, np.ma.MaskedArray):
        return ["masked", show(np.asarray(v.data)), show(np.asarray(v.mask)), str(v.fill_value)]
    if isinstance(v, np.ndarray):
        return ["array", str(v.dtype), list(v.shape), v.flags.writeable, np.ascontiguousarray(v).tobytes().hex()]
    if isinstance(v, dict):
        return ["dict", [[show(k), show(x)] for k, x in v.items()]]
    if isinstance(v, (list, tuple)):
        return [type(v).__name__, [show(x) for x in v]]
    if isinstance(v, (bytes, bytearray)):
        return [type(v).__name__, v.hex()]
    return [type(v).__name__, repr(v)]
result = []
for data in args["files"]:
    fast = show(pickle.load(io.BytesIO(data)))
    if args["both"]:
        assert show(pickle._Unpickler(io.BytesIO(data)).load()) == fast
    result.append(fast)
`;

const DTYPES = [
  'bool',
  'int8',
  'uint8',
  'int16',
  '>u2',
  'int32',
  'uint32',
  '>i8',
  'uint64',
  'float32',
  '>f8',
  'complex64',
  'float16',
  'S3',
  'U2',
  'datetime64[ns]',
];

/** A file with arrays of all alignments, the same for every Python. */
let padded: TempDir | undefined;
function paddedFile(): string {
  const made = padded?.file('padded');
  if (made !== undefined) return made;
  padded = new TempDir();
  const path = padded.file('padded');
  using dict = MmapDict.open(path);
  for (const { growableFrom, from, alignment } of ALIGNMENTS) {
    dict.set(`grows ${alignment}`, { arraySource: true, dtype: 'uint8', shape: [0], capacity: growableFrom + 9 });
    (dict.get(`grows ${alignment}`) as GrowableArray).append(new Uint8Array([1, 2, 3]));
    dict.set(`large ${alignment}`, { arraySource: true, dtype: 'uint8', shape: [from + 9] });
    (dict.get(`large ${alignment}`) as NDArray).set(from + 8, 7);
    dict.set(
      `masked ${alignment}`,
      new MaskedArray(ndarray(new Uint8Array(from + 9)), NDArray.zeros([from + 9], 'bool').fill(true)),
    );
  }
  return path;
}
afterAll(() => padded?.[Symbol.dispose]());

describe.each(pythons())('stock Python $version with numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());
  const load = (files: Uint8Array[], both = true) => python.run<unknown[]>(LOAD, { files: files as Wire, both });

  test('loads plain values and arrays of any dtype, shape and order as they were written', async () => {
    const value = fc.oneof(
      fc.constantFrom(
        null,
        true,
        false,
        0,
        -1,
        255,
        65536,
        2 ** 40,
        -(2 ** 31),
        0.5,
        1e300,
        '',
        'h\u00e9\u{1f600}',
        12n ** 30n,
      ),
      fc.string(),
      fc.array(fc.integer(), { maxLength: 4 }),
    );
    const array = fc.record({
      dtype: fc.constantFrom(...DTYPES),
      shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 }),
      order: fc.constantFrom('C' as const, 'F' as const),
      seed: fc.integer(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.string({ maxLength: 8 }), fc.oneof(value, array)), { maxLength: 6 }),
        async (items) => {
          const file = MemoryFile.of();
          const dict = MemoryDict.over(file);
          const expected = new Map<string, string>();
          for (const [key, item] of items) {
            if (typeof item !== 'object' || item === null || Array.isArray(item)) {
              dict.set(key, item);
              expected.delete(key);
              continue;
            }
            const { dtype, shape, order, seed } = item;
            const nbytes = shape.reduce((product, dim) => product * dim, NDArray.fromNested([], dtype).type.itemsize);
            const bytes = new Uint8Array(nbytes).map(
              (_, i) => (dtype === 'bool' || dtype === 'U2' ? 0 : (seed >> (i % 8)) + i) & 0x3f,
            );
            const source = { arraySource: true, dtype, shape, order, bytes: () => [bytes] } as const;
            dict.set(key, source);
            const stored = dict.get(key) as NDArray;
            expected.delete(key);
            const all = Buffer.concat([...stored.copy({ order: 'C' }).bytes()].map((chunk) => chunk.slice()));
            expected.set(key, JSON.stringify(['array', stored.dtype, shape, true, all.toString('hex')]));
          }
          const [[, found]] = (await load([file.toBytes()])) as [[string, [[string, string], unknown][]]];
          expect(found.length).toBe(dict.size);
          for (const [[, repr], shown] of found) {
            const key = [...expected.keys()].find((name) => repr === pythonRepr(name));
            if (key !== undefined && (shown as string[])[0] === 'array') {
              const [kind, dtype, shape, writeable, hex] = shown as unknown[];
              expect(JSON.stringify([kind, dtype, shape, writeable, hex])).toBe(expected.get(key));
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('loads every prefix of the writes of every kind of append as the old or the new dict', async () => {
    for (const durability of ['none', 'commit'] as const) {
      for (let pad = 0; pad < 120; pad += 17) {
        const file = CrashFile.over(MemoryFile.of());
        const dict = MemoryDict.over(file, { durability });
        dict.set('pad', 'x'.repeat(pad)).set('a', 1);
        dict.set('rows', { arraySource: true, dtype: 'float64', shape: [0, 2], capacity: 4 });
        dict.set('legacy-free', new Float32Array([1, 2]));
        const changes: (() => unknown)[] = [
          () => dict.set('a', 'two'),
          () =>
            dict.set('m', new MaskedArray(ndarray(new Float64Array([1, 2])), ndarray([true, false]), { fillValue: 4 })),
          () => (dict.get('rows') as GrowableArray).append([[1, 2]]),
          () => dict.delete('legacy-free'),
          () => dict.batch(() => dict.set('x', 1).set('y', [2]).delete('pad')),
          () => (dict.get('rows') as GrowableArray).append(new Array(9).fill([3, 4])),
          () => (dict.get('rows') as GrowableArray).append(new Array(30).fill([5, 6])),
        ];
        for (const change of changes) {
          const start = file.log.ops.length;
          change();
          const image = file.log.initial.clone();
          const images: Uint8Array[] = [];
          for (const [i, op] of file.log.ops.entries()) {
            image.apply(op);
            if (i + 1 >= start) images.push([...image.files().values()][0]!.slice());
          }
          // Growing in place has an intermediate state that only the C unpickler reads (docs/format.md). Equal dicts: until its predecessor
          // is marked dead, a replaced key keeps its former position.
          const shown = (await load(images, false)).map((one) =>
            JSON.stringify((one as [string, unknown[]])[1].map(String).sort()),
          );
          expect(shown.at(-1)).not.toBe(shown[0]);
          for (const one of shown) expect([shown[0], shown.at(-1)]).toContain(one);
        }
      }
    }
  });

  test('loads arrays after padding of any size, and their rows as they are committed', async () => {
    const path = paddedFile();
    const found = await python.run(
      `
import pickle
with open(args["path"], "rb") as f: loaded = pickle.load(f)
result = [[k, int(v.size), int(v.sum()) if v.sum() else -1] for k, v in loaded.items()]
`,
      { path },
    );
    expect(found).toEqual(
      ALIGNMENTS.flatMap(({ alignment, from }) => [
        [`grows ${alignment}`, 3, 6],
        [`large ${alignment}`, from + 9, 7],
        [`masked ${alignment}`, from + 9, -1],
      ]),
    );
  });

  test('loads a file with damaged dead entries after fsck has repaired it, and fsck finds each entry that Python refuses', async () => {
    const made = MemoryFile.of();
    const dict = MemoryDict.over(made);
    const start = dict.set('kept', 1).tailOffset;
    dict.set('dead', ['text', 300, 2.5]).set('d', 'é'.repeat(200)).set('e', null).delete('dead');
    dict.delete('d');
    dict.delete('e');
    const end = dict.set('also kept', [2]).getMeta('also kept')!.entryOffset;
    const expected = (await load([made.toBytes()]))[0];
    const parts = [...dict.scan()].filter(({ state }) => state === 'dead');
    const images: { damaged: Uint8Array; repaired: Uint8Array; found: boolean }[] = [];
    for (const { offset, end: stop } of parts) {
      for (let at = offset + 11; at < stop - 8; at++) {
        for (const change of [0x01, 0x2e, 0xff]) {
          const damaged = made.toBytes();
          damaged[at]! ^= change;
          const file = MemoryFile.of(damaged);
          const { findings } = MemoryDict.over(file).fsck({ repair: true });
          expect(MemoryDict.over(MemoryFile.of(file.toBytes())).fsck().findings).toEqual([]);
          images.push({ damaged, repaired: file.toBytes(), found: findings.length > 0 });
        }
      }
    }
    expect(parts.map(({ key }) => key)).toEqual(['dead', 'd', 'e']);
    expect([start, end]).toEqual([parts[0]!.offset, parts.at(-1)!.end]);
    for (const loaded of await load(images.map(({ repaired }) => repaired))) expect(loaded).toEqual(expected);
    const sound = images.filter(({ found }) => !found);
    expect(sound.length).toBeGreaterThan(images.length / 10);
    for (const loaded of await load(sound.map(({ damaged }) => damaged))) expect(loaded).toEqual(expected);
  });

  test('appends alternate: what Python adds as mmappickle does is read here, and the other way round', async () => {
    using dir = new TempDir();
    const path = dir.file('turns');
    using dict = MmapDict.open(path);
    for (let i = 0; i < 20; i++) {
      dict.set(`js ${i}`, i);
      await python.run(
        `
import fcntl, struct, pickle
with open(args["path"], "r+b") as f:
    fcntl.flock(f, fcntl.LOCK_EX)
    f.seek(-11, 2)
    assert f.read() == b"\\x95" + struct.pack("<Q", 2) + b"d."
    f.seek(-11, 2)
    key = ("py %d" % args["i"]).encode()
    value = pickle.dumps(args["i"], 4)[2:-1]
    body = b"\\x8c" + bytes([len(key)]) + key + value + b"J" + struct.pack("<i", 0) + b"0" + b"\\x88" + b"0"
    f.write(b"\\x95" + struct.pack("<Q", len(body)) + body + b"\\x95" + struct.pack("<Q", 2) + b"d.")
    f.seek(18)
    commit, = struct.unpack("<i", f.read(4))
    f.seek(18)
    f.write(struct.pack("<i", commit + 1))
    f.flush()
`,
        { path, i },
      );
      expect(dict.get(`py ${i}`)).toBe(i);
      expect(dict.size).toBe(2 * i + 2);
    }
    const keys = await python.run<string[]>(
      'import pickle\nwith open(args["path"], "rb") as f: result = list(pickle.load(f))',
      { path },
    );
    expect(keys).toEqual([...dict.keys()]);
  });
});

function pythonRepr(text: string): string {
  return text.includes("'") && !text.includes('"')
    ? JSON.stringify(text)
    : `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
