import {
  DTYPE_LIMITS,
  DTYPES,
  type DType,
  type DTypeSpec,
  type DTypeSpecDict,
  type DTypeSpecField,
  isDType,
  parseDType,
  TIME_UNITS,
} from '@mmdpickle/core/ndarray';
import { Python, pythons } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { dtypeSpecs, simpleSpecs } from './arbitraries.ts';

const PACK = `
import numpy as np
def listed(x):
    return [listed(i) for i in x] if isinstance(x, (list, tuple)) else x
def facts(d):
    try: descr = listed(np.lib.format.dtype_to_descr(d))
    except ValueError: descr = None
    return {'str': str(d), 'kind': d.kind, 'char': d.char, 'itemsize': d.itemsize, 'order': d.byteorder.replace('=', '<'),
            'alignment': d.alignment, 'descr': descr,
            'fields': None if d.names is None else [[n, d.fields[n][1]] for n in d.names],
            'unit': list(np.datetime_data(d)) if d.kind in 'mM' else None}
def made(spec):
    # JSON has no tuples: fields and shapes come as lists.
    if isinstance(spec, dict): return dict(spec, formats=[made(f) for f in spec['formats']])
    if isinstance(spec, str): return spec
    if len(spec) == 2 and isinstance(spec[1], list) and all(isinstance(n, int) for n in spec[1]): return (made(spec[0]), tuple(spec[1]))
    if len(spec) == 2 and isinstance(spec[0], str): return (spec[0], made(spec[1]))
    return [tuple([tuple(f[0]) if isinstance(f[0], list) else f[0], made(f[1])] + [tuple(s) for s in f[2:]]) for f in spec]
`;

interface Facts {
  readonly str: string;
  readonly kind: string;
  readonly char: string;
  readonly itemsize: number;
  readonly order: string;
  readonly alignment: number;
  readonly descr: unknown;
  readonly fields: [string, number][] | null;
  readonly unit: [string, number] | null;
}

function factsOf(type: DType): Facts {
  let descr: unknown;
  try {
    descr = type.descr;
  } catch {
    descr = null;
  }
  return {
    str: type.name,
    kind: type.kind,
    char: type.char,
    itemsize: type.itemsize,
    order: type.byteorder,
    alignment: type.alignment,
    descr,
    fields: type.fields?.map(({ name, offset }) => [name, offset]) ?? null,
    unit: 'mM'.includes(type.kind) ? (type.unit ? [type.unit.base, type.unit.count] : ['generic', 1]) : null,
  };
}

