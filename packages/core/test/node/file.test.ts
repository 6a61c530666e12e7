import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { TempDir } from '@mmdpickle/test-support';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { isMmdError } from '../../src/errors.ts';
import { encodeEmptyFile } from '../../src/format/index.ts';
import { errnoError, errnoName } from '../../src/node/errno.ts';
import { faultySyscalls } from '../../src/node/faulty-syscalls.ts';
import { NodeFile } from '../../src/node/file.ts';
import { libc } from '../../src/node/libc.ts';
import type { Syscalls } from '../../src/node/syscalls.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { expectCode } from '../storage/storage-laws.ts';
import { runNode } from './child.ts';
import { withBlocks } from './large-pages.ts';

let temp: TempDir;
beforeEach(() => {
  temp = new TempDir();
});
afterEach(() => temp[Symbol.dispose]());

const onDisk = (path: string): number => statSync(path).blocks * 512;

describe('opening', () => {
  it.each(['r', 'r+', 'a'] as const)('refuses anything but a regular file, and never hangs (%s)', async (mode) => {
    const fifo = temp.file('fifo');
    execFileSync('mkfifo', [fifo]);
    const socket = temp.file('socket');
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    for (const path of [fifo, socket, temp.path, '/dev/null', '/dev/zero']) {
      expectCode('INVALID_ARGUMENT', () => NodeFile.open(path, mode));
    }
    server.close();
    symlinkSync(fifo, temp.file('link'));
    expectCode('INVALID_ARGUMENT', () => NodeFile.open(temp.file('link'), mode));
  });

  it('says what is missing, already present, or impossible', () => {
    expectCode('NOT_FOUND', () => NodeFile.open(temp.file('no')));
    expectCode('NOT_FOUND', () => NodeFile.open(temp.file('no'), 'r+'));
    expectCode('NOT_FOUND', () => NodeFile.open(temp.file('no/dir/file'), 'a'));
    writeFileSync(temp.file('yes'), 'x');
    expectCode('ALREADY_EXISTS', () => NodeFile.open(temp.file('yes'), 'create-new'));
    expectCode('INVALID_ARGUMENT', () => NodeFile.open(''));
    expectCode('INVALID_ARGUMENT', () => NodeFile.open('a\0b'));
    expectCode('INVALID_ARGUMENT', () => NodeFile.open(temp.file('x'.repeat(300)), 'a'));
    expectCode('INVALID_ARGUMENT', () => NodeFile.open(new URL('https://data.example/file')));
    for (const mode of ['w', 'x', '', 1, null])
      expectCode('INVALID_ARGUMENT', () => NodeFile.open(temp.file('yes'), mode as never));
    expectCode('INVALID_ARGUMENT', () => NodeFile.open(temp.file('yes'), 'r', { mapword: false } as never));
    for (const path of [undefined, null, 5, {}, Object.create(null), Symbol('s')]) {
      expectCode('INVALID_ARGUMENT', () => NodeFile.open(path as never));
    }
    expectCode('IO', () => NodeFile.open(temp.file('yes/below'), 'r'));
    symlinkSync(temp.file('nowhere'), temp.file('dangling'));
    expectCode('NOT_FOUND', () => NodeFile.open(temp.file('dangling')));
    symlinkSync(temp.file('loop'), temp.file('loop'));
    expectCode('IO', () => NodeFile.open(temp.file('loop')));
  });

  it('distinguishes files that may not be changed from files that may not even be read', async () => {
    const path = temp.file('guarded');
    writeFileSync(path, 'x');
    const ask = (mode: string, denied: string): Promise<string> =>
      runNode(
        // Root may do everything, so the child drops that first.
        `if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
         try { room.NodeFile.open(args[0], args[1]).close(); console.log('open'); } catch (error) { console.log(error.code, error.errno, error.path); }`,
        [path, mode],
      ).then(({ stdout }) => `${denied}: ${stdout.trim()}`);
    chmodSync(temp.path, 0o755);
    chmodSync(path, 0o444);
    expect(await ask('r', 'writing')).toBe('writing: open');
    expect(await ask('r+', 'writing')).toBe(`writing: READ_ONLY EACCES ${path}`);
    chmodSync(path, 0);
    expect(await ask('r', 'all')).toBe(`all: IO EACCES ${path}`);
  });

  it('accepts URLs, follows links and replaces the file behind a link, not the link', () => {
    const path = temp.file('space and ü');
    writeFileSync(path, 'old');
    const link = temp.file('link');
    symlinkSync(path, link);
    using file = NodeFile.open(pathToFileURL(link), 'r+');
    expect(file.name).toBe(path);
    using next = file.open(temp.file('next'), 'create-new');
    next.write(0, new TextEncoder().encode('new'));
    next.renameOver(link);
    expect(readlinkSync(link)).toBe(path);
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(file.identityOfName()).toEqual(next.identity());
  });

  it('finds its file again through a link to a directory whose name is not UTF-8', () => {
    const directory = Buffer.concat([Buffer.from(temp.file('latin-')), Uint8Array.of(0xe9)]);
    mkdirSync(directory);
    symlinkSync(directory, temp.file('directory'));
    const dict = MmapDict.over(NodeFile.open(temp.file('directory/dict'), 'a'));
    dict.set('a', 1).vacuum();
    dict.set('b', 2);
    dict.close();
    expect(readdirSync(directory)).toEqual(['dict']);
    expect([...MmapDict.over(NodeFile.open(temp.file('directory/dict')))]).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
  });

  it('says that the working directory is gone if a path is relative to it', () => {
    const home = process.cwd();
    mkdirSync(temp.file('gone'));
    process.chdir(temp.file('gone'));
    try {
      rmdirSync(temp.file('gone'));
      expectCode('NOT_FOUND', () => NodeFile.open('relative', 'a'));
      NodeFile.open(temp.file('absolute'), 'a').close();
    } finally {
      process.chdir(home);
    }
  });

  it.each([
    ['a', {}],
    ['create-new', {}],
    ['create-new', { durable: true }],
    ['a', { named: true }],
    ['create-new', { named: true, durable: true }],
  ] as const)('creates a file completely or not at all, whenever it is killed (%s, %j)', (mode, { ...how }) => {
    const { named = false, durable = false }: { named?: boolean; durable?: boolean } = how;
    const initial = encodeEmptyFile();
    let calls = 0;
    for (let last = 0, killed = true; killed; last++) {
      const path = temp.file(`${mode} ${last}`);
      calls = 0;
      // The calls after the last one of a killed process never happen.
      const syscalls = wrapped((call, args) => {
        if (calls++ === last) throw new Error('killed');
        return call(...args);
      }, named);
      try {
        NodeFile.open(path, mode, { initial, durable, syscalls }).close();
        killed = false;
      } catch (error) {
        if (isMmdError(error)) throw error;
      }
      if (existsSync(path)) expect(readFileSync(path)).toEqual(Buffer.from(initial));
      else expect(killed).toBe(true);
    }
    expect(calls).toBeGreaterThan(4);
    expect(readdirSync(temp.path).filter((name) => name.startsWith('.mmdpickle-')).length).toBe(
      !named ? 0 : durable ? 3 : 2,
    );
  });

  it.each(['open', 'link', 'renameNew'] as const)(
    'creates a file in the next best way if the best one is unsupported (%s), with the permissions of any other',
    (call) => {
      const path = temp.file('new');
      const { O_TMPFILE } = libc().platform;
      const syscalls: Syscalls = {
        ...libc(),
        [call]: (...args: [string, number, number]) => {
          if (call === 'open' && !(args[1] & (O_TMPFILE ?? 0))) return libc().open(...args);
          return -constants.errno.EOPNOTSUPP;
        },
        ...(call === 'renameNew' && { link: () => -constants.errno.ENOENT }),
      };
      const umask = process.umask(0o027);
      try {
        NodeFile.open(path, 'create-new', { initial: new Uint8Array([1]), syscalls }).close();
        expect([...readFileSync(path)]).toEqual(call === 'renameNew' ? [] : [1]);
      } finally {
        process.umask(umask);
      }
      expect(statSync(path).mode & 0o777).toBe(0o640);
      expect(readdirSync(temp.path)).toEqual(['new']);
      expect(openDescriptorsOf(path)).toBe(0);
    },
  );

  it.each(['pwrite', 'fdatasync'] as const)(
    'creates no file if its initial contents cannot be written (%s)',
    (call) => {
      const path = temp.file('new');
      const syscalls = faultySyscalls(libc(), { call, nth: 0, errno: 'ENOSPC' });
      const make = () => NodeFile.open(path, 'a', { initial: encodeEmptyFile(), durable: true, syscalls });
      expectCode('NO_SPACE', make);
      expect(syscalls.failures()).toBe(1);
      expect(readdirSync(temp.path)).toEqual([]);
      expect(openDescriptorsOf(path)).toBe(0);
      make().close();
    },
  );

  it('has the bytes of a durable file on disk before its name, and then the name', () => {
    const order = (durable: boolean, found: boolean): string[] => {
      const path = temp.file(`${durable} ${found}`);
      if (found) writeFileSync(path, encodeEmptyFile());
      const syscalls = faultySyscalls(libc());
      NodeFile.open(path, 'a', { initial: encodeEmptyFile(), durable, syscalls }).close();
      return syscalls.calls.filter((call) => ['pwrite', 'fdatasync', 'link', 'fsync'].includes(call));
    };
    expect(order(true, false)).toEqual(['pwrite', 'fdatasync', 'link', 'fsync']);
    expect(order(false, false)).toEqual(['pwrite', 'link']);
    expect(order(true, true)).toEqual([]);
  });

  it('creates no durable file in a directory that is writable but cannot be synced', () => {
    const { EACCES } = constants.errno;
    const base = libc();
    const syscalls: Syscalls = {
      ...base,
      open: (path, ...how) => (path === temp.path && how[0] === 0 ? -EACCES : base.open(path, ...how)),
    };
    const path = temp.file('new');
    const initial = encodeEmptyFile();
    for (const mode of ['a', 'create-new'] as const)
      expectCode('READ_ONLY', () => NodeFile.open(path, mode, { initial, durable: true, syscalls }));
    expect(readdirSync(temp.path)).toEqual([]);
    NodeFile.open(path, 'create-new', { initial, syscalls }).close();
    NodeFile.open(path, 'a', { initial, durable: true, syscalls }).close();
  });

  it('leaves a file that another process created at the same moment unchanged', () => {
    const path = temp.file('race');
    const base = libc();
    const syscalls: Syscalls = {
      ...base,
      link(fd, name) {
        writeFileSync(name, 'theirs');
        return base.link(fd, name);
      },
    };
    const initial = encodeEmptyFile();
    NodeFile.open(path, 'a', { initial, syscalls }).close();
    expect(readFileSync(path, 'utf8')).toBe('theirs');
    rmSync(path);
    expectCode('ALREADY_EXISTS', () => NodeFile.open(path, 'create-new', { initial, syscalls }));
    expect(readFileSync(path, 'utf8')).toBe('theirs');
  });

  it.each(['a', 'create-new'] as const)(
    'leaves no empty file, whenever others give the name to a file or remove it (%s)',
    (mode) => {
      const path = temp.file('moving');
      const initial = encodeEmptyFile();
      for (let turns = 0; turns < 1024; turns++) {
        rmSync(path, { force: true });
        let call = 0;
        const syscalls = wrapped((real, args) => {
          if ((turns >> call++) & 1) {
            if (existsSync(path)) rmSync(path);
            else writeFileSync(path, initial);
          }
          return real(...args);
        });
        try {
          using file = NodeFile.open(path, mode, { initial, syscalls });
          expect(file.size(), String(turns)).toBe(initial.length);
        } catch (error) {
          expect(error).toMatchObject({ code: 'ALREADY_EXISTS' });
          expect(mode).toBe('create-new');
        }
      }
    },
  );

  it('creates the target of a dangling link', () => {
    symlinkSync(temp.file('behind'), temp.file('leading'));
    using file = NodeFile.open(temp.file('leading'), 'a', { initial: encodeEmptyFile() });
    expect(file.name).toBe(temp.file('behind'));
  });

  it('leaves no descriptor open when it fails', () => {
    const path = temp.file('x');
    writeFileSync(path, 'x');
    for (const call of ['fstat', 'stat', 'open'] as const) {
      const syscalls = faultySyscalls(libc(), { call, nth: 0, errno: 'EIO' });
      try {
        NodeFile.open(path, 'r', { syscalls }).close();
      } catch (error) {
        expect(error).toMatchObject({ code: 'IO', errno: 'EIO' });
      }
      expect(syscalls.failures()).toBe(1);
    }
    expect(openDescriptorsOf(path)).toBe(0);
    using file = NodeFile.open(path);
    expect(openDescriptorsOf(file.name)).toBe(1);
  });
});

