import { describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { type ArraySource, ndarray } from '../../src/ndarray/index.ts';
import { dump } from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

const source = (parts: object): ArraySource =>
  ({ arraySource: true, dtype: 'u1', shape: [4], ...parts }) as ArraySource;
const giving = (...pieces: unknown[]): object => ({ bytes: () => pieces });
const four = giving(Uint8Array.of(1, 2, 3, 4));

/** What is wrong with a source. */
const WRONG: [string, object][] = [
  ['no shape', { shape: undefined, ...four }],
  ['a shape that is not a list', { shape: 4, ...four }],
  ['a shape that is text', { shape: '4', ...four }],
  ['a negative dimension', { shape: [-4], ...four }],
  ['dimensions that numpy cannot have, though one is zero', { shape: [0, 2 ** 40, 2 ** 40], ...giving() }],
  ['such dimensions in an array that grows', { shape: [0, 2 ** 40, 2 ** 40], capacity: 0 }],
  ['such dimensions of elements of no bytes', { dtype: 'S0', shape: [2 ** 40, 2 ** 40], ...giving() }],
  ['an unknown order', { shape: [2, 2], order: 'Q', ...four }],
  ['bytes that are not a function', { bytes: 5 }],
  ['bytes that are null', { bytes: null }],
  ['a file that is null', { file: null }],
  ['bytes and a file', { ...four, file: { path: 'z', offset: 0, length: 4 } }],
  ['bytes that give a number', { bytes: () => 5 }],
  ['bytes that give nothing', { bytes: () => undefined }],
  ['bytes that give text', { bytes: () => 'abcd' }],
  ['pieces of text', giving('abcd')],
  ['pieces that only have a length', giving({ length: 4 })],
  ['pieces that are lists', giving([1, 2, 3, 4])],
  ['pieces that are other typed arrays', giving(new Float32Array(4))],
  ['pieces that are not bytes after one that is', giving(Uint8Array.of(1, 2), 'ab')],
  ['pieces that are buffers', giving(new ArrayBuffer(4))],
  ['an undefined piece', giving(undefined)],
  ['too few bytes', giving(new Uint8Array(3))],
  ['too many bytes', giving(new Uint8Array(5))],
  ['a mask that is not a source', { ...four, mask: 5 }],
  ['a mask without a shape', { ...four, mask: source({ dtype: '?', shape: undefined }) }],
  ['a mask of another shape', { ...four, mask: source({ dtype: '?', shape: [3] }) }],
  ['a mask whose bytes are not a function', { ...four, mask: source({ dtype: '?', bytes: 5 }) }],
  ['a mask of text', { ...four, mask: source({ dtype: '?', ...giving('abcd') }) }],
];

describe('an invalid array source', () => {
  it.each(WRONG)('is INVALID_ARGUMENT, and nothing is stored: %s', (_, parts) => {
    const refused = expect.objectContaining({ name: 'MmdError', code: 'INVALID_ARGUMENT' });
    for (const layout of ['modern', 'legacy'] as const) {
      const file = MemoryFile.of();
      const dict = MmapDict.over(file);
      dict.set('z', ndarray([1]));
      const before = dict.commitNumber;
      expect(() => dict.set('z', source(parts), { layout })).toThrow(refused);
      expect(() => dict.set('list', [source(parts)])).toThrow(refused);
      expect(dict.commitNumber).toBe(before);
      dict.close();
      const again = MmapDict.over(MemoryFile.of(file.toBytes()));
      expect([...again.keys()]).toEqual(['z']);
      expect((again.get('z') as { toNested(): unknown }).toNested()).toEqual([1]);
      expect(again.fsck().findings).toEqual([]);
    }
    for (const protocol of [2, 4, 5] as const) expect(() => dump(source(parts), { protocol })).toThrow(refused);
  });

  it('does not include one that gives its bytes in any number of pieces', () => {
    const dict = MmapDict.over(MemoryFile.of());
    for (const parts of [four, giving(Buffer.from([1, 2]), new Uint8Array(0), Uint8Array.of(3, 4))]) {
      dict.set('z', source(parts));
      expect((dict.get('z') as { toNested(): unknown }).toNested()).toEqual([1, 2, 3, 4]);
    }
  });
});
