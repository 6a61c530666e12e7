import { readFileSync, writeFileSync } from 'node:fs';
import { type ArraySource, MaskedArray, memoryOver, NDArray, ndarray, parseDType } from '@mmdpickle/core/ndarray';
import { MmapDict } from '@mmdpickle/core/node';
import { type ByteSource, bytesSource } from '@mmdpickle/core/storage';
import {
  FILL_SUFFIX,
  MASK_SUFFIX,
  Npz,
  type NpzFile,
  npzBytes,
  npzToMmd,
  openNpz,
  writeNpz,
} from '@mmdpickle/npy-interop';
import { Python, pythons } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeZip } from '../src/npz-write.ts';
import { arrayOf, arrays, bytesOf, describeArray, PYTHON_ARRAYS, toWire } from './arrays.ts';
import { freshDir } from './fresh-dir.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

const temp = freshDir();

const named = fc.uniqueArray(
  fc.tuple(
    fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', 'é', '整', ' '), minLength: 1, maxLength: 6 }),
    arrays(),
  ),
  { maxLength: 5, selector: ([name]) => name },
);
/** Names that are not absolute, do not leave the archive and are not directories to zip readers. */
const safe = named.map((list) => list.filter(([name]) => !name.startsWith('/') && !name.split('/').includes('..')));

