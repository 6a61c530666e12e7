import { describe, expect, it } from 'vitest';
import {
  Decoder,
  dis,
  dump,
  dumpEntry,
  EntryEncoder,
  emit,
  type LoadOptions,
  load,
  loadAt,
  loadEntry,
} from '../../src/pickle/index.ts';
import { LIMITS, type LimitName } from '../../src/pickle/limits.ts';

const NESTED = dump([[[1]]]);

const refused = (name: string) =>
  expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(name) });

describe('options of load that can only be a mistake are refused', () => {
  const wrong: readonly (readonly [name: keyof LoadOptions, values: readonly unknown[]])[] = [
    ['encoding', ['latin-1', 'UTF-8', 1]],
    ['lossless', ['yes', 1]],
    ['borrow', [0]],
    ['writable', ['no']],
    ['buffers', [5, {}]],
    ['persistentLoad', [{}]],
    ['extension', [new Map()]],
    ['globals', ['os system', 5]],
    ['unknown', ['errors', true]],
    ['limits', [5, 'none', null]],
    ['offset', ['0', Number.NaN, -1]],
  ];

  it.each(wrong)('%s', (name, values) => {
    for (const value of values) {
      const options = { [name]: value };
      expect(() => load(NESTED, options)).toThrow(refused(name));
      expect(() => loadAt(NESTED, 0, options)).toThrow(refused(name));
      expect(() => loadEntry(dumpEntry(1), options)).toThrow(refused(name));
      expect(() => new Decoder(options).load(NESTED)).toThrow(refused(name));
    }
    expect(load(NESTED, { [name]: undefined })).toEqual([[[1]]]);
  });

  it('under a name that no option has', () => {
    expect(() => load(NESTED, { limit: { depth: 1 } } as object)).toThrow(refused("'limit'"));
    expect(() => load(NESTED, { limits: { dept: 1 } } as object)).toThrow(refused("'limits.dept'"));
  });

  it.each([{}, { contruct: () => 1 }, { construct: 5 }, { construct: () => 1, setstate() {} }, 5, null])(
    'in a constructor: %j',
    (given) => {
      const globals = { 'a b': given } as never;
      const bytes = emit([['GLOBAL', 'a b'], 'EMPTY_TUPLE', 'REDUCE', 'STOP']);
      expect(() => load(bytes, { globals })).toThrow(refused("globals['a b']"));
    },
  );

  it('a name that only a prototype has is not taken as an option', () => {
    class Config {}
    Object.assign(Config.prototype, { colour: 'red' });
    expect(load(NESTED, new Config())).toEqual([[[1]]]);
  });
});

describe('a budget', () => {
  it.each(Object.keys(LIMITS) as LimitName[])('of %s must be a number, and undefined means the default', (name) => {
    for (const value of [Number.NaN, '5', -1, null]) {
      expect(() => load(NESTED, { limits: { [name]: value } })).toThrow(refused(`limits.${name}`));
    }
    expect(load(NESTED, { limits: { [name]: undefined } as object })).toEqual([[[1]]]);
    expect(load(NESTED, { limits: { [name]: Number.POSITIVE_INFINITY } })).toEqual([[[1]]]);
  });

  it('that is undefined is the default, not unlimited', () => {
    const deep = new Uint8Array(LIMITS.depth.value + 10).fill(0x28);
    const limits = { depth: undefined } as object;
    expect(() => load(deep, { limits })).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED', limit: 'depth' }));
  });
});

describe('options of dump and dis that can only be a mistake are refused', () => {
  it.each<[string, object]>([
    ['protocol', { protocol: 1 }],
    ['protocol', { protocol: '4' }],
    ['bufferCallback', { protocol: 5, bufferCallback: [] }],
    ['limits.depth', { limits: { depth: Number.NaN } }],
    ["'limits.memo'", { limits: { memo: 5 } }],
    ["'indent'", { indent: 2 }],
  ])('%s of dump', (name, options) => {
    expect(() => dump(1, options)).toThrow(refused(name));
  });

  it('of dumpEntry, EntryEncoder and dis', () => {
    expect(() => dumpEntry(1, { memoBase: Number.NaN })).toThrow(refused('memoBase'));
    expect(() => new EntryEncoder({ limits: { depth: Number.NaN } })).toThrow(refused('limits.depth'));
    expect(() => dis(NESTED, { indent: Number.NaN })).toThrow(refused('indent'));
    expect(() => dis(NESTED, { limits: { text: Number.NaN } })).toThrow(refused('limits.text'));
  });
});
