import { inspect } from 'node:util';
import { Python, pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDType } from '../../src/ndarray/index.ts';
import {
  Complex,
  dump,
  FrozenSet,
  load,
  NumpyScalar,
  OpaqueGlobal,
  PyDate,
  PyDateTime,
  PyDecimal,
  PyDict,
  PyFloat,
  PyFraction,
  PyPath,
  PyRange,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  PyUuid,
  Tuple,
} from '../../src/pickle/index.ts';
import { KINDS } from '../../src/pickle/values/keys.ts';

const RUNS = Number(process.env.MMDPICKLE_RUNS ?? (process.env.MMDPICKLE_LONG === '1' ? 20_000 : 200));

/** Numbers the keys; equal keys get the same number. */
const SCRIPT = `
import pickle, warnings
warnings.simplefilter('ignore')
seen = {}
result = [seen.setdefault(key, len(seen)) for key in pickle.loads(args['keys'])]
`;

const A = 'A'.charCodeAt(0);
const half = fc.integer({ min: -3, max: 3 }).map((n) => n / 2);

/** One of few numbers, in one of many classes. */
const numeric: fc.Arbitrary<unknown> = fc.oneof(
  half,
  half.map((n) => new PyFloat(n)),
  half.map((n) => new Complex(n, 0)),
  half.map((n) => new Complex(n, 1)),
  half.map((n) => n + 8),
  // Compared with a Decimal, a numpy 2 scalar raises a TypeError.
  half.map((n) => new PyDecimal(`${n + 8}0`.replace(/^(\d+)0$/, '$1.0'))),
  half.map((n) => new PyFraction(2 * n, 2)),
  half.map((n) => NumpyScalar.of(n, 'f4')),
  half.map((n) => NumpyScalar.of(new Complex(n, 0), 'c16')),
  half.map((n) => NumpyScalar.of(2 * n, 'i2')),
  fc.boolean(),
  fc.boolean().map((flag) => NumpyScalar.of(flag, 'bool')),
  fc.constantFrom(2 ** 53, 2 ** 70, 1e300, Number.NaN, Number.POSITIVE_INFINITY),
  fc.constantFrom(2n ** 53n, 2n ** 53n + 1n, 2n ** 70n, 2n ** 70n + 1n, BigInt(1e300), 2n ** 2000n),
  fc.constantFrom('Infinity', 'NaN', String(2n ** 70n), '1E+5000').map((text) => new PyDecimal(text)),
);

/** Text and bytes of the same letters, short and long, that begin like canonical strings. */
const lookalike: fc.Arbitrary<unknown> = fc
  .tuple(
    fc.constantFrom('', '!', ...Object.values(KINDS)),
    fc.constantFrom('b', 'i0x1', 'x', '0', '1:'),
    fc.constantFrom(0, 1, 62, 70),
  )
  .chain(([letter, rest, length]) => {
    const text = `${letter}${rest}${'1'.repeat(length)}`;
    const bytes = Uint8Array.from(text, (unit) => unit.charCodeAt(0));
    const short = text.slice(0, length);
    return fc.constantFrom<unknown>(
      text,
      short,
      bytes,
      NumpyScalar.of(text, `U${text.length + 1}`),
      NumpyScalar.of(bytes, `S${text.length + 1}`),
      BigInt(`0x${'1'.repeat(length + 1)}`),
      new OpaqueGlobal('builtins', 'len'),
    );
  });

const moment = { year: 2024, month: 1, day: 2 };
const zones = [null, new PyTimeZone(new PyTimeDelta(0)), new PyTimeZone(new PyTimeDelta(0, 3600), 'X')];

/** A few values of each class that defines its own equality. */
const special: fc.Arbitrary<unknown> = fc.oneof(
  fc
    .tuple(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -2, max: 4 }), fc.constantFrom(-2, -1, 1, 2, 2n ** 70n))
    .map((parts) => new PyRange(...parts)),
  fc
    .tuple(fc.constantFrom(...zones), fc.integer({ min: 1, max: 2 }), fc.nat(1))
    .map(([tzinfo, hour, fold]) => new PyDateTime({ ...moment, hour, fold, tzinfo })),
  fc
    .tuple(fc.constantFrom(...zones), fc.integer({ min: 1, max: 2 }))
    .map(([tzinfo, hour]) => new PyTime({ hour, tzinfo })),
  fc.constantFrom(new PyDate(2024, 1, 2), new PyTimeDelta(0, 60), new PyTimeDelta(0, 0, 6e7), ...zones),
  fc
    .constantFrom('12345678123412341234123456789abc', '12345678123412341234123456789abd')
    .map((text) => new PyUuid(text)),
  fc
    .tuple(
      fc.constantFrom('a/b', 'A/b', './a//b', '/a', 'c:a', 'C:a', 'c:/a'),
      fc.constantFrom('PurePosixPath' as const, 'PureWindowsPath' as const),
    )
    .map(([path, type]) => new PyPath([path], type)),
  fc
    .tuple(fc.constantFrom(null, 70n, 80n), fc.constantFrom('M8[s]', 'm8[s]'))
    .map(([count, type]) => NumpyScalar.of(count, type)),
  fc.constantFrom('f8', '<i4', [['a', '<i4']] as const).map((type) => parseDType(type as string)),
);

const { key } = fc.letrec((tie) => ({
  key: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    numeric,
    lookalike,
    special,
    fc.constantFrom(null, 'None', '', new Uint8Array(70).fill(A), `!b${'A'.repeat(70)}`),
    fc.array(tie('key'), { maxLength: 3 }).map((items) => Tuple.from(items)),
    fc.array(tie('key'), { maxLength: 3 }).map((items) => new FrozenSet(items)),
  ),
}));

describe.each(pythons())('random keys in Python $version with numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  it('are equal here exactly if they are equal there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(key, { minLength: 2, maxLength: 30 }), async (keys) => {
        const bytes = dump(keys);
        const seen = new PyDict<unknown, number>();
        const numbers = (load(bytes, { lossless: true }) as unknown[]).map((item) => {
          const number = seen.get(item) ?? seen.size;
          if (number === seen.size) seen.set(item, number);
          return number;
        });
        expect(numbers, inspect(load(bytes, { lossless: true }), { depth: 5 })).toEqual(
          await python.run<number[]>(SCRIPT, { keys: bytes }),
        );
      }),
      { numRuns: RUNS },
    );
  });
});
