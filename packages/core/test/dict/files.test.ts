import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { TempDir } from '@mmdpickle/test-support';
import { describe, expect, test, vi } from 'vitest';
import { COMMIT_NUMBER_OFFSET, TERMINATOR_SIZE, terminator } from '../../src/format/layout.ts';
import { tailEntryFrame } from '../../src/format/tail-entry.ts';
import { INDEX_FOOTER_SIZE, indexPayloadSize, putIndexFooter } from '../../src/format/tail-index.ts';
import { type ArraySource, type NDArray, ndarray } from '../../src/ndarray/index.ts';
import {
  convert,
  downgrade,
  fsck,
  type GrowableArray,
  libc,
  MmapDict,
  NodeFile,
  openPickle,
  salvage,
  upgrade,
} from '../../src/node.ts';
import { dump } from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';

const DICT_ROOM = new URL('../../dist/node.js', import.meta.url).href;

const code = (expected: string) => expect.objectContaining({ name: 'MmdError', code: expected });

/** The file's name is checked at most once per millisecond. */
function nextMillisecond(): void {
  for (const end = Date.now() + 2; Date.now() < end; );
}

test('a removed file accepts no change, even from a handle that has just read it', () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('x'));
  dict.set('n', 1);
  rmSync(dict.path);
  for (let i = 0; i < 20; i++) {
    nextMillisecond();
    expect(() => dict.set('n', Number(dict.get('n')) + 1)).toThrow(code('NOT_FOUND'));
  }
});

