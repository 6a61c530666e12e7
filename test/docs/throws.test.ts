/** The errors that a function throws for ordinary mistakes are documented by `@throws`, its own or its class's. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  blobSource,
  DictLookup,
  DictReader,
  MaskedArray,
  MmapDict as MemoryDict,
  MemoryDisk,
  ndarray,
} from '@mmdpickle/core';
import { convert, fsck, Lease, MmapDict, openPickle, salvage, upgrade } from '@mmdpickle/core/node';
import { dump, load } from '@mmdpickle/core/pickle';
import * as npy from '@mmdpickle/npy-interop';
import * as rx from '@mmdpickle/rx';
import { EmptyMaskedArray, EmptyNDArray, FullNDArray, GrowableMaskedArray, GrowableNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import { afterAll, expect, it } from 'vitest';

// biome-ignore lint/suspicious/noExplicitAny: what is called here is called wrongly
type Any = any;
type Wrong = () => unknown;

const temp = new TempDir();
const [path, other, text, list, missing] = ['some', 'other', 'text', 'list', 'missing'].map((name) =>
  temp.file(name),
) as [string, string, string, string, string];
writeFileSync(text, 'hello');
writeFileSync(list, dump([1]));

function filled<D extends MemoryDict>(dict: D): D {
  dict.set('n', 1).set('a', ndarray([1, 2, 3]));
  dict.set('g', new GrowableNDArray([2], 'float32', { capacity: 2 }));
  dict.set('m', new GrowableMaskedArray([2], 'float32', { capacity: 2 }));
  return dict;
}

const dict = filled(MmapDict.open(path));
const reading = MmapDict.open(path, { mode: 'r' });
const waiting = MmapDict.open(path, { lockTimeout: 0 });
const target = MmapDict.open(other);
const closed = MmapDict.open(path);
const [lateArray, lateRows, lateMasked] = ['a', 'g', 'm'].map((key) => closed.get(key)) as Any[];
closed.close();
const gone = filled(MmapDict.open(temp.file('gone')));
rmSync(temp.file('gone'));
for (const end = Date.now() + 5; Date.now() < end; );
const full = filled(MemoryDict.over(new MemoryDisk({ capacity: 8192 }).open('full', 'a')));
const source = new MemoryDisk().open('source', 'a');
filled(MemoryDict.over(source));
const reader = await DictReader.open(blobSource(new Blob([source.toBytes() as Any])));
const lookup = await DictLookup.open(blobSource(new Blob([source.toBytes() as Any])));
const two = ndarray([1, 2]);
const lease = Lease.acquire(text);
const [plane, archive, tensors] = ['plane.npy', 'archive.npz', 'tensors.safetensors'].map((name) =>
  temp.file(name),
) as [string, string, string];
npy.writeNpy(plane, ndarray([1, 2]));
await npy.writeNpz(archive, { a: two });
npy.writeSafetensors(tensors, { a: two });
const log = npy.openNpyWriter(temp.file('log.npy'), { rowShape: [2], dtype: 'float32' });
const npz = await npy.openNpz(archive);

afterAll(() => {
  lease.release();
  log.close();
  npz.close();
  for (const one of [dict, reading, waiting, target, gone]) one.close();
  temp[Symbol.dispose]();
});

/** Calls of a change on handles on which it must fail. */
function change(of: (dict: Any) => unknown): Wrong[] {
  return [...sealing(of), () => of(gone)];
}

/** As {@link change}, but for a call that does not fail if the file is gone: there is nothing to free. */
function sealing(of: (dict: Any) => unknown): Wrong[] {
  return [() => of(reading), () => of(closed), () => dict.batch(() => of(waiting))];
}
const noOption = { no: 'option' } as Any;
const big = new Float64Array(10_000);

