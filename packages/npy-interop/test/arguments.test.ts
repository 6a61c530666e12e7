/** Wrong arguments, as plain JavaScript can pass them. */

import { readdirSync } from 'node:fs';
import { MmapDict as CoreDict, isMmdError } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { MemoryFile } from '@mmdpickle/core/storage';
import * as npy from '@mmdpickle/npy-interop';
import { TempDir } from '@mmdpickle/test-support';
import { expect, test } from 'vitest';

const array = new Float32Array(2);
const inMemory = (): CoreDict => CoreDict.over(MemoryFile.of()).set('ab', array);
// The types would reject every call below.
const {
  createNpy,
  formatNpyHeader,
  fromRaw,
  mmdToNpy,
  mmdToNpz,
  mmdToRaw,
  mmdToSafetensors,
  npyBytes,
  npyPieces,
  npyToMmd,
  npzBytes,
  npzToMmd,
  openNpy,
  openNpyWriter,
  openNpz,
  rawToMmd,
  readNpy,
  readSafetensors,
  safetensorsBytes,
  safetensorsToMmd,
  toRaw,
  writeNpy,
  writeNpz,
  writeSafetensors,
} = npy as unknown as Record<keyof typeof npy, (...args: unknown[]) => unknown>;

const CALLS: readonly { readonly name: string; readonly call: (dict: MmapDict, dir: TempDir) => unknown }[] = [
  { name: 'mmdToNpy with a single key as keys', call: (dict, dir) => mmdToNpy(dict, 'ab', dir.file('out')) },
  { name: 'mmdToNpz with a single key as keys', call: (dict, dir) => mmdToNpz(dict, 'ab', dir.file('x.npz')) },
  { name: 'mmdToSafetensors with null as keys', call: (dict, dir) => mmdToSafetensors(dict, null, dir.file('x')) },
  { name: 'mmdToRaw without a key', call: (dict, dir) => mmdToRaw(dict, undefined, dir.file('x')) },
  { name: 'mmdToNpy with numbers as keys', call: (dict, dir) => mmdToNpy(dict, [1], dir.file('out')) },
  { name: 'mmdToNpy without a directory', call: (dict) => mmdToNpy(dict, ['ab']) },
  { name: 'npyToMmd with a string as keys', call: (dict, dir) => npyToMmd(dir.file('a.npy'), dict, { keys: 'a' }) },
  { name: 'npyToMmd without inputs', call: (dict) => npyToMmd(undefined, dict) },
  { name: 'npzToMmd with a string as keys', call: (dict, dir) => npzToMmd(dir.file('a.npz'), dict, { keys: 'a' }) },
  {
    name: 'safetensorsToMmd with a string as keys',
    call: (dict, dir) => safetensorsToMmd(dir.file('a.safetensors'), dict, { keys: 'a' }),
  },
  { name: 'writeNpz with a list of arrays', call: (_, dir) => writeNpz(dir.file('x.npz'), [array]) },
  { name: 'writeNpz with an array', call: (_, dir) => writeNpz(dir.file('x.npz'), array) },
  { name: 'npzBytes without arrays', call: () => npzBytes() },
  { name: 'npzBytes with a string', call: () => npzBytes('ab') },
  { name: 'writeSafetensors with a list of arrays', call: (_, dir) => writeSafetensors(dir.file('x'), [array]) },
  { name: 'safetensorsBytes with null', call: () => safetensorsBytes(null) },
  { name: 'readNpy of nothing', call: () => readNpy() },
  { name: 'readNpy of null', call: () => readNpy(null) },
  { name: 'readNpy of a number', call: () => readNpy(5) },
  { name: 'openNpz of nothing', call: () => openNpz() },
  { name: 'openNpz of an object', call: () => openNpz({}) },
  { name: 'readSafetensors of nothing', call: () => readSafetensors() },
  { name: 'openNpy of nothing', call: () => openNpy() },
  { name: 'openNpy of a URL other than file:', call: () => openNpy(new URL('http://example.org/a.npy')) },
  { name: 'createNpy of nothing', call: () => createNpy(undefined, [1]) },
  { name: 'createNpy with a number as the shape', call: (_, dir) => createNpy(dir.file('x'), 5) },
  { name: 'formatNpyHeader without a shape', call: () => formatNpyHeader({ dtype: 'u1' }) },
  { name: 'openNpyWriter without the shape of a row', call: (_, dir) => openNpyWriter(dir.file('x'), { dtype: 'u1' }) },
  { name: 'fromRaw with a number as the shape', call: (_, dir) => fromRaw(dir.file('a.npy'), 'u1', 5) },
  {
    name: 'rawToMmd with a string as the shape',
    call: (dict, dir) => rawToMmd(dir.file('a.npy'), dict, { key: 'a', dtype: 'u1', shape: '8' }),
  },
  { name: 'writeNpy to a directory', call: (_, dir) => writeNpy(dir.path, array) },
  { name: 'writeNpy to null', call: () => writeNpy(null, array) },
  { name: 'npyToMmd into nothing', call: (_, dir) => npyToMmd(dir.file('a.npy')) },
  { name: 'npyToMmd into a dict in memory', call: (_, dir) => npyToMmd(dir.file('a.npy'), inMemory()) },
  { name: 'mmdToNpy of nothing', call: (_, dir) => mmdToNpy(undefined, ['ab'], dir.file('out')) },
  // The file's name is 'memory', which a file on disk may have too.
  { name: 'mmdToNpz of a dict in memory', call: (_, dir) => mmdToNpz(inMemory(), ['ab'], dir.file('x.npz')) },
  {
    name: 'Npz.get of a number',
    call: async (_, dir) => (await npy.openNpz(dir.file('a.npz'))).get(7 as never),
  },
  {
    name: 'Npz.unpack to nothing',
    call: async (_, dir) => (await npy.openNpz(dir.file('a.npz'))).unpack('a', undefined as never),
  },
  {
    name: 'SafetensorsFile.get of a bigint',
    call: () => npy.readSafetensors(npy.safetensorsBytes({})).get(1n as never),
  },
  { name: 'fromRaw of nothing', call: () => fromRaw() },
];

