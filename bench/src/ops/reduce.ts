/**
 * Reduce or visit an array of `count` elements of `dtype` in the page cache. `how`: sum, minmax, mean or
 * random (1e6 elements by index). The sides that loop over typed arrays support only float64. `offset` shifts the data in
 * the input file, so that 3 makes it unaligned. `reopen` maps the file again in every round; otherwise one mapping is used for all.
 */

import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  numberParam,
  type Operation,
  type Params,
  type Runner,
  type Side,
  type SideContext,
  textParam,
} from '../case.ts';
import { writeLegacyFile } from '../legacy-file.ts';
import { npyHeader } from '../npy.ts';
import { ours } from '../ours.ts';
import { importPeer } from '../peer-import.ts';
import { seeded, seededBytes, seededFloats } from '../seeded.ts';
import { fresh, timed } from '../timing.ts';

const BLOCK = 2 ** 20;
const RANDOM_READS = 1_000_000;

/** The dtypes used in cases, each with a block of seeded elements. */
const DTYPES = {
  float64: { itemsize: 8, make: () => new Uint8Array(seededFloats(BLOCK).buffer) },
  float32: { itemsize: 4, make: () => new Uint8Array(Float32Array.from(seededFloats(2 * BLOCK)).buffer) },
  uint16: {
    itemsize: 2,
    make: () => new Uint8Array(Uint16Array.from(seededBytes(4 * BLOCK), (byte) => byte * 16).buffer),
  },
} as const;

type DTypeName = keyof typeof DTYPES;

function dtypeParam(params: Params): DTypeName {
  const name = textParam(params, 'dtype');
  if (name in DTYPES) return name as DTypeName;
  throw new Error(`no elements of dtype ${name}`);
}

function job({ params }: SideContext) {
  return {
    count: numberParam(params, 'count'),
    dtype: dtypeParam(params),
    how: textParam(params, 'how'),
    offset: numberParam(params, 'offset'),
    reopen: params.reopen === true,
  };
}

/** The bytes of the array: one block, repeated. */
function* blocks({ count, dtype }: { readonly count: number; readonly dtype: DTypeName }): Generator<Uint8Array> {
  const { itemsize, make } = DTYPES[dtype];
  const block = make();
  for (let left = count * itemsize; left > 0; left -= block.length) {
    yield block.subarray(0, Math.min(left, block.length));
  }
}

function randomIndices(count: number): Uint32Array {
  const next = seeded(7);
  return Uint32Array.from({ length: RANDOM_READS }, () => Math.floor(next() * count));
}

/** The loops a user would write over a typed array. One function each, so that all sides run the same code. */
const LOOPS: { readonly [how: string]: (data: Float64Array, indices: Uint32Array) => number } = {
  sum(data) {
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum += data[i] as number;
    return sum;
  },
  minmax(data) {
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < data.length; i++) {
      const value = data[i] as number;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    return max - min;
  },
  mean(data) {
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum += data[i] as number;
    return sum / data.length;
  },
  random(data, indices) {
    let sum = 0;
    for (let i = 0; i < indices.length; i++) sum += data[indices[i] as number] as number;
    return sum;
  },
};

/** Runs `compute` in each round, and compares its result with that of the first. */
function checked(compute: () => number): Runner {
  let expected: number | undefined;
  return {
    round: () => {
      let value = Number.NaN;
      const round = timed(() => {
        value = compute();
      });
      expected ??= value;
      if (!(Math.abs(value - expected) <= 1e-9 * Math.abs(expected))) throw new Error(`${value} is not ${expected}`);
      return round;
    },
  };
}

type Node = Awaited<ReturnType<typeof ours.node>>;
type Dict = ReturnType<Node['MmapDict']['open']>;
type Mapped = ReturnType<Awaited<ReturnType<typeof ours.ndarray>>['NDArray']['over']>;

