/**
 * Every benchmark case with its peers and the figures to reach. To add a case, add a row; a test checks that README.md
 * lists the same names.
 */

import { type BenchCase, type Goal, numberParam, type Params } from './case.ts';

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Goals to be at least as fast as each of these peers. */
function ahead(...peers: string[]): Goal[] {
  return peers.map((peer) => ({ peer, atLeast: 1 }));
}

const amount =
  (unit: string) =>
  (params: Params): { count: number; unit: string; bytes: number } => ({
    count: numberParam(params, 'count'),
    unit,
    bytes: numberParam(params, 'count') * numberParam(params, 'bytes'),
  });
const countBytes = (params: Params): number => numberParam(params, 'count') * numberParam(params, 'bytes');

const FRAME_PEERS = [
  'ours',
  'ours-bytes',
  'raw-fs',
  'lmdb',
  'h5py',
  'h5wasm-swmr',
  'npy-per-frame',
  'zarrita',
  'better-sqlite3',
];

function appendFrames(count: number): BenchCase {
  return {
    name: `append-frames/${count}x1MiB/uint8`,
    op: 'append-frames',
    about: `${count} frames of 1 MiB, one entry each`,
    params: { count, bytes: MiB },
    quick: count === 64 ? {} : false,
    sides: FRAME_PEERS,
    work: amount('frames'),
    goals: [
      { peer: 'raw-fs', atLeast: 1 },
      { side: 'ours-bytes', peer: 'raw-fs', atLeast: 1 },
      { peer: 'lmdb', atLeast: 1.4 },
      ...ahead('h5py', 'h5wasm-swmr', 'npy-per-frame'),
    ],
    touches: countBytes,
  };
}

function appendRows(label: string, bytes: number, ofRaw: number): BenchCase {
  return {
    name: `append-rows/${label}/float64`,
    op: 'append-rows',
    about: `rows of ${label} to a growable array, a commit each, 64 MiB in all`,
    params: { count: (64 * MiB) / bytes, bytes },
    quick: { count: (16 * MiB) / bytes },
    sides: ['ours', 'raw-fs', 'h5wasm-swmr', 'h5py'],
    work: amount('rows'),
    goals: [{ peer: 'raw-fs', atLeast: ofRaw }, ...ahead('h5wasm-swmr')],
    touches: countBytes,
  };
}

function rxFrames(label: string, bytes: number, count: number): BenchCase {
  return {
    name: `rx-frames/${label}/uint8`,
    op: 'append-frames',
    about: `appendFrames of @mmdpickle/rx over an async source, frames of ${label}`,
    params: { count, bytes },
    quick: { count: Math.ceil(count / 8) },
    sides: ['ours-rx', 'raw-fs', 'h5wasm-swmr', 'npy-per-frame'],
    work: amount('frames'),
    goals: ['h5wasm-swmr', 'npy-per-frame'].map((peer) => ({ side: 'ours-rx', peer, atLeast: 1 })),
    touches: countBytes,
  };
}

function rxRows(label: string, bytes: number, count: number): BenchCase {
  return {
    name: `rx-rows/${label}/float64`,
    op: 'append-rows',
    about: `appendRows of @mmdpickle/rx over an async source, rows of ${label}`,
    params: { count, bytes },
    quick: { count: Math.ceil(count / 8) },
    sides: ['ours-rx', 'raw-fs', 'h5wasm-swmr'],
    work: amount('rows'),
    goals: [{ side: 'ours-rx', peer: 'h5wasm-swmr', atLeast: 1 }],
    touches: countBytes,
  };
}

const RECORD_SIDES = ['ours', 'json-lines', 'lmdb', 'better-sqlite3'];

const ITEMSIZE: { readonly [dtype: string]: number } = { float64: 8, float32: 4, uint16: 2 };

function reduce(how: string, label: string, goals: readonly Goal[], extra: Params = {}, dtype = 'float64'): BenchCase {
  const itemsize = ITEMSIZE[dtype] as number;
  return {
    name: `${label}/1GiB/${dtype}`,
    op: 'reduce',
    about: `${how} over 1 GiB of mapped ${dtype} in the page cache`,
    params: { count: GiB / itemsize, dtype, how, offset: 0, reopen: false, ...extra },
    quick: { count: (128 * MiB) / itemsize },
    sides: ['ours', 'ours-view', 'in-memory', 'numpy-memmap'],
    work: (params) =>
      how === 'random'
        ? { count: 1e6, unit: 'elements' }
        : { count: numberParam(params, 'count'), unit: 'elements', bytes: numberParam(params, 'count') * itemsize },
    goals,
    touches: (params) => numberParam(params, 'count') * itemsize * 3,
  };
}

