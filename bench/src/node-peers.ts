/** The npm peers as the operations use them: the parts of their types that are needed, and how to open them. */

import { importPeer, orMissing } from './peer-import.ts';

export interface LmdbDatabase {
  putSync(key: string, value: unknown): boolean;
  get(key: string): unknown;
  transactionSync(action: () => void): void;
  close(): Promise<void>;
}

type OpenLmdb = (path: string, options?: object) => LmdbDatabase;

/** Opens lmdb databases without fsync: a commit is in the page cache, as ours is with durability 'none'. */
export async function lmdb(): Promise<OpenLmdb> {
  const { open } = await importPeer<{ open: OpenLmdb }>('lmdb');
  return (path, options) => open(path, { noSync: true, compression: false, mapSize: 8 * 2 ** 30, ...options });
}

export interface H5Dataset {
  readonly shape: number[];
  resize(shape: number[]): number;
  write_slice(ranges: (readonly [number, number] | [])[], data: unknown): void;
}

export interface H5File {
  create_dataset(options: {
    name: string;
    data: unknown;
    shape?: number[];
    dtype?: string;
    maxshape?: (number | null)[];
    chunks?: number[];
  }): H5Dataset;
  get(name: string): H5Dataset;
  start_swmr_write(): void;
  flush(): void;
  close(): void;
}

/** Opens HDF5 files for writing, in the file format that SWMR needs. */
export async function h5wasm(): Promise<(path: string) => H5File> {
  interface Module {
    ready: Promise<unknown>;
    File: new (path: string, mode: string, options?: object) => H5File;
  }
  const module = await importPeer<Module & { default?: Module }>('h5wasm/node');
  const { ready, File } = module.File === undefined && module.default !== undefined ? module.default : module;
  await ready;
  return (path) => new File(path, 'w', { libver: 'v110' });
}

export interface SqliteDatabase {
  pragma(text: string): unknown;
  exec(sql: string): unknown;
  prepare(sql: string): { run(...values: unknown[]): unknown; get(...values: unknown[]): unknown };
  transaction(action: () => void): () => void;
  close(): void;
}

/** Opens SQLite databases with a write-ahead log and without fsync. */
export async function sqlite(): Promise<(path: string) => SqliteDatabase> {
  const { default: Database } = await importPeer<{ default: new (path: string) => SqliteDatabase }>('better-sqlite3');
  orMissing('better-sqlite3', () => new Database(':memory:').close());
  return (path) => {
    const database = new Database(path);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = OFF');
    return database;
  };
}
