import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Complex, type DType, type NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { formatNpyHeader, npyHeaderSteps, openNpy, readNpy, readSteps } from '@mmdpickle/npy-interop';
import { describe, expect, test } from 'vitest';

const ROOT = new URL('../../../fixtures/npy/', import.meta.url);
const NAMES = readdirSync(ROOT)
  .filter((name) => name.endsWith('.npy'))
  .map((name) => name.slice(0, -4));

interface Expected {
  readonly descr: never;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  readonly version: number;
  readonly values: readonly unknown[];
}

const hex = (bytes: unknown): string => Buffer.from(bytes as Uint8Array).toString('hex');

/** An element in the form that fixtures/generate_npy.py writes. */
function encode(value: unknown, type: DType): unknown {
  if (type.fields !== undefined) {
    const record = value as { readonly [name: string]: unknown };
    return Object.fromEntries(type.fields.map((field) => [field.name, encode(record[field.name], field.dtype)]));
  }
  if (type.base !== undefined) {
    const base = type.base;
    const inner = value as NDArray | readonly unknown[];
    const nested = 'toNested' in inner ? inner.toNested() : inner;
    return (nested as readonly unknown[]).flat(8).map((item) => encode(item, base));
  }
  if (type.char === 'g' || type.char === 'G') return hex(value);
  switch (type.kind) {
    case 'f':
      return repr(value as number);
    case 'c':
      return [repr((value as Complex).re), repr((value as Complex).im)];
    case 'i':
    case 'u':
      return (value as number | bigint).toString();
    case 'm':
    case 'M':
      return value === null ? null : (value as bigint).toString();
    case 'U':
      return Array.from(value as string, (character) => character.codePointAt(0));
    case 'S':
    case 'V':
      return hex(value);
    default:
      return value;
  }
}

/** Floats compare as numbers, and the sign of zero counts. */
const repr = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

const normal = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_key, item: unknown) => {
    if (item === 'inf') return 'Infinity';
    if (item === '-inf') return '-Infinity';
    if (item === 'nan') return 'NaN';
    return typeof item === 'string' && /^-?[0-9.]+(e[+-][0-9]+)?$/.test(item) && /[.e]/.test(item)
      ? repr(Number(item))
      : item;
  });

describe.each(NAMES)('the fixture %s', (name) => {
  const bytes = new Uint8Array(readFileSync(new URL(`${name}.npy`, ROOT)));
  const expected = JSON.parse(readFileSync(new URL(`${name}.json`, ROOT), 'utf8')) as Expected;
  const header = readFileSync(new URL(`${name}.header.txt`, ROOT), 'utf8');
  const options = { maxHeaderSize: 100_000 };

  test('is read as numpy reads it, from bytes and mapped', () => {
    using mapped = openNpy(fileURLToPath(new URL(`${name}.npy`, ROOT)), 'r', options);
    for (const array of [readNpy(bytes, options), mapped]) {
      expect(array.shape).toEqual(expected.shape);
      expect(array.order).toBe(expected.order);
      const values =
        array.size === 0 ? [] : array.ndim === 0 ? [array.get()] : array.copy({ order: 'C' }).reshape([-1]);
      expect([...values].map((value) => encode(value, array.type))).toEqual(normal(expected.values));
    }
  });

  test('has a header that is rewritten byte for byte', () => {
    const read = readSteps(npyHeaderSteps({ name }, options), (offset, length) =>
      bytes.subarray(offset, offset + length),
    );
    expect(read.version).toBe(expected.version);
    expect(bytes.length).toBe(read.dataOffset + read.nbytes);
    if (name.startsWith('python2')) return;
    const written = formatNpyHeader(read, { version: read.version });
    expect(written).toEqual(bytes.subarray(0, read.dataOffset));
    expect(new TextDecoder(read.version === 3 ? 'utf-8' : 'latin1').decode(written)).toContain(header.trimEnd());
    expect(parseDType(read.dtype.spec).itemsize).toBe(read.dtype.itemsize);
  });
});