describe('opening', () => {
  test.each([
    ['a new dict', `room.MmapDict.open('new', { mode: 'w-' })`],
    ['a conversion', `room.convert('some', 'new')`],
    ['a rescue', `room.salvage('some', 'new')`],
  ])('%s that finds no room leaves nothing behind that blocks the next attempt', (_what, line) => {
    using dir = new TempDir();
    MmapDict.open(dir.file('some')).set('a', 1).close();
    const source = `import * as room from '${DICT_ROOM}'; try { ${line} } catch (error) { console.log(error.code); }`;
    const words = [process.execPath, '--input-type=module', '-e', source];
    const limit = `trap '' XFSZ; ulimit -f 0; exec "$@"`;
    const { stdout, stderr } = spawnSync('sh', ['-c', limit, 'sh', ...words], { cwd: dir.path, encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: 'NO_SPACE\n', stderr: '' });
    expect(readdirSync(dir.path)).toEqual(['some']);
  });

  test.each([
    ['npy', '\x93NUMPY\x01\x00', /x: not a pickle, but an npy file; import it with npyToMmd of/],
    ['npz', 'PK\x03\x04', /a zip archive; import an npz with npzToMmd of.*torch\.save.*data\.pkl/],
    ['zlib', 'x\x9c\xed\xc1', /compressed with zlib; decompress it first/],
    ['HDF5', '\x89HDF\r\n\x1a\n', /an HDF5 file/],
    ['gzip', '\x1f\x8b\x08', /compressed with gzip; decompress it first/],
    ['SQLite', 'SQLite format 3\0', /an SQLite database/],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1', /git lfs pull/],
    ['a web page', '<!doctype html>', /perhaps an error page/],
    ['JSON', '{"a": 1}', /JSON/],
  ])(
    '%s given in place of a pickle is identified by every function that opens one, and left unchanged',
    (_what, start, message) => {
      using dir = new TempDir();
      const path = dir.file('x');
      const bytes = Buffer.from(start.padEnd(200, ' '), 'latin1');
      writeFileSync(path, bytes);
      const named = expect.objectContaining({ code: 'NOT_A_PICKLE', path, message: expect.stringMatching(message) });
      expect(() => MmapDict.open(path, { mode: 'r' })).toThrow(named);
      expect(() => MmapDict.open(path)).toThrow(named);
      expect(() => openPickle(path)).toThrow(named);
      expect(() => convert(path, dir.file('made'))).toThrow(named);
      expect(readFileSync(path).equals(bytes)).toBe(true);
      expect(readdirSync(dir.path)).toEqual(['x']);
    },
  );

  test('a value that cannot be written is reported with key and file, and a failed system call in words', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    for (const value of [undefined, { a: undefined }, [() => 1], new Map([[{}, 1]])])
      expect(() => dict.set('bad', value)).toThrow(expect.objectContaining({ key: 'bad', path }));
    expect([...dict.keys()]).toEqual([]);
    expect(() => MmapDict.open(dir.file('no/x'))).toThrow(/ENOENT \(no such file or directory\)$/);
  });

  test('bad input gives a typed error and leaves everything unchanged', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    expect(() => MmapDict.open(path, { mode: 'r' })).toThrow(code('NOT_FOUND'));
    expect(() => MmapDict.open(path, { mode: 'r+' })).toThrow(code('NOT_FOUND'));
    expect(() => MmapDict.open(path, { mode: 'c' })).toThrow(/: opening for reading failed: ENOENT/);
    mkdirSync(dir.file('d'));
    expect(() => MmapDict.open(dir.file('d'))).toThrow(code('INVALID_ARGUMENT'));
    execFileSync('mkfifo', [dir.file('fifo')]);
    expect(() => MmapDict.open(dir.file('fifo'))).toThrow(code('INVALID_ARGUMENT'));
    for (const [bytes, expected] of [
      [Buffer.from('hello world, this is text and not a pickle'), 'NOT_A_PICKLE'],
      [dump(new Map([['a', 1]])), 'NOT_MMDPICKLE'],
      [Buffer.from('(dp0\nVa\np1\nI1\ns.'), 'NOT_MMDPICKLE'],
    ] as const) {
      writeFileSync(path, bytes);
      for (const mode of ['r', 'r+', 'a', 'c'] as const) {
        expect(() => MmapDict.open(path, { mode })).toThrow(code(expected));
      }
      expect(() => MmapDict.open(path, { mode: 'w-' })).toThrow(code('ALREADY_EXISTS'));
      expect(readFileSync(path)).toEqual(Buffer.from(bytes));
    }
    expect(() => MmapDict.open(path)).toThrow(/convert/);
    writeFileSync(path, '');
    expect(() => MmapDict.open(path, { mode: 'r' })).toThrow(code('TRUNCATED'));
  });

  test('a value that no array of the engine can hold is LIMIT_EXCEEDED, but is still salvaged', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    const length = 2 ** 42;
    const stub = { arraySource: true, dtype: 'uint8', shape: [length] } as const;
    MmapDict.open(path).set('bytes', stub).set('a', 1).close();
    const meta = MmapDict.open(path, { mode: 'r' }).getMeta('bytes')!;
    // One long bytes object from the first byte of the value to its last.
    const fd = openSync(path, 'r+');
    const head = Buffer.alloc(9, 0x8e);
    head.writeBigUInt64LE(BigInt(meta.length - 9), 1);
    writeSync(fd, head, 0, 9, meta.entryOffset + 11 + 5);
    closeSync(fd);
    using dict = MmapDict.open(path);
    expect(() => dict.get('bytes')).toThrow(code('LIMIT_EXCEEDED'));
    expect(() => [...dict]).toThrow(code('LIMIT_EXCEEDED'));
    const target = MmapDict.open(dir.file('y'));
    expect(dict.salvage(target)).toMatchObject({ recovered: ['bytes', 'a'], lost: [] });
    expect(target.getMeta('bytes')!.length).toBe(meta.length);
    target.close();
  });

  test.each(['over its bytes', 'under its name'])(
    'a file that took the place of an open dict is not written to: %s',
    (how) => {
      using dir = new TempDir();
      const path = dir.file('x');
      for (const bytes of ['', 'short', 'hello world, this is text and not a pickle', dump(new Map([['a', 1]]))]) {
        rmSync(path, { force: true });
        const dict = MmapDict.open(path);
        dict.set('a', 1).set('b', ndarray([1, 2]));
        writeFileSync(how === 'under its name' ? dir.file('y') : path, bytes);
        if (how === 'under its name') renameSync(dir.file('y'), path);
        nextMillisecond();
        for (const change of [
          () => dict.set('c', 1),
          () => dict.delete('a'),
          () => dict.vacuum(),
          () => dict.fsck({ repair: true }),
          () => dict.get('a'),
          () => dict.close(),
        ]) {
          try {
            change();
          } catch (error) {
            expect((error as { code: string }).code).toMatch(/^(NOT_A_PICKLE|NOT_MMDPICKLE|TRUNCATED)$/);
          }
          expect(readFileSync(path)).toEqual(Buffer.from(bytes));
        }
      }
    },
  );

  test('writers follow a replaced file even if the clock stands still', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    using other = MmapDict.open(path);
    const now = Date.now();
    let looks = 0;
    // A loop that waits for the next millisecond would not end.
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => {
      if (++looks > 1000) throw new Error('the clock is asked for ever');
      return now;
    });
    try {
      other.set('a', 1);
      expect(dict.get('a')).toBe(1);
      writeFileSync(dir.file('y'), readFileSync(path));
      renameSync(dir.file('y'), path);
      dict.set('b', 2);
    } finally {
      clock.mockRestore();
    }
    using last = MmapDict.open(path, { mode: 'r' });
    expect([...last.keys()]).toEqual(['a', 'b']);
  });

  test('a file that was replaced while something is mounted over its name accepts no changes, which nobody else could read', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    const base = libc();
    MmapDict.open(path).set('a', 1).close();
    const fd = openSync(path, 'r');
    const mounted = { ...base, stat: (name: string) => (name === path ? base.fstat(fd) : base.stat(name)) };
    const dict = MmapDict.over(NodeFile.open(path, 'r+', { syscalls: mounted }));
    dict.set('b', 2);
    MmapDict.open(path).vacuum().close();
    nextMillisecond();
    expect(() => dict.set('c', 3)).toThrow(code('NOT_FOUND'));
    expect([...dict.keys()]).toEqual(['a', 'b']);
    dict.close();
    closeSync(fd);
  });

  test('a file that was removed while open accepts no changes, which nobody could read', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    const dict = MmapDict.open(path);
    const rows: ArraySource = { arraySource: true, dtype: 'int8', shape: [0, 2], capacity: 4 };
    const array = dict.set('a', 1).set('rows', rows).get('rows') as GrowableArray;
    // After a rename it still has a name.
    renameSync(path, dir.file('elsewhere'));
    nextMillisecond();
    dict.set('moved', true);
    rmSync(dir.file('elsewhere'));
    nextMillisecond();
    for (const change of [
      () => dict.set('b', 1),
      () => dict.set('b', new Float64Array(2 ** 18)),
      () => dict.delete('a'),
      () => dict.batch(() => dict.set('b', 1)),
      () => array.append(new Int8Array(2)),
      () => dict.vacuum(),
      () => dict.seal(),
    ])
      expect(change).toThrow(code('NOT_FOUND'));
    expect([...dict.keys()]).toEqual(['a', 'rows', 'moved']);
    expect(dict.get('a')).toBe(1);
    // Its contents can still be saved.
    using saved = MmapDict.open(dir.file('saved'));
    dict.copy(dict.keys(), saved);
    expect([...saved.keys()]).toEqual(['a', 'rows', 'moved']);
    dict.close();
    expect(existsSync(path)).toBe(false);
  });

  test('options that are not an object are refused before a file is created', () => {
    using dir = new TempDir();
    const path = dir.file('none');
    for (const options of ['r', 5, [], null, true]) {
      expect(() => MmapDict.open(path, options as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
    expect(existsSync(path)).toBe(false);
  });

  test('a closed dict takes no lease, and leaves none on disk', () => {
    using dir = new TempDir();
    const dict = MmapDict.open(dir.file('closed'));
    dict.close();
    expect(() => dict.lease()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(readdirSync(dirname(dir.file('closed')))).toEqual(['closed']);
  });

  test('a failed salvage leaves nothing behind that blocks the next one', () => {
    using dir = new TempDir();
    MmapDict.open(dir.file('source')).set('a', 1).close();
    const stop = AbortSignal.abort(new Error('mine'));
    expect(() => salvage(dir.file('source'), dir.file('target'), { signal: stop })).toThrow('mine');
    writeFileSync(dir.file('photo'), Uint8Array.of(0xff, 0xd8, 0xff, 0xe0));
    const none = expect.objectContaining({ code: 'NOT_A_PICKLE', path: dir.file('photo') });
    expect(() => salvage(dir.file('photo'), dir.file('target'))).toThrow(none);
    expect(salvage(dir.file('source'), dir.file('target')).recovered).toEqual(['a']);
  });

  test.each<readonly [string, (from: MmapDict, to: MmapDict, signal: AbortSignal) => unknown]>([
    ['copy', (from, to, signal) => from.copy(['large'], to, { signal })],
    ['merge', (from, to, signal) => to.merge(from, { signal })],
    ['salvage', (from, to, signal) => from.salvage(to, { signal })],
    ['rename', (from, _to, signal) => from.rename('large', 'other', { signal })],
    ['vacuum', (from, _to, signal) => from.vacuum({ signal })],
    ['vacuum in place', (from, _to, signal) => from.vacuum({ signal, inPlace: true })],
    ['seal', (from, _to, signal) => from.seal({ signal, checksums: true })],
  ])('%s can be stopped in the middle of a large value, and leaves the files unchanged', (_name, call) => {
    using dir = new TempDir();
    using from = MmapDict.open(dir.file('from'));
    using to = MmapDict.open(dir.file('to')).set('a', 1);
    from
      .set('large', { arraySource: true, dtype: 'u1', shape: [2 ** 28] })
      .set('gone', 1)
      .delete('gone');
    const before = [readdirSync(dirname(from.path)), from.fileSize, from.commitNumber, to.fileSize, to.commitNumber];
    let asked = 0;
    const throwIfAborted = (): void => {
      if (++asked > 3) throw new Error('enough');
    };
    const signal = { throwIfAborted, addEventListener: () => undefined } as unknown as AbortSignal;
    expect(() => call(from, to, signal)).toThrow('enough');
    expect([readdirSync(dirname(from.path)), from.fileSize, from.commitNumber, to.fileSize, to.commitNumber]).toEqual(
      before,
    );
    expect([[...from.keys()], [...to.keys()]]).toEqual([['large'], ['a']]);
  });

  test('an open dict is salvaged in its current state, even if another handle has replaced the file', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('x')).set('a', 1).set('b', 2);
    using other = MmapDict.open(dir.file('x'));
    other.delete('a');
    other.vacuum().set('c', 3);
    const target = MmapDict.over(MemoryFile.of());
    expect(dict.salvage(target).recovered).toEqual(['b', 'c']);
    dict.close();
    expect(() => dict.salvage(target)).toThrow(expect.objectContaining({ code: 'CLOSED' }));
  });

  test('a wrong option is refused before a file is created', () => {
    using dir = new TempDir();
    const path = dir.file('none');
    expect(() => MmapDict.open(path, { durability: 'sync' as never })).toThrow(
      "durability must be one of 'none', 'commit'; found 'sync'",
    );
    expect(existsSync(path)).toBe(false);
  });

  test('opening does not change a file, in any mode', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    dict.set('a', ndarray(new Float64Array([1, 2, 3]))).set('b', 1);
    const before = readFileSync(path);
    const { mtimeMs } = statSync(path);
    for (const mode of ['r', 'r+', 'a', 'c'] as const) {
      using other = MmapDict.open(path, { mode });
      expect(other.get('b')).toBe(1);
    }
    expect(readFileSync(path)).toEqual(before);
    expect(statSync(path).mtimeMs).toBe(mtimeMs);
  });

  test("mode 'r' and 'c' refuse changes; in 'c' stores into arrays stay in memory", () => {
    using dir = new TempDir();
    const path = dir.file('x');
    MmapDict.open(path)
      .set('a', ndarray(new Float64Array([1, 2, 3])))
      .close();
    for (const mode of ['r', 'c'] as const) {
      using dict = MmapDict.open(path, { mode });
      expect(() => dict.set('b', 1)).toThrow(code('READ_ONLY'));
      expect(() => dict.delete('a')).toThrow(code('READ_ONLY'));
      expect(() => dict.vacuum()).toThrow(code('READ_ONLY'));
      expect(() => dict.batch(() => 1)).toThrow(code('READ_ONLY'));
      const array = dict.get('a') as NDArray;
      if (mode === 'r') expect(() => array.set(0, 9)).toThrow(code('READ_ONLY'));
      else {
        array.set(0, 9);
        expect((dict.get('a') as NDArray).get(0)).toBe(9);
      }
    }
    using dict = MmapDict.open(path, { mode: 'r' });
    expect((dict.get('a') as NDArray).get(0)).toBe(1);
    dict.close();
    expect(() => dict.get('a')).toThrow(code('CLOSED'));
  });

  test('a torn tail is reported when reading, and truncated when writing', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    MmapDict.open(path).set('a', 1).set('b', 'x'.repeat(1000)).close();
    const { size } = statSync(path);
    const fd = openSync(path, 'r+');
    ftruncateSync(fd, size - 500);
    closeSync(fd);
    expect(() => MmapDict.open(path, { mode: 'r' })).toThrow(code('TRUNCATED'));
    using lenient = MmapDict.open(path, { mode: 'r', lenient: true });
    expect([...lenient]).toEqual([['a', 1]]);
    expect(statSync(path).size).toBe(size - 500);
    expect(fsck(path).findings).toMatchObject([{ code: 'torn-tail', severity: 'error' }]);
    using dict = MmapDict.open(path);
    expect(dict.repairs).toMatchObject([{ kind: 'torn-tail' }]);
    expect([...dict]).toEqual([['a', 1]]);
    expect(fsck(path)).toMatchObject({ ok: true, findings: [] });
  });
});

