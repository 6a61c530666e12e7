import { describe, expect, it } from 'vitest';
import {
  ByteReader,
  ByteWriter,
  decodeInteger,
  decodeLatin1,
  decodeUtf8,
  encodeInteger,
  encodeLatin1,
  encodeUtf8,
  encodeUtf8Into,
  hasSurrogatePair,
  narrowInteger,
} from '../../src/bytes/index.ts';

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const decode = (list: Uint8Array): string => decodeUtf8(list, 0, list.length);

describe('UTF-8', () => {
  const TEXTS = [
    '',
    'a',
    'ascii text',
    'é',
    'naïve',
    '€',
    '😀',
    '\ufeffkept',
    '\ud800',
    'x\udfffy',
    '\u07ff\u0800',
    'é'.repeat(100),
  ];
  it.each(TEXTS.flatMap((text) => [text, text.repeat(30)]))('reads and writes %j the same', (text) => {
    const encoded = encodeUtf8(text);
    expect(decode(encoded)).toBe(text);
    const into = new Uint8Array(3 * text.length + 2);
    const end = encodeUtf8Into(text, into, 1);
    expect(into.slice(1, end)).toEqual(encoded);
  });

  it.each([
    ['an overlong pair', bytes(0xc0, 0x80)],
    ['an overlong triple', bytes(0xe0, 0x80, 0x80)],
    ['an overlong quadruple', bytes(0xf0, 0x80, 0x80, 0x80)],
    ['a code point beyond U+10FFFF', bytes(0xf4, 0x90, 0x80, 0x80)],
    ['a lead byte that does not exist', bytes(0xff)],
    ['a continuation byte alone', bytes(0x80)],
    ['a truncated pair', bytes(0x61, 0xc3)],
    ['a pair with a wrong second byte', bytes(0xc3, 0x61)],
    ['a truncated triple', bytes(0xe2, 0x82)],
    ['a triple with a wrong third byte', bytes(0xe2, 0x82, 0x28)],
  ])('refuses %s, with the offset', (_name, input) => {
    expect(() => decode(input)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
    const long = bytes(...new Array<number>(100).fill(0x61), ...input);
    expect(() => decode(long)).toThrow(expect.objectContaining({ code: 'CORRUPT', offset: expect.any(Number) }));
  });

  it('distinguishes a surrogate pair of two code points from an astral character', () => {
    const pair = bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80);
    expect(decode(pair)).toBe('😀');
    expect(hasSurrogatePair(pair, 0, 6)).toBe(true);
    for (const text of ['😀', '\ud800', '\udfff\ud800', '\ud7ff\ud7ff', '\udc00\udc00']) {
      const encoded = encodeUtf8(text);
      expect(hasSurrogatePair(encoded, 0, encoded.length)).toBe(false);
    }
  });

  it('decodes a long text with lone surrogates in pieces', () => {
    const text = `\ud800${'é😀'.repeat(3000)}`;
    expect(decode(encodeUtf8(text))).toBe(text);
  });
});

describe('Latin-1', () => {
  it('reads and writes every byte, and refuses what does not fit', () => {
    const all = Uint8Array.from({ length: 10_000 }, (_, i) => i & 0xff);
    expect(encodeLatin1(decodeLatin1(all))).toEqual(all);
    expect(encodeLatin1('ā')).toBeUndefined();
  });
});

describe('integers', () => {
  it.each([
    0n,
    1n,
    -1n,
    127n,
    128n,
    -128n,
    -129n,
    255n,
    256n,
    32767n,
    -32768n,
    -32769n,
    2n ** 47n,
    -(2n ** 47n),
    2n ** 53n,
    2n ** 63n,
    -(2n ** 63n),
    -(2n ** 63n) - 1n,
    2n ** 4000n,
    -(2n ** 4001n),
  ])('%s round-trips in the fewest bytes', (value) => {
    const encoded = encodeInteger(value);
    expect(decodeInteger(encoded, 0, encoded.length)).toBe(narrowInteger(value));
    const fits =
      value === 0n ? 0 : Math.ceil(((value < 0n ? ~value : value).toString(2).replace(/^0$/, '').length + 1) / 8);
    expect(encoded.length).toBe(fits);
  });

  it('reads forms that are longer than necessary', () => {
    expect(decodeInteger(bytes(5, 0, 0, 0, 0, 0, 0, 0, 0), 0, 9)).toBe(5);
    expect(decodeInteger(bytes(0xff, 0xff, 0xff), 0, 3)).toBe(-1);
  });
});

describe('ByteReader and ByteWriter', () => {
  it('write and read every field', () => {
    const writer = new ByteWriter(1);
    writer.u8(1);
    writer.u16(0x0203);
    writer.u32(0xfffffffe);
    writer.i32(-5);
    writer.u64(2 ** 40 + 7);
    writer.f64be(-0.5);
    writer.raw([9, 8]);
    writer.utf8('é');
    const reader = new ByteReader(writer.finish(), 0, 100);
    expect(reader.u8('a')).toBe(1);
    expect(reader.u16('b')).toBe(0x0203);
    expect(reader.u32('c')).toBe(0xfffffffe);
    expect(reader.i32('d')).toBe(-5);
    expect(reader.u64('e')).toBe(2 ** 40 + 7);
    expect(reader.f64be('f')).toBe(-0.5);
    expect(reader.take(2, 'g')).toEqual(bytes(9, 8));
    expect(decode(reader.take(2, 'text'))).toBe('é');
    expect(reader.remaining).toBe(0);
    expect(() => reader.u8('more')).toThrow(
      expect.objectContaining({ code: 'TRUNCATED', offset: 131, expected: 1, found: 0 }),
    );
    expect(() => new ByteReader(bytes(1)).take(Number.NaN, 'nonsense')).toThrow(/expected NaN bytes/);
  });
});