describe.each(pythons())('types beside numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  it('every row of the table in both byte orders has the name, kind, char, sizes and description of numpy', async () => {
    const specs = DTYPES.flatMap(({ code, flexible, kind }) => {
      const lengths = flexible === true ? ['0', '1', '7', '300'] : [''];
      const units = 'mM'.includes(kind) ? ['', '[25us]', ...TIME_UNITS.map((unit) => `[${unit}]`)] : [''];
      return lengths.flatMap((length) =>
        units.flatMap((unit) => ['', '<', '>', '=', '|'].map((order) => `${order}${code}${length}${unit}`)),
      );
    });
    const found = await python.run<Facts[]>(`${PACK}\nresult = [facts(np.dtype(s)) for s in args['specs']]`, { specs });
    expect(specs.map((spec) => factsOf(parseDType(spec)))).toEqual(found);
  });

  it('names of time types take a byte order, and their units the Greek letter', async () => {
    const specs = [
      '>datetime64[ns]',
      '<timedelta64',
      '=datetime64[25s]',
      '>timedelta64[D]',
      'M8[μs]',
      '>m8[10μs]',
      'datetime64[μs]',
    ];
    const found = await python.run<Facts[]>(`${PACK}\nresult = [facts(np.dtype(s)) for s in args['specs']]`, { specs });
    expect(specs.map((spec) => factsOf(parseDType(spec)))).toEqual(found);
  });

  it('fractions of units become the shorter unit that numpy chooses', async () => {
    const specs = [...TIME_UNITS, 'μs'].flatMap((unit) =>
      [
        '',
        '/1',
        '/2',
        '/3',
        '/4',
        '/ +05',
        '/7',
        '/10',
        '/12',
        '/24',
        '/30',
        '/52',
        '/60',
        '/365',
        '/1000',
        '/86400',
      ].flatMap((part) => [`M8[${unit}${part}]`, `>m8[6${unit}${part}]`, `datetime64[ 025${unit}${part}]`]),
    );
    const found = await python.run<(Facts | null)[]>(
      `${PACK}
def known(s):
    try: d = facts(np.dtype(s))
    except Exception: return None
    # Of weeks numpy makes years that count nothing, where nothing else fits.
    return None if d['unit'][1] == 0 else d
result = [known(s) for s in args['specs']]`,
      { specs },
    );
    expect(found.filter((facts) => facts !== null).length).toBeGreaterThan(200);
    const ours = specs.map((spec) => {
      try {
        return factsOf(parseDType(spec));
      } catch {
        return null;
      }
    });
    expect(ours).toEqual(found);
  });

  it('sizes are parsed as C parses numbers, and numbers before types without a size are repeat counts', async () => {
    const specs = [
      'i04',
      '<f 8',
      'S 4',
      'U+07',
      '|V\t002',
      'M08',
      'b 1',
      '2S',
      '0U',
      '1V',
      '10str',
      '>2 >U',
      '2,3U4',
      '2,f8',
    ];
    specs.push(
      '(2,)2i4',
      '2=2i4',
      '>(2, )3M8[s]',
      '2,3S5, 1S',
      'i4,2S,',
      'i4, f8, ',
      '() i4, ()f8',
      '()i4',
      '00i4,i08',
    );
    const found = await python.run<[Facts, string][]>(
      `${PACK}\nresult = [[facts(np.dtype(s)), str(np.dtype([('a', s), ('b', 'i1')]))] for s in args['specs']]`,
      { specs },
    );
    const pair = (spec: string) => [
      factsOf(parseDType(spec)),
      parseDType([
        ['a', spec],
        ['b', 'i1'],
      ]).name,
    ];
    expect(specs.map(pair)).toEqual(found);
    // As in the tuple form.
    expect([parseDType("('S', 3)").name, parseDType("[('a', 'str', 2)]").name]).toEqual(['|S3', "[('a', '<U2')]"]);
  });

  it('every name and alias that this numpy knows means the same type', async () => {
    const names = DTYPES.flatMap(({ name, char, aliases }) => [name, char, ...aliases]);
    const found = await python.run<(Facts | null)[]>(
      `${PACK}
import warnings
result = []
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    for n in args['names']:
        try: result.append(facts(np.dtype(n)))
        except TypeError: result.append(None)`,
      { names },
    );
    const known = names.filter((_, i) => found[i] !== null);
    expect(known.length).toBeGreaterThan(60);
    // 'q' and 'Q' are the same 64-bit integers under another letter.
    const letterless = (facts: Facts | null | undefined) => ({
      ...facts,
      char: facts?.char.replace('q', 'l').replace('Q', 'L'),
    });
    expect(known.map((name) => letterless(factsOf(parseDType(name))))).toEqual(
      found.filter((facts) => facts !== null).map(letterless),
    );
  });

  it('text with commas and repeat counts means the same type, alone, in lists and in aligned dicts', async () => {
    const type = fc.constantFrom(
      'i4',
      'f8',
      '?',
      'S5',
      'U2',
      'S3',
      'V4',
      'M8[25s]',
      'datetime64[D]',
      'float',
      'int8',
      'c16',
      'l',
      'O4',
      'half',
    );
    const machine = fc.constantFrom('', '<', '=', '|');
    const swapped = fc.tuple(fc.constant('>'), fc.constantFrom('i4', 'f8', 'U2', 'm8[us]', 'timedelta64[s]', 'c8'));
    const repeats = fc.constantFrom('', '2', ' 3 ', '(2,3)', '( 2, 3 )', '(1,)', '(2,) ', '0', '(4, 5,)');
    const item = fc
      .tuple(fc.oneof(fc.tuple(machine, type), swapped), repeats, fc.boolean())
      .map(([[order, name], times, early]) => (early ? `${order}${times}${name}` : `${times}${order}${name}`));
    const gap = fc.constantFrom(',', ', ', ' ,', '\t, ');
    const text = fc
      .tuple(fc.array(item, { minLength: 2, maxLength: 4 }), gap)
      .map(([items, comma]) => items.join(comma));
    const texts = [
      ...fc.sample(text, { numRuns: 300, seed: 8 }),
      '2f8',
      '(2,3)f4',
      '<(2, 3)f4',
      '(2,3)<f4',
      '3<u2',
      '>10M8[s]',
    ];
    const found = await python.run<Facts[][]>(
      `${PACK}
result = [[facts(np.dtype([('a', t), ('b', 'i1')])), facts(np.dtype({'names': ['a', 'b'], 'formats': [t, 'i1'], 'aligned': True})),
           str(np.dtype(t))] for t in args['texts']]`,
      { texts },
    );
    const ours = texts.map((given) => [
      factsOf(
        parseDType([
          ['a', given],
          ['b', 'i1'],
        ]),
      ),
      factsOf(parseDType({ names: ['a', 'b'], formats: [given, 'i1'], aligned: true })),
      parseDType(given).name,
    ]);
    // numpy does not print that a nested type is aligned.
    const unnamed = (cases: unknown[][]) =>
      cases.map(([list, dict, name]) => [list, { ...(dict as Facts), str: '' }, name]);
    expect(unnamed(ours)).toEqual(unnamed(found));
  });

  it("random structured types have numpy's layout, description and text, and their spec makes the same type", async () => {
    const specs = fc.sample(dtypeSpecs, { numRuns: 300, seed: 5 });
    const types = specs.map((spec) => parseDType(spec));
    const found = await python.run<{ given: Facts; spec: boolean; text: boolean }[]>(
      `${PACK}
import ast
result = []
for given, spec, text in args['cases']:
    d = np.dtype(made(given))
    result.append({'given': facts(d), 'spec': np.dtype(made(spec)) == d,
                   'text': np.dtype(ast.literal_eval(text) if text[0] in '[{(' else text) == d})`,
      { cases: types.map((type, i) => [specs[i], type.spec, type.name]) as never },
    );
    for (const [i, type] of types.entries()) {
      const { given, spec, text } = found[i] as (typeof found)[number];
      const { str, ...facts } = factsOf(type);
      const { str: numpyText, ...numpyFacts } = given;
      expect({ facts, spec, text }).toEqual({ facts: numpyFacts, spec: true, text: true });
      expect(layout(parseDType(numpyText))).toEqual(layout(type));
      expect(str).toBe(numpyText);
    }
  });

  it('aligned structures are padded as numpy pads them', async () => {
    const cases = [
      [
        ['a', 'b', 'c'],
        ['i1', 'f8', 'i2'],
      ],
      [
        ['a', 'b'],
        ['S3', 'U1'],
      ],
      [
        ['a', 'b', 'c'],
        ['?', 'c16', 'u1'],
      ],
      [
        ['a', 'b'],
        ['i1', 'g'],
      ],
      [['only'], ['i4']],
    ] as [string[], string[]][];
    const found = await python.run<Facts[]>(
      `${PACK}\nresult = [facts(np.dtype({'names': n, 'formats': f, 'aligned': True})) for n, f in args['cases']]`,
      { cases },
    );
    expect(cases.map(([names, formats]) => factsOf(parseDType({ names, formats, aligned: true })))).toEqual(found);
    for (const { str } of found) expect(parseDType(str).name).toBe(str);
  });

  it('types nested in the description of an aligned type are aligned too, except fields over void bytes, and spec preserves that', async () => {
    const types = WITHIN.map(([, spec]) => parseDType(spec));
    const found = await python.run<[Facts, Facts][]>(
      `${PACK}\nresult = [[facts(np.dtype(made(given))), facts(np.dtype(made(spec)))] for given, spec in args['cases']]`,
      { cases: types.map(({ spec }, i) => [WITHIN[i]![1], spec]) as never },
    );
    for (const [i, [what]] of WITHIN.entries()) {
      // numpy prints nested types without their alignment.
      const ours = { ...factsOf(types[i]!), descr: null, str: '' };
      expect([ours, ours], what).toEqual(found[i]!.map((facts) => ({ ...facts, descr: null, str: '' })));
      expect(parseDType(types[i]!.spec).spec, what).toEqual(types[i]!.spec);
      expect(parseDType(types[i]!.name).name, what).toBe(types[i]!.name);
    }
  });
});