describe('damage', () => {
  test('in the middle is found by fsck, never truncated, and skipped by salvage', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    for (let i = 0; i < 10; i++) dict.set(`k${i}`, i);
    const third = [...dict.scan()][3]!;
    dict.close();
    const bytes = readFileSync(path);
    bytes[third.offset + 3]! ^= 1;
    writeFileSync(path, bytes);
    expect(() => MmapDict.open(path)).toThrow(code('TRUNCATED'));
    expect(readFileSync(path)).toEqual(bytes);
    expect(fsck(path).findings[0]).toMatchObject({ code: 'broken-chain', offset: third.offset });
    expect(fsck(path, { repair: true }).repaired).toBe(false);
    const result = salvage(path, dir.file('y'));
    expect(result.recovered).toEqual(['k0', 'k1', 'k2', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9', 'k3']);
    using found = MmapDict.open(dir.file('y'), { mode: 'r' });
    expect(found.get('k9')).toBe(9);
  });

  test('after a seal with checksums, verify names the entry that changed', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using dict = MmapDict.open(path);
    dict.set('a', ndarray(new Float64Array(300_000))).set('b', 'text');
    expect(dict.verify()).toMatchObject({ sealed: false });
    dict.seal({ checksums: true });
    expect(dict.verify()).toMatchObject({ sealed: true, checked: 2, findings: [] });
    dict.close();
    const bytes = readFileSync(path);
    bytes[1_500_000]! ^= 4;
    writeFileSync(path, bytes);
    using damaged = MmapDict.open(path, { mode: 'r' });
    expect(damaged.verify().findings).toMatchObject([{ code: 'bad-checksum', key: 'a' }]);
    damaged.close();
    using changed = MmapDict.open(path);
    changed.set('c', 1);
    expect(changed.verify().sealed).toBe(false);
    expect([...changed.keys()]).toEqual(['a', 'b', 'c']);
  });
});