describe('npz files', () => {
  test.each([
    { compress: false, zip64: false },
    { compress: false, zip64: true },
    { compress: true, zip64: false },
    { compress: true, zip64: true },
  ])('arrays survive a round trip with compress $compress and zip64 $zip64', async (options) => {
    await fc.assert(
      fc.asyncProperty(safe, async (list) => {
        const npz = await openNpz(await npzBytes(list, options));
        expect(npz.keys()).toEqual(list.map(([name]) => name));
        for (const [name, array] of list) {
          await npz.verify(name);
          expect(describeArray(await npz.get(name))).toEqual(describeArray(array));
        }
      }),
      { numRuns: LONG ? 400 : 20 },
    );
  });

  test.each([
    { compress: false, zip64: false },
    { compress: false, zip64: true },
    { compress: true, zip64: false },
  ])(
    'arrays of many pieces are written, stored ones at multiples of 64, and imported into a dict: %o',
    async (options) => {
      const random = Uint8Array.from({ length: 300_000 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 13) & 255);
      const list: Record<string, ArraySource> = {
        pieces: {
          arraySource: true,
          dtype: 'uint8',
          shape: [random.length],
          *bytes() {
            for (let at = 0; at < random.length; at += 70_001) yield random.subarray(at, at + 70_001);
          },
        },
        zeros: { arraySource: true, dtype: 'uint8', shape: [2 ** 21 + 3] },
      };
      const path = temp.file('pieces.npz');
      await writeNpz(path, list, options);
      expect(await npzBytes(list, options)).toEqual(new Uint8Array(readFileSync(path)));
      using dict = MmapDict.open(temp.file('pieces.mmdpickle'));
      await npzToMmd(path, dict);
      const npz = await openNpz(path);
      {
        using closing = npz;
        for (const [key, expected] of Object.entries({ pieces: random, zeros: new Uint8Array(2 ** 21 + 3) })) {
          expect(bytesOf(await closing.get(key))).toEqual(expected);
          expect(bytesOf(dict.get(key) as NDArray)).toEqual(expected);
          if (!options.compress) expect((await closing.dataOffset(key)) % 64).toBe(0);
        }
      }
      expect(npz.file.closed).toBe(true);
    },
  );

  test('the file written to a path equals the bytes written to memory, and no temporary file is left', async () => {
    const list = {
      a: arrayOf(parseDType('>c16'), [5, 3], 'F'),
      b: arrayOf(parseDType('U3'), []),
      c: new Uint8Array(0),
    };
    for (const compress of [false, true]) {
      const size = await writeNpz(temp.file('x.npz'), list, { compress });
      const bytes = new Uint8Array(readFileSync(temp.file('x.npz')));
      expect(bytes.length).toBe(size);
      expect(bytes).toEqual(await npzBytes(list, { compress }));
    }
  });

  test('stored members start at multiples of 64 and are mapped in place', async () => {
    const list = Array.from(
      { length: 9 },
      (_, i) => [`member-${'x'.repeat(i * 7)}`, new Float64Array([i, i + 0.5])] as const,
    );
    await writeNpz(temp.file('x.npz'), list);
    using npz = await openNpz(temp.file('x.npz'));
    for (const [name, values] of list) {
      expect((await npz.dataOffset(name)) % 64).toBe(0);
      const array = await npz.get(name);
      expect(array.data).toBeInstanceOf(Float64Array);
      expect(array.toNested()).toEqual([...values]);
      expect(array.writable).toBe(false);
    }
    const last = list[8]?.[0] ?? '';
    const offset = (await npz.storedRange(last))?.offset ?? -1;
    const mapped = await npz.get(last);
    const bytes = readFileSync(temp.file('x.npz'));
    bytes.writeDoubleLE(99, offset);
    const { openSync, writeSync, closeSync } = await import('node:fs');
    const fd = openSync(temp.file('x.npz'), 'r+');
    writeSync(fd, bytes, offset, 8, offset);
    closeSync(fd);
    expect(mapped.get(0)).toBe(99);
  });

  test("a private mapping accepts stores and leaves the archive's bytes alone", async () => {
    await writeNpz(temp.file('x.npz'), { a: new Int32Array([1, 2, 3]) });
    const before = readFileSync(temp.file('x.npz'));
    using npz = await openNpz(temp.file('x.npz'));
    const array = await npz.get('a', { mode: 'c' });
    array.set(0, 7);
    expect(array.get(0)).toBe(7);
    expect(readFileSync(temp.file('x.npz'))).toEqual(before);
  });

  test('a header of any length is read, stored or compressed', async () => {
    const lengths = new Set<number>();
    for (const count of [1, 100, ...Array.from({ length: 16 }, (_, i) => 216 + i), 500]) {
      const fields = Array.from({ length: count }, (_, i) => [`f${String(i).padStart(4, '0')}`, '<i2'] as const);
      const type = parseDType(fields as never);
      const array = NDArray.over(memoryOver(new Uint8Array(3 * type.itemsize).fill(7)), type, [3]);
      for (const compress of [false, true]) {
        const npz = await openNpz(await npzBytes({ a: array }, { compress }));
        const header = await npz.header('a');
        expect(header.dtype).toEqual(type);
        lengths.add(header.dataOffset - (compress ? 0 : await npz.dataOffset('a')));
        expect(bytesOf(await npz.get('a'))).toEqual(bytesOf(array));
      }
    }
    // The size unpacked first, one step less, and one step more.
    expect([...lengths]).toEqual(expect.arrayContaining([4032, 4096, 4160]));
  });

  test('members are found with and without .npy, and unknown names are not found', async () => {
    const npz = await openNpz(await npzBytes({ a: new Uint8Array(1) }));
    expect(npz.has('a')).toBe(true);
    expect(npz.has('a.npy')).toBe(true);
    await expect(npz.get('b')).rejects.toMatchObject({ code: 'NOT_FOUND', key: 'b' });
  });

  test('an archive without members is read', async () => {
    const npz = await openNpz(await npzBytes({}));
    expect(npz.keys()).toEqual([]);
  });

  test('a Blob is read like bytes', async () => {
    const bytes = await npzBytes({ a: new Int16Array([1, -1]) }, { compress: true });
    const npz = await openNpz(new Blob([bytes as BlobPart]));
    expect(npz).toBeInstanceOf(Npz);
    expect((await npz.get('a')).toNested()).toEqual([1, -1]);
  });

  test('all members are iterated in order', async () => {
    const npz = await openNpz(await npzBytes({ b: new Uint8Array([1]), a: new Uint8Array([2]) }));
    const seen: [string, unknown][] = [];
    for await (const [key, array] of npz) seen.push([key, array.toNested()]);
    expect(seen).toEqual([
      ['b', [1]],
      ['a', [2]],
    ]);
  });

  test('a masked array becomes data, mask and fill value', async () => {
    const data = ndarray(new Float32Array([1, 2, 3]));
    const masked = new MaskedArray(data, ndarray([false, true, false]), { fillValue: -1 });
    const npz = await openNpz(await npzBytes([['m', masked]]));
    expect(npz.keys()).toEqual(['m', `m${MASK_SUFFIX}`, `m${FILL_SUFFIX}`]);
    expect((await npz.get(`m${MASK_SUFFIX}`)).toNested()).toEqual([false, true, false]);
    expect((await npz.get(`m${FILL_SUFFIX}`)).get()).toBe(-1);
    expect((await npz.get(`m${FILL_SUFFIX}`)).dtype).toBe('float32');
  });

  test.each(['/abs', 'a/../b', 'C:/x', 'C:\\x', '\\\\host', '\ud800', `m${MASK_SUFFIX}`, `m${FILL_SUFFIX}`, 'a\0b'])(
    'the name %j is refused when writing, and the file stays as it was',
    async (name) => {
      writeFileSync(temp.file('x.npz'), 'before');
      await expect(writeNpz(temp.file('x.npz'), { [name]: new Uint8Array(1) })).rejects.toMatchObject({
        code: 'BAD_KEY',
      });
      expect(readFileSync(temp.file('x.npz'), 'utf8')).toBe('before');
    },
  );

  test('a name of the maximum length in bytes is written and read, and one that is a byte longer is refused', async () => {
    const name = `${'é'.repeat(32765)}x`;
    const npz = await openNpz(await npzBytes({ [name]: new Uint8Array([7]) }));
    expect(npz.keys()).toEqual([name]);
    expect((await npz.get(name)).get(0)).toBe(7);
    await expect(npzBytes({ [`${name}x`]: new Uint8Array(1) })).rejects.toMatchObject({ code: 'BAD_KEY' });
  });

  test('a name that occurs twice is refused when writing', async () => {
    const twice = [
      ['a', new Uint8Array(1)],
      ['a', new Uint8Array(1)],
    ] as const;
    await expect(npzBytes(twice)).rejects.toMatchObject({ code: 'BAD_KEY' });
  });

  test.each(['w:0', 'dense/kernel:0', 'a\nb', 'tab\t', '\x7f', 'é', 'a\\b', 'nul', ' ', '\ufffd'])(
    'the name %j survives a round trip',
    async (name) => {
      await writeNpz(temp.file('x.npz'), { [name]: new Uint8Array([7]) });
      using npz = await openNpz(temp.file('x.npz'));
      expect(npz.keys()).toEqual([name]);
      expect((await npz.get(name)).get(0)).toBe(7);
    },
  );

  test.each([false, true])(
    'a read that is never answered can be aborted, whichever read it is; compressed: %s',
    async (compress) => {
      const inner = bytesSource(await npzBytes({ a: new Float64Array(2000) }, { compress }), 'stuck');
      const stuck = (from: number, abort: AbortController): ByteSource => {
        let asked = 0;
        const answer = <T>(signal: AbortSignal | undefined, result: () => Promise<T>): Promise<T> => {
          if (asked++ < from) return result();
          setTimeout(() => abort.abort(new Error('enough')), 1);
          return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
        };
        return {
          name: inner.name,
          size: (signal) => answer(signal, () => inner.size()),
          read: (offset, length, signal) => answer(signal, () => inner.read(offset, length)),
        };
      };
      let answered = 0;
      for (; ; answered++) {
        const abort = new AbortController();
        const { signal } = abort;
        const reading = openNpz(stuck(answered, abort), { signal }).then(async (npz) => {
          await npz.header('a', { signal });
          return npz.get('a', { signal });
        });
        const outcome = await reading.catch((error: Error) => error.message);
        if (outcome !== 'enough') break;
      }
      expect(answered).toBeGreaterThan(5);
    },
  );

  test('an aborted or failed write leaves the old file and nothing else', async () => {
    const { readdirSync } = await import('node:fs');
    writeFileSync(temp.file('x.npz'), 'before');
    const abort = new AbortController();
    const big = NDArray.over(memoryOver(new Uint8Array(1 << 22)), 'u1', [1 << 22]);
    for (const compress of [false, true]) {
      const writing = writeNpz(
        temp.file('x.npz'),
        { a: big, b: big },
        {
          compress,
          signal: abort.signal,
          onProgress: () => abort.abort(new Error('enough')),
        },
      );
      await expect(writing).rejects.toThrow('enough');
      const failing = { arraySource: true as const, dtype: 'u1', shape: [9], bytes: () => [new Uint8Array(4)] };
      await expect(writeNpz(temp.file('x.npz'), { a: failing }, { compress })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
    expect(readdirSync(temp.path)).toEqual(['x.npz']);
    expect(readFileSync(temp.file('x.npz'), 'utf8')).toBe('before');
  });

  test('progress counts every byte once', async () => {
    const counts: number[] = [];
    await npzBytes(
      { a: new Uint8Array(1000), b: new Uint8Array(24) },
      { onProgress: ({ done, total }) => counts.push(done, total) },
    );
    expect(counts).toEqual([1000, 1024, 1024, 1024]);
  });
});

describe.each(pythons())('with numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test.each([
    { compress: false, zip64: false },
    { compress: true, zip64: false },
    { compress: false, zip64: true },
    { compress: true, zip64: true },
  ])('numpy and zipfile read the written archive: compress $compress, zip64 $zip64', async (options) => {
    const list = fc.sample(arrays(), { numRuns: 30, seed: 3 }).map((array, i) => [`name é整 ${i}`, array] as const);
    await writeNpz(temp.file('x.npz'), list, options);
    const wires = await python.run<unknown[]>(
      `${PYTHON_ARRAYS}
import zipfile
with zipfile.ZipFile(args["path"]) as archive:
    assert archive.testzip() is None
with np.load(args["path"]) as npz:
    result = [[key, list(npz[key].shape), npz[key].dtype.str, np.ascontiguousarray(npz[key]).tobytes()] for key in npz.files]
`,
      { path: temp.file('x.npz') },
    );
    expect(wires).toHaveLength(list.length);
    list.forEach(([name, array], i) => {
      const [key, shape, , bytes] = wires[i] as [string, number[], string, Uint8Array];
      expect([key, shape]).toEqual([name, array.shape]);
      if (array.type.fields === undefined) expect(bytes).toEqual(bytesOf(array.copy({ order: 'C' })));
    });
  });

  test.each([{}, { zip64: true }])('numpy.load reads an empty archive, written with %o', async (options) => {
    await writeNpz(temp.file('empty.npz'), {}, options);
    expect(
      await python.run<unknown>('import numpy as np\nresult = np.load(args["path"]).files', {
        path: temp.file('empty.npz'),
      }),
    ).toEqual([]);
  });

  test.each(['savez', 'savez_compressed'])(
    'archives from numpy.%s are read, and mapped if they are stored',
    async (save) => {
      const list = fc.sample(arrays(), { numRuns: 30, seed: 5 });
      await python.run(
        `${PYTHON_ARRAYS}
getattr(np, args["save"])(args["path"], **{f"arr/{i}": make(item) for i, item in enumerate(args["arrays"])})
`,
        { save, path: temp.file('x.npz'), arrays: list.map(toWire) },
      );
      using npz: NpzFile = await openNpz(temp.file('x.npz'));
      const inMemory = await openNpz(readFileSync(temp.file('x.npz')));
      for (const [i, array] of list.entries()) {
        const key = `arr/${i}`;
        await npz.verify(key);
        expect(npz.member(key).method).toBe(save === 'savez' ? 'stored' : 'deflated');
        for (const back of [await npz.get(key), await inMemory.get(key)]) {
          expect({ dtype: back.dtype, shape: back.shape, order: back.order }).toEqual({
            dtype: array.dtype,
            shape: array.shape,
            order: array.order,
          });
          if (array.type.fields === undefined) expect(bytesOf(back)).toEqual(bytesOf(array));
        }
      }
    },
  );

  test('names with colons, control characters and umlauts mean the same here and in Python', async () => {
    const names = ['w:0', 'dense/kernel:0', 'a\nb', 'tab\t', '\x7f', 'é', '整', 'a\\b'];
    await writeNpz(
      temp.file('ours.npz'),
      names.map((name) => [name, new Uint8Array(1)]),
    );
    const seen = await python.run(
      `
import zipfile
import numpy as np
np.savez(args["theirs"], **{name: np.arange(3) for name in args["names"]})
with zipfile.ZipFile(args["old"], "w") as archive:
    archive.writestr("a.npy", "")
raw = open(args["old"], "rb").read()
open(args["old"], "wb").write(raw.replace(b"a.npy", b"\\x82.npy"))
with zipfile.ZipFile(args["old"]) as archive: old = archive.namelist()
with np.load(args["ours"]) as npz: result = [npz.files, old]
`,
      { ours: temp.file('ours.npz'), theirs: temp.file('theirs.npz'), old: temp.file('old.npz'), names },
    );
    expect(seen).toEqual([names, ['é.npy']]);
    using theirs = await openNpz(temp.file('theirs.npz'));
    expect(theirs.keys()).toEqual(names);
    using old = await openNpz(temp.file('old.npz'));
    expect(old.keys()).toEqual(['é']);
  });

  test('an array that zipfile streams with data descriptors is read', async () => {
    await python.run(
      `
import io, zipfile
import numpy as np
class Pipe(io.RawIOBase):
    def __init__(self, file): self.file = file
    def writable(self): return True
    def write(self, data): return self.file.write(data)
with open(args["path"], "wb") as file:
    with zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as archive:
        out = io.BytesIO()
        np.save(out, np.arange(1000))
        archive.writestr("a.npy", out.getvalue())
        archive.writestr("b.npy", out.getvalue(), zipfile.ZIP_STORED)
`,
      { path: temp.file('x.npz') },
    );
    using npz = await openNpz(temp.file('x.npz'));
    expect((await npz.get('a')).get(999)).toBe(999n);
    expect((await npz.get('b')).get(999)).toBe(999n);
  });
});

