import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { crc32, deflateRawSync } from 'node:zlib';
import { MaskedArray, NDArray, ndarray, parseDType } from '@mmdpickle/core/ndarray';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { dump, PyFloat } from '@mmdpickle/core/pickle';
import {
  formatNpyHeader,
  fromRaw,
  isNpy,
  mmdToNpy,
  mmdToNpz,
  mmdToRaw,
  mmdToSafetensors,
  npyBytes,
  npyToMmd,
  npzBytes,
  npzToMmd,
  openNpyWriter,
  openNpz,
  type ReadNpyOptions,
  rawToMmd,
  readNpy,
  readSafetensors,
  safetensorsToMmd,
  toRaw,
  writeNpy,
  writeNpz,
  writeSafetensors,
} from '@mmdpickle/npy-interop';
import { Python, pythons } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PlainArray, plainArray } from '../src/array-bytes.ts';
import { headerOf } from '../src/node/export.ts';
import { centralHeader, directoryEnd, localHeader, type ZipMethod, type ZipRecord } from '../src/zip-layout.ts';
import { arrayOf, arrays, bytesOf, describeArray, PYTHON_ARRAYS, toWire } from './arrays.ts';
import { freshDir } from './fresh-dir.ts';

const temp = freshDir();

const open = (name = 'x.mmdpickle'): MmapDict => MmapDict.open(temp.file(name));
const masked = (): MaskedArray =>
  new MaskedArray(ndarray(new Float32Array([1, 2, 3])), ndarray([false, true, false]), { fillValue: -1 });