test('an index too large for any buffer is dropped like any other', () => {
  using dir = new TempDir();
  const path = dir.file('x');
  MmapDict.open(path).set('a', 1).set('b', 2).close();
  const bytes = readFileSync(path);
  const end = bytes.length - TERMINATOR_SIZE;
  const blocks = 10_000_000;
  const length = indexPayloadSize(blocks);
  const { prefix, suffix } = tailEntryFrame('index', length, 0);
  const fileSize = end + prefix.length + length + suffix.length + TERMINATOR_SIZE;
  const footer = new Uint8Array(INDEX_FOOTER_SIZE);
  const commitNumber = bytes.readInt32LE(COMMIT_NUMBER_OFFSET);
  putIndexFooter(footer, { seed: 1, blocks, commitNumber, keys: 2, fileSize, end, older: 0 });
  const last = [footer, suffix, terminator()];
  const fd = openSync(path, 'r+');
  writeSync(fd, prefix, 0, prefix.length, end);
  writeSync(fd, Buffer.concat(last), 0, undefined, fileSize - Buffer.concat(last).length);
  closeSync(fd);
  using dict = MmapDict.open(path, { standingIndex: 2 ** 50 });
  dict.set('c', 3);
  expect(Object.fromEntries(dict)).toEqual({ a: 1, b: 2, c: 3 });
  expect(statSync(path).size).toBeLessThan(1000);
});

