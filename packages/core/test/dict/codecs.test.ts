import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import {
  CODECS,
  type EncodedValue,
  encodedBytes,
  plainCodec,
  type ValueCodec,
  type ValuePart,
} from '../../src/format/index.ts';
import { MaskedArray, type NDArray, ndarray } from '../../src/ndarray/index.ts';
import { type EmitOp, emit, load } from '../../src/pickle/index.ts';
import { MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { Recording } from '../../src/testing/index.ts';

class Celsius {
  readonly degrees: number;

  constructor(degrees: number) {
    this.degrees = degrees;
  }
}

const celsius = plainCodec<Celsius>({
  name: 'celsius',
  is: (value): value is Celsius => value instanceof Celsius,
  toPlain: ({ degrees }) => ({ 'test.celsius': degrees }),
  fromPlain: (plain) =>
    plain instanceof Map && plain.has('test.celsius') ? new Celsius(Number(plain.get('test.celsius'))) : undefined,
});

test('a codec of the user comes first and leaves other values to the built-in ones', () => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { codecs: [celsius] });
  dict
    .set('t', new Celsius(4))
    .set('n', 1)
    .set('a', ndarray(new Float64Array([1])));
  expect(dict.get('t')).toEqual(new Celsius(4));
  expect(dict.getMeta('t')).toMatchObject({ kind: 'celsius' });
  expect(dict.get('n')).toBe(1);
  expect((dict.get('a') as NDArray).get(0)).toBe(1);
  expect(MmapDict.over(MemoryFile.of(file.toBytes())).get('t')).toEqual(new Map([['test.celsius', 4]]));
});

test('a plain codec reports where the memo of its values ends', () => {
  const shared = [1];
  const sharing = plainCodec<Celsius>({
    name: 'sharing',
    is: (value): value is Celsius => value instanceof Celsius,
    toPlain: () => [shared, shared, 2],
    fromPlain: () => undefined,
  });
  const dict = MmapDict.over(MemoryFile.of(), { codecs: [sharing] }).set('t', new Celsius(4));
  expect([...dict.scan()].map(({ key, memoHint }) => [key, memoHint])).toContainEqual(['t', 1]);
});

test('a codec may claim its own bytes, and its entries survive vacuum, copy and rename', () => {
  const mark = Uint8Array.of(0x43, 1, 0x21, 0x30);
  const codec: ValueCodec = {
    name: 'marked',
    encode: (value) => (value === 'special' ? encodedBytes('marked', Uint8Array.of(...mark, 0x4e)) : undefined),
    describe: (stored) => (stored.reader().accept(mark) ? { kind: 'marked' } : undefined),
    decode: () => 'special',
  };
  const dict = MmapDict.over(MemoryFile.of(), { codecs: [codec] });
  dict.set('a', 'special').set('b', 'plain').rename('a', 'c').vacuum();
  expect(dict.get('c')).toBe('special');
  expect(dict.get('b')).toBe('plain');
  const other = MmapDict.over(MemoryFile.of());
  dict.copy(['c'], other);
  expect(other.get('c')).toBeNull();
});

test('a codec may ask for a filler of any size, and its commit is still a single write', () => {
  const alignment = 65_536;
  const codec: ValueCodec = {
    name: 'aligned',
    encode: (value) => {
      if (!(value instanceof Uint8Array)) return undefined;
      const head = Uint8Array.of(0x42, value.length, value.length >> 8, 0, 0);
      return {
        kind: 'aligned',
        place: () => [head, value],
        fillerBefore: (offset, keyLength) => {
          const rest = (offset + 11 + keyLength + head.length) % alignment;
          return rest === 0 ? 0 : rest <= alignment - 20 ? alignment - rest : 2 * alignment - rest;
        },
        memoHint: 0,
      };
    },
    describe: () => undefined,
    decode: () => undefined,
  };
  const bytes = new Uint8Array(3000).map((_, i) => i);
  const disk = new MemoryDisk();
  MmapDict.over(disk.open('dict', 'create-new')).close();
  const recording = new Recording(disk, 'dict');
  const dict = MmapDict.over(recording.open(), { codecs: [codec] });
  dict.set('n', 1).set('a', bytes).set('b', bytes).delete('n');
  const places = [...dict.scan()]
    .filter(({ live }) => live)
    .map(({ key, valueOffset }) => [key, valueOffset % alignment]);
  expect(places).toEqual([
    ['a', alignment - 5],
    ['b', alignment - 5],
  ]);
  // At any moment, a reader finds the dict from before or after the commit.
  for (const image of recording.images) {
    const seen = MmapDict.over(MemoryFile.of(image.bytes), { mode: 'r' });
    for (const key of seen.keys()) expect(seen.get(key)).toEqual(key === 'n' ? 1 : bytes);
  }
});