/** The real system calls, each through `through`; `named`: every file has a name from the beginning. */
function wrapped(
  through: (call: (...args: unknown[]) => unknown, args: unknown[]) => unknown,
  named = false,
): Syscalls {
  const calls = Object.entries(libc()).map(([name, call]) => [
    name,
    typeof call === 'function' ? (...args: unknown[]) => through(call as (...args: unknown[]) => unknown, args) : call,
  ]);
  const { platform, ...rest } = Object.fromEntries(calls) as Syscalls;
  return { ...rest, platform: named ? { ...platform, O_TMPFILE: undefined } : platform };
}

/** How many descriptors of this process have the file open. */
function openDescriptorsOf(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      // The directory's own descriptor is closed by now.
      return false;
    }
  }).length;
}

describe('sparse files', () => {
  it('reserve disk space, release it and distinguish holes from data', () => {
    using file = NodeFile.open(temp.file('sparse'), 'a');
    file.truncate(8 * 2 ** 20);
    expect(onDisk(file.name)).toBe(0);
    expect(file.dataRanges(0, file.size())).toEqual([]);
    file.write(2 ** 20, new Uint8Array(2 ** 20).fill(1));
    expect(file.dataRanges(0, file.size())).toEqual([{ offset: 2 ** 20, end: 2 ** 21 }]);
    expect(file.dataRanges(2 ** 20 + 5, 2 ** 20 + 10)).toEqual([{ offset: 2 ** 20 + 5, end: 2 ** 20 + 10 }]);
    file.allocate(4 * 2 ** 20, 2 ** 20);
    file.sync();
    expect(onDisk(file.name)).toBeGreaterThanOrEqual(2 ** 21);
    file.allocate(8 * 2 ** 20, 2 ** 20, { keepSize: true });
    expect(file.size()).toBe(8 * 2 ** 20);
    expect(file.punchHole(2 ** 20, 2 ** 20)).toBe(true);
    expect(onDisk(file.name)).toBeLessThan(2 ** 21 + 2 ** 18);
  });

  it.each([
    ['without extents only once its data has blocks', 0, [{ offset: 5, end: 10 }]],
    ['with extents without a flush', 0x80000, []],
  ])('on ext4 are searched for holes %s', (_name, attributes, expected) => {
    let flushed = false;
    const syscalls: Syscalls = {
      ...libc(),
      filesystem: () => 0xef53,
      attributes: () => attributes,
      fdatasync() {
        flushed = true;
        return 0;
      },
      seek: (_fd, offset, whence) => (!flushed || offset > 9 ? -constants.errno.ENXIO : whence === 3 ? 5 : 10),
    };
    using file = NodeFile.open(temp.file('delayed'), 'a', { syscalls });
    file.truncate(20);
    expect(file.dataRanges(0, 20)).toEqual(expected);
  });

  it('are all data if ext4 stores them in the inode and finds no holes', () => {
    using file = NodeFile.open(temp.file('inline'), 'a', {
      syscalls: { ...libc(), seek: () => -constants.errno.ENOENT },
    });
    file.truncate(20);
    expect(file.dataRanges(0, 20)).toEqual([{ offset: 0, end: 20 }]);
  });

  it('say NO_SPACE for sizes that no disk can hold, and keep their length', () => {
    using file = NodeFile.open(temp.file('huge'), 'a');
    file.truncate(100);
    expectCode('NO_SPACE', () => file.allocate(0, 2 ** 43));
    expect(file.size()).toBe(100);
  });

  it('check the free space before a large reservation: the system would first take all of it from others', () => {
    const syscalls = faultySyscalls(libc());
    using file = NodeFile.open(temp.file('much'), 'a', { syscalls });
    file.truncate(100);
    expectCode('NO_SPACE', () => file.allocate(0, 2 ** 43));
    expectCode('NO_SPACE', () => file.allocate(100, 2 ** 43, { keepSize: true }));
    expect(syscalls.calls).not.toContain('posixFallocate');
    expect(syscalls.calls).not.toContain('fallocate');
    file.allocate(0, 2 ** 20);
    expect(syscalls.calls).toContain('posixFallocate');
  });

  it.each([0, 5000])('stay sparse in a copy (shifted by %s)', (shift) => {
    using source = NodeFile.open(temp.file('from'), 'a');
    using target = NodeFile.open(temp.file('to'), 'a');
    source.truncate(64 * 2 ** 20);
    source.write(3 * 2 ** 20, new Uint8Array(100_000).fill(1));
    source.write(40 * 2 ** 20, new Uint8Array(5).fill(2));
    target.write(0, new Uint8Array(2 ** 20).fill(9));
    target.copyFrom(source, 0, shift, source.size());
    expect(target.size()).toBe(64 * 2 ** 20 + shift);
    expect(onDisk(target.name)).toBeLessThan(2 ** 20);
    const bytes = readFileSync(target.name).subarray(shift);
    expect(Buffer.compare(bytes, readFileSync(source.name))).toBe(0);
  });

  it('are copied between filesystems, and from memory', () => {
    using source = NodeFile.open(temp.file('from'), 'a');
    source.write(3_000_000, new Uint8Array(2_500_000).fill(3));
    if (existsSync('/dev/shm')) {
      const name = `/dev/shm/mmdpickle-test-${process.pid}`;
      using target = NodeFile.open(name, 'a');
      target.copyFrom(source, 0, 0, source.size());
      expect(Buffer.compare(readFileSync(name), readFileSync(source.name))).toBe(0);
      expect(onDisk(name)).toBeLessThan(2_600_000);
      expect(target.punchHole(4_000_000, 500_000)).toBe(true);
      target.remove(name);
    }
    using target = NodeFile.open(temp.file('to'), 'a');
    target.copyFrom(MemoryFile.of(new Uint8Array(1_500_000).fill(7)), 10, 20, 1_400_000);
    expect(
      readFileSync(target.name)
        .subarray(20)
        .every((byte) => byte === 7),
    ).toBe(true);
    expect(target.size()).toBe(1_400_020);
  });
});