test('fsck checks and repairs the file that currently has the name', () => {
  using dir = new TempDir();
  const path = dir.file('x');
  using dict = MmapDict.open(path);
  MmapDict.open(path).set('a', 1).vacuum().close();
  const bytes = readFileSync(path);
  writeFileSync(path, Buffer.concat([bytes, Buffer.from('more')]));
  expect(dict.fsck()).toMatchObject({ ok: true, live: 1, findings: [{ code: 'unclaimed-bytes' }] });
  expect(dict.fsck({ repair: true })).toMatchObject({ ok: true, repaired: true });
  expect(statSync(path).size).toBe(bytes.length);
});

describe('ordinary pickles', () => {
  test('are opened in place, and converted', () => {
    using dir = new TempDir();
    const data = new Float64Array(100_000).map((_, i) => i);
    writeFileSync(
      dir.file('p'),
      dump(
        new Map<string, unknown>([
          ['array', ndarray(data)],
          ['n', [1, 'x']],
        ]),
      ),
    );
    using pickle = openPickle(dir.file('p'));
    expect((pickle.items().get('array') as NDArray).get(99_999)).toBe(99_999);
    convert(dir.file('p'), dir.file('q'));
    using dict = MmapDict.open(dir.file('q'), { mode: 'r' });
    expect((dict.get('array') as NDArray).get(99_999)).toBe(99_999);
    expect(dict.getMeta('array')!.offset % 64).toBe(0);
    expect(dict.get('n')).toEqual([1, 'x']);
    writeFileSync(dir.file('list'), dump([1]));
    expect(() => convert(dir.file('list'), dir.file('r'))).toThrow(code('NOT_A_DICT'));
    expect(() => statSync(dir.file('r'))).toThrow();
    expect(() => convert(dir.file('p'), dir.file('q'))).toThrow(code('ALREADY_EXISTS'));
  });

  test('upgrade and downgrade accept a path', () => {
    using dir = new TempDir();
    MmapDict.open(dir.file('x'))
      .set('a', ndarray(new Int8Array([1])), { layout: 'legacy' })
      .close();
    expect(upgrade(dir.file('x'))).toBe(1);
    expect(downgrade(dir.file('x'))).toBe(1);
  });
});

