/** The lines that users type, as the design promises them; each must work as written. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type MaskedArray, type NDArray, ndarray, slice } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { check, dis, dump, genops, load, type PyDateTime } from '@mmdpickle/core/pickle';
import * as npy from '@mmdpickle/npy-interop';
import { appendFrames, appendRows, fillArray, frames, fromByteStream, watchDict } from '@mmdpickle/rx';
import { EmptyNDArray, GrowableNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import { firstValueFrom, from, lastValueFrom, take, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

describe('what the user types', () => {
  it('opens, sets, gets, slices, grows, iterates, deletes, batches, vacuums and checks a dict', () => {
    using directory = new TempDir();
    const path = directory.file('run.mmdpickle');
    using dict = MmapDict.open(path);
    dict.set('operator', 'night shift').set('gain', 2.5);
    dict.set('dark', ndarray(new Uint16Array(512 * 1024), [512, 1024]));
    dict.set('cube', new EmptyNDArray([300, 300, 300]));

    const cube = dict.get('cube') as NDArray;
    cube.set(1, 2, 3, 7.5);
    expect(cube.get(1, 2, 3)).toBe(7.5);
    const plane = cube.slice(0, null, slice(0, 300, 2));
    expect(plane.shape).toEqual([300, 150]);
    expect(plane.strides).toEqual([300, 2]);
    expect(plane.dtype).toBe('float64');
    expect(plane.data).toBeInstanceOf(Float64Array);

    const rows = dict.set('temperature', new GrowableNDArray([4], 'float32', { capacity: 1e6 })).get('temperature');
    rows.append(new Float32Array([1, 2, 3, 4]));
    expect(rows.shape).toEqual([1, 4]);

    expect([...dict].map(([key]) => key)).toEqual(['operator', 'gain', 'dark', 'cube', 'temperature']);
    expect(dict.has('dark')).toBe(true);
    expect(dict.delete('dark')).toBe(true);
    expect(dict.size).toBe(4);
    expect([...dict.keys()]).toEqual(['operator', 'gain', 'cube', 'temperature']);
    expect(dict.getMeta('cube')).toMatchObject({ dtype: 'float64', shape: [300, 300, 300], nbytes: 216_000_000 });
    const before = dict.commitNumber;
    dict.batch(() => {
      dict.set('a', 1);
      dict.set('b', 2);
    });
    expect(dict.commitNumber).toBe(before + 1);
    dict.vacuum();
    expect(dict.fsck().findings).toEqual([]);
    expect((dict.get('cube') as NDArray).get(1, 2, 3)).toBe(7.5);
    dict.close();
  });

  it.each([
    ['r', 'NOT_FOUND'],
    ['r+', 'NOT_FOUND'],
    ['c', 'NOT_FOUND'],
  ] as const)('mode %s needs an existing file: %s', (mode, code) => {
    using directory = new TempDir();
    expect(() => MmapDict.open(directory.file('none'), { mode })).toThrow(expect.objectContaining({ code }));
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it('loads, dumps, disassembles and checks pickles', () => {
    const bytes = dump(new Map([['a', [1, 2.5, 'x']]]), { protocol: 4 });
    expect(load(bytes)).toEqual(new Map([['a', [1, 2.5, 'x']]]));
    expect(dis(bytes)).toContain('EMPTY_DICT');
    expect([...genops(bytes)].at(-1)?.name).toBe('STOP');
    expect(check(bytes).known).toBe(true);
  });

  it('maps values to Python and back', () => {
    using directory = new TempDir();
    using dict = MmapDict.open(directory.file('values'));
    const date = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
    const values: Record<string, unknown> = {
      none: null,
      bool: true,
      int: 42,
      float: 2.5,
      big: 2n ** 70n,
      text: 'ä',
      bytes: new Uint8Array([1, 2]),
      list: [1, 'a'],
      map: new Map<unknown, unknown>([[1, 2]]),
      set: new Set([1, 2]),
    };
    dict
      .update(values)
      .set('object', { a: 1 })
      .set('date', date)
      .set('floats', new Float32Array([1, 2]));
    for (const [key, value] of Object.entries(values)) expect(dict.get(key), key).toEqual(value);
    expect(dict.get('object')).toEqual(new Map([['a', 1]]));
    expect((dict.get('floats') as NDArray).toNested()).toEqual([1, 2]);
    expect((dict.get('date') as PyDateTime).toDate()).toEqual(date);
  });

  it('appends frames and rows, fills arrays, watches and follows', async () => {
    using directory = new TempDir();
    const path = directory.file('stream.mmdpickle');
    using dict = MmapDict.open(path);
    const camera$ = from([new Uint8Array([1, 2]), new Uint8Array([3, 4])]);
    const changes = firstValueFrom(watchDict(path).pipe(take(2), toArray()));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const run = camera$.pipe(
      appendFrames(dict, { key: (_frame, i) => `frame/${i}`, queue: { bytes: 64e6 }, policy: 'drop-oldest' }),
    );
    const receipts = await lastValueFrom(run.pipe(toArray()));
    expect(receipts).toMatchObject([
      { seq: 0, key: 'frame/0', bytes: 2 },
      { seq: 1, key: 'frame/1', bytes: 2 },
    ]);
    expect(receipts[1]?.commitNumber).toBe(dict.commitNumber);
    expect(await changes).toMatchObject([
      { kind: 'added', key: 'frame/0' },
      { kind: 'added', key: 'frame/1' },
    ]);
    expect(await lastValueFrom(frames(dict, { prefix: 'frame/' }).pipe(toArray()))).toHaveLength(2);
    await lastValueFrom(camera$.pipe(appendRows(dict, 'rows', { dtype: 'uint8', rowShape: [2] })));
    expect((dict.get('rows') as NDArray).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await lastValueFrom(camera$.pipe(fillArray(dict, 'planes', new EmptyNDArray([2, 2], 'uint8'))));
    expect((dict.get('planes') as NDArray).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    const cut = fromByteStream([new Uint8Array([1]), new Uint8Array([2, 3, 4])], { dtype: 'uint8', shape: [2] });
    expect(await lastValueFrom(cut.pipe(toArray()))).toHaveLength(2);
  });

  it('converts npy and npz both ways', async () => {
    using directory = new TempDir();
    using dict = MmapDict.open(directory.file('run.mmdpickle'));
    dict.set('dark', ndarray(new Uint16Array([1, 2, 3, 4]), [2, 2]));
    const { createNpy, mmdToNpy, mmdToNpz, npyToMmd, npzToMmd, openNpy, openNpz, readNpy, writeNpy } = npy;
    writeNpy(directory.file('a.npy'), ndarray(new Float64Array([1, 2])));
    expect(readNpy(readFileSync(directory.file('a.npy'))).toNested()).toEqual([1, 2]);
    using mapped = openNpy(directory.file('a.npy'));
    expect(mapped.get(1)).toBe(2);
    using created = createNpy(directory.file('b.npy'), [3], 'int8');
    expect(created.toNested()).toEqual([0, 0, 0]);
    await mmdToNpy(dict, ['dark'], directory.path);
    await npyToMmd(directory.file('dark.npy'), dict, { keys: ['light'] });
    expect((dict.get('light') as NDArray).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await mmdToNpz(dict, ['dark', 'light'], directory.file('both.npz'));
    await npzToMmd(directory.file('both.npz'), dict, { keys: (member) => `npz/${member}` });
    expect((dict.get('npz/light') as NDArray | MaskedArray).toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    using npz = await openNpz(directory.file('both.npz'));
    expect([...npz.keys()]).toEqual(['dark', 'light']);
  });

  it('reports what went wrong by an error code', () => {
    using directory = new TempDir();
    const path = directory.file('other');
    writeFileSync(path, dump([1, 2, 3]));
    expect(() => MmapDict.open(path)).toThrow(expect.objectContaining({ code: 'NOT_MMDPICKLE' }));
    writeFileSync(path, 'hello, world');
    expect(() => MmapDict.open(path)).toThrow(expect.objectContaining({ code: 'NOT_A_PICKLE' }));
    using dict = MmapDict.open(directory.file('run'));
    expect(() => dict.set('k'.repeat(256), 1)).toThrow(expect.objectContaining({ code: 'KEY_TOO_LONG' }));
    expect(() => dict.set(7 as never, 1)).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    expect(() => dict.set('f', () => 1)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    expect(dict.size).toBe(0);
  });
});
