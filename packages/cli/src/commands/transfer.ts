/** `mmdpickle import` and `export`: other formats in and out. @module */

import { readFileSync, writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { MmdError, ndarray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { dump, load } from '@mmdpickle/core/pickle';
import {
  mmdToNpy,
  mmdToNpz,
  mmdToRaw,
  mmdToSafetensors,
  npyToMmd,
  npzToMmd,
  rawToMmd,
  safetensorsToMmd,
} from '@mmdpickle/npy-interop';
import { parse as parseCsv } from 'csv-parse/sync';
import { requireArray } from '../arrays.ts';
import type { CommandSpec } from '../command.ts';
import { csvRows } from '../csv.ts';
import { keyNotFound, usageError } from '../errors.ts';
import { parseShapeOption } from '../ingest/format.ts';
import { ProgressBar } from '../progress.ts';
import { print, printJson } from '../terminal.ts';

/** What one import or export is given beside the files. */
interface Transfer {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressBar['update'];
}

interface ImportOptions {
  readonly key: string | undefined;
  readonly dtype: string | undefined;
  readonly shape: readonly number[] | undefined;
}

/** A format by its file name's ending. */
interface FormatRow {
  readonly extensions: readonly string[];
  readonly doc: string;
  /** Takes a file in; returns the keys. */
  read(path: string, dict: MmapDict, options: ImportOptions, transfer: Transfer): Promise<readonly string[]>;
  /** Writes keys out to a file, or a directory where each array is a file. */
  write(dict: MmapDict, keys: readonly string[], path: string, transfer: Transfer): Promise<void>;
}

/** Every format that goes in and out; the help, the commands and the tests loop over the rows. */
export const FORMATS: Readonly<Record<string, FormatRow>> = {
  npy: {
    extensions: ['.npy'],
    doc: "numpy's single array; out: a directory with a file for each key",
    read: async (path, dict, { key }, transfer) =>
      (await npyToMmd(path, dict, { ...(key !== undefined && { keys: [key] }), ...transfer })).keys,
    write: async (dict, keys, path, transfer) => void (await mmdToNpy(dict, keys, path, transfer)),
  },
  npz: {
    extensions: ['.npz'],
    doc: "numpy's archive of arrays",
    read: async (path, dict, { key }, transfer) =>
      (await npzToMmd(path, dict, { ...(key !== undefined && { keys: (member) => `${key}/${member}` }), ...transfer }))
        .keys,
    write: async (dict, keys, path, transfer) => void (await mmdToNpz(dict, keys, path, transfer)),
  },
  safetensors: {
    extensions: ['.safetensors'],
    doc: 'tensors with a JSON header',
    read: async (path, dict, { key }, transfer) =>
      (
        await safetensorsToMmd(path, dict, {
          ...(key !== undefined && { keys: (name) => `${key}/${name}` }),
          ...transfer,
        })
      ).keys,
    write: async (dict, keys, path, transfer) => void (await mmdToSafetensors(dict, keys, path, transfer)),
  },
  pickle: {
    extensions: ['.pkl', '.pickle'],
    doc: 'an ordinary pickle: a dict becomes its keys, anything else one key',
    read: async (path, dict, { key }) => importPickle(path, dict, key),
    write: async (dict, keys, path) => writeFileSync(path, dump(new Map(keys.map((key) => [key, dict.get(key)])))),
  },
  raw: {
    extensions: ['.raw', '.bin'],
    doc: 'bare elements, with --dtype and --shape',
    read: async (path, dict, { key, dtype, shape }, transfer) => {
      if (dtype === undefined) throw usageError('raw bytes need --dtype, and --shape for more than one axis');
      return (
        await rawToMmd(path, dict, {
          key: key ?? stem(path),
          dtype,
          ...(shape !== undefined && { shape }),
          ...transfer,
        })
      ).keys;
    },
    write: async (dict, keys, path, transfer) => {
      const [key, ...more] = keys;
      if (key === undefined || more.length > 0) throw usageError('raw bytes hold one array: name one key');
      await mmdToRaw(dict, key, path, transfer);
    },
  },
  csv: {
    extensions: ['.csv'],
    doc: 'rows of numbers, or of named columns where the first line is a heading',
    read: async (path, dict, { key, dtype }) => importCsv(path, dict, key ?? stem(path), dtype),
    write: async (dict, keys, path) => exportCsv(dict, keys, path),
  },
};

const FORMAT_OPTION = {
  flags: '--format <format>',
  doc: `${Object.entries(FORMATS)
    .map(([name, { doc }]) => `${name} (${doc})`)
    .join(', ')}; else by the file name`,
  choices: Object.keys(FORMATS),
};

/** `mmdpickle import` */
export const importCommand: CommandSpec = {
  name: 'import',
  summary: 'Take arrays and pickles into a file; array bytes are copied by the kernel',
  args: '<file> <inputs...>',
  argDocs: { file: 'the mmdpickle file, made when it is not there', inputs: 'the files to take in' },
  options: [
    FORMAT_OPTION,
    { flags: '--key <key>', doc: 'the key, or the folder for files of many arrays; else the file name' },
    { flags: '--dtype <dtype>', doc: 'raw, csv: the element type' },
    { flags: '--shape <dims>', doc: 'raw: the shape', parse: parseShapeOption },
  ],
  examples: [
    { line: 'mmdpickle import new.mmdpickle flat.npy frames.npz', doc: 'numpy files' },
    { line: 'mmdpickle import new.mmdpickle frames.raw --dtype uint16 --shape 4,4,8 --key frames', doc: 'raw bytes' },
    { line: 'mmdpickle import new.mmdpickle settings.pkl', doc: 'the keys of a pickled dict' },
  ],
  async run(invocation) {
    const { args, rest, options, terminal, json } = invocation;
    using dict = MmapDict.open(args[0] ?? '');
    using bar = new ProgressBar(invocation, 'import');
    const keys: string[] = [];
    for (const path of rest) {
      const format = formatOf(path, options.format);
      keys.push(
        ...(await format.read(path, dict, options as unknown as ImportOptions, {
          signal: terminal.signal,
          onProgress: bar.update,
        })),
      );
    }
    if (json) await printJson(terminal, { keys });
    else await print(terminal, keys.map((key) => `${key}\n`).join(''));
    return 'ok';
  },
};

/** `mmdpickle export` */
export const exportCommand: CommandSpec = {
  name: 'export',
  summary: 'Write arrays and values out to another format',
  args: '<file> <output> [keys...]',
  argDocs: {
    file: 'the mmdpickle file',
    output: 'the file or, for npy, the directory to write',
    keys: 'the keys; all when none is given',
  },
  options: [FORMAT_OPTION],
  examples: [
    { line: 'mmdpickle export run.mmdpickle arrays.npz dark cube', doc: 'two arrays for numpy.load' },
    { line: 'mmdpickle export run.mmdpickle folder --format npy dark', doc: 'an .npy file for each key' },
    { line: 'mmdpickle export run.mmdpickle temperature.csv temperature', doc: 'a table' },
    { line: 'mmdpickle export run.mmdpickle all.pkl', doc: 'an ordinary pickle of everything' },
  ],
  async run(invocation) {
    const { args, rest, options, terminal } = invocation;
    const [path = '', output = ''] = args;
    using dict = MmapDict.open(path, { mode: 'r' });
    const missing = rest.find((key) => !dict.has(key));
    if (missing !== undefined) throw keyNotFound(path, missing);
    using bar = new ProgressBar(invocation, 'export');
    const keys = rest.length > 0 ? rest : [...dict.keys()];
    await formatOf(output, options.format).write(dict, keys, output, {
      signal: terminal.signal,
      onProgress: bar.update,
    });
    return 'ok';
  },
};

function formatOf(path: string, named: unknown): FormatRow {
  const name = named as string | undefined;
  const extension = extname(path).toLowerCase();
  const format =
    name === undefined
      ? Object.values(FORMATS).find(({ extensions }) => extensions.includes(extension))
      : FORMATS[name];
  if (format !== undefined) return format;
  throw usageError(`${path}: say with --format what it is (${Object.keys(FORMATS).join(', ')})`, path);
}

function stem(path: string): string {
  return basename(path, extname(path));
}

function importPickle(path: string, dict: MmapDict, key: string | undefined): string[] {
  const value = load(readFileSync(path));
  if (!(value instanceof Map)) {
    dict.set(key ?? stem(path), value);
    return [key ?? stem(path)];
  }
  const keys = [...value.keys()].map((name) => {
    if (typeof name === 'string') return key === undefined ? name : `${key}/${name}`;
    throw new MmdError('BAD_KEY', `${path}: a key of the pickled dict is not text: ${String(name)}`, {
      path,
      found: name,
    });
  });
  const values = [...value.values()];
  dict.batch(() => keys.forEach((name, index) => void dict.set(name, values[index])));
  return keys;
}

function importCsv(path: string, dict: MmapDict, key: string, dtype = 'float64'): string[] {
  const rows = parseCsv(readFileSync(path), { skip_empty_lines: true, bom: true, trim: true }) as string[][];
  const [heading = []] = rows;
  const named = heading.some((cell) => cell !== '' && Number.isNaN(Number(cell)) && !/^nan$/i.test(cell));
  const body = named ? rows.slice(1) : rows;
  const numbers = body.map((row, index) => row.map((cell) => cellNumber(cell, path, index + (named ? 2 : 1))));
  const columns = heading.length;
  if (!named) {
    dict.set(key, ndarray(numbers, [body.length, columns], dtype));
    return [key];
  }
  dict.batch(() =>
    heading.forEach(
      (name, column) =>
        void dict.set(
          `${key}/${name}`,
          ndarray(
            numbers.map((row) => row[column] ?? Number.NaN),
            [body.length],
            dtype,
          ),
        ),
    ),
  );
  return heading.map((name) => `${key}/${name}`);
}

function cellNumber(cell: string, path: string, line: number): number {
  const value = cell === '' ? Number.NaN : Number(cell);
  if (Number.isNaN(value) && cell !== '' && !/^nan$/i.test(cell)) {
    throw new MmdError('BAD_FORMAT', `${path}: line ${line}: ${JSON.stringify(cell)} is not a number`, {
      path,
      found: cell,
    });
  }
  return value;
}

function exportCsv(dict: MmapDict, keys: readonly string[], path: string): void {
  const [key, ...more] = keys;
  if (key === undefined || more.length > 0) throw usageError('a CSV file holds one array: name one key');
  writeFileSync(path, [...csvRows(requireArray(dict.get(key), key, 'csv'))].join(''));
}
