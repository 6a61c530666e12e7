/** Bytes that are mistaken for pickles. */

import { describe, expect, it } from 'vitest';
import { FOREIGN_BYTES, foreignFile } from '../../src/pickle/foreign.ts';
import { check, dis, type EmitOp, emit, genops, load, loadAt } from '../../src/pickle/index.ts';

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const named = (pattern: RegExp, offset = 0) =>
  expect.objectContaining({ code: 'NOT_A_PICKLE', offset, message: expect.stringMatching(pattern) as string });

describe('bytes of another format', () => {
  it.each<[string, string, RegExp]>([
    ['npy', "\x93NUMPY\x01\0v\0{'descr': '<f8'}\n", /: not a pickle, but an npy file/],
    ['npz', 'PK\x03\x04\x14\0\0\0\0\0', /a zip archive/],
    ['HDF5', '\x89HDF\r\n\x1a\n', /an HDF5 file/],
    ['PNG', '\x89PNG\r\n\x1a\n\0\0\0\rIHDR', /a PNG image/],
    ['zlib', 'x\x9cK\xcb\xcf\x07\0', /compressed with zlib/],
    ['gzip', '\x1f\x8b\x08\0', /compressed with gzip/],
    ['bzip2', 'BZh91AY&SY\x1e', /compressed with bzip2/],
    ['xz', '\xfd7zXZ\0', /compressed with xz/],
    ['zstd', '\x28\xb5\x2f\xfd\x04', /compressed with zstd/],
    ['SQLite', 'SQLite format 3\0\x10', /an SQLite database/],
    ['HTML', '<!DOCTYPE html>\n<p>404', /HTML or XML/],
    ['JSON', '{"a": 1}', /JSON/],
    ['a JSON list', '[1, 2]', /JSON/],
  ])('are named: %s', (_name, text, pattern) => {
    const bytes = latin1(text);
    for (const read of [load, dis, check, (given: Uint8Array) => [...genops(given)]]) {
      expect(() => read(bytes)).toThrow(named(pattern));
    }
    expect(() => loadAt(latin1(`N.${text}`), 2, { offset: 100 })).toThrow(named(pattern, 102));
    expect(() => dis(latin1(`N.${text}`), { start: 2 })).toThrow(named(pattern, 2));
    expect(foreignFile(bytes.subarray(0, FOREIGN_BYTES), 'a file')).toEqual(named(pattern));
  });

  it('are not named if they are a pickle, or a damaged one', () => {
    expect(load(latin1('PK\x03\x04\n.'))).toMatchObject({ kind: 'PERSID' });
    expect(check(latin1('PK\x03\x04\n.')).persistentIds).toBe(1);
    expect(() => load(latin1('\x80\x04\xff'))).toThrow(/is not an opcode$/);
    for (const text of ['\x80\x04N.', 'N.', '']) expect(foreignFile(latin1(text), 'a file')).toBeUndefined();
  });
});

describe('a file written by joblib.dump', () => {
  const wrapper: EmitOp[] = [
    ['PROTO', 4],
    ['SHORT_BINUNICODE', 'joblib.numpy_pickle'],
    ['SHORT_BINUNICODE', 'NumpyArrayWrapper'],
    'STACK_GLOBAL',
    'EMPTY_TUPLE',
    'NEWOBJ',
    'EMPTY_DICT',
    'BUILD',
  ];
  const build = emit(wrapper).length - 1;

  it.each<[string, Uint8Array]>([
    ['numbers', Uint8Array.of(0, 0, 0, 0, 0, 0, 0xf0, 0x3f)],
    ['padded numbers', Uint8Array.of(2, 0xff, 0xff, 1, 2, 3)],
    ['objects, which are a separate pickle', emit([['PROTO', 2], 'EMPTY_LIST', 'STOP'])],
  ])('is named if it contains an array: %s', (_name, data) => {
    const bytes = Uint8Array.of(...emit(wrapper), ...data, 0x2e);
    for (const read of [load, check]) expect(() => read(bytes)).toThrow(named(/joblib/, build));
  });

  it('is read by a constructor that the program provides', () => {
    const globals = { 'joblib.numpy_pickle NumpyArrayWrapper': { construct: () => ({}), setState: () => {} } };
    expect(load(emit([...wrapper, 'STOP']), { globals })).toEqual({});
  });
});