describe('copies', () => {
  const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31) % 251);

  it('share whole blocks if both offsets agree within a block, and only those', () => {
    const shared: number[][] = [];
    const { copyFileRange } = libc();
    const cloneRange: typeof copyFileRange = (from, fromOffset, to, toOffset, length) => {
      shared.push([fromOffset, toOffset, length]);
      return copyFileRange(from, fromOffset, to, toOffset, length) === length ? 0 : -1;
    };
    const syscalls = { ...libc(), cloneRange };
    using source = NodeFile.open(temp.file('from'), 'a', { syscalls });
    using target = NodeFile.open(temp.file('to'), 'a', { syscalls });
    const bytes = pattern(50_000);
    source.write(0, bytes);
    target.copyFrom(source, 0, 8192, 50_000);
    target.copyFrom(source, 100, 102_500, 40_000);
    target.copyFrom(source, 100, 204_900, 3000);
    target.copyFrom(source, 101, 300_000, 40_000);
    expect(shared).toEqual([
      [0, 8192, 49_152],
      [4096, 106_496, 32_768],
    ]);
    const copy = readFileSync(target.name);
    for (const [from, to, length] of [
      [0, 8192, 50_000],
      [100, 102_500, 40_000],
      [100, 204_900, 3000],
      [101, 300_000, 40_000],
    ] as const) {
      expect(Buffer.compare(copy.subarray(to, to + length), bytes.subarray(from, from + length))).toBe(0);
    }
  });

  it.each([
    [0, 0],
    [128, 4096],
    [4096, 128],
    [3, 2 ** 21 - 1],
  ])('of many pieces arrive complete (from %s to %s), also within one file', (from, to) => {
    using source = NodeFile.open(temp.file('from'), 'a');
    using target = NodeFile.open(temp.file('to'), 'a');
    const bytes = pattern(9_000_000);
    source.write(0, bytes);
    const length = 8_000_001;
    target.copyFrom(source, from, to, length);
    const wanted = bytes.subarray(from, from + length);
    expect(Buffer.compare(readFileSync(target.name).subarray(to), wanted)).toBe(0);
    source.copyFrom(source, from, to, length);
    expect(Buffer.compare(readFileSync(source.name).subarray(to, to + length), wanted)).toBe(0);
    target.copyFrom(source, to, 7, length, new Uint8Array(1000));
    expect(Buffer.compare(readFileSync(target.name).subarray(7, 7 + length), wanted)).toBe(0);
  });
});

