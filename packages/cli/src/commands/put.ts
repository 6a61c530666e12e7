import { extname } from 'node:path';
import { PyFloat, parseJson } from '@mmdpickle/core';
import { type LoadOptions, loadAt } from '@mmdpickle/core/pickle';
import type { CommandSpec } from '../command.ts';
import { changeDict } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { readInput, tellBehind, tellRest } from '../input.ts';
import { ALLOW_PICKLE, ENCODING } from '../option-values.ts';
import { printJson } from '../terminal.ts';
import { parseNumber } from '../text.ts';

/** Decodes text completely: a byte order mark, which decoders remove by default, is kept as a character. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw usageError('value: the bytes are not UTF-8');
  }
}

/** How bytes become a value; the first row applies to text on the command line by default. */
const TYPES = {
  auto: {
    doc: 'a number or other JSON if it parses as such, else a str; the default',
    read: (bytes) => jsonOrText(textOf(bytes)),
  },
  json: { doc: 'JSON', read: (bytes) => readJson(textOf(bytes)) },
  str: { doc: 'a str', read: (bytes) => textOf(bytes) },
  bytes: { doc: 'bytes', read: (bytes) => bytes },
  int: { doc: 'an int of any size', read: (bytes) => parseInteger(textOf(bytes)) },
  float: { doc: 'a float', read: (bytes) => parseFloatText(textOf(bytes)) },
  npy: {
    doc: 'an array',
    read: async (bytes, { pickle, allowPickle, onRest }) =>
      (await import('@mmdpickle/npy-interop')).readNpy(bytes, { allowPickle, pickle, onRest }),
  },
  pickle: {
    doc: 'the content of a pickle',
    read(bytes, { pickle, onEnd }) {
      const { value, end } = loadAt(bytes, 0, pickle);
      onEnd(end);
      return value;
    },
  },
} as const satisfies Record<string, { doc: string; read(bytes: Uint8Array, settings: ReadSettings): unknown }>;

/** Options for the readers of pickles, and callbacks for the end of the pickle, and for bytes after an array. */
interface ReadSettings {
  readonly pickle: LoadOptions;
  readonly allowPickle: boolean;
  onEnd(end: number): void;
  onRest(rest: { readonly bytes: number }): void;
}

type TypeName = keyof typeof TYPES;

/** The type of a file's content by its extension. */
const BY_EXTENSION: Readonly<Record<string, TypeName>> = {
  '.json': 'json',
  '.npy': 'npy',
  '.pkl': 'pickle',
  '.pickle': 'pickle',
  '.txt': 'str',
};

/** `mmdpickle put`: stores one value. */
export const put: CommandSpec = {
  args: '<file> <key> <value>',
  argDocs: {
    file: 'the mmdpickle file, created if it does not exist',
    key: 'the key',
    value: 'the value itself, @PATH for the content of a file, or - for standard input',
  },
  options: [
    {
      flags: '--type <type>',
      doc: `the type of the value: ${Object.entries(TYPES)
        .map(([name, { doc }]) => `${name} (${doc})`)
        .join(', ')}`,
      choices: Object.keys(TYPES),
    },
    ALLOW_PICKLE,
    ENCODING,
  ],
  examples: [
    { line: 'mmdpickle put run.mmdpickle gain 2.5', doc: 'a float' },
    { line: `mmdpickle put run.mmdpickle settings '{"exposure": [1, 2, 5]}'`, doc: 'a dict' },
    { line: 'mmdpickle put run.mmdpickle flat @flat.npy', doc: 'an array' },
    { line: 'echo night shift | mmdpickle put run.mmdpickle note - --type str', doc: 'text from standard input' },
  ],
  async run({ terminal, args, options, json }) {
    const [path = '', key = '', text = ''] = args;
    const type = options.type as TypeName | undefined;
    const allowPickle = options.allowPickle === true;
    const pickle: LoadOptions = { encoding: options.encoding as LoadOptions['encoding'], lossless: true };
    const value = await readValue(text, type);
    const commitNumber = await changeDict(path, (dict) => dict.set(key, value).commitNumber);
    if (json) await printJson(terminal, { key, commitNumber });
    return 'ok';

    async function readValue(word: string, named: TypeName | undefined): Promise<unknown> {
      if (word !== '-' && !word.startsWith('@'))
        return await readAs(named ?? 'auto', new TextEncoder().encode(word), '');
      const file = word === '-' ? word : word.slice(1);
      const name = named ?? BY_EXTENSION[extname(file).toLowerCase()] ?? 'bytes';
      return await readAs(name, await readInput(file, terminal), file);
    }

    async function readAs(name: TypeName, bytes: Uint8Array, from: string): Promise<unknown> {
      const onEnd = (end: number): void => tellRest({ terminal, json }, from, end, bytes.length);
      const onRest = (rest: { readonly bytes: number }): void =>
        tellBehind({ terminal, json }, { name: from, bytes: rest.bytes });
      return await TYPES[name].read(bytes, { pickle, allowPickle, onEnd, onRest });
    }
  },
};

function jsonOrText(text: string): unknown {
  if (/^\s*[+-]?\d+\s*$/.test(text)) return parseInteger(text);
  if (/^\s*[+-]?\d*(\.\d*)?(e[+-]?\d+)?\s*$/i.test(text) && /\d/.test(text)) return parseFloatText(text);
  try {
    return parseJson(text, jsonNumber, 'map');
  } catch {
    // Not JSON: a plain word needs no quotes on a command line.
    return text;
  }
}

function readJson(text: string): unknown {
  try {
    return parseJson(text.replace(/^\ufeff/, ''), jsonNumber, 'map');
  } catch (cause) {
    throw usageError(`value: not JSON: ${(cause as Error).message}`);
  }
}

/** A number as Python's json reads it: integers of any size, and the rest floats. */
function jsonNumber(token: string): bigint | PyFloat {
  return /^-?\d+$/.test(token) ? BigInt(token) : new PyFloat(Number(token));
}

function parseInteger(text: string): bigint {
  if (!/^\s*[+-]?\d+\s*$/.test(text)) throw usageError(`value: ${JSON.stringify(text)} is not an integer`, text);
  return BigInt(text.trim());
}

/** Parses a float, so that `2.0` stays a float in Python. */
function parseFloatText(text: string): PyFloat {
  const value = parseNumber(text);
  if (value === undefined) throw usageError(`value: ${JSON.stringify(text)} is not a number`, text);
  return new PyFloat(value);
}