const PACKED: DTypeSpec = [
  ['p', 'i1'],
  ['q', '<f8'],
];
const over = (spec: DTypeSpec, ...more: object[]): DTypeSpec =>
  Object.assign({ names: ['a', 'b'], formats: ['i1', spec], aligned: true }, ...more);
/** Types nested in an aligned one. */
const WITHIN: [string, DTypeSpec][] = [
  ['a list', over(PACKED)],
  ['a list of sub-arrays', over([PACKED, [2]])],
  ['a list in a list', over([['r', PACKED, [2]]])],
  ['a dict', over({ names: ['q'], formats: ['<f8'], aligned: false })],
  ['a list over void bytes', over(['V9', PACKED as DTypeSpecField[]])],
  ['sub-arrays over void bytes', over([['V9', PACKED as DTypeSpecField[]], [2]], { offsets: [0, 1], itemsize: 20 })],
  ['a list over void bytes in a list', over([['r', ['V9', PACKED as DTypeSpecField[]]]])],
  [
    'an aligned type in a packed one',
    over([
      'V24',
      [
        ['r', over('<f8') as DTypeSpecDict],
        ['s', '<f8'],
      ],
    ]),
  ],
  ['no fields', over(['V0', { names: [], formats: [] }])],
  ['no fields and a byte', over(['V1', { names: [], formats: [], itemsize: 1 }])],
  ['an aligned type without fields', over(['V0', { names: [], formats: [], aligned: true }])],
  ['sub-arrays of sub-arrays', over([['<f8', [2]], [3]])],
];

