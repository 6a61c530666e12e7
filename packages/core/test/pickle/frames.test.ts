/** Where frames may end: verified with both readers of CPython 3.6 to 3.13. */

import { describe, expect, it } from 'vitest';
import { load } from '../../src/pickle/index.ts';

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** A frame of `length` bytes that begins with these opcodes, which may continue past its end. */
const framed = (length: number, opcodes: string): unknown =>
  load(latin1(`\x80\x04\x95${String.fromCharCode(length)}\0\0\0\0\0\0\0${opcodes}.`));

describe('a frame', () => {
  it.each<[string, string, unknown]>([
    ['a byte', 'K\x05', 5],
    ['two bytes', 'M\x05\x01', 261],
    ['four bytes', 'J\x05\0\0\0', 5],
    ['eight bytes', 'G\x3f\xf8\0\0\0\0\0\0', 1.5],
    ['a line', 'I5\n', 5],
    ['a short text', '\x8c\x02ab', 'ab'],
    ['a text', 'X\x02\0\0\0ab', 'ab'],
    ['short bytes', 'C\x02ab', latin1('ab')],
    ['the length of a frame', '\x95\x01\0\0\0\0\0\0\0N', null],
  ])('may end after an opcode whose argument, %s, follows it', (_name, opcodes, value) => {
    expect(framed(0, opcodes)).toEqual(value);
    expect(framed(1, opcodes)).toEqual(value);
  });

  it('may end between a length and its data, and before a memo index', () => {
    expect(framed(2, '\x8c\x01a')).toBe('a');
    expect(framed(5, 'X\x01\0\0\0a')).toBe('a');
    for (const put of ['q\0', 'r\0\0\0\0', 'p0\n']) {
      for (const get of ['h\0', 'j\0\0\0\0', 'g0\n']) {
        expect(framed(2, `N${put}${get}`)).toBeNull();
        expect(framed(put.length + 2, `N${put}${get}`)).toBeNull();
      }
    }
  });

  it('may end with the length of the next one', () => {
    expect(framed(9, '\x95\x01\0\0\0\0\0\0\0N')).toBeNull();
    expect(() => framed(10, '\x95\x01\0\0\0\0\0\0\0N')).toThrow('a frame inside a frame');
  });
});
