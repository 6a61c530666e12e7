import { parseJson } from '@mmdpickle/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { characters } from '../src/testing/arbitraries.ts';

/** Values as JSON writes them; integers beyond 2^53 - 1 as bigints. */
const json: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, 10n ** 308n, -(10n ** 400n), '12345678901234567890', '\\"n0', 's', '__proto__'),
    fc.maxSafeInteger(),
    fc.double().filter((value) => Number.isFinite(value) && !Number.isInteger(value)),
    fc.bigInt().filter((value) => !Number.isSafeInteger(Number(value))),
    fc.string({ unit: characters() }),
    fc.array(tie('value')),
    fc.dictionary(fc.string(), tie('value')),
  ),
})).value;

/** JSON text in which bigints are written in full. */
function written(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[ ${value.map(written).join(' ,')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)} :${written(item)}`)}}`;
}

it('JSON is read as it was written, including integers of any size', () => {
  fc.assert(
    fc.property(json, (value) => {
      expect(parseJson(written(value))).toEqual(value);
    }),
  );
});

/** Keys of every kind, some of them twice, in the order in which they came. */
const pairs = fc.array(
  fc.tuple(fc.oneof(fc.constantFrom('10', '9', '0', '', 'k', '__proto__', '\\"'), fc.string()), json),
  {
    maxLength: 8,
  },
);

it('objects that become maps keep the order of their keys, as in Python', () => {
  const maps = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(maps);
    if (typeof value !== 'object' || value === null) return value;
    return new Map(Object.entries(value).map(([key, item]) => [key, maps(item)]));
  };
  fc.assert(
    fc.property(pairs, (entries) => {
      const text = `{${entries.map(([key, value]) => `${JSON.stringify(key)}: ${written(value)}`)}}`;
      const expected = new Map(entries.map(([key, value]) => [key, maps(value)]));
      const read = parseJson(text, undefined, 'map') as Map<string, unknown>;
      expect(read).toEqual(expected);
      expect([...read.keys()]).toEqual([...expected.keys()]);
    }),
  );
});

it('text that is not JSON is reported by JSON.parse, and numbers are read as the caller wants', () => {
  for (const text of ['[12345678901234567890', '9'.repeat(4_194_305)])
    expect(() => parseJson(text)).toThrow(SyntaxError);
  expect(parseJson('{"n0": [2.0, 3, "2.0"]}', (token) => (token.includes('.') ? { float: token } : 0))).toEqual({
    n0: [{ float: '2.0' }, 3, '2.0'],
  });
});

it.each(['object', 'map'] as const)('any depth of nesting can be read (objects become: %s)', (objects) => {
  const depth = 100_000;
  let value = parseJson(`${'[{"a":'.repeat(depth)}12345678901234567890${'}]'.repeat(depth)}`, undefined, objects);
  for (let i = 0; i < depth; i += 1) {
    const [inner] = value as unknown[];
    value = inner instanceof Map ? inner.get('a') : (inner as { a: unknown }).a;
  }
  expect(value).toBe(12345678901234567890n);
});
