import type { SliceSpec } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { npyPieces } from '@mmdpickle/npy-interop';
import { type AnyArray, dataOf, isArray, requireArray, sliceArray } from '../arrays.ts';
import type { CommandSpec } from '../command.ts';
import { requireKeys } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { csvRows } from '../formats/csv.ts';
import { jsonText } from '../json.ts';
import { parseSliceSpec } from '../slice-spec.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { previewText } from '../value-text.ts';

const ROWS_AT_ONCE = 256;

/** How a value can be printed; the first whose option is set, else the last. */
const FORMATS: readonly {
  readonly option?: string;
  print(terminal: Terminal, value: unknown, key: string): Promise<void>;
}[] = [
  { option: 'npy', print: printNpy },
  { option: 'raw', print: printRaw },
  {
    option: 'csv',
    print: async (terminal, value, key) => {
      for (const line of csvRows(requireArray(value, key, '--csv'))) await print(terminal, line);
    },
  },
  {
    option: 'json',
    print: (terminal, value) => (isArray(value) ? printArrayJson(terminal, value) : printJson(terminal, value)),
  },
  { print: (terminal, value) => print(terminal, `${previewText(value)}\n`) },
];

/** `mmdpickle get`: one value, whole or a slice of it. */
export const get: CommandSpec = {
  args: '<file> <key>',
  argDocs: { file: 'the mmdpickle file', key: 'the key' },
  options: [
    { flags: '--slice <spec>', doc: 'a part of an array, as numpy writes it: 0:10,:,3', parse: parseSliceSpec },
    { flags: '--csv', doc: 'rows of the first axis as CSV' },
    { flags: '--raw', doc: "the array's bytes in C order, or a bytes or str value as it is" },
    { flags: '--npy', doc: 'an .npy file on standard output' },
  ],
  examples: [
    { line: 'mmdpickle get run.mmdpickle operator', doc: 'a preview of a value' },
    { line: 'mmdpickle get run.mmdpickle cube --slice 0:2,:,3', doc: 'two planes, the fourth column of each' },
    { line: 'mmdpickle get run.mmdpickle temperature --csv', doc: 'rows for a spreadsheet' },
    { line: 'mmdpickle get run.mmdpickle gain --json', doc: 'a value for a script' },
    { line: 'mmdpickle get run.mmdpickle dark --npy > dark.npy', doc: 'an array for numpy.load' },
  ],
  async run({ terminal, args, options }) {
    const [path = '', key = ''] = args;
    const asked = FORMATS.flatMap(({ option }) =>
      option !== undefined && options[option] === true ? [`--${option}`] : [],
    );
    const [first, second] = asked.filter((flag) => flag !== '--json');
    if (second !== undefined) throw usageError(`${first} and ${second} print the value in different ways: give one`);
    using dict = MmapDict.open(path, { mode: 'r' });
    requireKeys(dict, path, [key]);
    const whole = dict.get(key);
    const specs = options.slice as readonly SliceSpec[] | undefined;
    const value = specs === undefined ? whole : sliceArray(whole, specs, key);
    const format = FORMATS.find(({ option }) => option === undefined || options[option] === true);
    await format?.print(terminal, value, key);
    return 'ok';
  },
};

async function printNpy(terminal: Terminal, value: unknown, key: string): Promise<void> {
  for (const piece of npyPieces(dataOf(requireArray(value, key, '--npy')))) await print(terminal, piece.slice());
}

async function printRaw(terminal: Terminal, value: unknown, key: string): Promise<void> {
  if (typeof value === 'string' || value instanceof Uint8Array) return await print(terminal, value);
  if (!isArray(value))
    throw usageError(`--raw prints arrays, bytes and text, and ${JSON.stringify(key)} is none of them`);
  for (const piece of dataOf(value).bytes()) await print(terminal, piece.slice());
}

/** Row by row: an array may be larger than any string. */
async function printArrayJson(terminal: Terminal, array: AnyArray): Promise<void> {
  const { dtype, shape } = array;
  await print(terminal, `{"dtype":${jsonText(dtype)},"shape":${jsonText(shape)},"data":`);
  const [rows] = shape;
  if (rows === undefined) await print(terminal, jsonText(array.toNested()));
  else {
    for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
      const nested = jsonText((array.rows(row, Math.min(rows, row + ROWS_AT_ONCE)) as AnyArray).toNested());
      await print(terminal, `${row === 0 ? '[' : ','}${nested.slice(1, -1)}`);
    }
    await print(terminal, rows === 0 ? '[]' : ']');
  }
  await print(terminal, '}\n');
}
