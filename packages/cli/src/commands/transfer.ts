/** `mmdpickle import` and `export`: other formats in and out. @module */

import { accessSync, createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pipeline } from 'node:stream/promises';
import { isMmdError, MmdError } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { isSameFile } from '@mmdpickle/core/storage';
import type { CommandSpec, Invocation } from '../command.ts';
import { changeDict, requireKeys } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { FORMATS, formatOf, type ImportOptions, type Transfer } from '../formats/formats.ts';
import { writeErrorOf } from '../formats/out-file.ts';
import { ALLOW_PICKLE, ENCODING, parseDTypeName, parseShapeOption } from '../option-values.ts';
import { ProgressBar } from '../progress.ts';
import { print, printJson, type Terminal, tellNote } from '../terminal.ts';
import { keyText } from '../text.ts';

const FORMAT_OPTION = {
  flags: '--format <format>',
  doc: `${Object.entries(FORMATS)
    .map(([name, { doc }]) => `${name} (${doc})`)
    .join(', ')}; else by the file name`,
  choices: Object.keys(FORMATS),
};

/** `mmdpickle import` */
export const importCommand: CommandSpec = {
  args: '<file> <inputs...>',
  argDocs: {
    file: 'the mmdpickle file, created if it does not exist',
    inputs:
      'the files to import; - for standard input, with --format. All files of one format are one commit; each safetensors or raw file is a commit of its own',
  },
  options: [
    FORMAT_OPTION,
    { flags: '--key <key>', doc: 'the key, or the folder for several arrays; the file name if not given' },
    { flags: '--dtype <dtype>', doc: 'raw, csv: the element type', parse: parseDTypeName },
    { flags: '--shape <dims>', doc: 'raw: the shape', parse: parseShapeOption },
    ALLOW_PICKLE,
    ENCODING,
  ],
  examples: [
    { line: 'mmdpickle import new.mmdpickle flat.npy frames.npz', doc: 'numpy files' },
    { line: 'mmdpickle import new.mmdpickle frames.raw --dtype uint16 --shape 4,4,8 --key frames', doc: 'raw bytes' },
    { line: 'mmdpickle import new.mmdpickle settings.pkl', doc: 'the keys of a pickled dict' },
    { line: 'cat flat.npy | mmdpickle import new.mmdpickle - --format npy --key flat', doc: 'from a pipe' },
  ],
  async run(invocation) {
    const { args, rest, options, terminal, json } = invocation;
    const named = options.format as string | undefined;
    using spool = new Spool(terminal);
    const groups = new Map<ReturnType<typeof formatOf>, string[]>();
    for (const input of rest) {
      const format = formatOf(input, named);
      // Checked before the target is created, so that a missing file leaves no empty target behind.
      if (input !== '-') accessSync(input);
      const path = input === '-' ? spool.path(STDIN, format.extensions) : input;
      if (input === '-') await spooled(terminal, path);
      const paths = groups.get(format);
      if (paths === undefined) groups.set(format, [path]);
      else paths.push(path);
    }
    using bar = new ProgressBar(invocation, 'import');
    const keys = new Set<string>();
    const done = new Set<string>();
    const note = (all: readonly string[]): void => {
      for (const key of all) {
        done.add(key);
        keys.add(key);
      }
    };
    const take = (key: string): string => {
      if (keys.has(key)) throw new MmdError('BAD_KEY', `two inputs have the key ${JSON.stringify(key)}`, { key });
      keys.add(key);
      return key;
    };
    await changeDict(args[0] ?? '', async (dict) => {
      // Files of one format are imported together: several npy files are one commit. npy comes first, since its keys are only
      // returned once they are stored.
      for (const format of Object.values(FORMATS)) {
        const paths = groups.get(format) ?? [];
        if (paths.length === 0) continue;
        const { nameOf } = spool;
        const importOptions = { ...options, terminal, json, nameOf, take, done: note } as ImportOptions;
        note(await format.read(paths, dict, importOptions, transferOf(invocation, bar)));
      }
    }).catch((error: unknown) => {
      bar[Symbol.dispose]();
      if (done.size > 0) tellNote(invocation, `imported before the error: ${Array.from(done, keyText).join(' ')}`);
      throw spool.named(error);
    });
    bar[Symbol.dispose]();
    if (json) await printJson(terminal, { keys: [...done] });
    else await print(terminal, Array.from(done, (key) => `${keyText(key)}\n`).join(''));
    return 'ok';
  },
};