/** By source file and class: each member with wrong calls. */
const MISTAKES: Readonly<Record<string, Readonly<Record<string, readonly Wrong[]>>>> = {
  'core/src/dict/mmap-dict.ts MmapDict': {
    over: [
      () => MemoryDict.over(5 as Any),
      () => MemoryDict.over(source, noOption),
      () => MemoryDict.over(source, { mode: 'w-' }),
    ],
    refresh: [() => closed.refresh()],
    has: [() => dict.has(5 as Any), () => closed.has('n')],
    get: [() => dict.get(5 as Any), () => closed.get('n')],
    getMeta: [() => dict.getMeta(5 as Any), () => closed.getMeta('n')],
    set: [
      ...change((one) => one.set('x', 1)),
      () => dict.set(5 as Any, 1),
      () => dict.set('x'.repeat(256), 1),
      () => dict.set('x', () => 1),
      () => dict.set('x', new EmptyNDArray(new Array(33).fill(1))),
      () => dict.set('x', 1, noOption),
      () => full.set('x', big),
    ],
    delete: [...change((one) => one.delete('n')), () => dict.delete(5 as Any)],
    clear: change((one) => one.clear()),
    pop: [...change((one) => one.pop('n')), () => dict.pop(5 as Any)],
    setDefault: [
      ...change((one) => one.setDefault('x', 1)),
      () => dict.setDefault('x', () => 1),
      () => full.setDefault('x', big),
    ],
    update: [...change((one) => one.update({ x: 1 })), () => dict.update(5 as Any), () => dict.update({ x: () => 1 })],
    batch: [
      ...change((one) => one.batch(() => one.set('x', 1))),
      () => dict.batch(5 as Any),
      () => dict.batch(() => 1, noOption),
      () => dict.batch(async () => 1),
    ],
    batchAsync: [
      () => reading.batchAsync(() => 1),
      () => closed.batchAsync(() => 1),
      () => gone.batchAsync(() => gone.set('x', 1)),
      () => dict.batchAsync(5 as Any),
      () => dict.batchAsync(() => 1, noOption),
    ],
    keys: [() => [...closed.keys()]],
    forEach: [() => dict.forEach(5 as Any)],
    scan: [() => [...closed.scan()], () => [...dict.scan(25)]],
    rename: [
      ...change((one) => one.rename('n', 'x')),
      () => dict.rename('none', 'x'),
      () => dict.rename('n', 5 as Any),
      () => dict.rename('n', 'x'.repeat(256)),
    ],
    copy: [
      ...change((one) => target.copy([], one)),
      () => dict.copy(['none'], target),
      () => dict.copy('n', target),
      () => dict.copy(['n'], dict),
      () => target.set('big', big).copy(['big'], full as Any),
    ],
    merge: [...change((one) => one.merge(target)), () => dict.merge(5 as Any), () => full.merge(target)],
    vacuum: [...change((one) => one.vacuum()), () => dict.vacuum(noOption), () => dict.batch(() => dict.vacuum())],
    reclaim: [...change((one) => one.reclaim()), () => dict.reclaim(noOption)],
    fsck: [
      () => reading.fsck({ repair: true }),
      () => closed.fsck(),
      () => dict.batch(() => dict.fsck({ repair: true })),
      () => dict.fsck(noOption),
    ],
    seal: [...change((one) => one.seal()), () => dict.batch(() => dict.seal()), () => dict.seal(noOption)],
    verify: [() => closed.verify(), () => dict.verify(noOption)],
    salvage: [() => dict.salvage(reading), () => dict.salvage(5 as Any), () => dict.salvage(dict)],
    upgrade: change((one) => one.upgrade()),
    downgrade: change((one) => one.downgrade()),
    flush: [() => closed.flush()],
    close: [() => dict.batch(() => dict.close())],
  },
  'core/src/node.ts MmapDict': {
    open: [
      () => MmapDict.open(missing, { mode: 'r' }),
      () => MmapDict.open(path, { mode: 'w-' }),
      () => MmapDict.open(text),
      () => MmapDict.open(list),
      () => MmapDict.open(temp.path),
      () => MmapDict.open(path, noOption),
    ],
    lease: [() => closed.lease(), () => dict.lease(noOption)],
    reopen: [() => MmapDict.reopen({} as Any)],
  },
  'core/src/node.ts': {
    openPickle: [
      () => openPickle(missing),
      () => openPickle(temp.path),
      () => openPickle(text),
      () => openPickle(list, noOption),
    ],
    convert: [
      () => convert(missing, temp.file('x')),
      () => convert(list, other),
      () => convert(list, temp.file('x')),
      () => convert(list, other, noOption),
    ],
    fsck: [() => fsck(missing), () => fsck(path, noOption), () => fsck(temp.path)],
    salvage: [() => salvage(missing, other), () => salvage(path, other), () => salvage(path, missing, noOption)],
    upgrade: [() => upgrade(missing), () => upgrade(text), () => upgrade(list)],
  },
  'core/src/node/lease.ts Lease': {
    acquire: [() => Lease.acquire(text), () => Lease.acquire(5 as Any), () => Lease.acquire(path, noOption)],
    acquireAsync: [() => Lease.acquireAsync(5 as Any), () => Lease.acquireAsync(text, { timeoutMs: 1 })],
  },
  'core/src/dict/dict-reader.ts DictReader': {
    open: [
      () => DictReader.open(5 as Any),
      () => DictReader.open(blobSource(new Blob([])), noOption),
      () => DictReader.open(blobSource(new Blob(['hello']))),
    ],
    has: [() => reader.has(5 as Any)],
    get: [() => reader.get(5 as Any)],
    getMeta: [() => reader.getMeta(5 as Any)],
  },
  'core/src/dict/dict-lookup.ts DictLookup': {
    open: [
      () => DictLookup.open(5 as Any),
      () => DictLookup.open(blobSource(new Blob([])), noOption),
      () => DictLookup.open(blobSource(new Blob(['hello']))),
    ],
    get: [() => lookup.get(5 as Any)],
    getMeta: [() => lookup.getMeta(5 as Any)],
  },
  'core/src/dict/growable-array.ts GrowableArray': {
    append: [
      ...change((one) => (one === closed ? lateRows : one.get('g')).append([1, 2])),
      () => (dict.get('g') as Any).append([1]),
      () => (dict.get('g') as Any).append(['x', 'y']),
      () => (full.get('g') as Any).append(big),
    ],
    refresh: [() => lateRows.refresh()],
    seal: sealing((one) => (one === closed ? lateRows : one.get('g')).seal()),
  },
  'core/src/dict/growable-masked-array.ts GrowableMaskedArray': {
    append: [
      ...change((one) => (one === closed ? lateMasked : one.get('m')).append([1, 2])),
      () => (dict.get('m') as Any).append([1]),
      () => (dict.get('m') as Any).append([1, null]),
      () => (full.get('m') as Any).append(big),
    ],
    refresh: [() => lateMasked.refresh()],
    seal: sealing((one) => (one === closed ? lateMasked : one.get('m')).seal()),
  },
  'core/src/ndarray/nd-array.ts NDArray': {
    zeros: [() => two.astype('no').shape, () => ndarray([1], undefined, 'no')],
    get: [() => two.get(2), () => two.get(), () => lateArray.get(0)],
    set: [
      () => two.set(2, 1),
      () => two.set(0, 'x'),
      () => two.set([1, 2, 3]),
      () => lateArray.set(0, 1),
      () => (reading.get('a') as Any).set(0, 1),
    ],
    fill: [() => two.fill('x'), () => lateArray.fill(1), () => (reading.get('a') as Any).fill(1)],
    slice: [() => two.slice(2), () => two.slice('x' as Any)],
    rows: [() => two.rows('x' as Any, 1)],
    row: [() => two.row(2)],
    field: [() => two.field('x')],
    transpose: [() => two.transpose(1)],
    reshape: [() => two.reshape([3])],
    copy: [() => two.copy(noOption), () => lateArray.copy()],
    astype: [() => two.astype('no'), () => ndarray([1.5]).astype('int8'), () => lateArray.astype('int8')],
    typed: [
      () => ndarray([1, 2, 3]).slice(null).astype('float16').typed(),
      () =>
        ndarray([
          [1, 2],
          [3, 4],
        ])
          .slice(null, 0)
          .typed(),
      () => lateArray.typed(),
    ],
    toNested: [() => lateArray.toNested()],
    chunks: [() => [...two.chunks(noOption)], () => [...lateArray.chunks()]],
    flush: [() => lateArray.flush()],
    advise: [() => two.advise('x' as Any), () => lateArray.advise('random')],
    sum: [() => lateArray.sum(), () => ndarray(['x']).sum()],
    min: [() => lateArray.min(), () => ndarray(new Int8Array(0)).min(), () => ndarray(['x']).min()],
    max: [() => lateArray.max(), () => ndarray(new Int8Array(0)).max(), () => ndarray(['x']).max()],
    mean: [() => lateArray.mean(), () => ndarray(['x']).mean()],
  },
  'core/src/ndarray/masked-array.ts MaskedArray': {
    constructor: [
      () => new MaskedArray(two, ndarray([true])),
      () => new MaskedArray(two, ndarray([1, 2])),
      () => new MaskedArray([1] as Any, [true] as Any),
    ],
    get: [() => lateMasked.get(0, 0), () => lateMasked.get(5)],
  },
  'core/src/pickle/load.ts': {
    load: [
      () => load(5 as Any),
      () => load(new Uint8Array(0)),
      () => load(new Uint8Array([0x80, 4])),
      () => load(dump(1), noOption),
    ],
  },
  'core/src/pickle/dump.ts': { dump: [() => dump(() => 1), () => dump(1, noOption), () => dump(new Map([[[], 1]]))] },
  'stubs/src/empty.ts EmptyNDArray': {
    constructor: [
      () => new EmptyNDArray([-1]),
      () => new EmptyNDArray([1], 'no'),
      () => new EmptyNDArray([1], 'f4', noOption),
    ],
  },
  'stubs/src/empty.ts EmptyMaskedArray': {
    constructor: [() => new EmptyMaskedArray([-1])],
  },
  'stubs/src/full.ts FullNDArray': {
    constructor: [() => new FullNDArray([-1], 1), () => new FullNDArray([1], 300, 'u1')],
  },
  'npy-interop/src/node/npy-file.ts': {
    openNpy: [
      () => npy.openNpy(missing),
      () => npy.openNpy(text),
      () => npy.openNpy(plane, 'w' as Any),
      () => npy.openNpy(5 as Any),
    ],
    createNpy: [
      () => npy.createNpy(plane, [-1], 'f8'),
      () => npy.createNpy(plane, [1], 'no'),
      () => npy.createNpy(plane, [1], 'O'),
      () => npy.createNpy(temp.file('no/x'), [1], 'f8'),
    ],
    readNpy: [() => npy.readNpy(missing), () => npy.readNpy(text), () => npy.readNpy(5 as Any)],
    writeNpy: [
      () => npy.writeNpy(plane, 5 as Any),
      () => npy.writeNpy(plane, new MaskedArray(two, ndarray([true, false])) as Any),
      () => npy.writeNpy(temp.file('no/x'), two),
      () => npy.writeNpy(plane, two, noOption),
    ],
  },
  'npy-interop/src/node/npy-writer.ts': {
    openNpyWriter: [
      () => npy.openNpyWriter(missing),
      () => npy.openNpyWriter(text),
      () => npy.openNpyWriter(temp.file('log.npy')),
      () => npy.openNpyWriter(missing, noOption),
    ],
  },
  'npy-interop/src/node/npy-writer.ts NpyWriter': {
    append: [
      () => log.append(new Float32Array(1)),
      () => log.append([1, 2] as Any),
      () => log.append(['x', 'y'] as Any),
    ],
  },
  'npy-interop/src/node/npz-file.ts': {
    openNpz: [() => npy.openNpz(missing), () => npy.openNpz(text), () => npy.openNpz(archive, noOption)],
    writeNpz: [
      () => npy.writeNpz(archive, { '/a': two }),
      () => npy.writeNpz(archive, { a: 5 as Any }),
      () => npy.writeNpz(archive, {}, noOption),
      () => npy.writeNpz(temp.file('no/x'), {}),
    ],
  },
  'npy-interop/src/npz-read.ts Npz': {
    get: [() => npz.get('none')],
    bytes: [() => npz.bytes('none')],
    verify: [() => npz.verify('none')],
    header: [() => npz.header('none')],
  },
  'npy-interop/src/node/safetensors-file.ts': {
    readSafetensors: [() => npy.readSafetensors(missing), () => npy.readSafetensors(text)],
    writeSafetensors: [
      () => npy.writeSafetensors(tensors, { a: ndarray(['x']) }),
      () => npy.writeSafetensors(tensors, 5 as Any),
    ],
    fromRaw: [
      () => npy.fromRaw(missing, 'u1', [1]),
      () => npy.fromRaw(text, 'u1', [9]),
      () => npy.fromRaw(text, 'no', [1]),
      () => npy.fromRaw(text, 'u1', [1.5]),
    ],
    toRaw: [() => npy.toRaw(text, 5 as Any), () => npy.toRaw(temp.file('no/x'), two)],
  },
  'npy-interop/src/node/import.ts': {
    npyToMmd: [
      () => npy.npyToMmd(missing, dict),
      () => npy.npyToMmd(plane, reading),
      () => npy.npyToMmd(plane, dict, { keys: [] }),
      () => npy.npyToMmd(plane, 5 as Any),
      () => npy.npyToMmd(plane, closed),
      () => npy.npyToMmd(plane, gone),
    ],
    npzToMmd: [
      () => npy.npzToMmd(missing, dict),
      () => npy.npzToMmd(archive, reading),
      () => npy.npzToMmd(archive, closed),
      () => npy.npzToMmd(archive, dict, noOption),
    ],
    safetensorsToMmd: [
      () => npy.safetensorsToMmd(missing, dict),
      () => npy.safetensorsToMmd(tensors, reading),
      () => npy.safetensorsToMmd(tensors, closed),
    ],
    rawToMmd: [
      () => npy.rawToMmd(missing, dict, { key: 'x', dtype: 'u1', shape: [1] }),
      () => npy.rawToMmd(text, dict, { key: 'x', dtype: 'no', shape: [1] }),
      () => npy.rawToMmd(text, closed, { key: 'x', dtype: 'u1', shape: [1] }),
    ],
  },
  'npy-interop/src/node/export.ts': {
    mmdToNpy: [
      () => npy.mmdToNpy(dict, ['none'], temp.path),
      () => npy.mmdToNpy(dict, ['n'], temp.path),
      () => npy.mmdToNpy(closed, ['a'], temp.path),
      () => npy.mmdToNpy(dict, 'a' as Any, temp.path),
    ],
    mmdToNpz: [
      () => npy.mmdToNpz(dict, ['none'], archive),
      () => npy.mmdToNpz(dict, ['n'], archive),
      () => npy.mmdToNpz(closed, ['a'], archive),
      () => npy.mmdToNpz(dict, ['a'], temp.file('no/x')),
    ],
    mmdToSafetensors: [
      () => npy.mmdToSafetensors(dict, ['none'], tensors),
      () => npy.mmdToSafetensors(dict, ['n'], tensors),
      () => npy.mmdToSafetensors(closed, ['a'], tensors),
    ],
    mmdToRaw: [
      () => npy.mmdToRaw(dict, 'none', text),
      () => npy.mmdToRaw(dict, 'n', text),
      () => npy.mmdToRaw(closed, 'a', text),
    ],
  },
  'rx/src/operators.ts': {
    appendFrames: [() => rx.appendFrames(5 as Any), () => rx.appendFrames(dict, noOption)],
    appendRows: [() => (rx.appendRows as Any)(dict, 5)],
    fillArray: [() => rx.fillArray(dict, 'r', new EmptyNDArray([1]), noOption)],
  },
  'rx/src/rolling.ts': {
    rollingFiles: [() => rx.rollingFiles('run', { frames: 1 }), () => rx.rollingFiles('run-{n}', noOption)],
  },
  'rx/src/sinks.ts': { nodeSink: [() => rx.nodeSink(5 as Any)], webSink: [() => rx.webSink(5 as Any)] },
  'rx/src/frames.ts': { frames: [() => rx.frames(dict, noOption)] },
  'rx/src/stop.ts': {
    requestStop: [() => rx.requestStop(reading), () => rx.requestStop(closed), () => rx.requestStop(5 as Any)],
  },
  'rx/src/targets/series.ts': { series: [() => rx.series(dict, 'none')] },
  'rx/src/watch/dict-watch.ts': { watchDict: [() => rx.watchDict(5 as Any), () => rx.watchDict(path, noOption)] },
};

