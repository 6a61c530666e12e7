import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { TempDir } from '@mmdpickle/test-support';
import { describe, expect, it } from 'vitest';
import { statusOfStatx } from '../../src/node/file-status.ts';
import { libc } from '../../src/node/index.ts';
import { FS_CALLS } from '../../src/node/late-bound.ts';
import type { FileStatus } from '../../src/node/syscalls.ts';

/** Node's own object answers through getters. From Node 22 on, it reports a path below a file just as missing. */
function facts(status: FileStatus | number): unknown {
  if (typeof status === 'number') return status === -errno.ENOTDIR ? -errno.ENOENT : status;
  const { dev, ino, size, mode, uid, gid, blockSize, links, kind } = status;
  return { dev, ino, size, mode, uid, gid, blockSize, links, kind };
}

const { errno } = constants;

describe('the status of a path is the same from the C library as from node:fs', () => {
  using dir = new TempDir();
  const file = dir.file('file');
  writeFileSync(file, 'bytes');
  chmodSync(file, 0o4710);
  const large = dir.file('sparse');
  writeFileSync(large, '');
  truncateSync(large, 2 ** 33 + 1);
  mkdirSync(dir.file('folder'));
  symlinkSync(file, dir.file('link'));
  symlinkSync('nothing', dir.file('broken'));
  execFileSync('mkfifo', [dir.file('fifo')]);
  const odd = dir.file('süd \u{1f4f7} \ud800');
  writeFileSync(odd, 'odd');
  // The C library is bound from here on.
  const bound = libc();
  expect(bound.pageSize).toBeGreaterThan(0);
  const paths = [file, large, dir.file('folder'), dir.file('link'), dir.file('broken'), dir.file('fifo'), odd];
  const special = [
    '/dev/null',
    '/proc/self/status',
    '/',
    '.',
    dir.file('missing'),
    `${file}/x`,
    dir.file('n'.repeat(300)),
  ];
  const found = [...paths, ...special].map(
    (path) => [path, facts(bound.stat(path)), facts(FS_CALLS.stat(path))] as const,
  );
  const fds = [file, large, dir.file('folder'), '/dev/null'].map((path) => {
    const fd = openSync(path, 'r');
    const both = [path, facts(bound.fstat(fd)), facts(FS_CALLS.fstat(fd))] as const;
    closeSync(fd);
    return both;
  });

  it.each(found)('%s', (_path, ours, nodes) => {
    expect(ours).toEqual(nodes);
  });

  it.each(fds)('as a descriptor, %s', (_path, ours, nodes) => {
    expect(ours).toEqual(nodes);
  });

  it('a socket, and a closed descriptor', async () => {
    using sockets = new TempDir();
    const server = createServer().listen(sockets.file('socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(facts(bound.stat(sockets.file('socket')))).toEqual(facts(FS_CALLS.stat(sockets.file('socket'))));
    expect(bound.stat(sockets.file('socket'))).toMatchObject({ kind: 'socket' });
    server.close();
    expect(bound.fstat(99_999)).toBe(FS_CALLS.fstat(99_999));
  });
});

it('device numbers are combined as in makedev(3)', () => {
  const device = (major: number, minor: number): bigint => {
    const view = new DataView(new ArrayBuffer(256));
    view.setUint32(136, major, true);
    view.setUint32(140, minor, true);
    return statusOfStatx(view).dev;
  };
  const cases = [
    [8, 1],
    [0, 27],
    [259, 0x12345],
    [0xfff, 0xfffff],
    [0x1000, 0],
    [0, 0x10_0000],
    [0xffff_ffff, 0xffff_ffff],
    [0x1234_5678, 0x9abc_def0],
  ] as const;
  const program =
    'import os,sys\nfrom ctypes import c_int\nfor p in sys.argv[1:]:\n    a,b=p.split(",")\n    print(os.makedev(c_int(int(a)).value, c_int(int(b)).value) % 2**64)';
  const found = execFileSync('python3', ['-c', program, ...cases.map(String)], { encoding: 'utf8' })
    .trim()
    .split('\n');
  expect(cases.map(([major, minor]) => String(device(major, minor)))).toEqual(found);
});
