import { describe, expect, it } from 'vitest';
import { MemoryDisk, MemoryFile } from '../../src/storage/memory-file.ts';
import { CrashFile } from '../../src/testing/crash-file.ts';
import { type CrashState, type CrashStateOptions, crashStates } from '../../src/testing/crash-states.ts';

function recorded(initial: number[] = []): CrashFile {
  return CrashFile.over(MemoryFile.of(Uint8Array.from(initial), 'f'));
}

/** The distinct contents of one file over all states, as text. */
function contents(file: CrashFile, options?: CrashStateOptions, name = 'f'): string[] {
  const seen = new Set<string>();
  for (const state of crashStates(file.log, options)) seen.add(String(state.files.get(name) ?? 'none'));
  return [...seen].sort();
}

describe('kill', () => {
  it('leaves every prefix, and an append torn at any byte', () => {
    const file = recorded([1, 2]);
    file.write(2, Uint8Array.of(3, 4, 5));
    file.write(0, Uint8Array.of(9));
    expect(contents(file)).toEqual(['1,2', '1,2,3', '1,2,3,4', '1,2,3,4,5', '9,2,3,4,5']);
  });

  it('tears overwrites at sectors only', () => {
    const file = recorded(Array(1500).fill(1));
    file.write(500, new Uint8Array(600).fill(2));
    const sums = [...crashStates(file.log)].map((state) => state.files.get('f')!.reduce((sum, byte) => sum + byte, 0));
    expect(sums).toEqual([1500, 1512, 2024, 2100]);
  });

  it('tears an unaligned store: it is more than one machine store', () => {
    const file = recorded([0, 0, 0, 0, 0, 0]);
    file.storeI32(2, -1);
    expect(contents(file)).toHaveLength(5);
  });

  it('never tears an aligned store, and treats one through a mapping as a write', () => {
    const file = recorded(Array(16).fill(0));
    file.storeI64(8, -1n);
    file.map(0, 16, 'write').write?.(2, Uint8Array.of(7));
    file.storeI32(4, 5);
    expect(new Set(contents(file))).toEqual(
      new Set([
        String(Array(16).fill(0)),
        '0,0,0,0,0,0,0,0,255,255,255,255,255,255,255,255',
        '0,0,7,0,0,0,0,0,255,255,255,255,255,255,255,255',
        '0,0,7,0,5,0,0,0,255,255,255,255,255,255,255,255',
      ]),
    );
  });

  it('counts what was acknowledged by then', () => {
    const file = recorded();
    file.write(0, Uint8Array.of(1));
    file.log.mark('one');
    file.write(1, Uint8Array.of(2, 3));
    file.log.mark('two');
    const states = [...crashStates(file.log)];
    expect(states.map(({ files, acknowledged }) => [files.get('f')!.length, acknowledged])).toEqual([
      [0, 0],
      [1, 1],
      [2, 1],
      [3, 2],
    ]);
  });

  it('follows other files, renames and removals', () => {
    const disk = new MemoryDisk();
    disk.open('f', 'create-new').write(0, Uint8Array.of(1));
    const file = CrashFile.over(disk.open('f', 'r+'));
    const next = file.open('g', 'create-new');
    next.copyFrom(file, 0, 1, 1);
    next.renameOver('f');
    file.remove('f');
    const seen = [...crashStates(file.log)].map(({ files }) => Object.fromEntries(files));
    const f = { f: Uint8Array.of(1) };
    const copied = { f: Uint8Array.of(0, 1) };
    expect(seen).toEqual([f, { ...f, g: Uint8Array.of() }, { ...f, g: Uint8Array.of(0, 1) }, copied, copied, {}]);
  });
});

describe('power failure', () => {
  it('keeps any subset of unsynced writes', () => {
    const file = recorded([0, 0, 0]);
    file.write(0, Uint8Array.of(1));
    file.write(1, Uint8Array.of(1));
    file.write(2, Uint8Array.of(1));
    const all = contents(file, { power: true });
    expect(all).toEqual(['0,0,0', '0,0,1', '0,1,0', '0,1,1', '1,0,0', '1,0,1', '1,1,0', '1,1,1']);
  });

  it('keeps everything that was synced', () => {
    const file = recorded([0, 0, 0]);
    file.write(0, Uint8Array.of(1));
    file.sync();
    file.write(1, Uint8Array.of(1));
    const after = [...crashStates(file.log, { power: true })].filter((state) => state.begun >= 2);
    expect(new Set(after.map((state) => String(state.files.get('f'))))).toEqual(new Set(['1,0,0', '1,1,0']));
  });

  it('can lose a rename until the directory is synced, and the data of an unsynced file', () => {
    const disk = new MemoryDisk();
    disk.open('f', 'create-new').write(0, Uint8Array.of(1));
    const file = CrashFile.over(disk.open('f', 'r+'));
    const next = file.open('g', 'create-new');
    next.write(0, Uint8Array.of(2));
    next.renameOver('f');
    const texts = (states: CrashState[]): string[] =>
      [...new Set(states.map(({ files }) => String(files.get('f'))))].sort();
    const all = [...crashStates(file.log, { power: true })];
    expect(texts(all)).toEqual(['', '1', '2']);
    expect(texts(all.filter(({ begun }) => begun === file.log.ops.length))).toEqual(['', '2']);
  });

  it('samples if there are too many subsets, the same ones for one seed', () => {
    const file = recorded();
    for (let i = 0; i < 40; i++) file.write(i * 700, new Uint8Array(700).fill(i + 1));
    const texts = (seed: number): string[] =>
      [...crashStates(file.log, { power: true, seed, samples: 5, tears: 4 })].map(({ label }) => label);
    const first = texts(7);
    expect(first).toEqual(texts(7));
    expect(first).not.toEqual(texts(8));
    expect(first.length).toBeLessThan(41 * 2 ** 8);
    expect(first.length).toBeGreaterThan(40 * 5);
  });

  it('tears single writes at sectors, and keeps an aligned store whole', () => {
    const file = recorded(Array(4096).fill(0));
    file.write(0, new Uint8Array(2048).fill(1));
    file.storeI64(3000, -1n);
    let torn = 0;
    for (const { files } of crashStates(file.log, { power: true, samples: 200 })) {
      const bytes = files.get('f')!;
      for (let at = 0; at < 2048; at += 512) {
        expect(new Set(bytes.subarray(at, at + 512)).size).toBe(1);
        if (bytes[at] !== bytes[0]) torn++;
      }
      expect(new Set(bytes.subarray(3000, 3008)).size).toBe(1);
    }
    expect(torn).toBeGreaterThan(0);
  });
});

it('replays to the contents of the file', () => {
  const file = recorded([1, 2, 3, 4, 5, 6, 7, 8]);
  file.writeParts(3, [Uint8Array.of(9, 9), new Uint8Array(0), Uint8Array.of(8)]);
  file.allocate(0, 20);
  file.allocate(0, 200, { keepSize: true });
  file.punchHole(1, 2);
  file.truncate(12);
  file.copyFrom(file, 0, 6, 6);
  file.sync();
  const bytes = new Uint8Array(file.size());
  file.read(0, bytes);
  expect(file.log.final().files().get('f')).toEqual(bytes);
  expect(file.dataRanges(0, 5)).toEqual([{ offset: 0, end: 5 }]);
});