/** The library's own reductions, over dtypes that cameras produce. */
function reduceFrames(how: string, dtype: string): BenchCase {
  return {
    ...reduce(how, how, [{ peer: 'numpy-memmap', atLeast: 1 }], {}, dtype),
    sides: ['ours', 'numpy-memmap'],
  };
}

const VIEW_EQUALS_MEMORY: Goal = { side: 'ours-view', peer: 'in-memory', atLeast: 0.95 };

function pickle(how: 'load' | 'dump', kind: string, count: number, ofCPython: number): BenchCase {
  return {
    name: `pickle-${how}/${count.toExponential().replace('+', '')}/${kind}`,
    op: 'pickle',
    about: `${how} one pickle of ${count} ${kind}`,
    params: { how, kind, count },
    quick: { count: count / 5 },
    sides: how === 'load' ? ['ours', 'cpython', 'pickleparser'] : ['ours', 'cpython'],
    work: (params) => ({ count: numberParam(params, 'count'), unit: kind }),
    goals: [{ peer: 'cpython', atLeast: ofCPython }, ...(how === 'load' ? [{ peer: 'pickleparser', atLeast: 2 }] : [])],
    touches: () => GiB,
  };
}

const PICKLES: readonly (readonly [kind: string, count: number, ofCPython: number])[] = [
  ['records', 1e5, 1],
  ['ints', 1e6, 1],
  ['floats', 1e6, 1],
  ['strings', 1e6, 0.7],
  ['nested', 1e5, 1],
];

function convert(label: string, bytes: number, direction: 'in' | 'out'): BenchCase {
  const name = direction === 'in' ? 'npy-to-mmd' : 'mmd-to-npy';
  return {
    name: `${name}/${label}/float64`,
    op: 'convert-npy',
    about: `${label} of float64, ${direction === 'in' ? 'an npy file into a dict' : "a dict's array into an npy file"}`,
    params: { bytes, direction },
    quick: bytes > 64 * MiB ? false : {},
    sides: ['ours', 'cp', 'copy-file', 'numpy'],
    work: (params) => ({ count: 1, unit: 'files', bytes: numberParam(params, 'bytes') }),
    goals: [
      { peer: 'cp', atLeast: 0.95 },
      { metric: 'peakMiB', atMost: 80 },
    ],
    touches: (params) => numberParam(params, 'bytes') * 3,
  };
}