test('the built-in codecs are listed, and the last one takes every value', () => {
  expect(CODECS.map(({ name }) => name)).toEqual(['ndarray', 'masked', 'pickle']);
});

const body = (parts: object): ValuePart => ({ body: true, nbytes: 4, ...parts });

test.each<[string, Partial<EncodedValue>]>([
  ['nothing', { place: () => [] }],
  ['no bytes', { place: () => [new Uint8Array(0)] }],
  ['parts of another kind', { place: () => [[0x4e] as never] }],
  ['parts that are not an array', { place: () => [Uint8Array.of(0x4e), undefined as never] }],
  ['no parts', { place: () => undefined as never }],
  ['nothing to place', { place: undefined as never }],
  ['text for a chunk', { place: () => [body({ chunks: () => ['NNNN'] })] }],
  ['text for a piece', { place: () => [body({ piece: () => 'NNNN' })] }],
  ['a body of half a byte', { place: () => [body({ nbytes: 0.5 })] }],
  [
    'more chunks than its body has bytes',
    { place: () => [body({ chunks: () => [new Uint8Array(3), new Uint8Array(3)] })] },
  ],
  ['a longer piece', { place: () => [body({ piece: () => new Uint8Array(5) })] }],
  ['a filler too short to be an entry', { fillerBefore: () => 5 }],
  ['half a filler', { fillerBefore: () => 20.5 }],
])('a codec that gives %s is refused, and the file is unchanged', (_what, parts) => {
  const codec: ValueCodec = {
    name: 'wrong',
    encode: (value) => (value === 'special' ? { ...encodedBytes('wrong', Uint8Array.of(0x4e)), ...parts } : undefined),
    describe: () => undefined,
    decode: () => undefined,
  };
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { codecs: [codec] });
  dict.set('before', 1);
  expect(() => dict.set('a', 'special')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  dict.set('after', 2);
  expect(Object.fromEntries(MmapDict.over(MemoryFile.of(file.toBytes())))).toEqual({ before: 1, after: 2 });
});

/** All bytes of the file behind an in-memory dict. */
function fileBytes({ core }: MmapDict): Uint8Array {
  return (core.store.file as MemoryFile).toBytes();
}

/** A dict from another writer: `given` holds one value, made of these opcodes. */
function stranger(opcodes: Uint8Array): MmapDict {
  const codec: ValueCodec = {
    name: 'strange',
    encode: (value) => (value === 'strange' ? encodedBytes('strange', opcodes) : undefined),
    describe: () => undefined,
    decode: () => undefined,
  };
  const file = MemoryFile.of();
  MmapDict.over(file, { codecs: [codec] })
    .set('before', 1)
    .set('given', 'strange')
    .close();
  return MmapDict.over(MemoryFile.of(file.toBytes()));
}

const sliceKey: EmitOp[] = [
  'EMPTY_DICT',
  ['GLOBAL', 'builtins slice'],
  'NONE',
  'NONE',
  'NONE',
  'TUPLE3',
  'REDUCE',
  'NONE',
  'SETITEM',
];

/** A masked array with this fill value. */
function masked(fill: EmitOp[]): Uint8Array {
  const dict = MmapDict.over(MemoryFile.of());
  dict.set('given', new MaskedArray(ndarray([1, 2]), ndarray([true, false]), { fillValue: 7 }));
  const { valueOffset, valueLength } = [...dict.scan()][0]!;
  const bytes = fileBytes(dict).slice(valueOffset, valueOffset + valueLength);
  const own = emit([['BININT1', 7], 'TUPLE', 'REDUCE']);
  expect(bytes.slice(-own.length)).toEqual(own);
  return Uint8Array.of(...bytes.subarray(0, -own.length), ...emit([...fill, 'TUPLE', 'REDUCE']));
}

