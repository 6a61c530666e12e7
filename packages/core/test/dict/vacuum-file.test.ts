import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';
import { MmapDict as BaseDict } from '../../src/dict/index.ts';
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

  test('keeps the owner and the group where it may', () => {
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

  test.runIf(isRoot)('gives the group no more than others where it may not keep it', () => {
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
    'keeps what else has the name of its own file (in place: %s), and removes what a killed one left',
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

  test('keeps the symbolic link that the file was opened by', () => {
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

  test('of a file that was moved while it was open is refused, and makes no other one of its name', () => {
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
});