export const CASES: readonly BenchCase[] = [
  appendFrames(64),
  appendFrames(256),
  appendFrames(1024),
  {
    ...appendFrames(64),
    name: 'append-frames-fdatasync/64x1MiB/uint8',
    about: '64 frames of 1 MiB, each on the disk before the next',
    params: { count: 64, bytes: MiB, fdatasync: true },
    quick: { count: 16 },
    sides: ['ours', 'raw-fs'],
    goals: [{ peer: 'raw-fs', atLeast: 0.95 }],
  },
  {
    ...appendFrames(64),
    name: 'append-frames-growth/1e3-1e5x4KiB/uint8',
    about: 'the time per frame does not depend on how many there are',
    params: { count: 0, bytes: 4 * KiB },
    quick: {},
    growth: { param: 'count', sizes: [1e3, 1e4, 1e5], quickSizes: [1e2, 1e3, 1e4] },
    sides: ['ours', 'raw-fs'],
    goals: [{ metric: 'exponent', atMost: 1.05 }],
    touches: () => GiB,
  },
  appendRows('4KiB', 4 * KiB, 0.75),
  appendRows('256KiB', 256 * KiB, 0.95),
  rxFrames('4KiB', 4 * KiB, 16384),
  rxFrames('256KiB', 256 * KiB, 256),
  rxFrames('8MiB', 8 * MiB, 32),
  rxRows('4KiB', 4 * KiB, 16384),
  rxRows('256KiB', 256 * KiB, 256),
  rxRows('8MiB', 8 * MiB, 32),
  {
    name: 'put-each/1e5/record',
    op: 'put-records',
    about: 'records of five fields, a locked commit each',
    params: { count: 1e5, batch: 1 },
    quick: { count: 2e4 },
    sides: RECORD_SIDES,
    work: (params) => ({ count: numberParam(params, 'count'), unit: 'puts' }),
    goals: [
      { peer: 'json-lines', atLeast: 1.2 },
      { peer: 'lmdb', atLeast: 3 },
    ],
    touches: () => 256 * MiB,
  },
  {
    name: 'put-batch/1e5/record',
    op: 'put-records',
    about: 'records of five fields, all of them in one batch',
    params: { count: 1e5, batch: 1e5 },
    quick: { count: 2e4, batch: 2e4 },
    sides: RECORD_SIDES,
    work: (params) => ({ count: numberParam(params, 'count'), unit: 'puts' }),
    goals: [{ peer: 'lmdb', atLeast: 1.5 }],
    touches: () => 256 * MiB,
  },
  {
    name: 'put-each-growth/1e4-1e6/record',
    op: 'put-records',
    about: 'the time per put does not depend on how many keys there are',
    params: { count: 0, batch: 1 },
    quick: {},
    growth: { param: 'count', sizes: [1e4, 1e5, 1e6], quickSizes: [1e3, 1e4, 1e5] },
    sides: ['ours', 'lmdb'],
    work: (params) => ({ count: numberParam(params, 'count'), unit: 'puts' }),
    goals: [{ metric: 'exponent', atMost: 1.05 }],
    touches: () => GiB,
  },
  {
    name: 'open-get/1e3-1e6/record',
    op: 'get-keys',
    about: 'open a file, get one key, close it; with the tail index (ours) and without (ours-walk)',
    params: { keys: 0, gets: 1, opens: 1 },
    quick: {},
    growth: { param: 'keys', sizes: [1e3, 1e5, 1e6], quickSizes: [1e3, 1e4] },
    ceilings: { h5py: 1e5 },
    sides: ['ours', 'ours-walk', 'lmdb', 'h5py', 'cpython', 'better-sqlite3'],
    work: (params) => ({ count: numberParam(params, 'gets'), unit: 'opens' }),
    goals: [
      { metric: 'ms', atMost: 1 },
      { peer: 'lmdb', atLeast: 2 },
    ],
    touches: () => 2 * GiB,
  },
  {
    name: 'open-get-loop/1e3-1e6/record',
    op: 'get-keys',
    about: 'the same a hundred times over in a round: what it takes once code and caches are warm',
    params: { keys: 0, gets: 1, opens: 100 },
    quick: {},
    growth: { param: 'keys', sizes: [1e3, 1e5, 1e6], quickSizes: [1e3, 1e4] },
    sides: ['ours', 'lmdb', 'better-sqlite3'],
    work: (params) => ({ count: numberParam(params, 'opens'), unit: 'opens' }),
    goals: [{ peer: 'lmdb', atLeast: 2 }],
    touches: () => 2 * GiB,
  },
  {
    name: 'open-put-growth/1e4-1e6/record',
    op: 'put-sessions',
    about: 'open a file, put one record, close it: the time does not depend on how many there are',
    params: { keys: 0, sessions: 20 },
    quick: {},
    growth: { param: 'keys', sizes: [1e4, 1e5, 1e6], quickSizes: [1e3, 1e4, 1e5] },
    sides: ['ours', 'lmdb', 'better-sqlite3'],
    work: (params) => ({ count: numberParam(params, 'sessions'), unit: 'sessions' }),
    goals: [{ metric: 'exponent', atMost: 0.2 }],
    touches: () => 2 * GiB,
  },
  {
    name: 'open-walk/1e5/record',
    op: 'get-keys',
    about: 'open a file without a tail index: every entry is walked',
    params: { keys: 1e5, gets: 1, opens: 1 },
    quick: {},
    sides: ['ours-walk', 'cpython'],
    work: (params) => ({ count: numberParam(params, 'gets'), unit: 'opens' }),
    goals: [
      { side: 'ours-walk', metric: 'ms', atMost: 35 },
      { side: 'ours-walk', peer: 'cpython', atLeast: 1 },
    ],
    touches: () => 256 * MiB,
  },
  {
    name: 'walk-cold/4096x1MiB/uint8',
    op: 'walk-cold',
    about: 'open a file of 4096 frames without an index, of which nothing is in the page cache',
    params: { count: 4096, bytes: MiB },
    quick: { count: 1024 },
    sides: ['ours', 'raw-fs'],
    work: (params) => ({ count: numberParam(params, 'count'), unit: 'frames' }),
    goals: [{ peer: 'raw-fs', atLeast: 2 }],
    touches: countBytes,
  },
  {
    name: 'get-random/1e4-of-1e5/record',
    op: 'get-keys',
    about: '1e4 random keys of 1e5 from an open file',
    params: { keys: 1e5, gets: 1e4, opens: 0 },
    quick: {},
    sides: ['ours', 'lmdb', 'cpython', 'better-sqlite3'],
    work: (params) => ({ count: numberParam(params, 'gets'), unit: 'gets' }),
    goals: ahead('lmdb'),
    touches: () => 256 * MiB,
  },
  {
    name: 'open-get-random/1e4-of-1e6/record',
    op: 'get-keys',
    about: 'open a file of 1e6 keys and get 1e4 random ones',
    params: { keys: 1e6, gets: 1e4, opens: 1 },
    quick: { keys: 1e5 },
    sides: ['ours', 'lmdb', 'better-sqlite3'],
    work: (params) => ({ count: numberParam(params, 'gets'), unit: 'gets' }),
    goals: ahead('lmdb'),
    touches: () => GiB,
  },
  reduce('sum', 'sum', [{ peer: 'numpy-memmap', atLeast: 1 }, VIEW_EQUALS_MEMORY]),
  reduce('minmax', 'minmax', [{ peer: 'numpy-memmap', atLeast: 1 }, VIEW_EQUALS_MEMORY]),
  reduce('mean', 'mean', [{ peer: 'numpy-memmap', atLeast: 1 }, VIEW_EQUALS_MEMORY]),
  reduceFrames('sum', 'uint16'),
  reduceFrames('minmax', 'uint16'),
  reduceFrames('sum', 'float32'),
  reduceFrames('minmax', 'float32'),
  reduce('random', 'random-access', [VIEW_EQUALS_MEMORY]),
  {
    ...reduce('sum', 'sum-unaligned', [{ peer: 'numpy-memmap', atLeast: 1.2 }], { offset: 3 }),
    sides: ['ours', 'numpy-memmap'],
  },
  {
    ...reduce('minmax', 'minmax-unaligned', [{ peer: 'numpy-memmap', atLeast: 1.2 }], { offset: 3 }),
    sides: ['ours', 'numpy-memmap'],
  },
  {
    ...reduce('sum', 'open-sum', [{ peer: 'numpy-memmap', atLeast: 1 }], { reopen: true }),
    about: 'open, sum 1 GiB of float64 in the page cache through fresh mappings, close',
    sides: ['ours', 'ours-view', 'numpy-memmap'],
  },
  {
    ...reduce('sum', 'open-sum', [{ peer: 'npyjs', atLeast: 1 }], { reopen: true, count: 2 ** 24 }),
    name: 'open-sum/128MiB/float64',
    about: 'the same with 128 MiB, beside a library that reads the file into memory',
    sides: ['ours', 'npyjs', 'numpy-memmap'],
  },
  {
    name: 'allocate-sparse/20GiB/float64',
    op: 'allocate',
    about: 'allocate 20 GiB that take no disk',
    params: { rows: 2560, planeBytes: 8 * MiB, reserve: false },
    quick: {},
    sides: ['ours', 'numpy-memmap'],
    work: () => ({ count: 1, unit: 'arrays' }),
    goals: [
      { metric: 'ms', atMost: 0.5 },
      { metric: 'peakMiB', atMost: 100 },
    ],
    touches: () => 0,
  },
  {
    name: 'allocate-reserved/20GiB/float64',
    op: 'allocate',
    about: 'allocate 20 GiB of disk',
    params: { rows: 2560, planeBytes: 8 * MiB, reserve: true },
    quick: { rows: 256 },
    sides: ['ours', 'posix-fallocate'],
    work: () => ({ count: 1, unit: 'arrays' }),
    goals: [{ peer: 'posix-fallocate', atLeast: 0.5 }],
    touches: () => 0,
  },
  {
    name: 'write-planes/8x8MiB-of-20GiB/float64',
    op: 'write-planes',
    about: 'write 8 planes of 8 MiB into a fresh sparse array of 20 GiB',
    params: { rows: 2560, planes: 8, planeBytes: 8 * MiB },
    quick: {},
    sides: ['ours', 'raw-fs', 'numpy-memmap'],
    work: (params) => ({
      count: numberParam(params, 'planes'),
      unit: 'planes',
      bytes: numberParam(params, 'planes') * numberParam(params, 'planeBytes'),
    }),
    goals: [{ peer: 'numpy-memmap', atLeast: 6.67 }],
    touches: () => 512 * MiB,
  },
  convert('64MiB', 64 * MiB, 'in'),
  convert('1GiB', GiB, 'in'),
  convert('64MiB', 64 * MiB, 'out'),
  convert('1GiB', GiB, 'out'),
  ...PICKLES.map(([kind, count, ofCPython]) => pickle('load', kind, count, ofCPython)),
  ...PICKLES.map(([kind, count, ofCPython]) => pickle('dump', kind, count, ofCPython)),
  {
    name: 'contention/4x25000/record',
    op: 'contention',
    about: 'four processes append records to one file, a commit each',
    params: { processes: 4, count: 25_000, batch: 1 },
    quick: { count: 5000 },
    sides: ['ours', 'json-lines-flock'],
    work: (params) => ({ count: numberParam(params, 'processes') * numberParam(params, 'count'), unit: 'puts' }),
    goals: [
      { metric: 'putsPerSecond', atLeast: 300_000 },
      { metric: 'lost', atMost: 0 },
      { metric: 'maxLoopDelayMs', atMost: 1 },
      ...ahead('json-lines-flock'),
    ],
    touches: () => GiB,
  },
  {
    name: 'contention-batched/4x25000/record',
    op: 'contention',
    about: 'four processes append records to one file, 32 to a commit',
    params: { processes: 4, count: 25_000, batch: 32 },
    quick: { count: 5000 },
    sides: ['ours', 'json-lines-flock'],
    work: (params) => ({ count: numberParam(params, 'processes') * numberParam(params, 'count'), unit: 'puts' }),
    goals: [
      { metric: 'putsPerSecond', atLeast: 300_000 },
      { metric: 'lost', atMost: 0 },
    ],
    touches: () => GiB,
  },
  {
    name: 'notice/commit/record',
    op: 'notice',
    about: 'from a commit in another process to the callback here',
    params: { count: 300, gapMs: 5 },
    quick: { count: 100 },
    sides: ['ours', 'fs-watch', 'polling-1ms'],
    work: () => ({ count: 1, unit: 'notices' }),
    goals: [
      { metric: 'p50us', atMost: 50 },
      { metric: 'p99us', atMost: 1000 },
      { metric: 'idlePercent', atMost: 1 },
      { metric: 'missed', atMost: 0 },
    ],
    touches: () => 0,
  },
  {
    name: 'map-views/1e5x64/float64',
    op: 'map-views',
    about: 'get each of 1e5 arrays of 64 elements from an open file and read one element',
    params: { count: 1e5 },
    quick: { count: 2e4 },
    sides: ['ours', 'subarray', 'lmdb'],
    work: (params) => ({ count: numberParam(params, 'count'), unit: 'arrays' }),
    goals: [],
    touches: () => 512 * MiB,
  },
  {
    name: 'fill-cube/40GiB/float64',
    op: 'fill-cube',
    about: 'allocate 40 GiB, fill it plane by plane, sum it back',
    params: { rows: 5120, planeBytes: 8 * MiB },
    quick: false,
    long: true,
    sides: ['ours'],
    work: (params) => ({
      count: 1,
      unit: 'cubes',
      bytes: numberParam(params, 'rows') * numberParam(params, 'planeBytes'),
    }),
    goals: [
      { metric: 'allocateMs', atMost: 50 },
      { metric: 'rssMiB', atMost: 300 },
    ],
    touches: () => 0,
  },
];