/** Every function that takes options; the directory holds an npy file. */
const OPTIONS: Record<string, (options: unknown, dict: MmapDict, dir: TempDir) => unknown> = {
  createNpy: (options, _, dir) => createNpy(dir.file('x'), [2], 'int8', options),
  fromRaw: (options, _, dir) => fromRaw(dir.file('a.npy'), 'int8', [-1], options),
  mmdToNpy: (options, dict, dir) => mmdToNpy(dict, ['ab'], dir.file('out'), options),
  mmdToNpz: (options, dict, dir) => mmdToNpz(dict, ['ab'], dir.file('x'), options),
  mmdToRaw: (options, dict, dir) => mmdToRaw(dict, 'ab', dir.file('x'), options),
  mmdToSafetensors: (options, dict, dir) => mmdToSafetensors(dict, ['ab'], dir.file('x'), options),
  npyBytes: (options) => npyBytes(array, options),
  npyPieces: (options) => [...(npyPieces(array, options) as Iterable<unknown>)],
  npyToMmd: (options, dict, dir) => npyToMmd(dir.file('a.npy'), dict, options),
  npzBytes: (options) => npzBytes({ array }, options),
  npzToMmd: (options, dict, dir) => npzToMmd(dir.file('a.npz'), dict, options),
  'Npz.get': async (options) => (await npy.openNpz(await npy.npzBytes({ array }))).get('array', options as object),
  'NpzFile.get': async (options, _, dir) => {
    using npz = await npy.openNpz(dir.file('a.npz'));
    return await npz.get('a', options as object);
  },
  'Npz.unpack': async (options) => {
    await (await npy.openNpz(await npy.npzBytes({ array }))).unpack('array', () => {}, options as object);
  },
  'NpyWriter.flush': (options, _, dir) => {
    using writer = npy.openNpyWriter(dir.file('a.npy'));
    writer.flush(options as object);
  },
  openNpy: (options, _, dir) => openNpy(dir.file('a.npy'), 'r', options),
  openNpyWriter: (options, _, dir) => openNpyWriter(dir.file('x'), options),
  openNpz: (options, _, dir) => openNpz(dir.file('a.npz'), options),
  'openNpz of bytes': (options) => openNpz(new Uint8Array(22), options),
  rawToMmd: (options, dict, dir) => rawToMmd(dir.file('a.npy'), dict, options),
  readNpy: (options, _, dir) => readNpy(dir.file('a.npy'), options),
  'readNpy of bytes': (options) => readNpy(npy.npyBytes(array), options),
  safetensorsBytes: (options) => safetensorsBytes({ array }, options),
  safetensorsToMmd: (options, dict, dir) => safetensorsToMmd(dir.file('a.safetensors'), dict, options),
  toRaw: (options, _, dir) => toRaw(dir.file('x'), array, options),
  writeNpy: (options, _, dir) => writeNpy(dir.file('x'), array, options),
  writeNpz: (options, _, dir) => writeNpz(dir.file('x'), { array }, options),
  writeSafetensors: (options, _, dir) => writeSafetensors(dir.file('x'), { array }, options),
};
const MISTAKES = [{ onProgres: () => {} }, { signal: 5 }, 5, null];

/** The files before and after the call: npy, npz and safetensors files of one array, and a dict with one key. */
async function refuses(call: (dict: MmapDict, dir: TempDir) => unknown): Promise<void> {
  using dir = new TempDir();
  npy.writeNpy(dir.file('a.npy'), array);
  npy.writeSafetensors(dir.file('a.safetensors'), { a: array });
  await npy.writeNpz(dir.file('a.npz'), { a: array });
  using dict = MmapDict.open(dir.file('x.mmdpickle'));
  dict.set('ab', array);
  const before = readdirSync(dir.path);
  let thrown: unknown;
  try {
    await call(dict, dir);
  } catch (error) {
    thrown = error;
  }
  expect(isMmdError(thrown) ? thrown.code : thrown).toBe('INVALID_ARGUMENT');
  expect(readdirSync(dir.path)).toEqual(before);
  expect([...dict.keys()]).toEqual(['ab']);
}

test.each(CALLS)('$name throws a typed error, and nothing is written', async ({ call }) => {
  await refuses(call);
});

test.each(Object.entries(OPTIONS).flatMap(([name, call]) => MISTAKES.map((options) => ({ name, options, call }))))(
  '$name with the options $options throws a typed error, and nothing is written',
  async ({ options, call }) => {
    await refuses((dict, dir) => call(options, dict, dir));
  },
);

test.each([
  ['allowPickle', { allowPickle: 'yes' }],
  ['maxHeaderSize', { maxHeaderSize: Number.NaN }],
  ['limits.members', { limits: { members: Number.NaN } }],
  ['limits.memberBytes', { limits: { memberBytes: '5' } }],
  ['limits.member', { limits: { member: 5 } }],
])('a bad %s for an archive is reported by its name', async (name, options) => {
  const refused = expect.objectContaining({ message: expect.stringContaining(name) as string });
  await expect(openNpz(await npy.npzBytes({ array }), options)).rejects.toEqual(refused);
});

test('openNpz rejects and never throws synchronously', async () => {
  await expect(openNpz()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});