test.each<[string, EmitOp[] | Uint8Array, string]>([
  ['a persistent id', [['BININT1', 7], 'BINPERSID'], 'UNSUPPORTED_VALUE'],
  ['a persistent id that is popped', ['NONE', ['BININT1', 7], 'BINPERSID', 'POP'], 'UNSUPPORTED_VALUE'],
  ['an out-of-band buffer', ['NEXT_BUFFER'], 'UNSUPPORTED_VALUE'],
  ['a slice as a key', sliceKey, 'BAD_KEY'],
  ['a GET of a slot that another entry PUT', [['BINGET', 0]], 'CORRUPT'],
  ['MEMOIZE, which counts the slots of all entries', ['NONE', 'MEMOIZE', ['BINGET', 0], 'TUPLE2'], 'BAD_OPCODE'],
  ['a memo index of many GiB', ['NONE', ['LONG_BINPUT', 2 ** 32 - 1]], 'UNSUPPORTED_VALUE'],
  ['a memo index of many GiB in digits', ['NONE', ['PUT', '4294967295']], 'UNSUPPORTED_VALUE'],
  ['a Python 2 string that is not ASCII', [['SHORT_BINSTRING', Uint8Array.of(0xe9)]], 'CORRUPT'],
  ['a frame inside', [['FRAME', 1], 'NONE'], 'BAD_OPCODE'],
  ['the first memo index that is too large', ['NONE', ['LONG_BINPUT', 2 ** 24]], 'UNSUPPORTED_VALUE'],
  ['a masked array whose fill value is a persistent id', masked([['BININT1', 7], 'BINPERSID']), 'UNSUPPORTED_VALUE'],
])('%s is not copied out of a dict, and the target is unchanged', (_what, ops, code) => {
  const from = stranger(ops instanceof Uint8Array ? ops : emit(ops));
  const refused = expect.objectContaining({ code, key: 'given' });
  for (const take of [(to: MmapDict) => to.merge(from), (to: MmapDict) => from.copy(['before', 'given'], to)]) {
    const to = MmapDict.over(MemoryFile.of()).set('mine', 1);
    expect(() => take(to)).toThrow(refused);
    expect(Object.fromEntries(to)).toEqual({ mine: 1 });
  }
  const rescued = MmapDict.over(MemoryFile.of());
  expect(from.salvage(rescued)).toMatchObject({ recovered: ['before'], lost: [{ key: 'given' }] });
  expect(Object.fromEntries(rescued)).toEqual({ before: 1 });
});

test.each<[string, EmitOp[] | Uint8Array]>([
  ['a masked array with a fill value', masked([['BININT1', 8]])],
  ['the largest memo index', ['NONE', ['LONG_BINPUT', 2 ** 24 - 1]]],
  ['a memo index as mmappickle 1.0 counts them', ['NONE', ['LONG_BINPUT', 70_000]]],
  ['an extension code, which copyreg may know', [['EXT1', 7]]],
  ["a value that only its owner's code can load", [['GLOBAL', 'lab Camera'], 'EMPTY_TUPLE', 'REDUCE']],
  ['bytes with an eight-byte length', [['BINBYTES8', new Uint8Array(300)]]],
])('%s is copied byte for byte', (_what, ops) => {
  const opcodes = ops instanceof Uint8Array ? ops : emit(ops);
  const from = stranger(opcodes);
  const file = MemoryFile.of();
  const to = MmapDict.over(file);
  to.merge(from);
  const { valueOffset, valueLength } = [...to.scan()].find(({ key }) => key === 'given')!;
  expect(file.toBytes().slice(valueOffset, valueOffset + valueLength)).toEqual(opcodes);
});

test('Python 2 strings are re-encoded if the dict was opened with their encoding', () => {
  const ops: EmitOp[] = [
    ['SHORT_BINSTRING', Uint8Array.of(0xe9)],
    ['BINPUT', 0],
  ];
  for (const [encoding, value] of [
    ['latin1', 'é'],
    ['bytes', Uint8Array.of(0xe9)],
  ] as const) {
    const bytes = fileBytes(stranger(emit(ops)));
    const from = MmapDict.over(MemoryFile.of(bytes), { load: { encoding } });
    const rescued = MmapDict.over(MemoryFile.of());
    expect(from.salvage(rescued)).toMatchObject({ recovered: ['before', 'given'], lost: [] });
    for (const to of [MmapDict.over(MemoryFile.of()).merge(from), rescued])
      expect(Object.fromEntries(MmapDict.over(MemoryFile.of(fileBytes(to))))).toEqual({ before: 1, given: value });
  }
});

test('anything copied from plain opcodes loads, and the rest is refused', () => {
  const plain = fc.constantFrom<EmitOp>(
    ...(['NONE', 'MARK', 'EMPTY_LIST', 'EMPTY_DICT', 'EMPTY_TUPLE', 'APPEND', 'APPENDS', 'TUPLE', 'TUPLE1'] as const),
    ...(['TUPLE2', 'SETITEM', 'SETITEMS', ['BININT1', 7], ['SHORT_BINUNICODE', 'k'], ['BINPUT', 1]] as const),
    ['BINGET', 1],
  );
  const seen = { copied: 0, refused: 0 };
  fc.assert(
    fc.property(fc.array(plain, { minLength: 1, maxLength: 7 }), (ops) => {
      const from = stranger(emit(ops));
      const to = MmapDict.over(MemoryFile.of()).set('mine', 1);
      try {
        to.merge(from);
        seen.copied++;
        expect([...(load(fileBytes(to), { lossless: true }) as Map<string, unknown>).keys()]).toContain('given');
      } catch (error) {
        expect(error).toMatchObject({ key: 'given' });
        seen.refused++;
        expect(Object.fromEntries(to)).toEqual({ mine: 1 });
      }
    }),
    { numRuns: 2000 },
  );
  expect(Math.min(seen.copied, seen.refused)).toBeGreaterThan(100);
});
