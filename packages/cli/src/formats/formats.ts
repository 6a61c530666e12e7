/** The table of import and export formats. @module */

import { statSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { type ArraySource, MaskedArray, NDArray } from '@mmdpickle/core';
import { type MmapDict, openPickle } from '@mmdpickle/core/node';
import { dump, type Encoding } from '@mmdpickle/core/pickle';
import {
  mmdToNpy,
  mmdToNpz,
  mmdToRaw,
  mmdToSafetensors,
  npyToMmd,
  npzToMmd,
  rawToMmd,
  safetensorsToMmd,
  writeNpy,
} from '@mmdpickle/npy-interop';
import { requireArray } from '../arrays.ts';
import { usageError } from '../errors.ts';
import { type FromFiles, tellBehind, tellRest } from '../input.ts';
import type { ProgressBar } from '../progress.ts';
import { writeOut } from './out-file.ts';

/** Options of one import or export. */
export interface Transfer {
  /** Reading this property takes over Ctrl-C; code that cannot stop must not read it, so that Ctrl-C ends the process. */
  readonly signal: AbortSignal;
  readonly onProgress: ProgressBar['update'];
}

/** The options of `import`. */
export interface ImportOptions extends FromFiles {
  readonly key?: string;
  readonly dtype?: string;
  readonly shape?: readonly number[];
  readonly allowPickle?: boolean;
  readonly encoding?: Encoding;
  /** Reserves a key and returns it. @throws MmdError BAD_KEY if another input has it */
  readonly take: (key: string) => string;
  /** Called with the keys of each commit, if there are several. */
  readonly done: (keys: readonly string[]) => void;
}

/** One format. */
interface FormatRow {
  /** The extensions of its files. */
  readonly extensions: readonly string[];
  readonly doc: string;
  /** Whether it holds arrays only. */
  readonly arraysOnly: boolean;
  /** Imports files, in one commit if the format reads them together; returns the keys. */
  read(paths: readonly string[], dict: MmapDict, options: ImportOptions, transfer: Transfer): Promise<string[]>;
  /** Exports keys to a file, or to a directory with a file for each array. */
  write(dict: MmapDict, keys: readonly string[], path: string, transfer: Transfer): Promise<void>;
}

/** Every format; the help, the commands and the tests loop over the rows. */
export const FORMATS: Readonly<Record<string, FormatRow>> = {
  npy: {
    extensions: ['.npy'],
    doc: 'a single numpy array; export: FILE.npy for one key, else a directory with a file for each',
    arraysOnly: true,
    async read(paths, dict, options, transfer) {
      const { key, allowPickle, encoding } = options;
      const onRest = tellBehind.bind(undefined, options);
      const keyOf = key === undefined ? undefined : (path: string) => nameOf(path, paths, key);
      return [
        ...(await npyToMmd(paths, dict, { keys: keyOf, allowPickle, onRest, pickle: { encoding }, ...transfer })).keys,
      ];
    },
    async write(dict, keys, path, transfer) {
      const [key] = keys;
      const isFile = keys.length === 1 && extname(path) === '.npy' && !path.endsWith('/');
      const array = isFile ? dict.get(key as string) : undefined;
      if (array instanceof MaskedArray) {
        const text = `${JSON.stringify(key)} is a masked array, which needs several .npy files: name a directory or an .npz file`;
        throw usageError(text);
      }
      if (array instanceof NDArray) writeNpy(path, array);
      else await mmdToNpy(dict, keys, path, transfer);
    },
  },
  npz: {
    extensions: ['.npz'],
    doc: "numpy's archive of arrays",
    arraysOnly: true,
    async read(paths, dict, options, transfer) {
      const { key, allowPickle, encoding, take } = options;
      const onRest = tellBehind.bind(undefined, options);
      const how = { keys: memberKeys(key, take), allowPickle, onRest, pickle: { encoding }, ...transfer };
      return [...(await npzToMmd(paths, dict, how)).keys];
    },
    write: async (dict, keys, path, transfer) => void (await mmdToNpz(dict, keys, path, transfer)),
  },
  safetensors: {
    extensions: ['.safetensors'],
    doc: 'tensors with a JSON header',
    arraysOnly: true,
    read: (paths, dict, { key, take, done }, transfer) =>
      eachOf(paths, done, (path) => safetensorsToMmd(path, dict, { keys: memberKeys(key, take), ...transfer })),
    write: async (dict, keys, path, transfer) => void (await mmdToSafetensors(dict, keys, path, transfer)),
  },
  pickle: {
    extensions: ['.pkl', '.pickle'],
    doc: 'an ordinary pickle: a dict becomes its keys, anything else one key',
    arraysOnly: false,
    read: async (paths, dict, options) => dict.batch(() => paths.flatMap((path) => importPickle(path, dict, options))),
    write: async (dict, keys, path, transfer) =>
      await writeOut(path, [dump(new Map(keys.map((key) => [key, dict.get(key)])))], transfer),
  },
  raw: {
    extensions: ['.raw', '.bin'],
    doc: 'bare elements; import: with --dtype and --shape',
    arraysOnly: true,
    async read(paths, dict, options, transfer) {
      const { key, dtype, shape, take, done } = options;
      if (dtype === undefined) throw usageError('raw bytes need --dtype, and --shape for more than one axis');
      const names = new Map(paths.map((path) => [path, take(nameOf(path, paths, key))]));
      return await eachOf(paths, done, async (path) => {
        const imported = await rawToMmd(path, dict, {
          key: names.get(path) as string,
          dtype,
          ...(shape !== undefined && { shape }),
          ...transfer,
        });
        const rest = statSync(path).size - imported.bytes;
        if (rest > 0) tellBehind(options, { name: path, bytes: rest });
        return imported;
      });
    },
    write: async (dict, keys, path, transfer) =>
      void (await mmdToRaw(dict, onlyOne(keys, 'raw bytes'), path, transfer)),
  },
  csv: {
    extensions: ['.csv'],
    doc: 'rows of numbers, or of named columns if the first line is a header',
    arraysOnly: true,
    async read(paths, dict, { key, dtype = 'float64', take }, transfer) {
      const { readCsv } = await import('./csv-import.ts');
      const arrays = new Map<string, ArraySource>();
      for (const path of paths) {
        const table = await readCsv(path, nameOf(path, paths, key), dtype, transfer);
        for (const [name, array] of table) arrays.set(take(name), array);
      }
      dict.batch(() => dict.update(arrays));
      return [...arrays.keys()];
    },
    async write(dict, keys, path, transfer) {
      const { csvRows } = await import('./csv.ts');
      const key = onlyOne(keys, 'a CSV file');
      await writeOut(path, csvRows(requireArray(dict.get(key), key, 'csv')), transfer);
    },
  },
};

/** The format by its name or else by the file's extension. @throws MmdError INVALID_ARGUMENT */
export function formatOf(path: string, named: string | undefined): FormatRow {
  const extension = extname(path).toLowerCase();
  const format =
    named === undefined
      ? Object.values(FORMATS).find(({ extensions }) => extensions.includes(extension))
      : FORMATS[named];
  if (format !== undefined) return format;
  throw usageError(
    `${path}: the name does not show the format; use --format (${Object.keys(FORMATS).join(', ')})`,
    path,
  );
}

async function eachOf(
  paths: readonly string[],
  done: ImportOptions['done'],
  read: (path: string) => Promise<{ readonly keys: readonly string[] }>,
): Promise<string[]> {
  const all: string[] = [];
  for (const path of paths) {
    const { keys } = await read(path);
    done(keys);
    all.push(...keys);
  }
  return all;
}

/** The keys for the members of an archive, in the folder if one is given. */
function memberKeys(folder: string | undefined, take: ImportOptions['take']): (member: string) => string {
  return (member) => take(folder === undefined ? member : below(folder, member));
}

/** The key for the content of one of several files. */
function nameOf(path: string, paths: readonly string[], key: string | undefined): string {
  return key === undefined ? stem(path) : paths.length === 1 ? key : below(key, stem(path));
}

function below(folder: string, name: string): string {
  return `${folder.replace(/\/$/, '')}/${name}`;
}

function stem(path: string): string {
  return basename(path, extname(path));
}

function onlyOne(keys: readonly string[], what: string): string {
  const [key, ...more] = keys;
  if (key === undefined || more.length > 0) throw usageError(`${what} can hold only one array: name one key`);
  return key;
}

/** Stores the content of a pickle; arrays are copied from its mapping. */
function importPickle(path: string, dict: MmapDict, options: ImportOptions): string[] {
  const { key, encoding, take } = options;
  using pickle = openPickle(path, { encoding, lossless: true });
  tellRest(options, path, pickle.end);
  if (!(pickle.value instanceof Map)) {
    const name = take(key ?? stem(path));
    dict.set(name, pickle.value);
    return [name];
  }
  return [...pickle.items()].map(([member, value]) => {
    const name = take(key === undefined ? member : below(key, member));
    dict.set(name, value);
    return name;
  });
}
