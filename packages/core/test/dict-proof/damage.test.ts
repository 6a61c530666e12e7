import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { isMmdError, type MmdError } from '../../src/errors.ts';
import { ndarray } from '../../src/ndarray/index.ts';
import { fsck, MmapDict as NodeDict } from '../../src/node.ts';
import { MemoryFile } from '../../src/storage/index.ts';
import { stateText, valueText } from './canonical.ts';
import { growable } from './operations.ts';

/** A file of every kind of entry, and what it holds. */
function sample(layout: 'modern' | 'legacy'): {
  bytes: Uint8Array;
  texts: Map<string, string>;
  parts: [number, number][];
} {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { layout, index: false });
  dict.set('int', 42).set('text', 'text').set('list', [1, 'two', null]);
  dict.set('array', ndarray(new Uint16Array([1, 2, 3, 4, 5, 6]), [2, 3]));
  dict.set('dead', 'gone').delete('dead');
  if (layout === 'modern') {
    dict.set('rows', growable([2], 'float64', 5));
    (dict.get('rows') as { append(rows: unknown): void }).append(new Float64Array([1, 2, 3, 4]));
  }
  dict.set('', new Uint8Array([9, 8, 7]));
  const texts = new Map([...dict].map(([key, value]) => [key, valueText(value)]));
  // Header, and every entry's head and tail: what the format itself consists of.
  const parts: [number, number][] = [[0, 24]];
  for (const { offset, end } of dict.scan()) parts.push([offset, offset + 11], [end - 8, end]);
  const bytes = file.toBytes();
  parts.push([bytes.length - 11, bytes.length]);
  return { bytes, texts, parts };
}

/** Opens and reads everything: every value read is right; otherwise it is missing or a typed error. */
function look(image: Uint8Array, texts: ReadonlyMap<string, string>, what: string): { opened: boolean; right: number } {
  let right = 0;
  const tryTo = (action: () => void): boolean => {
    try {
      action();
      return true;
    } catch (error) {
      if (!isMmdError(error)) throw new Error(`${what}: not a typed error`, { cause: error });
      return false;
    }
  };
  const opened = tryTo(() => void MmapDict.over(MemoryFile.of(image), { mode: 'r' }).size);
  for (const options of [{ mode: 'r' }, { mode: 'r', lenient: true, salvage: true }] as const) {
    right = 0;
    tryTo(() => {
      const dict = MmapDict.over(MemoryFile.of(image), options);
      for (const [key, text] of texts) {
        tryTo(() => {
          const value = dict.get(key);
          if (value === undefined) return;
          if (valueText(value) !== text) throw new Error(`${what}: ${key} reads as ${valueText(value)}, not ${text}`);
          right++;
        });
      }
      tryTo(() => void dict.fsck());
    });
  }
  return { opened, right };
}

describe.each(['modern', 'legacy'] as const)('a damaged file with %s arrays', (layout) => {
  const { bytes, texts, parts } = sample(layout);

  test('cut at every byte is a typed error that leaves the entries before the cut readable', () => {
    let most = 0;
    for (let size = 0; size < bytes.length; size++) {
      const image = bytes.slice(0, size);
      const { opened, right } = look(image, texts, `cut at ${size}`);
      expect(opened, `cut at ${size}`).toBe(false);
      expect(right).toBeGreaterThanOrEqual(most);
      most = right;
    }
    expect(most).toBe(texts.size);
  });

  test('cut at every byte is repaired when it is opened for writing, and holds the whole entries', () => {
    for (let size = 24; size < bytes.length; size++) {
      const file = MemoryFile.of(bytes.slice(0, size));
      try {
        using dict = MmapDict.over(file, { mode: 'r+', index: false });
        for (const [key, value] of dict) {
          if (key !== 'dead') expect(valueText(value)).toBe(texts.get(key));
        }
        dict.set('later', 1);
        expect(dict.get('later')).toBe(1);
      } catch (error) {
        if (!isMmdError(error)) throw error;
      }
    }
  });

  test('with any bit of header, heads, tails and terminator flipped never gives a wrong value', () => {
    let detected = 0;
    let flips = 0;
    for (const [start, end] of parts) {
      for (let at = start; at < end; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const image = bytes.slice();
          image[at]! ^= 1 << bit;
          flips++;
          const { opened, right } = look(image, texts, `bit ${bit} of byte ${at}`);
          if (!opened || right < texts.size) detected++;
        }
      }
    }
    expect(detected).toBeGreaterThan(flips / 2);
  });

  test('with wrong lengths is a typed error, or gives the intact entries', () => {
    const lies = [0, 1, 9, 10, 11, 20, 255, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 2 ** 64 - 1].map(BigInt);
    for (let at = 0; at + 9 <= bytes.length; at++) {
      // FRAME, BINBYTES8, BYTEARRAY8: each with eight bytes of length.
      if (![0x95, 0x8e, 0x96].includes(bytes[at]!)) continue;
      for (const lie of lies) {
        const image = bytes.slice();
        new DataView(image.buffer).setBigUint64(at + 1, lie, true);
        expect(look(image, texts, `length ${lie} at ${at}`).right).toBeLessThanOrEqual(texts.size);
      }
    }
  });

  test('with garbage after the terminator reads as before, and loses the garbage when it is opened for writing', () => {
    for (const tail of [
      [0],
      [0x95],
      [...bytes.subarray(24, 60)],
      new Array(5000).fill(0x2e),
      [...bytes.subarray(-11)],
    ]) {
      const image = Uint8Array.from([...bytes, ...(tail as number[])]);
      const state = [...texts].sort().join();
      const read = (dict: MmapDict): string =>
        [...dict]
          .map(([key, value]) => [key, valueText(value)])
          .sort()
          .join();
      expect(read(MmapDict.over(MemoryFile.of(image), { mode: 'r' }))).toBe(state);
      const file = MemoryFile.of(image);
      const dict = MmapDict.over(file, { mode: 'r+', index: false });
      expect(read(dict)).toBe(state);
      expect(file.toBytes()).toEqual(bytes.length === file.size() ? file.toBytes() : bytes);
      expect(file.size()).toBe(bytes.length);
      expect(dict.repairs.map(({ kind }) => kind)).toContain('unclaimed-bytes');
    }
  });

  test('with random bytes overwritten never crashes', () => {
    let seed = 7;
    const next = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
    for (let run = 0; run < 400; run++) {
      const image = bytes.slice();
      for (let i = 0; i < 1 + (run % 5); i++) image[Math.floor(next() * image.length)] = Math.floor(next() * 256);
      for (const options of [{ mode: 'r' }, { mode: 'r', lenient: true, salvage: true }, { mode: 'r+' }] as const) {
        try {
          const dict = MmapDict.over(MemoryFile.of(image), { ...options, index: false });
          for (const [, value] of dict) valueTextOrNothing(value);
          dict.fsck();
          if (options.mode === 'r+') dict.set('later', 1);
        } catch (error) {
          if (!isMmdError(error)) throw new Error(`run ${run}`, { cause: error });
        }
      }
    }
  });
});