/** Documented once, at {@link MmdError}. */
const ANYWHERE = ['INVALID_ARGUMENT', 'CLOSED'];

const CASES = Object.entries(MISTAKES).flatMap(([where, members]) =>
  Object.entries(members).map(([member, wrong]) => [where, member, wrong] as const),
);

it.each(CASES)('%s: %s', async (where, member, wrong) => {
  const [file = '', name] = where.split(' ');
  const said = throwsOf(readFileSync(join(import.meta.dirname, '../../packages', file), 'utf8'), name, member);
  const untold = [];
  for (const one of wrong) {
    const code = await codeOf(one);
    if (!ANYWHERE.includes(code) && !new RegExp(`\\b${code}\\b`).test(said)) untold.push(`${code} of ${String(one)}`);
  }
  expect(untold).toEqual([]);
});

async function codeOf(wrong: Wrong): Promise<string> {
  try {
    await wrong();
    return 'no error';
  } catch (error) {
    const { name, code } = error as Any;
    return name === 'MmdError' ? code : `${name} (not an MmdError)`;
  }
}

/** The text after `@throws` in the comments of a member and of its class. */
function throwsOf(source: string, name: string | undefined, member: string): string {
  const of = (start: number, declaration: RegExp): [text: string, at: number] => {
    const found = declaration.exec(source.slice(start));
    if (found === null) throw new Error(`no ${declaration}`);
    const at = start + found.index;
    const comment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.exec(source.slice(0, at))?.[0] ?? '';
    return [comment.split('@throws').slice(1).join(' '), at];
  };
  if (name === undefined) return of(0, new RegExp(`^export (async )?function ${member}\\b`, 'm'))[0];
  const [ofClass, at] = of(0, new RegExp(`^export (abstract )?class ${name}\\b`, 'm'));
  return ofClass + of(at, new RegExp(`^  ((static|override|async) )*\\*?${member}[<(]`, 'm'))[0];
}