describe('a system call that fails', () => {
  // As on NFS, where a copy is left to the server.
  const syscalls = faultySyscalls({ ...libc(), filesystem: () => 0x6969 });
  let file: NodeFile;
  beforeEach(() => {
    syscalls.plan();
    file = NodeFile.open(temp.file('faulty'), 'a', { syscalls });
    file.write(0, new Uint8Array(100).fill(1));
  });
  afterEach(() => {
    syscalls.plan();
    file.close();
  });

  const big = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
  const content = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    expect(file.read(0, bytes)).toBe(length);
    return bytes;
  };

  it.each(['SHORT', 'EINTR'])('is completed if it ended early with %s', (errno) => {
    const other = NodeFile.open(temp.file('other'), 'a', { syscalls });
    const fault = (call: 'pwrite' | 'pread' | 'pwritev' | 'cloneRange' | 'copyFileRange'): void =>
      syscalls.plan({ call, nth: 0, errno, persistent: true });
    fault('pwrite');
    file.write(0, big);
    expect(syscalls.failures()).toBeGreaterThan(0);
    fault('pread');
    expect(Buffer.compare(content(200_000), big)).toBe(0);
    fault('pwritev');
    file.writeParts(7, [big.subarray(0, 3), new Uint8Array(0), big.subarray(3), big]);
    syscalls.plan();
    expect(Buffer.compare(content(400_007).subarray(7), Buffer.concat([big, big]))).toBe(0);
    fault('copyFileRange');
    other.copyFrom(file, 7, 0, 400_000);
    const copy = new Uint8Array(400_000);
    other.read(0, copy);
    expect(Buffer.compare(copy, Buffer.concat([big, big]))).toBe(0);
    for (const call of ['ftruncate', 'fdatasync', 'posixFallocate', 'fallocate', 'seek'] as const) {
      syscalls.plan({ call, nth: 0, errno, persistent: true });
      file.truncate(400_000);
      file.sync();
      file.allocate(0, 1000);
      file.allocate(0, 1000, { keepSize: true });
      file.punchHole(0, 4096);
      file.dataRanges(0, 400_000);
    }
    other.close();
  });

  it.each(['pwritev', 'posixFallocate', 'cloneRange', 'copyFileRange', 'seek', 'fallocate'] as const)(
    'is replaced by another one if the system has no %s',
    (call) => {
      const other = NodeFile.open(temp.file('other'), 'a', { syscalls });
      syscalls.plan({ call, nth: 0, errno: call === 'seek' ? 'EINVAL' : 'ENOSYS', persistent: true });
      file.writeParts(0, [big, big]);
      expect(Buffer.compare(content(400_000), Buffer.concat([big, big]))).toBe(0);
      file.truncate(500_000);
      file.allocate(300_000, 300_000);
      expect(file.size()).toBe(600_000);
      expect(Buffer.compare(content(400_000), Buffer.concat([big, big]))).toBe(0);
      file.allocate(0, 700_000, { keepSize: true });
      expect(file.size()).toBe(600_000);
      expect(file.punchHole(0, 4096)).toBe(call !== 'fallocate');
      other.write(0, new Uint8Array(700_000).fill(9));
      other.copyFrom(file, 0, 50, 600_000);
      const copy = new Uint8Array(600_000);
      other.read(50, copy);
      expect(Buffer.compare(copy, content(600_000))).toBe(0);
      other.close();
    },
  );

  it.each([
    ['EIO', 'IO'],
    ['ENOSPC', 'NO_SPACE'],
    ['EDQUOT', 'NO_SPACE'],
    ['EFBIG', 'NO_SPACE'],
  ])('is a typed error (%s), and the handle remains usable', (errno, code) => {
    const other = NodeFile.open(temp.file('other'), 'a', { syscalls });
    const fails = (call: Parameters<typeof syscalls.plan>[0]['call'], run: () => unknown): void => {
      syscalls.plan({ call: call!, nth: 0, errno, persistent: true });
      expectCode(code, run);
      syscalls.plan();
      file.write(0, big);
      expect(Buffer.compare(content(200_000), big)).toBe(0);
    };
    fails('pwrite', () => file.write(0, big));
    fails('pwritev', () => file.writeParts(0, [big, big]));
    fails('pread', () => content(10));
    fails('ftruncate', () => file.truncate(5));
    fails('posixFallocate', () => file.allocate(0, 10));
    fails('fallocate', () => file.allocate(0, 10, { keepSize: true }));
    fails('fallocate', () => file.punchHole(0, 10));
    fails('seek', () => file.dataRanges(0, 10));
    fails('size', () => file.size());
    fails('stat', () => file.identityOfName());
    fails('fstat', () => file.removed());
    fails('cloneRange', () => file.copyFrom(growing(other), 0, 0, 5000));
    fails('copyFileRange', () => file.copyFrom(other.size() === 0 ? growing(other) : other, 0, 0, 10));
    fails('mmap', () => file.map(0, 10, 'copy-on-write').bytes(0, 10));
    fails('rename', () => file.renameOver(temp.file('renamed')));
    fails('unlink', () => file.remove(temp.file('other')));
    fails('open', () => file.open(temp.file('other'), 'r'));
    other.close();
  });

  it('in a sync disables the handle for every change, and reading still works', () => {
    syscalls.plan({ call: 'fdatasync', nth: 0, errno: 'EIO' });
    expectCode('IO', () => file.sync());
    syscalls.plan();
    for (const call of [
      () => file.write(0, big),
      () => file.writeParts(0, [big]),
      () => file.sync(),
      () => file.storeI32(0, 1),
      () => file.truncate(5),
      () => file.allocate(0, 5),
      () => file.punchHole(0, 5),
      () => file.map(0, 5, 'write'),
    ]) {
      expectCode('IO', call);
    }
    expect(content(100)[0]).toBe(1);
    expect(file.map(0, 5, 'read').bytes(0, 5)[0]).toBe(1);
    file.lock(0);
    file.unlock();
    using again = NodeFile.open(file.name, 'r+');
    again.write(0, big);
  });

  it('in a flush of a mapping disables it too', () => {
    const memory = file.map(0, 100, 'write');
    memory.bytes(0, 100)[0] = 5;
    syscalls.plan({ call: 'msync', nth: 0, errno: 'EIO' });
    expectCode('IO', () => memory.flush?.(0, 100));
    syscalls.plan();
    expectCode('IO', () => file.write(0, big));
  });

  it('in madvise is harmless', () => {
    const memory = file.map(0, 100, 'write');
    syscalls.plan({ call: 'madvise', nth: 0, errno: 'EINVAL', persistent: true });
    memory.advise?.(0, 100, 'sequential');
  });

  it('in close is reported once, and the file is closed', () => {
    const other = NodeFile.open(temp.file('other'), 'a', { syscalls });
    syscalls.plan({ call: 'close', nth: 0, errno: 'EIO' });
    expectCode('IO', () => other.close());
    expect(other.closed).toBe(true);
    other.close();
  });

  it('in close of a file that was only read is none: nothing was lost', () => {
    const other = NodeFile.open(file.name, 'r', { syscalls });
    syscalls.plan({ call: 'close', nth: 0, errno: 'EIO' });
    other.close();
    expect(syscalls.calls).toEqual(['close']);
    expect(other.closed).toBe(true);
  });

  it('after a short write reports the part that did not fit', () => {
    syscalls.plan({ call: 'pwrite', nth: 0, errno: 'SHORT' }, { call: 'pwrite', nth: 1, errno: 'ENOSPC' });
    let thrown: unknown;
    try {
      file.write(0, big);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'NO_SPACE', errno: 'ENOSPC', path: file.name, offset: 100_000 });
  });
});