function valueTextOrNothing(value: unknown): string | undefined {
  try {
    return valueText(value);
  } catch (error) {
    // A value changed by the damage may have no text.
    if (isMmdError(error) || (error as Error).message.startsWith('no text')) return undefined;
    throw error;
  }
}

describe('a file that is not a dict', () => {
  const code = (open: () => unknown): MmdError['code'] | 'opened' => {
    try {
      open();
      return 'opened';
    } catch (error) {
      if (isMmdError(error)) return error.code;
      throw error;
    }
  };

  test('is refused with a typed error in every mode, and left unchanged', () => {
    using dir = new TempDir();
    const fifo = dir.file('fifo');
    execFileSync('mkfifo', [fifo]);
    mkdirSync(dir.file('directory'));
    symlinkSync(dir.file('nowhere'), dir.file('dangling'));
    writeFileSync(dir.file('text'), '%PDF-1.7 hello');
    writeFileSync(dir.file('zeros'), new Uint8Array(5000));
    writeFileSync(dir.file('empty'), '');
    writeFileSync(dir.file('pickle'), Uint8Array.of(0x80, 4, 0x7d, 0x2e));
    const rows: [string, string][] = [
      ['fifo', 'INVALID_ARGUMENT'],
      ['directory', 'INVALID_ARGUMENT'],
      ['dangling', 'NOT_FOUND'],
      ['nowhere', 'NOT_FOUND'],
      ['text', 'NOT_A_PICKLE'],
      ['zeros', 'NOT_A_PICKLE'],
      ['pickle', 'NOT_MMDPICKLE'],
    ];
    for (const [name, expected] of rows) {
      for (const mode of ['r', 'r+', 'c'] as const) {
        expect([name, mode, code(() => NodeDict.open(dir.file(name), { mode }))]).toEqual([name, mode, expected]);
      }
    }
    expect(code(() => NodeDict.open(dir.file('empty'), { mode: 'r' }))).toBe('TRUNCATED');
    expect(readFileSync(dir.file('text'), 'utf8')).toBe('%PDF-1.7 hello');
    expect(readFileSync(dir.file('empty'))).toHaveLength(0);
    expect(fsck(dir.file('text')).ok).toBe(false);
    for (const device of ['/dev/null', '/dev/zero']) {
      expect(code(() => NodeDict.open(device, { mode: 'r' }))).toBe('INVALID_ARGUMENT');
    }
  });

  test('an unreadable file is a typed error', () => {
    using dir = new TempDir();
    NodeDict.open(dir.file('secret')).set('a', 1).close();
    chmodSync(dir.file('secret'), 0);
    // Root may read everything: then the open succeeds.
    const expected = process.getuid?.() === 0 ? 'opened' : 'IO';
    expect(code(() => NodeDict.open(dir.file('secret'), { mode: 'r' }).close())).toBe(expected);
    expect(stateText([])).toBe('');
  });
});
