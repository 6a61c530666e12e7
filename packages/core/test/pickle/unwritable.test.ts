import { describe, expect, it } from 'vitest';
import { dump, EntryEncoder, loadEntry, Tuple } from '../../src/pickle/index.ts';

describe('values that cannot be written', () => {
  it.each<[string, unknown, string]>([
    [
      'undefined in a record of a list',
      { a: [1, { 'b c': undefined }] },
      'pass null, or omit it (at ["a"][1]["b c"] of',
    ],
    ['a promise', { frame: Promise.resolve() }, 'await it first (at ["frame"] of'],
    ['a class', [new (class Thing {})()], 'or define a codec for the class (at [0] of'],
    [
      'a class whose name is a symbol',
      [
        new (class {
          static readonly name = Symbol('own');
          readonly x = 1;
        })(),
      ],
      'class Symbol(own) cannot be written; pass',
    ],
    [
      'a buffer in a tuple',
      new Map([[1, new Tuple(2, new ArrayBuffer(2))]]),
      'new Uint8Array(buffer) (at [key 0][1] of',
    ],
    ['a value that cannot be a key', { m: new Map([[{}, 1]]) }, '(at ["m"] of'],
    ["a Date before Python's range", { at: new Date(-8.64e15) }, 'Python\'s years are 1 to 9999 (at ["at"] of'],
    ['an invalid Date', { at: new Date(Number.NaN) }, 'an invalid Date cannot be written as a datetime (at ["at"] of'],
    ['a function by itself', () => 1, 'a value of type function cannot be written'],
  ])('the error about %s says where the value is and what to do', (_name, value, text) => {
    const encoder = new EntryEncoder();
    expect(() => encoder.encode(value)).toThrow(text);
    expect(loadEntry(encoder.encode({ a: 1 }))).toEqual(new Map([['a', 1]]));
  });

  it('an error thrown by a getter is passed on unchanged', () => {
    const own = new TypeError('mine');
    const record = {
      get x(): never {
        throw own;
      },
    };
    expect(() => dump([record])).toThrow(own);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['the whole value', () => dump(undefined), /; pass null, or omit it$/],
    ['the size of the whole value', () => dump([[[1]]], { limits: { depth: 2 } }), /raise it if this is intended$/],
  ])('an error about %s names no location in it', (_what, work, text) => {
    expect(work).toThrow(text);
  });

  it('the location in an error is short, however deep it is', () => {
    let value: unknown;
    for (let i = 0; i < 10_000; i++) value = [0, value];
    expect(() => dump(value)).toThrow(/; pass null, or omit it \(at (\[1\]){8}\.\.\.(\[1\]){8} of the value\)$/);
  });
});
