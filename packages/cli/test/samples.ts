/** The files that the documented examples name. @module */

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ndarray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { dump, emit } from '@mmdpickle/core/pickle';
import { writeNpy, writeNpz } from '@mmdpickle/npy-interop';
import { EmptyNDArray, GrowableNDArray } from '@mmdpickle/stubs';

/** A pickle that calls os.system. */
export const HOSTILE: Uint8Array = emit([
  ['GLOBAL', 'posix system'],
  ['UNICODE', 'touch owned'],
  'TUPLE1',
  'REDUCE',
  'STOP',
]);

/** Writes all sample files into a directory. */
export async function writeSamples(folder: string): Promise<void> {
  const path = (name: string): string => join(folder, name);
  writeRun(path('run.mmdpickle'));
  {
    using other = MmapDict.open(path('other.mmdpickle'));
    other.set('operator', 'day shift').set('gain', 2.5).set('only here', true);
  }
  {
    using sealed = MmapDict.open(path('sealed.mmdpickle'));
    sealed.set('a', new Float32Array(100)).set('b', 'text').seal({ checksums: true });
  }
  writeRun(path('torn.mmdpickle'));
  // An append that a crash interrupted before its commit.
  appendFileSync(path('torn.mmdpickle'), new Uint8Array(100));
  writeRun(path('damaged.mmdpickle'));
  breakChain(path('damaged.mmdpickle'), 'gain');
  writeNpy(path('flat.npy'), ndarray(new Float64Array([1, 2, 3, 4, 5, 6]), [2, 3]));
  await writeNpz(path('frames.npz'), { a: ndarray(new Uint8Array(4), [2, 2]), b: ndarray(new Float32Array([1.5])) });
  writeFileSync(path('frames.raw'), new Uint8Array(new Uint16Array(4 * 4 * 8).map((_, i) => i).buffer));
  writeFileSync(path('records.ndjson'), '{"t":0.5,"ok":true}\n{"t":1.5,"ok":false}\n{"t":2.5,"ok":true}\n');
  writeFileSync(path('records.csv'), 't,ok\n0.5,true\n1.5,false\n2.5,true\n');
  const settings = new Map<string, unknown>([
    ['exposure', [1, 2, 5]],
    ['name', 'night'],
    ['bias', ndarray(new Float32Array([1, 2, 3]))],
  ]);
  writeFileSync(path('settings.pkl'), dump(settings));
  writeFileSync(path('hostile.pkl'), HOSTILE);
}

function writeRun(path: string): void {
  using dict = MmapDict.open(path);
  dict.set('operator', 'night shift').set('gain', 2.5);
  dict.set(
    'dark',
    ndarray(
      new Uint16Array(64).map((_, i) => i),
      [8, 8],
    ),
  );
  dict.set('cube', new EmptyNDArray([4, 5, 6]));
  const rows = dict.set('temperature', new GrowableNDArray([4], 'float32', { capacity: 100 })).get('temperature');
  (rows as unknown as { append(rows: Float32Array): void }).append(Float32Array.from({ length: 20 }, (_, i) => i / 2));
}

/** Overwrites the length of an entry's frame with garbage, so that a walk does not find the entries after it. */
function breakChain(path: string, key: string): void {
  using dict = MmapDict.open(path, { mode: 'r' });
  const at = dict.getMeta(key)?.entryOffset ?? 0;
  const bytes = readFileSync(path);
  bytes.writeBigUInt64LE(0xffff_ffffn, at + 1);
  writeFileSync(path, bytes);
}
