import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DictReader } from '../../src/dict/index.ts';
import { MaskedArray, NDArray } from '../../src/ndarray/index.ts';
import { MmapDict } from '../../src/node.ts';
import { bytesSource } from '../../src/storage/index.ts';

/** Files written by Python's mmappickle 1.0.1, each with a description beside it. */
const FOLDER = fileURLToPath(new URL('../../../../fixtures/mmappickle-1.0.1/', import.meta.url));

interface Described {
  readonly type: string;
  readonly repr?: string;
  readonly dtype?: string;
  readonly shape?: readonly number[];
  readonly offset?: number;
  readonly sha256?: string;
  readonly data?: Described;
  readonly mask?: Described;
}

/** The plain values for the `repr` texts in the descriptions. */
const REPRS: Readonly<Record<string, unknown>> = {
  None: null,
  True: true,
  False: false,
  inf: Infinity,
  '-0.0': -0,
  '9223372036854775808': 9223372036854775808n,
  '-10000000000000000000000000000000000000000': -(10n ** 40n),
  "b'\\x00\\xff'": new Uint8Array([0, 255]),
  "bytearray(b'xy')": [120, 121],
  '(1+2j)': { re: 1, im: 2 },
  '(1, 2, 3)': [1, 2, 3],
  '[1, [2, [3]]]': [1, [2, [3]]],
  '[1]': [1],
  "{'a': 1, 2: 'b', (1, 2): None}": [
    ['a', 1],
    [2, 'b'],
    [[1, 2], null],
  ],
  '{1, 2}': [1, 2],
  'frozenset({3})': [3],
  "[['x'], ['x'], {'again': ['x']}]": [['x'], ['x'], [['again', ['x']]]],
  "OrderedDict([('b', 1), ('a', 2)])": [
    ['b', 1],
    ['a', 2],
  ],
};

/** Containers as lists, so that a value can be compared with its description. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array && value.constructor === Uint8Array) return value;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return Array.from(value, plain);
  if (Symbol.iterator in value) return Array.from(value as Iterable<unknown>, plain);
  return 're' in value && 'im' in value ? { re: value.re, im: value.im } : value;
}

function check(found: unknown, described: Described, key: string): void {
  if (described.type === 'MaskedArray') {
    expect(found).toBeInstanceOf(MaskedArray);
    check((found as MaskedArray).data, described.data!, key);
    check((found as MaskedArray).mask, described.mask!, key);
  } else if (described.type === 'ndarray') {
    const array = found as NDArray;
    expect(array).toBeInstanceOf(NDArray);
    expect([array.dtype, array.shape]).toEqual([described.dtype, described.shape]);
    const hash = createHash('sha256');
    for (const chunk of array.bytes()) hash.update(chunk);
    expect(hash.digest('hex')).toBe(described.sha256);
  } else if (described.repr! in REPRS) expect(plain(found)).toEqual(REPRS[described.repr!]);
  else if (described.type === 'builtins.str')
    expect(`'${(found as string).replaceAll('\n', '\\n').replaceAll('\0', '\\x00')}'`).toBe(described.repr);
  else if (/^builtins\.(int|float)$/.test(described.type)) expect(found).toBe(Number(described.repr));
  // datetime, timedelta, Decimal, deque: tested in the pickle room; here they only have to be readable.
  else expect(found).toBeDefined();
}

const names = readdirSync(FOLDER).filter((name) => name.endsWith('.mmdpickle'));

describe.each(names)('%s, written by the reference implementation', (name) => {
  const path = `${FOLDER}${name}`;
  const description = JSON.parse(readFileSync(path.replace('.mmdpickle', '.json'), 'utf8')) as {
    readonly commit_number: number;
    readonly size: number;
    readonly values: Readonly<Record<string, Described>>;
  };

  test('has every key with every value, and is not changed', () => {
    const before = readFileSync(path);
    using dict = MmapDict.open(path, { mode: 'r' });
    expect(dict.commitNumber).toBe(description.commit_number);
    expect(dict.fileSize).toBe(description.size);
    // JavaScript puts integer-like names first, so the order of the description is lost here.
    expect([...dict.keys()].sort()).toEqual(Object.keys(description.values).sort());
    for (const [key, described] of Object.entries(description.values)) {
      check(dict.get(key), described, key);
      if (described.offset !== undefined) expect(dict.getMeta(key)!.offset).toBe(described.offset);
    }
    expect(dict.fsck()).toMatchObject({ ok: true, findings: [] });
    expect(readFileSync(path)).toEqual(before);
  });

  test('reads the same through a byte source', async () => {
    const reader = await DictReader.open(bytesSource(readFileSync(path)));
    expect([...reader.keys()].sort()).toEqual(Object.keys(description.values).sort());
    for (const [key, described] of Object.entries(description.values)) check(await reader.get(key), described, key);
  });
});

test('there are reference files to read', () => {
  expect(names.length).toBeGreaterThanOrEqual(10);
});