describe.each(pythons())('object arrays of numpy $numpy', (info) => {
  test('are refused in archives, or with allowPickle read without running anything', async () => {
    const python = new Python(info);
    try {
      await python.run(
        'import numpy as np\nnp.savez(args["path"], o=np.array([1, "two", None], dtype=object), a=np.arange(3))',
        { path: temp.file('o.npz') },
      );
    } finally {
      await python[Symbol.asyncDispose]();
    }
    using refusing = await openNpz(temp.file('o.npz'));
    expect((await refusing.get('a')).get(2)).toBe(2n);
    await expect(refusing.get('o')).rejects.toThrow('Object arrays cannot be loaded when allow_pickle=False');
    using reading = await openNpz(temp.file('o.npz'), { allowPickle: true });
    expect((await reading.get('o')).toNested()).toEqual([1, 'two', null]);
    using dict = MmapDict.open(temp.file('x.mmdpickle'));
    await expect(npzToMmd(temp.file('o.npz'), dict)).rejects.toMatchObject({ code: 'UNSUPPORTED_VALUE' });
    expect(dict.size).toBe(0);
    await npzToMmd(temp.file('o.npz'), dict, { allowPickle: true });
    expect((dict.get('o') as NDArray).toNested()).toEqual([1, 'two', null]);
  });
});

test('the directory of an archive is written in pieces of many entries', async () => {
  const MEMBERS = 500;
  const arrays = Array.from({ length: MEMBERS }, (_, i) => [`${i}`, new Float64Array(0)] as const);
  let writes = 0;
  await writeZip({ write: () => (writes += 1) }, arrays);
  // For each member its local header and its npy header.
  expect(writes).toBeLessThan(2 * MEMBERS + 20);
});