function growing(file: NodeFile): NodeFile {
  file.write(0, new Uint8Array(5000));
  return file;
}

describe('errno', () => {
  it('has a name and a code for every number', () => {
    expect(errnoName(2)).toBe('ENOENT');
    expect(errnoName(-11)).toBe('EAGAIN');
    expect(errnoName(99_999)).toBe('errno 99999');
    expect(errnoError(-28, 'writing', '/x', 5)).toMatchObject({
      code: 'NO_SPACE',
      errno: 'ENOSPC',
      path: '/x',
      offset: 5,
    });
    expect(errnoError(-99_999, 'writing', '/x')).toMatchObject({ code: 'IO' });
  });
});

it('reads and writes at far offsets, up to the largest file offset', () => {
  mkdirSync(temp.file('far'));
  using file = NodeFile.open(temp.file('far/file'), 'a');
  const at = 2 ** 41 + 123;
  file.write(at, new Uint8Array([1, 2, 3]));
  file.writeParts(at + 3, [new Uint8Array(70_000).fill(4), new Uint8Array([5])]);
  expect(file.size()).toBe(at + 70_004);
  const bytes = new Uint8Array(5);
  expect(file.read(at + 70_000, bytes)).toBe(4);
  expect([...bytes]).toEqual([4, 4, 4, 5, 0]);
  expect(file.map(at, 3, 'read').bytes(0, 3)).toEqual(new Uint8Array([1, 2, 3]));
  file.storeI64(at + 5, -5n);
  expect(file.loadI64(at + 5)).toBe(-5n);
});

