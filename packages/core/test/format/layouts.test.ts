import { Python, pythons, type Wire } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { DTYPES, MaskedArray, NDArray } from '../../src/ndarray/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

const LAYOUTS = ['modern', 'legacy', 'upgraded'] as const;
const TYPES = DTYPES.filter(({ kind }) => kind !== 'O').flatMap(({ code, flexible, ordered }) =>
  (flexible === true ? ['0', '1', '5'] : ['']).flatMap((length) =>
    (ordered ? ['<', '>'] : ['|']).map((order) => `${order}${code}${length}`),
  ),
);
const SHAPES: readonly (readonly number[])[] = [
  [],
  [0],
  [1],
  [3],
  [0, 3],
  [3, 0, 2],
  [2, 3],
  new Array<number>(32).fill(1),
];

interface Case {
  readonly what: string;
  readonly numpy: string;
  readonly file: Uint8Array;
}

/** The file of every value that a layout accepts, and the error codes of the others. */
function filesOf(values: readonly (readonly [string, unknown])[]): { files: Case[]; refused: Map<string, string> } {
  const files: Case[] = [];
  const refused = new Map<string, string>();
  for (const [what, value] of values) {
    for (const layout of LAYOUTS) {
      const file = MemoryFile.of();
      const dict = MmapDict.over(file, { layout: layout === 'modern' ? 'modern' : 'legacy' });
      try {
        dict.set('x', value);
        if (layout === 'upgraded') expect(dict.upgrade()).toBe(value instanceof MaskedArray ? 2 : 1);
        files.push({ what: `${layout} ${what}`, numpy: layout === 'legacy' ? '1' : '', file: file.toBytes() });
      } catch (error) {
        refused.set(`${layout} ${what}`, (error as { code: string }).code);
        expect([...dict.keys()]).toEqual([]);
      }
    }
  }
  return { files, refused };
}

const arrays = TYPES.flatMap((type) =>
  SHAPES.map((shape) => [`${type} [${shape}]`, NDArray.zeros(shape, type)] as const),
);
const masked = TYPES.flatMap((type) =>
  [[0], [3], [2, 0]].map((shape) => {
    const value = new MaskedArray(NDArray.zeros(shape, type), NDArray.zeros(shape, 'bool'));
    return [`masked ${type} [${shape}]`, value] as const;
  }),
);
const { files, refused } = filesOf([...arrays, ...masked]);

describe('every type, shape and layout', () => {
  it('is written, except what the legacy layout cannot express', () => {
    for (const [what, code] of refused) {
      expect(code, what).toBe('UNSUPPORTED_VALUE');
      expect(what).toMatch(/^(legacy|upgraded) .*([SUV]0 |\[\])/);
    }
    expect(refused.size + files.length).toBe(LAYOUTS.length * (arrays.length + masked.length));
  });

  describe.each(pythons())('beside numpy $numpy', (info) => {
    const python = new Python(info);
    afterAll(() => python[Symbol.asyncDispose]());

    it('loads', async () => {
      const known = files.filter(({ numpy }) => info.numpy.startsWith(numpy));
      const bad = await python.run(
        `
import pickle, warnings
result = []
warnings.simplefilter('ignore')
for what, data in args['files']:
    try: pickle.loads(data)['x']
    except Exception as error: result.append(what + ': ' + repr(error))`,
        { files: known.map(({ what, file }) => [what, file]) as Wire },
      );
      expect(bad).toEqual([]);
    });
  });
});
