/** What is passed by mistake, as JavaScript passes it. */

import { readdirSync } from 'node:fs';
import { isMmdError } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import * as npy from '@mmdpickle/npy-interop';
import { TempDir } from '@mmdpickle/test-support';
import { expect, test } from 'vitest';

const array = new Float32Array(2);
// Types would refuse every call below.
const {
  createNpy,
  fromRaw,
  mmdToNpy,
  mmdToNpz,
  mmdToRaw,
  mmdToSafetensors,
  npyToMmd,
  npzBytes,
  npzToMmd,
  openNpy,
  openNpz,
  readNpy,
  readSafetensors,
  safetensorsBytes,
  safetensorsToMmd,
  writeNpy,
  writeNpz,
  writeSafetensors,
} = npy as unknown as Record<keyof typeof npy, (...args: unknown[]) => unknown>;

const CALLS: readonly { readonly name: string; readonly call: (dict: MmapDict, dir: TempDir) => unknown }[] = [
  { name: 'mmdToNpy with a key for keys', call: (dict, dir) => mmdToNpy(dict, 'ab', dir.file('out')) },
  { name: 'mmdToNpz with a key for keys', call: (dict, dir) => mmdToNpz(dict, 'ab', dir.file('x.npz')) },
  { name: 'mmdToSafetensors with null for keys', call: (dict, dir) => mmdToSafetensors(dict, null, dir.file('x')) },
  { name: 'mmdToRaw without a key', call: (dict, dir) => mmdToRaw(dict, undefined, dir.file('x')) },
  { name: 'mmdToNpy with numbers for keys', call: (dict, dir) => mmdToNpy(dict, [1], dir.file('out')) },
  { name: 'mmdToNpy without a directory', call: (dict) => mmdToNpy(dict, ['ab']) },
  { name: 'npyToMmd with a text for keys', call: (dict, dir) => npyToMmd(dir.file('a.npy'), dict, { keys: 'a' }) },
  { name: 'npyToMmd without inputs', call: (dict) => npyToMmd(undefined, dict) },
  { name: 'npzToMmd with a text for keys', call: (dict, dir) => npzToMmd(dir.file('a.npz'), dict, { keys: 'a' }) },
  {
    name: 'safetensorsToMmd with a text for keys',
    call: (dict, dir) => safetensorsToMmd(dir.file('a.safetensors'), dict, { keys: 'a' }),
  },
  { name: 'writeNpz with a list of arrays', call: (_, dir) => writeNpz(dir.file('x.npz'), [array]) },
  { name: 'writeNpz with an array', call: (_, dir) => writeNpz(dir.file('x.npz'), array) },
  { name: 'npzBytes without arrays', call: () => npzBytes() },
  { name: 'npzBytes with a text', call: () => npzBytes('ab') },
  { name: 'writeSafetensors with a list of arrays', call: (_, dir) => writeSafetensors(dir.file('x'), [array]) },
  { name: 'safetensorsBytes with null', call: () => safetensorsBytes(null) },
  { name: 'readNpy of nothing', call: () => readNpy() },
  { name: 'readNpy of null', call: () => readNpy(null) },
  { name: 'readNpy of a number', call: () => readNpy(5) },
  { name: 'openNpz of nothing', call: () => openNpz() },
  { name: 'openNpz of an object', call: () => openNpz({}) },
  { name: 'readSafetensors of nothing', call: () => readSafetensors() },
  { name: 'openNpy of nothing', call: () => openNpy() },
  { name: 'openNpy of a URL that is no file', call: () => openNpy(new URL('http://example.org/a.npy')) },
  { name: 'createNpy of nothing', call: () => createNpy(undefined, [1]) },
  { name: 'writeNpy to null', call: () => writeNpy(null, array) },
  { name: 'fromRaw of nothing', call: () => fromRaw() },
];

test.each(CALLS)('$name is a typed error, and nothing is written', async ({ call }) => {
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
});

test('openNpz never throws where it promises', async () => {
  await expect(openNpz()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});