describe('loads of a word', () => {
  it('are reads at first, then go through a mapping, and give the same values', () => {
    const path = temp.file('words');
    const syscalls = faultySyscalls(libc());
    using writer = NodeFile.open(path, 'a');
    writer.write(0, new Uint8Array(64));
    using file = NodeFile.open(path, 'r', { syscalls });
    for (let i = 1; i <= 200; i++) {
      writer.storeI32(18, -i);
      writer.storeI64(40, -5_000_000_000n * BigInt(i));
      expect(file.loadI32(18)).toBe(-i);
      expect(file.loadI64(40)).toBe(-5_000_000_000n * BigInt(i));
    }
    expect(syscalls.calls.filter((call) => call === 'pread').length).toBeLessThan(200);
    expect(syscalls.calls).toContain('mmap');
    expectCode('INVALID_ARGUMENT', () => file.loadI32(61));
  });

  it('that were truncated by others since the last size check are zero, as in a mapping', () => {
    const path = temp.file('cut');
    writeFileSync(path, new Uint8Array(64).fill(1));
    using file = NodeFile.open(path);
    expect(file.loadI32(58)).toBe(0x01010101);
    truncateSync(path, 60);
    expect(file.loadI32(58)).toBe(0x0101);
    expect(file.size()).toBe(60);
    expectCode('INVALID_ARGUMENT', () => file.loadI32(58));
  });
});

