/** The programs we are compared with. A side that is not in this table needs only Node. */

export interface Peer {
  /** `node`: an npm package imported in a Node process; `python`: modules imported in a CPython process. */
  readonly runtime: 'node' | 'python';
  /** The package, or the Python modules. */
  readonly needs: readonly string[];
  readonly about: string;
  /** What to do when it is missing. */
  readonly remedy: string;
}

const NPM = 'pnpm install';

export const PEERS: { readonly [side: string]: Peer } = {
  lmdb: {
    runtime: 'node',
    needs: ['lmdb'],
    about: 'a memory-mapped B+tree, noSync: commits reach the page cache, as ours do without durability',
    remedy: NPM,
  },
  'h5wasm-swmr': {
    runtime: 'node',
    needs: ['h5wasm'],
    about: 'HDF5 compiled to WebAssembly; extendible chunked dataset in SWMR mode, flushed after every append',
    remedy: NPM,
  },
  zarrita: { runtime: 'node', needs: ['zarrita'], about: 'Zarr v3 on the filesystem, one chunk a frame', remedy: NPM },
  'better-sqlite3': {
    runtime: 'node',
    needs: ['better-sqlite3'],
    about: 'SQLite, WAL, synchronous=OFF, prepared statements',
    remedy: 'pnpm bench --build-peers (compiles for about a minute, needs a C++ compiler)',
  },
  pickleparser: { runtime: 'node', needs: ['pickleparser'], about: 'the best-known pickle reader on npm', remedy: NPM },
  npyjs: { runtime: 'node', needs: ['npyjs'], about: 'the best-known npy reader on npm', remedy: NPM },
  h5py: {
    runtime: 'python',
    needs: ['h5py', 'numpy'],
    about: 'HDF5 in CPython',
    remedy: 'apt-get install --no-install-recommends python3-h5py',
  },
  'numpy-memmap': {
    runtime: 'python',
    needs: ['numpy'],
    about: 'numpy.memmap, or numpy.lib.format.open_memmap, in CPython',
    remedy: 'apt-get install --no-install-recommends python3-numpy',
  },
  numpy: {
    runtime: 'python',
    needs: ['numpy'],
    about: 'numpy.load and numpy.save in CPython',
    remedy: 'apt-get install --no-install-recommends python3-numpy',
  },
  cpython: {
    runtime: 'python',
    needs: ['_pickle'],
    about: "CPython's pickle, the C implementation",
    remedy: 'install python3',
  },
  'posix-fallocate': {
    runtime: 'python',
    needs: ['os'],
    about: 'os.posix_fallocate on an empty file, nothing else',
    remedy: 'install python3',
  },
};