describe('npy files into a dict and back', () => {
  test('every dtype, order and shape comes back byte for byte', async () => {
    const samples = fc.sample(arrays(), { numRuns: 120, seed: 11 });
    const paths = samples.map((array, i) => {
      writeNpy(temp.file(`in-${i}.npy`), array);
      return temp.file(`in-${i}.npy`);
    });
    using dict = open();
    const imported = await npyToMmd(paths, dict, { keys: (_path, i) => `array/${i}` });
    expect(imported.keys).toEqual(samples.map((_, i) => `array/${i}`));
    samples.forEach((array, i) => {
      const stored = dict.get(`array/${i}`) as NDArray;
      expect(bytesOf(stored)).toEqual(bytesOf(array));
      expect(stored.shape).toEqual(array.shape);
    });
    const exported = await mmdToNpy(dict, imported.keys, temp.file('out'));
    exported.paths.forEach((path, i) => {
      expect(readFileSync(path)).toEqual(readFileSync(paths[i] as string));
    });
    expect(readdirSync(temp.file('out'))).toHaveLength(samples.length);
  });

  test('all inputs of a call are one commit', async () => {
    writeNpy(temp.file('a.npy'), new Uint8Array([1]));
    writeNpy(temp.file('b.npy'), new Uint8Array([2]));
    using dict = open();
    const before = dict.commitNumber;
    await npyToMmd([temp.file('a.npy'), temp.file('b.npy')], dict);
    expect(dict.commitNumber).toBe(before + 1);
    expect([...dict.keys()]).toEqual(['a', 'b']);
  });

  test('keys that cannot be file names survive a round trip', async () => {
    using dict = open();
    const keys = ['frame/1', '..', '.hidden', 'a%2Fb', 'tab\t', '整', '', 'C:\\x'];
    for (const [i, key] of keys.entries()) dict.set(key, new Float64Array([i]));
    const { paths } = await mmdToNpy(dict, undefined, temp.file('out'));
    expect(new Set(paths).size).toBe(keys.length);
    expect(readdirSync(temp.file('out')).filter((name) => name.startsWith('.'))).toEqual([]);
    using back = open('back.mmdpickle');
    expect((await npyToMmd(paths, back)).keys).toEqual(keys);
  });

  test('a key too long for a file name is a typed error, and nothing is written', async () => {
    using dict = open();
    dict.set('k'.repeat(255), new Float64Array(1)).set('a', new Float64Array(1));
    await expect(mmdToNpy(dict, undefined, temp.file('out'))).rejects.toMatchObject({ code: 'KEY_TOO_LONG' });
    expect(existsSync(temp.file('out'))).toBe(false);
  });

  test('keys that differ only in a lone surrogate are a typed error, and nothing is written', async () => {
    using dict = open();
    dict.set('\ud800', new Float64Array(1)).set('\ud801', new Float64Array(2));
    const bad = { code: 'BAD_KEY', key: '\ud800' };
    await expect(mmdToNpy(dict, undefined, temp.file('out'))).rejects.toMatchObject(bad);
    await expect(mmdToNpz(dict, undefined, temp.file('out.npz'))).rejects.toMatchObject(bad);
    expect(readdirSync(temp.path)).toEqual(['x.mmdpickle']);
  });

  test('keys with a drive letter and colon, or with control characters, survive a round trip', async () => {
    using dict = open();
    const keys = ['b:0', 'dense/kernel:0', 'a\nb', 'tab\t'];
    for (const key of keys) dict.set(key, new Float64Array(1));
    const { paths } = await mmdToNpy(dict, undefined, temp.file('out'));
    await mmdToNpz(dict, undefined, temp.file('out.npz'));
    using back = open('back.mmdpickle');
    await npyToMmd(paths, back);
    expect([...back.keys()]).toEqual(keys);
    using packed = open('packed.mmdpickle');
    await npzToMmd(temp.file('out.npz'), packed);
    expect([...packed.keys()]).toEqual(keys);
  });

  test('masked arrays become pairs and come back with their fill value, through npy and npz', async () => {
    using dict = open();
    dict.set('m', masked());
    const { paths } = await mmdToNpy(dict, ['m'], temp.file('out'));
    expect(readdirSync(temp.file('out')).sort()).toEqual(['m.__fill_value__.npy', 'm.__mask__.npy', 'm.npy']);
    await mmdToNpz(dict, ['m'], temp.file('m.npz'));
    await mmdToNpz(dict, ['m'], temp.file('packed.npz'), { compress: true });
    using back = open('back.mmdpickle');
    const counts: number[] = [];
    await npyToMmd(paths, back, { onProgress: ({ done, total }) => counts.push(done, total) });
    expect(counts.slice(-2)).toEqual([15, 15]);
    await npzToMmd(temp.file('m.npz'), back, { keys: (name) => `npz-${name}` });
    await npzToMmd(temp.file('packed.npz'), back, { keys: (name) => `packed-${name}` });
    expect([...back.keys()]).toEqual(['m', 'npz-m', 'packed-m']);
    for (const value of back.values()) {
      const array = value as MaskedArray;
      expect(array).toBeInstanceOf(MaskedArray);
      expect(array.fillValue).toBe(-1);
      expect(array.data.toNested()).toEqual([1, 2, 3]);
      expect(array.mask.toNested()).toEqual([false, true, false]);
    }
  });

  test('a mask in a different order than its data is converted', async () => {
    const data = arrayOf(parseDType('<i4'), [3, 4], 'F', 5);
    const mask = arrayOf(parseDType('|b1'), [3, 4], 'C', 9);
    const nested = mask.toNested();
    await writeNpz(temp.file('m.npz'), [['m', data]]);
    writeNpy(temp.file('m.npy'), data);
    writeNpy(temp.file('m.__mask__.npy'), mask);
    using dict = open();
    await npyToMmd([temp.file('m.npy'), temp.file('m.__mask__.npy')], dict);
    const value = dict.get('m') as MaskedArray;
    expect(value.data.toNested()).toEqual(data.toNested());
    expect(value.mask.toNested()).toEqual(nested);
  });

  test('parts that do not match stay separate arrays', async () => {
    writeNpy(temp.file('m.npy'), new Float64Array(3));
    writeNpy(temp.file('m.__mask__.npy'), new Float64Array(3));
    using dict = open();
    await npyToMmd([temp.file('m.npy'), temp.file('m.__mask__.npy')], dict);
    expect([...dict.keys()]).toEqual(['m', 'm.__mask__']);
  });

  test.each([
    { name: 'a fill value that the type cannot hold', part: 'm.__fill_value__', array: ndarray([1.5]).reshape([]) },
    { name: 'a fill value of type text', part: 'm.__fill_value__', array: ndarray(['x'], [1], '<U1').reshape([]) },
    { name: 'the mask of a mask', part: 'm.__mask__.__mask__', array: ndarray([true, false], [2], 'bool') },
  ])('$name stays a separate array beside the masked array', async ({ part, array }) => {
    writeNpy(temp.file('m.npy'), ndarray([1, 2], [2], 'int64'));
    writeNpy(temp.file('m.__mask__.npy'), ndarray([false, true], [2], 'bool'));
    writeNpy(temp.file(`${part}.npy`), array);
    using dict = open();
    await npyToMmd(
      ['m', 'm.__mask__', part].map((name) => temp.file(`${name}.npy`)),
      dict,
    );
    expect([...dict.keys()]).toEqual(['m', part]);
    expect(dict.get('m')).toBeInstanceOf(MaskedArray);
    expect((dict.get(part) as NDArray).toNested()).toEqual(array.toNested());
  });

  test('only the committed rows of a growing array are exported', async () => {
    using dict = open();
    dict.set('g', { arraySource: true, dtype: 'float32', shape: [0, 2], capacity: 100 });
    const rows = dict.get('g') as { append(rows: unknown): unknown };
    rows.append(new Float32Array([1, 2, 3, 4]));
    const { paths } = await mmdToNpy(dict, ['g'], temp.file('out'));
    using array = readNpy(paths[0] as string);
    expect(array.toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test('a value that is not an array is a typed error, or is omitted if everything is exported', async () => {
    using dict = open();
    dict.set('n', 1).set('a', new Float64Array(1));
    await expect(mmdToNpy(dict, ['n'], temp.file('out'))).rejects.toMatchObject({
      code: 'UNSUPPORTED_VALUE',
      key: 'n',
    });
    await expect(mmdToNpy(dict, ['none'], temp.file('out'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await mmdToNpy(dict, undefined, temp.file('out'))).keys).toEqual(['a']);
  });

  test('a dict that is open for reading cannot be a target', async () => {
    open().close();
    using dict = MmapDict.open(temp.file('x.mmdpickle'), { mode: 'r' });
    writeNpy(temp.file('a.npy'), new Uint8Array(1));
    await expect(npyToMmd(temp.file('a.npy'), dict)).rejects.toMatchObject({ code: 'READ_ONLY' });
  });

  test('a dict in the legacy layout keeps its layout', async () => {
    using dict = MmapDict.open(temp.file('x.mmdpickle'), { layout: 'legacy' });
    writeNpy(temp.file('a.npy'), new Uint16Array([1, 2, 3]));
    await npyToMmd(temp.file('a.npy'), dict);
    expect(dict.getMeta('a')?.layout).toBe('legacy');
    expect((dict.get('a') as NDArray).toNested()).toEqual([1, 2, 3]);
  });
});

describe('bytes after an array', () => {
  const first = npyBytes(new Float64Array([1, 2]));
  const objects = Buffer.concat([formatNpyHeader({ dtype: 'O', shape: [1] }), dump(NDArray.ofObjects(['one']))]);
  const WHAT = [
    ['a second array', first, Uint8Array.from(first)],
    ['a second array of objects', objects, Uint8Array.from(objects)],
    ['rows that no header counts', first, new Uint8Array(8)],
  ] as const;

  test.each(WHAT)('are reported by every reader and not interpreted: %s', async (_what, array, behind) => {
    const bytes = new Uint8Array(Buffer.concat([array, behind]));
    writeFileSync(temp.file('a.npy'), bytes);
    writeFileSync(temp.file('stored.npz'), zipOf('a.npy', bytes, 'stored'));
    writeFileSync(temp.file('deflated.npz'), zipOf('a.npy', bytes, 'deflated'));
    const allowPickle = true;
    const readers: readonly ((options: ReadNpyOptions) => unknown)[] = [
      (options) => readNpy(bytes, options),
      (options) => readNpy(new Blob([bytes]), options),
      (options) => readNpy(temp.file('a.npy'), options)[Symbol.dispose](),
      (options) => npyToMmd(temp.file('a.npy'), open('npy'), options),
      ...['stored', 'deflated'].flatMap((name) => [
        async (options: ReadNpyOptions) => (await openNpz(readFileSync(temp.file(`${name}.npz`)), options)).get('a'),
        async (options: ReadNpyOptions) => {
          using npz = await openNpz(temp.file(`${name}.npz`), options);
          await npz.get('a');
        },
        (options: ReadNpyOptions) => npzToMmd(temp.file(`${name}.npz`), open(name), options),
      ]),
    ];
    for (const [i, read] of readers.entries()) {
      const told: number[] = [];
      await read({ allowPickle, onRest: (rest) => told.push(rest.bytes) });
      expect([i, told]).toEqual([i, [behind.length]]);
    }
    const next = bytes.subarray(-behind.length);
    if (isNpy(next)) expect(readNpy(next, { allowPickle }).size).toBeGreaterThan(0);
  });

  test('are not overwritten by an append if they are another array', () => {
    const bytes = Buffer.concat([first, first]);
    writeFileSync(temp.file('a.npy'), bytes);
    expect(() => openNpyWriter(temp.file('a.npy'))).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    expect(readFileSync(temp.file('a.npy'))).toEqual(bytes);
  });
});

/** A zip file with one member. */
function zipOf(member: string, bytes: Uint8Array, method: ZipMethod): Uint8Array {
  const data = method === 'stored' ? bytes : deflateRawSync(bytes);
  const name = new TextEncoder().encode(member);
  const sizes = { compressedSize: data.length, size: bytes.length };
  const record: ZipRecord = { name, method, crc32: crc32(bytes), ...sizes, offset: 0, zip64: false };
  const start = Buffer.concat([localHeader(record, 1), data]);
  const central = centralHeader(record);
  const end = directoryEnd({ offset: start.length, length: central.length, entries: 1, zip64: false });
  return Buffer.concat([start, central, end]);
}

describe('an error leaves the dict and the directory as they were', () => {
  test("an export cannot overwrite the dict's own file, not even through a link", async () => {
    using dict = open();
    dict.set('a', new Uint16Array(3));
    symlinkSync('x.mmdpickle', temp.file('link'));
    for (const path of [dict.path, temp.file('link')]) {
      await expect(mmdToNpz(dict, ['a'], path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
    }
    using again = open();
    expect([...again.keys()]).toEqual(['a']);
    expect(readdirSync(temp.path).sort()).toEqual(['link', 'x.mmdpickle']);
  });

  test('a file where a directory is needed, and the reverse, are typed errors', async () => {
    using dict = open();
    dict.set('a', new Uint16Array(3));
    writeFileSync(temp.file('file'), '');
    mkdirSync(temp.file('dir'));
    const error = (fields: object): unknown => expect.objectContaining({ name: 'MmdError', ...fields });
    await expect(mmdToNpy(dict, ['a'], temp.file('file'))).rejects.toEqual(error({ code: 'IO', errno: 'EEXIST' }));
    await expect(mmdToNpz(dict, ['a'], temp.file('dir'))).rejects.toEqual(error({ code: 'INVALID_ARGUMENT' }));
    expect(readdirSync(temp.path).sort()).toEqual(['dir', 'file', 'x.mmdpickle']);
  });

  const BAD: readonly { readonly name: string; readonly bytes: Uint8Array; readonly code: string }[] = [
    { name: 'not an npy file', bytes: new Uint8Array(200), code: 'BAD_FORMAT' },
    { name: 'a truncated file', bytes: npyBytes(new Float64Array(9)).subarray(0, 150), code: 'TRUNCATED' },
    {
      name: 'an object array',
      bytes: new TextEncoder().encode(''),
      code: 'TRUNCATED',
    },
  ];

  test.each(BAD)('$name among good inputs: $code', async ({ bytes, code }) => {
    using dict = open();
    dict.set('before', 1);
    const before = readFileSync(temp.file('x.mmdpickle'));
    writeNpy(temp.file('good.npy'), new Float64Array(1000));
    writeFileSync(temp.file('bad.npy'), bytes);
    const inputs = [temp.file('good.npy'), temp.file('bad.npy')];
    await expect(npyToMmd(inputs, dict)).rejects.toMatchObject({ code });
    expect(readFileSync(temp.file('x.mmdpickle'))).toEqual(before);
    expect([...dict.keys()]).toEqual(['before']);
  });

  test.each(['stored', 'deflated'] as const)(
    'a %s member that claims terabytes is refused before anything is allocated',
    async (method) => {
      const npy = npyBytes(ndarray(new Int32Array(6), [2, 3]));
      const claim = new TextEncoder().encode('(2, 3000000000000), }');
      npy.set(claim, new TextDecoder('latin1').decode(npy).indexOf('(2, 3)'));
      writeFileSync(temp.file('bad.npz'), zipOf('a.npy', npy, method));
      using dict = open();
      const before = readFileSync(temp.file('x.mmdpickle'));
      await expect(npzToMmd(temp.file('bad.npz'), dict)).rejects.toMatchObject({ code: 'TRUNCATED', found: 24 });
      expect(readFileSync(temp.file('x.mmdpickle'))).toEqual(before);
    },
  );

  test('a deflated member with a wrong checksum is not committed', async () => {
    const bytes = await npzBytes({ a: new Uint8Array(5000).fill(7), b: new Uint8Array(10) }, { compress: true });
    bytes[bytes.indexOf(0x61) + 200] = (bytes[bytes.indexOf(0x61) + 200] ?? 0) ^ 0xff;
    const view = new DataView(bytes.buffer);
    for (let pos = 0; pos + 4 < bytes.length; pos += 1) {
      if (view.getUint32(pos, true) === 0x04034b50) view.setUint32(pos + 14, 1, true);
      if (view.getUint32(pos, true) === 0x02014b50) view.setUint32(pos + 16, 1, true);
    }
    writeFileSync(temp.file('bad.npz'), bytes);
    using dict = open();
    dict.set('before', 1);
    const before = readFileSync(temp.file('x.mmdpickle'));
    await expect(npzToMmd(temp.file('bad.npz'), dict)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(readFileSync(temp.file('x.mmdpickle'))).toEqual(before);
  });

  test('a stored member with a wrong checksum is not committed', async () => {
    await writeNpz(temp.file('bad.npz'), { a: new Uint8Array(5000).fill(7) });
    const bytes = readFileSync(temp.file('bad.npz'));
    bytes[3000] = 8;
    writeFileSync(temp.file('bad.npz'), bytes);
    using dict = open();
    await expect(npzToMmd(temp.file('bad.npz'), dict)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(dict.size).toBe(0);
  });

  test("an aborted import is undone and rejects with the signal's reason", async () => {
    using dict = open();
    dict.set('before', 1);
    const before = readFileSync(temp.file('x.mmdpickle'));
    writeNpy(temp.file('a.npy'), new Uint8Array(1 << 20).fill(1));
    writeNpy(temp.file('b.npy'), new Uint8Array(1 << 20).fill(2));
    const abort = new AbortController();
    const running = npyToMmd([temp.file('a.npy'), temp.file('b.npy')], dict, {
      signal: abort.signal,
      onProgress: ({ done }) => done > 0 && abort.abort(new Error('enough')),
    });
    await expect(running).rejects.toThrow('enough');
    expect(readFileSync(temp.file('x.mmdpickle'))).toEqual(before);
    dict.set('after', 2);
    expect([...dict.keys()]).toEqual(['before', 'after']);
  });

  test.each(['npy', 'npz', 'deflated npz', 'safetensors'])(
    'an aborted export to %s leaves the old files',
    async (kind) => {
      using dict = open();
      dict.set('a', ndarray(new Float64Array(1 << 17))).set('b', ndarray(new Float64Array(1 << 17)));
      mkdirSync(temp.file('out'));
      writeFileSync(temp.file('out/a.npy'), 'before');
      const abort = new AbortController();
      const options = { signal: abort.signal, onProgress: () => abort.abort(new Error('enough')) };
      const keys = ['a', 'b'];
      const running =
        kind === 'npy'
          ? mmdToNpy(dict, keys, temp.file('out'), options)
          : kind === 'safetensors'
            ? mmdToSafetensors(dict, keys, temp.file('out/x.safetensors'), options)
            : mmdToNpz(dict, keys, temp.file('out/x.npz'), { ...options, compress: kind === 'deflated npz' });
      await expect(running).rejects.toThrow('enough');
      expect(readdirSync(temp.file('out'))).toEqual(['a.npy']);
      expect(readFileSync(temp.file('out/a.npy'), 'utf8')).toBe('before');
    },
  );

  test('an aborted export to npy files removes the directories that it created', async () => {
    using dict = open();
    dict.set('a', ndarray(new Float64Array(1 << 17)));
    mkdirSync(temp.file('there'));
    const before = readdirSync(temp.path);
    for (const out of ['new/newer', 'there/new']) {
      const abort = new AbortController();
      const options = { signal: abort.signal, onProgress: () => abort.abort(new Error('enough')) };
      await expect(mmdToNpy(dict, ['a'], temp.file(out), options)).rejects.toThrow('enough');
    }
    expect(readdirSync(temp.path)).toEqual(before);
    expect(readdirSync(temp.file('there'))).toEqual([]);
  });

  test('writes by other code during a conversion are separate commits', async () => {
    using dict = open();
    writeNpy(temp.file('a.npy'), new Uint8Array(1 << 20));
    const abort = new AbortController();
    const running = npyToMmd(temp.file('a.npy'), dict, {
      signal: abort.signal,
      onProgress: () => abort.abort(new Error('enough')),
    });
    const other = dict.batchAsync(() => dict.set('mine', 1));
    await expect(running).rejects.toThrow('enough');
    await other;
    expect([...dict.keys()]).toEqual(['mine']);
  });

  test('two inputs for one key are refused', async () => {
    writeNpy(temp.file('a.npy'), new Uint8Array(1));
    using dict = open();
    const inputs = [temp.file('a.npy'), temp.file('a.npy')];
    await expect(npyToMmd(inputs, dict)).rejects.toMatchObject({ code: 'BAD_KEY' });
  });
});

describe('npz, safetensors and raw files', () => {
  test.each([false, true])('npz members go in and out, deflated %s', async (compress) => {
    const samples = fc.sample(arrays(), { numRuns: 40, seed: 4 }).map((array, i) => [`n/${i}`, array] as const);
    await writeNpz(temp.file('in.npz'), samples, { compress });
    using dict = open();
    await npzToMmd(temp.file('in.npz'), dict);
    await mmdToNpz(dict, undefined, temp.file('out.npz'), { compress });
    using npz = await openNpz(temp.file('out.npz'));
    expect(npz.keys()).toEqual(samples.map(([name]) => name));
    for (const [name, array] of samples) {
      await npz.verify(name);
      expect(describeArray(await npz.get(name))).toEqual(describeArray(array));
    }
    expect(readFileSync(temp.file('out.npz'))).toEqual(readFileSync(temp.file('in.npz')));
  });

  test.each(['stored', 'deflated'] as const)('%s members that are not npy files become bytes', async (method) => {
    using dict = open();
    const take = async (name: string, bytes: Uint8Array): Promise<unknown> => {
      writeFileSync(temp.file('in.npz'), zipOf(name, bytes, method));
      return npzToMmd(temp.file('in.npz'), dict);
    };
    const text = new TextEncoder().encode('hello, this is no array');
    const npy = npyBytes(new Int8Array([7, 8]));
    await take('README.txt', text);
    await take('empty.json', text.subarray(0, 0));
    await take('called otherwise', npy);
    expect(dict.get('README.txt')).toEqual(text);
    expect(dict.get('empty.json')).toEqual(new Uint8Array(0));
    expect((dict.get('called otherwise') as NDArray).toNested()).toEqual([7, 8]);
    // A damaged npy member is an error, not a member of another kind.
    await expect(take('a.npy', text)).rejects.toMatchObject({ code: 'BAD_FORMAT' });
    await expect(take('cut', npy.subarray(0, 30))).rejects.toMatchObject({ code: 'TRUNCATED' });
  });

  test('objects are loaded losslessly unless the options say otherwise', async () => {
    const items = [new PyFloat(1), 1];
    const bytes = Buffer.concat([formatNpyHeader({ dtype: 'O', shape: [2] }), dump(NDArray.ofObjects(items))]);
    writeFileSync(temp.file('o.npy'), bytes);
    writeFileSync(temp.file('o.npz'), zipOf('z.npy', bytes, 'stored'));
    using dict = MmapDict.open(temp.file('x.mmdpickle'), { load: { lossless: true } });
    await npyToMmd([temp.file('o.npy')], dict, { allowPickle: true });
    await npzToMmd(temp.file('o.npz'), dict, { allowPickle: true });
    await npyToMmd([temp.file('o.npy')], dict, { keys: ['p'], allowPickle: true, pickle: { lossless: false } });
    const found = [...dict].map(([key, array]) => [key, (array as NDArray).get(0)]);
    expect(found).toEqual(Object.entries({ o: items[0], z: items[0], p: 1 }));
  });

  test('members can be chosen', async () => {
    await writeNpz(temp.file('in.npz'), { a: new Uint8Array(1), b: new Uint8Array(1) });
    using dict = open();
    expect((await npzToMmd(temp.file('in.npz'), dict, { keys: ['b'] })).keys).toEqual(['b']);
    await expect(npzToMmd(temp.file('in.npz'), dict, { keys: ['c'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('safetensors go in and out', async () => {
    const list = { b: arrayOf(parseDType('<f4'), [2, 3]), a: arrayOf(parseDType('<i8'), []), e: new Float64Array(0) };
    writeSafetensors(temp.file('in.safetensors'), list, { metadata: { note: 'é' } });
    using dict = open();
    await safetensorsToMmd(temp.file('in.safetensors'), dict);
    const totals = new Set<number>();
    const onProgress = ({ total }: { total: number }): void => void totals.add(total);
    const how = { metadata: { note: 'é' }, onProgress };
    const { bytes } = await mmdToSafetensors(dict, ['b', 'a', 'e'], temp.file('out.safetensors'), how);
    expect([...totals]).toEqual([bytes]);
    expect(bytes).toBe(2 * 3 * 4 + 8);
    expect(readFileSync(temp.file('out.safetensors'))).toEqual(readFileSync(temp.file('in.safetensors')));
    using file = readSafetensors(temp.file('out.safetensors'));
    expect(file.metadata.get('note')).toBe('é');
  });

  test.each<[string, number, (dict: MmapDict, round: number) => void]>([
    ['replaced', 1, (dict) => dict.set('a', new Int16Array(2 ** 20).fill(1))],
    [
      'moved and the file truncated',
      2,
      (dict, round) => {
        if (round === 1) dict.delete('junk');
        dict.vacuum({ inPlace: true });
      },
    ],
    [
      'replaced and its old space reclaimed',
      10,
      (dict) => {
        dict.set('a', new Int16Array(2 ** 20).fill(1));
        dict.reclaim();
      },
    ],
  ])('an array that is %s while it is copied is exported as it was, or not at all', async (_what, rounds, change) => {
    using dict = open();
    using other = MmapDict.open(dict.name);
    dict
      .set('junk', new Int16Array(2 ** 20))
      .set('a', new Int16Array(2 ** 20).fill(1))
      .set('b', new Int16Array(9));
    let [round, before] = [0, Number.POSITIVE_INFINITY];
    const onProgress = ({ done }: { done: number }): void => {
      if (done <= before) change(other, ++round);
      before = done;
    };
    const exported = mmdToNpy(dict, ['a', 'b'], temp.file('out'), { onProgress });
    const file = temp.file('out/a.npy');
    if (rounds < 10) {
      await exported;
      expect(readNpy(readFileSync(file)).min()).toBe(1);
    } else {
      await expect(exported).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', limit: 'attempts' });
      expect(existsSync(file)).toBe(false);
    }
    expect(round).toBe(rounds);
  });

  test('raw bytes go in and out', async () => {
    toRaw(temp.file('in.bin'), new Int16Array([9, 1, 2, 3, 4]));
    using dict = open();
    await rawToMmd(temp.file('in.bin'), dict, { key: 'r', dtype: '<i2', shape: [-1, 2], offset: 2 });
    expect((dict.get('r') as NDArray).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await mmdToRaw(dict, 'r', temp.file('out.bin'));
    using back = fromRaw(temp.file('out.bin'), '<i2');
    expect(back.toNested()).toEqual([1, 2, 3, 4]);
    dict.set('m', new MaskedArray(ndarray([1]), ndarray([true])));
    await expect(mmdToRaw(dict, 'm', temp.file('m.bin'))).rejects.toMatchObject({
      code: 'UNSUPPORTED_VALUE',
      key: 'm',
    });
  });
});

describe.each(pythons())('with numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test('numpy reads files whose data fills whole blocks, in place where blocks can be shared', async () => {
    using dict = open();
    dict.set('x', ndarray(new Float64Array(2 ** 17).fill(1.5), [2 ** 10, 2 ** 7]));
    dict.set('small', ndarray(new Float64Array(2 ** 10)));
    const placeOf = (key: string): PlainArray => {
      const meta = dict.getMeta(key)!;
      const plain = plainArray(dict.get(key) as NDArray, key);
      using file = NodeFile.open(dict.path, 'r');
      return { ...plain, place: { file, offset: meta.offset } };
    };
    const header = headerOf(placeOf('x'), true);
    expect(header).toHaveLength(4096);
    expect(headerOf(placeOf('x'), false)).toHaveLength(128);
    expect(headerOf(placeOf('small'), true)).toHaveLength(128);
    writeFileSync(temp.file('x.npy'), Buffer.concat([header, bytesOf(dict.get('x') as NDArray)]));
    const found = await python.run(
      'import numpy as np\na = np.load(args["path"], mmap_mode="r"); result = [a.offset, list(a.shape), float(a.sum())]',
      { path: temp.file('x.npy') },
    );
    expect(found).toEqual([4096, [1024, 128], 1.5 * 2 ** 17]);
    expect(readNpy(temp.file('x.npy')).shape).toEqual([1024, 128]);
  });

  test('stock pickle.load finds the arrays that numpy saved', async () => {
    // Two generations of numpy agree on these; long doubles and padding are compared elsewhere.
    const samples = fc
      .sample(arrays(), { numRuns: 60, seed: 6 })
      .filter((array) => array.type.fields === undefined && array.type.char !== 'g' && array.type.char !== 'G');
    const paths = samples.map((_, i) => temp.file(`in-${i}.npy`));
    await python.run(
      `${PYTHON_ARRAYS}
for path, item in zip(args["paths"], args["arrays"]):
    np.save(path, make(item))
`,
      { paths, arrays: samples.map(toWire) },
    );
    {
      using dict = open();
      await npyToMmd(paths, dict, { keys: (_path, i) => String(i) });
      dict.set('masked', masked());
    }
    const answer = await python.run<{ same: boolean; masked: unknown }>(
      `${PYTHON_ARRAYS}
import pickle
with open(args["path"], "rb") as file: loaded = pickle.load(file)
same = all(wire(loaded[str(i)]) == wire(make(item)) for i, item in enumerate(args["arrays"]))
m = loaded["masked"]
result = {"same": same, "masked": [m.data.tolist(), m.mask.tolist(), float(m.fill_value)]}
`,
      { path: temp.file('x.mmdpickle'), arrays: samples.map(toWire) },
    );
    expect(answer).toEqual({ same: true, masked: [[1, 2, 3], [false, true, false], -1] });
  });
});