describe('words of a file on a full disk', () => {
  const real = libc();
  it.each([
    ['on FUSE, whose kernel drops stores to a page after a failed write,', { filesystem: () => 0x65735546 }],
    ['whose file system copies what it overwrites', { cloneRange: () => -constants.errno.EINVAL }],
    ['where a page has several blocks', { fstat: (fd: number) => withBlocks(real.fstat(fd), 1024) }],
  ])('%s are stored by writes, which report NO_SPACE: a store through a mapping would be SIGBUS', (name, calls) => {
    const syscalls = faultySyscalls({ ...real, ...calls });
    using file = NodeFile.open(temp.file(name), 'a', { syscalls });
    file.write(0, new Uint8Array(60).fill(7));
    file.storeI32(18, 1);
    file.storeI32(24, 2);
    file.storeI64(32, 3n);
    file.storeI32(56, 4);
    expect(syscalls.calls).not.toContain('mmap');
    const bytes = new Uint8Array(60);
    file.read(0, bytes);
    const words = [18, 24, 28, 36, 56].map((offset) => new DataView(bytes.buffer).getInt32(offset, true));
    expect([...words, file.size()]).toEqual([1, 2, 0x07070707, 0, 4, 60]);
    syscalls.plan({ call: 'pwrite', nth: 0, errno: 'ENOSPC', persistent: true });
    expectCode('NO_SPACE', () => file.storeI32(18, 5));
    expectCode('NO_SPACE', () => file.storeI64(32, 5n));
    expect(file.storePair(40, 1, 44, 2)).toBe(false);
  });
});

