import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';
import { MmapDict as BaseDict, type GrowableArray, type GrowableMaskedArray } from '../../src/dict/index.ts';
import type { NDArray } from '../../src/ndarray/index.ts';
import { faultySyscalls, libc, MmapDict, NodeFile } from '../../src/node.ts';

const isRoot = process.getuid?.() === 0;

describe('a vacuum', () => {
  test.each([0o600, 0o640, 0o664, 0o604])('keeps the permissions %o', (mode) => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    dict.set('a', 1).set('a', 2);
    chmodSync(path, mode);
    const { ino } = statSync(path);
    dict.vacuum();
    expect(statSync(path).ino).not.toBe(ino);
    expect(statSync(path).mode & 0o7777).toBe(mode);
  });

  test('keeps the owner and the group if permitted', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    dict.set('a', 1);
    if (isRoot) chownSync(path, 12345, 54321);
    chmodSync(path, 0o660);
    const { uid, gid } = statSync(path);
    dict.vacuum();
    expect(statSync(path)).toMatchObject({ uid, gid });
    expect(statSync(path).mode & 0o7777).toBe(0o660);
  });

  test.runIf(isRoot)('gives the group no more permissions than others if it may not keep the group', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    const syscalls = faultySyscalls(libc(), { call: 'fchown', nth: 0, errno: 'EPERM', persistent: true });
    using dict = BaseDict.over(NodeFile.open(path, 'a', { syscalls }));
    dict.set('a', 1);
    chownSync(path, 12345, 54321);
    chmodSync(path, 0o664);
    dict.vacuum();
    expect(statSync(path).mode & 0o7777).toBe(0o644);
    expect(dict.get('a')).toBe(1);
  });

  test.each([false, true])(
    'keeps foreign files with the name of its temporary file (in place: %s), and removes what a killed vacuum left',
    (inPlace) => {
      using dir = new TempDir();
      const path = dir.file('x');
      using dict = MmapDict.open(path);
      dict.set('a', 1).set('a', 2);
      writeFileSync(`${path}.vacuum`, 'not yours');
      MmapDict.open(`${path}.vacuum1`).set('mine', 1).close();
      mkdirSync(`${path}.vacuum2`);
      symlinkSync('nowhere', `${path}.vacuum3`);
      const names = readdirSync(dir.path);
      const syscalls = faultySyscalls(libc());
      {
        using killed = BaseDict.over(NodeFile.open(path, 'r+', { syscalls }));
        syscalls.plan(
          { call: 'fdatasync', nth: 0, errno: 'EIO' },
          { call: 'unlink', nth: 0, errno: 'EIO', persistent: true },
        );
        expect(() => killed.vacuum({ inPlace })).toThrow(expect.objectContaining({ code: 'IO' }));
      }
      expect(readdirSync(dir.path)).toEqual([...names, 'x.vacuum4']);
      dict.vacuum({ inPlace });
      expect(readdirSync(dir.path)).toEqual(names);
      expect(readFileSync(`${path}.vacuum`, 'utf8')).toBe('not yours');
      using theirs = MmapDict.open(`${path}.vacuum1`, { mode: 'r' });
      expect([...theirs, ...dict]).toEqual([
        ['mine', 1],
        ['a', 2],
      ]);
    },
  );

  test.each([false, true])(
    'removes the empty file left by a vacuum that was killed before it wrote a byte (in place: %s)',
    (inPlace) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('x'));
      writeFileSync(dir.file('x.vacuum'), '');
      dict.set('a', 1).set('a', 2).vacuum({ inPlace });
      expect(readdirSync(dir.path)).toEqual(['x']);
      using taken = NodeFile.open(dir.file('x.vacuum'), 'a');
      taken.lock(0);
      dict.vacuum({ inPlace });
      expect(readdirSync(dir.path)).toEqual(['x', 'x.vacuum']);
    },
  );

  test.each([
    ['x'.repeat(255), false],
    ['x'.repeat(255), true],
    [`${'x'.repeat(245)}\u{1f4be}`, false],
  ])('works if the file name leaves no room for a suffix: %s (in place: %s)', (name, inPlace) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file(name));
    dict.set('a', 1).set('a', 2).vacuum({ inPlace });
    expect(readdirSync(dir.path)).toEqual([name]);
    expect([...dict]).toEqual([['a', 2]]);
  });

  test('keeps the symbolic link through which the file was opened', () => {
    using dir = new TempDir();
    const link = dir.file('link');
    MmapDict.open(dir.file('x')).close();
    symlinkSync('x', link);
    using dict = MmapDict.open(link);
    using other = MmapDict.open(dir.file('x'));
    dict.set('a', 1).set('a', 2).vacuum();
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readlinkSync(link)).toBe('x');
    expect(lstatSync(dir.file('x')).isFile()).toBe(true);
    expect(other.get('a')).toBe(2);
    using again = MmapDict.open(link, { mode: 'r' });
    expect(again.get('a')).toBe(2);
  });

  test('of a file that was moved while open is refused, and creates no new file under the old name', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('x'));
    dict.set('a', 1).set('a', 2);
    renameSync(dir.file('x'), dir.file('moved'));
    expect(() => dict.vacuum()).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    dict.set('b', 3).vacuum({ inPlace: true });
    expect(readdirSync(dir.path)).toEqual(['moved']);
    using moved = MmapDict.open(dir.file('moved'), { mode: 'r' });
    expect([...moved]).toEqual([...dict]);
  });

  test.each(['moved', 'replaced', 'removed'])(
    'of a file that is %s while it is copied is refused, and replaces nothing',
    (how) => {
      using dir = new TempDir();
      MmapDict.open(dir.file('theirs')).set('theirs', 1).close();
      using dict = MmapDict.open(dir.file('x'));
      dict.set('a', 1);
      const onProgress = (): void => {
        if (how === 'moved') renameSync(dir.file('x'), dir.file('moved'));
        else if (how === 'removed') rmSync(dir.file('x'));
        else renameSync(dir.file('theirs'), dir.file('x'));
      };
      expect(() => dict.vacuum({ onProgress })).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
      const files = { moved: ['moved', 'theirs'], replaced: ['x'], removed: ['theirs'] }[how]!;
      expect(readdirSync(dir.path).sort()).toEqual(files);
      using last = MmapDict.open(dir.file(files.at(-1)!), { mode: 'r' });
      expect([...last.keys()]).toEqual(['theirs']);
    },
  );

  test('in place of a file that was moved while open includes its growable arrays', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('x'));
    const rows = { arraySource: true, dtype: 'int8', shape: [0], capacity: 4 } as const;
    const masked = { ...rows, mask: { ...rows, dtype: 'bool' } } as const;
    const array = dict.set('rows', rows).get('rows') as GrowableArray;
    const hidden = dict.set('masked', masked).get('masked') as GrowableMaskedArray;
    renameSync(dir.file('x'), dir.file('moved'));
    // More than the reserve holds, with other entries behind it.
    array.append([1, 2, 3, 4, 5]);
    hidden.append([6, 7, 8, 9, 10], [true, false, false, false, true]);
    dict.vacuum({ inPlace: true });
    using moved = MmapDict.open(dir.file('moved'), { mode: 'r' });
    expect((moved.get('rows') as GrowableArray).toNested()).toEqual([1, 2, 3, 4, 5]);
    expect((moved.get('masked') as GrowableMaskedArray).toNested()).toEqual([null, 7, 8, 9, null]);
  });

  test('keeps old files open only for handles that hold arrays of them; the others are closed, and their disk space is freed', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    using dir = new TempDir();
    const oldFiles = (): number =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          const name = readlinkSync(`/proc/self/fd/${fd}`);
          return name.startsWith(dir.path) && name.endsWith(' (deleted)');
        } catch {
          return false;
        }
      }).length;
    const writer = MmapDict.open(dir.file('x')).set('a', new Float64Array(1000).fill(1)).set('i', 0);
    const reader = MmapDict.open(dir.file('x'), { mode: 'r' });
    // One array that is mapped later, and a typed array that outlives its array.
    const held = [writer.get('a'), reader.get('a')] as NDArray[];
    for (let i = 1; i <= 20; i++) {
      writer.set('i', i).vacuum();
      expect([reader.get('i'), (reader.get('a') as NDArray).sum()]).toEqual([i, 1000]);
    }
    const typed = (reader.get('a') as NDArray).typed();
    writer.vacuum();
    reader.refresh();
    expect(oldFiles()).toBe(42);
    // The two that are held, and the one that each handle looked at last.
    for (let turn = 0; turn < 50 && oldFiles() > 4; turn++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(oldFiles()).toBeLessThanOrEqual(4);
    expect(oldFiles()).toBeGreaterThanOrEqual(2);
    expect(held.map((array) => array.sum())).toEqual([1000, 1000]);
    expect(typed[999]).toBe(1);
    writer.close();
    reader.close();
    expect(oldFiles()).toBe(0);
    expect(() => held[0]!.sum()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });
});

test('the garbage collector closes the files of unclosed dicts, except those with an array still in use', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  using dir = new TempDir();
  const path = dir.file('x');
  MmapDict.open(path).set('a', new Float64Array(1000).fill(1)).close();
  const openFiles = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false;
      }
    }).length;
  const forget = (): NDArray => {
    for (let i = 0; i < 20; i++) MmapDict.open(path).set('i', i).delete('i');
    return MmapDict.open(path, { mode: 'r' }).get('a') as NDArray;
  };
  const held = forget();
  expect(openFiles()).toBe(21);
  for (let turn = 0; turn < 50 && openFiles() > 2; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  // The array's file, and the one that was looked at last.
  expect(openFiles()).toBeLessThanOrEqual(2);
  expect(openFiles()).toBeGreaterThanOrEqual(1);
  expect(held.sum()).toBe(1000);
});