/** Over an array in a dict: for `offset` 0 in our own aligned layout, otherwise in a legacy file, whose data is unaligned. */
function overDict(compute: (array: Mapped, how: string, indices: Uint32Array) => number): Side {
  return {
    async prepare(context) {
      const { MmapDict } = await ours.node();
      const { RawFileNDArray } = await ours.stubs();
      const { count, dtype, offset } = job(context);
      const path = fresh(context, 'run.mmdpickle');
      if (offset !== 0) {
        writeLegacyFile(path, count, blocks({ count, dtype }));
        return;
      }
      const dict = MmapDict.open(path);
      dict.set('x', new RawFileNDArray(join(context.sharedDir, 'input.bin'), { shape: [count], dtype }));
      dict.close();
    },
    async start(context) {
      const { MmapDict } = await ours.node();
      const { NDArray } = await ours.ndarray();
      const { count, how, reopen } = job(context);
      const indices = randomIndices(count);
      const path = join(context.dir, 'run.mmdpickle');
      const get = (dict: Dict): Mapped => {
        const array = dict.get('x');
        if (!(array instanceof NDArray)) throw new Error('not an array');
        return array;
      };
      if (!reopen) {
        const dict = MmapDict.open(path, { mode: 'r' });
        const array = get(dict);
        return { ...checked(() => compute(array, how, indices)), close: () => dict.close() };
      }
      return checked(() => {
        using dict = MmapDict.open(path, { mode: 'r' });
        return compute(get(dict), how, indices);
      });
    },
  };
}

const library = overDict((array, how, indices) => {
  switch (how) {
    case 'sum':
      return Number(array.sum());
    case 'minmax':
      return Number(array.max()) - Number(array.min());
    case 'mean':
      return Number(array.mean());
    default: {
      let sum = 0;
      for (let i = 0; i < indices.length; i++) sum += array.get(indices[i] as number) as number;
      return sum;
    }
  }
});

const view = overDict((array, how, indices) => {
  const loop = LOOPS[how];
  if (loop === undefined || !(array.data instanceof Float64Array)) throw new Error('no loop, or no typed view');
  return loop(array.data, indices);
});

const inMemory: Side = {
  start(context) {
    const { count, how, offset } = job(context);
    const data = new Float64Array(count);
    const bytes = new Uint8Array(data.buffer);
    const fd = openSync(join(context.sharedDir, 'input.bin'), 'r');
    for (let done = 0; done < bytes.length; ) {
      done += readSync(fd, bytes, done, Math.min(2 ** 28, bytes.length - done), offset + done);
    }
    closeSync(fd);
    const loop = LOOPS[how];
    if (loop === undefined) throw new Error(`no loop ${how}`);
    const indices = randomIndices(count);
    return checked(() => loop(data, indices));
  },
};

const npyjsSide: Side = {
  async start(context) {
    const npyjs = await importPeer<{ parse(buffer: ArrayBuffer): { data: Float64Array } }>('npyjs');
    const { count, how } = job(context);
    const path = fresh(context, 'input.npy');
    const fd = openSync(path, 'w');
    writeSync(fd, npyHeader('<f8', [count]));
    writeSync(fd, readFileSync(join(context.sharedDir, 'input.bin')));
    closeSync(fd);
    const loop = LOOPS[how];
    if (loop === undefined) throw new Error(`no loop ${how}`);
    const indices = randomIndices(count);
    return checked(() => {
      const { buffer, byteOffset, byteLength } = readFileSync(path);
      return loop(npyjs.parse(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer).data, indices);
    });
  },
};

export const operation: Operation = {
  inputs: (context) => {
    const { count, dtype, offset } = job(context);
    const fd = openSync(join(context.sharedDir, 'input.bin'), 'w');
    if (offset > 0) writeSync(fd, new Uint8Array(offset));
    for (const block of blocks({ count, dtype })) writeSync(fd, block);
    closeSync(fd);
  },
  sides: { ours: library, 'ours-view': view, 'in-memory': inMemory, npyjs: npyjsSide },
};