it.each([
  ['delete', (dict: MmapDict) => dict.delete('k')],
  ['vacuum', (dict: MmapDict) => dict.vacuum()],
] as const)(
  'a %s begins with a write, which reports that nothing can be written any more: a store would be SIGBUS',
  (_name, change) => {
    const real = libc();
    let immutable = false;
    const syscalls: Syscalls = {
      ...real,
      pwrite: (fd, ...rest) => (immutable && fd === file.fd ? -constants.errno.EPERM : real.pwrite(fd, ...rest)),
      rename: (...names) => (immutable ? -constants.errno.EPERM : real.rename(...names)),
    };
    using file = NodeFile.open(temp.file('dict'), 'a', { syscalls });
    const dict = MmapDict.over(file);
    for (let i = 0; i < 150; i++) dict.set('k', i);
    const before = readFileSync(file.name);
    immutable = true;
    expectCode('READ_ONLY', () => change(dict));
    expect(Buffer.compare(readFileSync(file.name), before)).toBe(0);
    immutable = false;
    expect(dict.get('k')).toBe(149);
  },
);

it('a process that only opens and reads a file does not bind the C library', async () => {
  const path = temp.file('plain');
  writeFileSync(path, 'abcdefgh');
  const { stdout } = await runNode(`
    const { libc, NodeFile } = room;
    const file = NodeFile.open(${JSON.stringify(path)});
    const bytes = new Uint8Array(4);
    file.read(2, bytes);
    file.size();
    file.loadI32(0);
    file.close();
    console.log(libc().bound(), String.fromCharCode(...bytes));
    libc().pageSize;
    console.log(libc().bound());
  `);
  expect(stdout.trim().split('\n')).toEqual(['false cdef', 'true']);
});

it("under Node's permission model, forbidden calls are typed errors and allowed ones work", async () => {
  const allowed = temp.file('allowed');
  const denied = temp.file('denied');
  for (const dir of [allowed, denied]) {
    mkdirSync(dir);
    NodeFile.open(`${dir}/file`, 'create-new').close();
    chmodSync(`${dir}/file`, 0o646);
  }
  const model = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const addons = process.allowedNodeEnvironmentFlags.has('--allow-addons') ? ['--allow-addons'] : [];
  const reads = [fileURLToPath(new URL('../../../..', import.meta.url)), allowed].map(
    (dir) => `--allow-fs-read=${dir}`,
  );
  const { stdout, stderr } = await runNode(
    `const [allowed, denied] = args;
     const file = room.NodeFile.open(allowed + '/file', 'r+');
     file.lock(0);
     file.write(0, new Uint8Array([1, 2, 3]));
     file.sync();
     const copy = file.open(allowed + '/copy', 'create-new');
     copy.renameOver(file.name);
     for (const work of [
       () => room.NodeFile.open(denied + '/file'),
       () => room.NodeFile.open(denied + '/new', 'a'),
       () => room.Lease.acquire(denied + '/file'),
     ]) try { work(); } catch (error) { console.log(error.code, error.errno, error.message.includes('permission model')); }`,
    [allowed, denied],
    [model, ...addons, ...reads, `--allow-fs-write=${allowed}`],
  );
  expect({ stdout, stderr: stderr.replaceAll(/^\(.*\n/gm, '') }).toEqual({
    stdout: 'IO EACCES true\nREAD_ONLY EACCES true\nREAD_ONLY EACCES true\n',
    stderr: '',
  });
  expect(statSync(`${allowed}/file`).mode & 0o777).toBe(0o646);
});

it('calls on invalid descriptors and paths give the same results before and after the C library is bound, and never throw', async () => {
  const path = temp.file('plain');
  writeFileSync(path, 'abcdefgh');
  const { stdout } = await runNode(`
    const { libc } = room;
    const calls = (fd) => {
      const c = libc();
      const into = new Uint8Array(4);
      const status = c.fstat(fd);
      return [c.size(fd), c.pread(fd, into, 4, 0), c.pread(fd, into, 4, -1), typeof status === 'number' ? status : 'status',
        c.fdatasync(fd), c.fsync(fd)];
    };
    const fd = libc().open(${JSON.stringify(path)}, 2, 0);
    const fds = [-1, -5, 99_999, 2 ** 31, fd];
    const before = fds.map(calls);
    const unbound = !libc().bound();
    libc().pageSize;
    const nul = libc().open('a\\0b', 0, 0);
    console.log(JSON.stringify({ unbound, nul, close: libc().close(-1), before, after: fds.map(calls) }));
  `);
  const { unbound, nul, close, before, after } = JSON.parse(stdout) as Record<string, number[][]>;
  expect({ unbound, nul, close }).toEqual({ unbound: true, nul: -22, close: -9 });
  expect(before?.slice(0, 4)).toEqual(Array.from({ length: 4 }, () => [-9, -9, -22, -9, -9, -9]));
  expect(before?.at(-1)).toEqual([8, 4, -22, 'status', 0, 0]);
  expect(after?.slice(0, 3)).toEqual(before?.slice(0, 3));
  expect(after?.at(-1)).toEqual(before?.at(-1));
});
