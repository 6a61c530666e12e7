/**
 * What `pnpm runtimes` runs on each runtime: `scenario.mjs values FILE`, `puts FILE NAME COUNT` or `forever FILE`.
 */
import { writeSync } from 'node:fs';
import { ndarray, slice } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { npzToMmd, openNpz, writeNpz } from '@mmdpickle/npy-interop';
import { appendRows, watchDict } from '@mmdpickle/rx';
import { EmptyNDArray, GrowableNDArray } from '@mmdpickle/stubs';
import { firstValueFrom, from, lastValueFrom } from 'rxjs';

const [, , what, path, name, count] = process.argv;
const say = (line) => writeSync(1, `${line}\n`);

/** One of everything, through every package; throws if a value does not read back as it was written. */
async function values() {
  const dict = MmapDict.open(path, { durability: 'commit' });
  dict
    .set('text', 'day shift 🌞')
    .set('big', 2n ** 80n)
    .set('nested', new Map([['a', [1, 2.5, null, true]]]));
  dict
    .set('bytes', Uint8Array.of(1, 2, 3))
    .set('when', new Date(1_700_000_000_000))
    .set('set', new Set([1, 'x']));
  dict.set(
    'dark',
    ndarray(
      Uint16Array.from({ length: 4096 }, (_, i) => i),
      [64, 64],
    ),
  );
  dict.set('cube', new EmptyNDArray([200, 100, 100]));
  const cube = dict.get('cube');
  cube.slice(0, null, slice(0, 100, 2)).fill(2);
  equal(cube.sum(), 10_000, 'the sum of a mapped array');
  equal([cube.min(), cube.max(), cube.get(0, 0, 2)], [0, 2, 2], 'elements of a mapped array');
  dict.set('rows', new GrowableNDArray([4], 'float32', { capacity: 10_000 }));
  const rows = dict.get('rows');
  for (let i = 0; i < 100; i++) rows.append(Float32Array.of(i, 1, 2, 3));
  dict.batch(() => {
    for (let i = 0; i < 3000; i++) dict.set(`key-${i}`, { i, name: `n${i}` });
  });
  for (let i = 0; i < 3000; i += 3) dict.delete(`key-${i}`);
  const seen = firstValueFrom(watchDict(path));
  const append = appendRows(dict, 'stream', { schema: { t: 'float64', x: 'int32' }, time: ({ t }) => t });
  await lastValueFrom(from(Array.from({ length: 500 }, (_, i) => ({ t: i / 2, x: i }))).pipe(append));
  await seen;
  await dict.batchAsync(() => dict.set('later', 1));
  await writeNpz(`${path}.npz`, { copy: dict.get('dark') });
  const npz = await openNpz(`${path}.npz`);
  equal((await npz.get('copy')).get(63, 63), 4095, 'an element of an npz member');
  npz.close();
  await npzToMmd(`${path}.npz`, dict);
  dict.vacuum();
  dict.seal({ checksums: true });
  equal(dict.verify().findings, [], 'the findings of verify()');
  dict.close();
}

function equal(found, expected, of) {
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  throw new Error(`${of}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
}

/** Makes `count` commits while other processes do the same to the file. */
async function puts() {
  const dict = MmapDict.open(path);
  for (let i = 0; i < Number(count); i++) await dict.batchAsync(() => dict.set(`${name}-${i}`, i));
  dict.close();
}

/** Reports its process id, then after every hundred keys the number of keys and rows acknowledged, until it is killed. */
function forever() {
  const dict = MmapDict.open(path);
  if (!dict.has('rows')) dict.set('rows', new GrowableNDArray([2], 'int64'));
  const rows = dict.get('rows');
  say(`pid ${process.pid}`);
  for (let i = dict.size; ; i++) {
    dict.set(`key-${i}`, i);
    rows.append(BigInt64Array.of(BigInt(i), 1n));
    if (i % 100 === 0) say(`${dict.size} ${rows.shape[0]}`);
  }
}

await { values, puts, forever }[what]();
