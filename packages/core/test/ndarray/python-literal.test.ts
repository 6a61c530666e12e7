import { isMmdError } from '@mmdpickle/core';
import { parsePythonLiteral, printPythonLiteral } from '@mmdpickle/core/ndarray';
import { Python, pythons } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { characters } from '../../src/testing/arbitraries.ts';

const tuple = (...items: unknown[]): unknown => ({ tuple: items });

const READ: readonly (readonly [text: string, value: unknown])[] = [
  ['None', null],
  ['True', true],
  ['False', false],
  ['0', 0],
  ['00', 0],
  ['1_000', 1000],
  ['0x1F', 31],
  ['0o17', 15],
  ['0b101', 5],
  ['-5', -5],
  ['- 5', -5],
  ['+5', 5],
  ['9007199254740993', 9007199254740993n],
  ['()', tuple()],
  ['(1,)', tuple(1)],
  ['(1, )', tuple(1)],
  ['(1)', 1],
  ['(1, 2)', tuple(1, 2)],
  ['[]', []],
  ['[1, [2,],]', [1, [2]]],
  ['{}', new Map()],
  ["{'a': 1, 'a': 2}", new Map([['a', 2]])],
  ["  {'a' : (1 , 2 ) , }  \n", new Map([['a', tuple(1, 2)]])],
  ["{ # said by hand\n'a': 1 }", new Map([['a', 1]])],
  ["'it''s'", 'its'],
  ['"it\'s"', "it's"],
  ["u'x'", 'x'],
  ["'a' u'b'", 'ab'],
  ["'''a\nb'''", 'a\nb'],
  ["'\\x41\\u00e9\\U0001f600\\101\\n\\\\\\''", "Aé😀A\n\\'"],
];

const REFUSED: readonly string[] = [
  '',
  ' ',
  '1 2',
  '(',
  '(1',
  '(1 2)',
  '(,)',
  '[1,,2]',
  '[1)',
  '{1: 2}',
  "{'a'}",
  "{'a': }",
  "{'a': 1",
  "{'a': 1 'b': 2}",
  "'open",
  "'a\nb'",
  "'\0'",
  "'\\q'",
  "'\\x4'",
  "'\\U00110000'",
  "'\\N{DIGIT ONE}'",
  "b'bytes'",
  "f'{1}'",
  '012',
  '1.5',
  '1e5',
  '1j',
  '5L',
  '0x',
  '1__0',
  'nan',
  'Ellipsis',
  '...',
  '- -5',
  '--5',
  'lambda: 0',
  '__import__("os")',
  '1+1',
  '[x for x in ()]',
  "'a' % ()",
  '{}.update',
  'true',
  'null',
];

describe('reading Python literals', () => {
  test.each(READ)('%j is read', (text, value) => {
    expect(parsePythonLiteral(text)).toEqual(value);
  });

  test.each(REFUSED)('%j is refused with its offset', (text) => {
    expect.assertions(2);
    try {
      parsePythonLiteral(text, { offset: 100 });
    } catch (error) {
      expect(isMmdError(error, 'BAD_FORMAT')).toBe(true);
      expect((error as { offset: number }).offset).toBeGreaterThanOrEqual(100);
    }
  });

  test("Python 2's long suffix is read if allowed", () => {
    expect(parsePythonLiteral('(3L, 4 L)', { longSuffix: true })).toEqual({ tuple: [3, 4] });
    expect(() => parsePythonLiteral('3Lx', { longSuffix: true })).toThrow('expected an integer');
    expect(() => parsePythonLiteral('3l', { longSuffix: true })).toThrow('expected an integer');
  });

  test('nesting, digits and length have limits', () => {
    const caught = (text: string, options = {}): unknown => {
      try {
        return parsePythonLiteral(text, options);
      } catch (error) {
        return error;
      }
    };
    expect(isMmdError(caught('('.repeat(5000)), 'LIMIT_EXCEEDED')).toBe(true);
    expect(isMmdError(caught('[[[]]]', { maxDepth: 1 }), 'LIMIT_EXCEEDED')).toBe(true);
    expect(isMmdError(caught('[1, 2]', { maxLength: 5 }), 'LIMIT_EXCEEDED')).toBe(true);
    expect(isMmdError(caught('9'.repeat(5000)), 'LIMIT_EXCEEDED')).toBe(true);
  });
});

describe.each(pythons())('beside Python $version', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test('strings print as repr prints them, or with an escape that reads the same', async () => {
    const texts = fc.sample(fc.string({ unit: characters(), maxLength: 40 }), { numRuns: 300, seed: 7 });
    texts.push("it's", '"', '\'"', '\x7f\x80\xa0\xad\u2028\ue000\u0378');
    const read = await python.run<string[]>('import ast; result = [ast.literal_eval(text) for text in args["texts"]]', {
      texts: texts.map(printPythonLiteral),
    });
    expect(read).toEqual(texts);
    const reprs = await python.run<string[]>('result = [repr(text) for text in args["texts"]]', { texts });
    expect(reprs.map((text) => parsePythonLiteral(text))).toEqual(texts);
  });

  test('what is read here, Python reads as the same value', async () => {
    const agreed = await python.run<boolean[]>(
      `
import ast
def plain(value):
    if isinstance(value, tuple): return {"tuple": [plain(item) for item in value]}
    if isinstance(value, list): return [plain(item) for item in value]
    if isinstance(value, dict): return {"dict": [[key, plain(item)] for key, item in value.items()]}
    return str(value) if type(value) is int else value
result = [plain(ast.literal_eval(text)) == value for text, value in args["cases"]]
`,
      { cases: READ.map(([text, value]) => [text, plain(value)]) as never },
    );
    expect(agreed.every(Boolean)).toBe(true);
  });
});

function plain(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return { dict: [...value].map(([key, item]) => [key, plain(item)]) };
  if (typeof value === 'object' && value !== null) return { tuple: (value as { tuple: unknown[] }).tuple.map(plain) };
  return value;
}