describe('handles', () => {
  test('are passed to others as a token', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('x'), { durability: 'commit' });
    dict.set('a', 1);
    using other = MmapDict.reopen(structuredClone(dict.token()));
    other.set('b', 2);
    expect(dict.get('b')).toBe(2);
    expect(() => MmapDict.reopen({} as never)).toThrow(code('INVALID_ARGUMENT'));
  });

  test('a lease excludes a second one, and says who holds it', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('x'));
    using other = MmapDict.open(dir.file('x'));
    const lease = dict.lease();
    expect(() => other.lease()).toThrow(expect.objectContaining({ code: 'LOCKED', pid: process.pid }));
    dict.set('a', 1);
    lease.release();
    dict.set('a', 2);
    other.lease().release();
  });

  test("two handles of one process take turns, and each sees the other's changes", () => {
    using dir = new TempDir();
    using a = MmapDict.open(dir.file('x'));
    using b = MmapDict.open(dir.file('x'));
    for (let i = 0; i < 200; i++) {
      const [one, two] = i % 2 === 0 ? [a, b] : [b, a];
      one.set(`k${i % 7}`, i);
      expect(two.get(`k${i % 7}`)).toBe(i);
      if (i % 5 === 0) {
        one.delete(`k${i % 7}`);
        expect(two.has(`k${i % 7}`)).toBe(false);
      }
      if (i % 50 === 0) one.vacuum();
      expect([...one].sort()).toEqual([...two].sort());
    }
    a.batch(() => {
      expect(() => b.batch(() => 1, { lockTimeout: 0 })).toThrow(code('LOCKED'));
    });
  });
});

describe('closing', () => {
  test('does not wait for another writer, and needs no lease', () => {
    using dir = new TempDir();
    const path = dir.file('x');
    using holder = MmapDict.open(path);
    const dict = MmapDict.open(path);
    dict.update(Array.from({ length: 100 }, (_, i): [string, number] => [`k${i}`, i]));
    holder.batch(() => dict.close());
    expect(dict.closed).toBe(true);
    expect(holder.size).toBe(100);
  });
});

test('a key that is not a string is BAD_KEY in every lookup', () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('x'));
  for (const look of ['has', 'get', 'getMeta', 'delete', 'pop'] as const) {
    expect(() => dict[look](5 as never)).toThrow(code('BAD_KEY'));
  }
  expect(dict.has('x'.repeat(1000))).toBe(false);
  expect(dict.get('é'.repeat(300))).toBeUndefined();
});

test('entries after a hole of one tebibyte are found like those after a small one', () => {
  using dir = new TempDir();
  const [damaged, rescued] = [dir.file('damaged'), dir.file('rescued')];
  const dict = MmapDict.open(damaged).set('a', 1);
  dict.set('large', { arraySource: true, dtype: 'uint8', shape: [2 ** 40] }).set('b', 2);
  const { entryOffset } = dict.getMeta('large')!;
  dict.close();
  const fd = openSync(damaged, 'r+');
  writeSync(fd, Uint8Array.of(0), 0, 1, entryOffset);
  closeSync(fd);
  expect(fsck(damaged).findings).toMatchObject([{ code: 'broken-chain', offset: entryOffset }]);
  expect(() => MmapDict.open(damaged)).toThrow(code('CORRUPT'));
  expect(salvage(damaged, rescued)).toMatchObject({ recovered: ['a', 'b', 'large'], lost: [] });
});