/** Everything that reading elements depends on. */
function layout(type: DType): unknown {
  return type.fields === undefined
    ? [type.base === undefined ? type.spec : layout(type.base), type.shape]
    : [type.itemsize, type.fields.map(({ name, title, offset, dtype }) => [name, title, offset, layout(dtype)])];
}

describe('descriptions', () => {
  it('round-trip through their printed form', () => {
    fc.assert(
      fc.property(dtypeSpecs, (spec) => {
        const type = parseDType(spec);
        expect(isDType(type)).toBe(true);
        expect(layout(parseDType(type.name))).toEqual(layout(type));
        expect(layout(parseDType(type.spec))).toEqual(layout(type));
        // As received by another thread.
        expect(layout(parseDType(structuredClone(type)))).toEqual(layout(type));
        expect(parseDType(type)).toBe(type);
        expect(parseDType(type.name).name).toBe(type.name);
      }),
    );
  });

  it('treat nameless void fields of a list as padding and name other nameless fields by position', () => {
    const type = parseDType([
      ['', 'i4'],
      ['', '|V4'],
      ['b', '<f8'],
    ]);
    expect(type.fields?.map(({ name, offset }) => [name, offset])).toEqual([
      ['f0', 0],
      ['b', 8],
    ]);
    expect(type.itemsize).toBe(16);
    expect(type.descr).toEqual([
      ['f0', '<i4'],
      ['', '|V4'],
      ['b', '<f8'],
    ]);
  });

  it('accept the dict form as a Map too, as in a pickle', () => {
    const dict = new Map<string, unknown>([
      ['names', ['a', 'b']],
      [
        'formats',
        [
          '<i4',
          new Map([
            ['names', ['c']],
            ['formats', ['u1']],
          ]),
        ],
      ],
      ['offsets', [4, 0]],
      ['itemsize', 9],
    ]);
    const type = parseDType(dict as never);
    expect(type.fields?.map(({ name, offset }) => [name, offset])).toEqual([
      ['a', 4],
      ['b', 0],
    ]);
    expect(type.itemsize).toBe(9);
    expect(() => type.descr).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }));
  });

  it.each([
    '',
    ' ',
    'f3',
    'i16',
    'float',
    'x8',
    '<',
    '<<f8',
    'f8 ',
    ' f8',
    '>float64',
    'M8[B]',
    'M8[0us]',
    'M8[-1us]',
    'M8[ns',
    'i8[ns]',
    'S-1',
    'S1e9',
    'U٣',
    'str5',
    '__proto__',
    'constructor',
    'toString',
    '[',
    '[(]',
    "[('a')]",
    "[('a',)]",
    "[('a', 'f8', 'x')]",
    "[('a', 'f8', (-1,))]",
    "[('a', 'f8', (1.5,))]",
    "[('a', 'f8'), ('a', 'f8')]",
    "[(('t', 'a'), 'f8'), ('t', 'f8')]",
    "[('a', 'f8')] x",
    "[('a', 'f8') ('b', 'f8')]",
    "{'names': ['a']}",
    "{'names': ['a'], 'formats': ['f8'], 'offsets': [-1]}",
    "{'names': ['a'], 'formats': ['f8'], 'itemsize': 4}",
    "{'names': ['a', 'b'], 'formats': ['i1', 'f8'], 'offsets': [0, 1], 'aligned': True}",
    "{'names': ['a'], 'formats': ['i1'], 'aligned': 1}",
    "{'names': ['a', 'b'], 'formats': ['i1', ('V8', 'f8')], 'aligned': True}",
    "('V9', [('a', 'f8')])",
    "('f8', [('a', 'f8')])",
    "('V0', (2,))",
    "[('a', 'S0', (2,))]",
    "[('a', ('i4', (0,)), (3,))]",
    '(([], (2,)), (3,))',
    "[('a', ([('b', 'i4', (0,))], (2,)), (1,))]",
    'c[s]',
    '<M[s]',
    'm[5us]',
    'a5[ns]',
    'M8[s/7]',
    'M8[s/0]',
    'M8[as/2]',
    'M8[0s]',
    'M8[W/1000]',
    'i-4',
    'i4 4',
    '(2)i4',
    "__import__('os')",
    "[('a', exit())]",
    "[('a', 'f8'",
    "'f8'",
    'float'.repeat(1000),
  ])('refuse %j', (text) => {
    if (text === 'float') expect(parseDType(text).name).toBe('float64');
    else expect(() => parseDType(text)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }));
  });

  // Text that numpy 1 and 2 read differently, and text that neither accepts.
  it.each([
    '1f8',
    '(1)i4,f8',
    'f8,1i4',
    '(1,)S',
    '()U',
    '()S, i4',
    '(2,3f8',
    '2 3i4',
    'i4,',
    'i4,,f8',
    ',i4',
    '2',
    '<2>f8',
    '02f8',
    'f8,(,)i4',
    'f8,(2 3)i4',
    '\tf8,i4',
    'f8,(2)\ti4',
  ])('refuse %j, on which numpy versions do not agree', (text) =>
    expect(() => parseDType(text)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' })),
  );

  it.each([[null], [undefined], [5], [true], [[1, 2]], [[['a']]], [[['a', 'f8', 1, 2]]], [[[1, 'f8']]], [{}]])(
    'refuse the value %j',
    (value) => {
      expect(() => parseDType(value as never)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_DTYPE' }));
    },
  );

  it('stop at their limits and name the limit', () => {
    const nest = (depth: number): string => (depth === 0 ? "'f8'" : `[('a', ${nest(depth - 1)})]`);
    const limits: [string, unknown][] = [
      ['maxDepth', nest(200)],
      ['maxDepth', `${'['.repeat(100_000)}`],
      ['maxFields', Array.from({ length: DTYPE_LIMITS.maxFields + 1 }, (_, i) => [`f${i}`, 'u1'])],
      ['maxItemsize', 'S2147483648'],
      ['maxItemsize', 'U536870912'],
      ['maxItemsize', `V${'9'.repeat(100)}`],
      ['maxItemsize', [['a', 'f8', [2 ** 30]]]],
      ['maxItemsize', { names: ['a'], formats: ['u1'], offsets: [2 ** 40] }],
      ['maxSubarrayDims', [['a', 'f8', new Array(33).fill(1)]]],
      ['maxLength', `${' '.repeat(DTYPE_LIMITS.maxTextLength)}[]`],
    ];
    for (const [limit, spec] of limits) {
      expect(() => parseDType(spec as never), limit).toThrow(
        expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit }),
      );
    }
  });

  it('throw only typed errors, whatever the text', () => {
    const near = fc.oneof(
      fc.string(),
      simpleSpecs,
      fc
        .array(fc.constantFrom(...Array.from('[]{}(),:\'\\"<>|=f8i4U5M ns-0None')), { maxLength: 40 })
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(near, (text) => {
        try {
          parseDType(text);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MmdError' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