/** `mmdpickle export` */
export const exportCommand: CommandSpec = {
  args: '<file> <output> [keys...]',
  argDocs: {
    file: 'the mmdpickle file',
    output: 'the file to write, - for standard output; for npy and several keys a directory',
    keys: 'the keys; if none is given, all that the format can hold',
  },
  options: [FORMAT_OPTION],
  examples: [
    { line: 'mmdpickle export run.mmdpickle arrays.npz dark cube', doc: 'two arrays for numpy.load' },
    { line: 'mmdpickle export run.mmdpickle folder --format npy', doc: 'an .npy file for each array' },
    { line: 'mmdpickle export run.mmdpickle temperature.csv temperature', doc: 'a table' },
    { line: 'mmdpickle export run.mmdpickle all.pkl', doc: 'an ordinary pickle of everything' },
    { line: 'mmdpickle export run.mmdpickle - dark --format npy > dark.npy', doc: 'to a pipe' },
  ],
  async run(invocation) {
    const { args, rest, options, terminal, json } = invocation;
    const [path = '', output = ''] = args;
    const format = formatOf(output, options.format as string | undefined);
    // Pickles keep Python's types as they were; for the other formats, plain numbers are enough.
    using dict = MmapDict.open(path, { mode: 'r', load: { lossless: format === FORMATS.pickle } });
    requireKeys(dict, path, rest);
    if (output !== '-' && nameOneFile(path, output))
      throw usageError(`${output} is the file itself: export to another file`);
    const keys = rest.length > 0 ? rest : keysFor(dict, format.arraysOnly, invocation);
    using spool = new Spool(terminal);
    using bar = new ProgressBar(invocation, 'export');
    const target = output === '-' ? spool.path(STDOUT, format.extensions) : output;
    if (output === '-' && keys.length !== 1 && format === FORMATS.npy)
      throw usageError('standard output can hold one .npy file: name one key');
    await format.write(dict, keys, target, transferOf(invocation, bar)).catch((error: unknown) => {
      throw spool.named(error);
    });
    bar[Symbol.dispose]();
    if (output === '-') {
      const pieces = createReadStream(target, { signal: terminal.signal });
      for await (const piece of pieces) await print(terminal, piece as Buffer);
    } else if (json) await printJson(terminal, { output, keys });
    return 'ok';
  },
};

function nameOneFile(path: string, other: string): boolean {
  const [a, b] = [path, other].map((name) => statSync(name, { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && isSameFile(a, b);
}

/** All keys whose values the format can hold; the number of the others is printed on standard error. */
function keysFor(dict: MmapDict, arraysOnly: boolean, invocation: Invocation): string[] {
  const keys = [...dict.keys()];
  if (!arraysOnly) return keys;
  const arrays = keys.filter((key) => dict.getMeta(key)?.dtype !== undefined);
  const skipped = keys.length - arrays.length;
  if (skipped > 0)
    tellNote(invocation, `${skipped} ${skipped === 1 ? 'value is not an array' : 'values are not arrays'}: left out`);
  return arrays;
}

function transferOf({ terminal }: Invocation, { update }: ProgressBar): Transfer {
  return {
    get signal() {
      return terminal.signal;
    },
    onProgress: update,
  };
}

/** Copies standard input into a file. */
async function spooled({ stdin, signal }: Terminal, path: string): Promise<void> {
  try {
    await pipeline(stdin, createWriteStream(path), { signal });
  } catch (error) {
    throw writeErrorOf(path, error);
  }
}

/** The name of a file in the spool, and what it is called in messages. */
const STDIN = { file: 'stdin', spoken: 'standard input' } as const;
const STDOUT = { file: 'stdout', spoken: 'standard output' } as const;

/** Temporary files for data that comes or goes through a pipe but must be in a file for a moment. */
class Spool implements Disposable {
  readonly #terminal: Terminal;
  #folder: string | undefined;
  /** The names of the files in messages, by path. */
  readonly #spoken = new Map<string, string>();
  /** Also runs when a closed pipe or a second signal ends the process at once. */
  readonly #remove = (): void => {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  };

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** A path to write to, with the format's extension. */
  path(
    { file, spoken }: { readonly file: string; readonly spoken: string },
    [extension = '']: readonly string[],
  ): string {
    if (this.#folder === undefined) process.on('exit', this.#remove);
    // A signal that is not handled ends the process without its `exit` event.
    void this.#terminal.signal;
    this.#folder ??= mkdtempSync(join(tmpdir(), 'mmdpickle-'));
    const path = join(this.#folder, `${file}${extension}`);
    this.#spoken.set(path, spoken);
    return path;
  }

  /** The name of a path in messages. */
  readonly nameOf = (path: string): string => this.#spoken.get(path) ?? path;

  /** The error without paths of the spool, unless it is the disk under the spool that failed. */
  named(error: unknown): unknown {
    if (!isMmdError(error) || error.errno !== undefined) return error;
    const { code, offset, expected, found, key } = error;
    for (const [path, spoken] of this.#spoken) {
      if (!error.message.includes(path)) continue;
      const message = error.message.replaceAll(path, spoken);
      return new MmdError(code, message, { offset, expected, found, key, cause: error });
    }
    return error;
  }

  [Symbol.dispose](): void {
    this.#remove();
    process.off('exit', this.#remove);
  }
}
