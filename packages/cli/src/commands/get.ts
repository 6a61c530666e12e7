import { NDArray, type SliceSpec } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { type AnyArray, bytesInRows, isArray, requireArray, sliceArray } from '../arrays.ts';
import type { CommandSpec } from '../command.ts';
import { requireKeys } from '../dicts.ts';
import { usageError } from '../errors.ts';
import { jsonText } from '../json.ts';
import { parseSliceSpec } from '../slice-spec.ts';
import { print, printJson, printRow, type Terminal } from '../terminal.ts';
import { previewText } from '../value-text.ts';

/** Arrays of more elements are printed in parts. */
const ELEMENTS_AT_ONCE = 65_536;

/** The formats to print a value in; the first whose option is set is used, else the last. */
const FORMATS: readonly {
  readonly option?: string;
  print(terminal: Terminal, value: unknown, key: string): Promise<void>;
}[] = [
  { option: 'npy', print: printNpy },
  { option: 'raw', print: printRaw },
  {
    option: 'csv',
    print: async (terminal, value, key) => {
      const { csvRows } = await import('../formats/csv.ts');
      for (const line of csvRows(requireArray(value, key, '--csv'))) await printRow(terminal, line);
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
    { flags: '--slice <spec>', doc: 'a part of an array in numpy syntax, such as 0:10,:,3', parse: parseSliceSpec },
    { flags: '--csv', doc: 'rows of the first axis as CSV' },
    { flags: '--raw', doc: "the array's bytes in C order, or a bytes or str value unchanged" },
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
    const [first, second] = asked;
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
  const { npyPieces } = await import('@mmdpickle/npy-interop');
  for (const piece of npyPieces(withoutMask(requireArray(value, key, '--npy'), key, '--npy')))
    await print(terminal, piece.slice());
}

async function printRaw(terminal: Terminal, value: unknown, key: string): Promise<void> {
  if (typeof value === 'string' || value instanceof Uint8Array) return await print(terminal, value);
  if (!isArray(value))
    throw usageError(`--raw prints arrays, bytes and text, but ${JSON.stringify(key)} is none of these`);
  for (const piece of bytesInRows(withoutMask(value, key, '--raw'))) await print(terminal, piece.slice());
}

/** Refuses masked arrays: these formats have no place for a mask, and its loss would go unnoticed until it is too late. */
function withoutMask(array: AnyArray, key: string, option: string): NDArray {
  if (array instanceof NDArray) return array;
  throw usageError(`${option} cannot hold the mask of ${JSON.stringify(key)}: export it as .npz, or use --json`);
}

/** Prints in parts: an array may be larger than memory and any string. */
async function printArrayJson(terminal: Terminal, array: AnyArray): Promise<void> {
  const { dtype, shape } = array;
  await print(terminal, `{"dtype":${jsonText(dtype)},"shape":${jsonText(shape)},"data":`);
  for (const part of jsonParts(array)) await print(terminal, part);
  await print(terminal, '}\n');
}

function* jsonParts(array: AnyArray): Generator<string> {
  const [rows = 1, ...rest] = array.shape;
  const inRow = rest.reduce((product, length) => product * length, 1);
  if (rows * Math.max(1, inRow) <= ELEMENTS_AT_ONCE) return yield jsonText(array.toNested());
  const step = Math.max(1, Math.floor(ELEMENTS_AT_ONCE / Math.max(1, inRow)));
  for (let row = 0; row < rows; row += step) {
    yield row === 0 ? '[' : ',';
    if (inRow > ELEMENTS_AT_ONCE) yield* jsonParts(array.slice(row) as AnyArray);
    else yield jsonText((array.rows(row, Math.min(rows, row + step)) as AnyArray).toNested()).slice(1, -1);
  }
  yield ']';
}
