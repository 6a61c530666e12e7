import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MmdError } from '@mmdpickle/core';
import { MaskedArray, NDArray, ndarray, parseDType } from '@mmdpickle/core/ndarray';
import { MemoryFile } from '@mmdpickle/core/storage';
import {
  createNpy,
  FileReplacement,
  npyBytes,
  openNpy,
  openNpyWriter,
  readNpy,
  writeNpy,
} from '@mmdpickle/npy-interop';
import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { arrayOf } from './arrays.ts';
import { freshDir } from './fresh-dir.ts';

const temp = freshDir();

describe('mapped npy files', () => {
  test("mode 'r' refuses stores", () => {
    writeNpy(temp.file('a.npy'), new Float64Array([1, 2]));
    using array = openNpy(temp.file('a.npy'));
    expect(array.writable).toBe(false);
    expect(() => array.set(0, 5)).toThrowError(expect.objectContaining({ code: 'READ_ONLY' }));
    expect(array.data).toBeInstanceOf(Float64Array);
  });

  test("mode 'r+' stores into the file", () => {
    writeNpy(temp.file('a.npy'), new Float64Array([1, 2]));
    {
      using array = openNpy(pathToFileURL(temp.file('a.npy')), 'r+');
      array.set(1, 7);
    }
    expect(readNpy(readFileSync(temp.file('a.npy'))).toNested()).toEqual([1, 7]);
  });

  test("mode 'c' keeps stores in memory", () => {
    writeNpy(temp.file('a.npy'), new Float64Array([1, 2]));
    using array = openNpy(temp.file('a.npy'), 'c');
    array.set(1, 7);
    expect(array.get(1)).toBe(7);
    expect(readNpy(readFileSync(temp.file('a.npy'))).toNested()).toEqual([1, 2]);
  });

  test('an unknown mode, a missing file and a directory are typed errors', () => {
    expect(() => openNpy('x.npy', 'w' as 'r')).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => openNpy(temp.file('none.npy'))).toThrowError(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(() => openNpy(temp.path)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test('a truncated file is refused before it is mapped', () => {
    writeNpy(temp.file('a.npy'), new Float64Array(100));
    truncateSync(temp.file('a.npy'), 500);
    expect(() => openNpy(temp.file('a.npy'))).toThrowError(
      expect.objectContaining({ code: 'TRUNCATED', expected: 800, found: 372, offset: 128 }),
    );
  });

  test('readNpy of a path maps it, and disposing closes the file', () => {
    writeNpy(temp.file('a.npy'), ndarray(new Int32Array(6), [2, 3]));
    const array = readNpy(temp.file('a.npy'));
    expect(array.shape).toEqual([2, 3]);
    array[Symbol.dispose]();
    expect(array.memory.closed).toBe(true);
  });

  test('an array without elements is mapped too', () => {
    writeNpy(temp.file('a.npy'), arrayOf(parseDType('<f4'), [3, 0]));
    using array = openNpy(temp.file('a.npy'), 'r+');
    expect(array.shape).toEqual([3, 0]);
  });
});

test.each([
  ['an array that npy cannot store', NDArray.ofObjects(['one']), {}],
  ['a signal', new Float64Array(4), { signal: AbortSignal.abort(new Error('enough')) }],
] as const)('%s that ends the write aborts the stream', async (_what, array, options) => {
  let aborted: unknown;
  const target = new WritableStream<Uint8Array>({ abort: (reason) => void (aborted = reason) });
  const error = await writeNpy(target, array, options).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(aborted).toBe(error);
});

describe('creating npy files', () => {
  test('a created file is sparse zeros with the given type, shape and order', () => {
    {
      using array = createNpy(temp.file('a.npy'), [1000, 1000, 10], '>i4', { order: 'F' });
      expect(array.order).toBe('F');
      array.set(999, 999, 9, -5);
    }
    const status = statSync(temp.file('a.npy'));
    expect(status.size).toBe(128 + 4e7);
    expect(status.blocks * 512).toBeLessThan(1e6);
    using array = openNpy(temp.file('a.npy'));
    expect([array.dtype, array.shape, array.get(999, 999, 9), array.get(0, 0, 0)]).toEqual([
      '>i4',
      [1000, 1000, 10],
      -5,
      0,
    ]);
  });

  test('reserved disk space is allocated at once', () => {
    createNpy(temp.file('a.npy'), [1 << 20], 'u1', { reserve: true })[Symbol.dispose]();
    expect(statSync(temp.file('a.npy')).blocks * 512).toBeGreaterThanOrEqual(1 << 20);
  });

  test('a replaced file stays as it was for handles that have it open', () => {
    writeNpy(temp.file('a.npy'), new Uint8Array([1, 2, 3]));
    using before = openNpy(temp.file('a.npy'));
    using after = createNpy(temp.file('a.npy'), [1], 'u1');
    expect(before.toNested()).toEqual([1, 2, 3]);
    expect(after.toNested()).toEqual([0]);
  });

  test('a type that cannot be mapped leaves no file', () => {
    expect(() => createNpy(temp.file('a.npy'), [1], 'O')).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }),
    );
    expect(() => createNpy(temp.file('a.npy'), [-1], 'u1')).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(readdirSync(temp.path)).toEqual([]);
  });
});

describe('writing npy files', () => {
  test('a source in a file is copied from there, and one without bytes becomes a hole', () => {
    writeFileSync(temp.file('raw'), Uint8Array.of(9, 9, 1, 0, 2, 0));
    const file = { path: temp.file('raw'), offset: 2, length: 4 };
    writeNpy(temp.file('a.npy'), { arraySource: true, dtype: '<u2', shape: [2], file });
    expect(readNpy(readFileSync(temp.file('a.npy'))).toNested()).toEqual([1, 2]);
    writeNpy(temp.file('b.npy'), { arraySource: true, dtype: '<f8', shape: [1e6] });
    expect(statSync(temp.file('b.npy')).size).toBe(128 + 8e6);
    expect(statSync(temp.file('b.npy')).blocks * 512).toBeLessThan(1e5);
  });

  test('a storage file is written from its start', () => {
    using file = MemoryFile.of();
    const size = writeNpy(file, new Uint8Array([1, 2, 3]));
    const bytes = new Uint8Array(size);
    file.read(0, bytes);
    expect(bytes).toEqual(npyBytes(new Uint8Array([1, 2, 3])));
  });

  test('a write that fails leaves the old file, and no other', () => {
    writeFileSync(temp.file('a.npy'), 'before');
    const failing = { arraySource: true as const, dtype: 'u1', shape: [9], bytes: () => [new Uint8Array(4)] };
    expect(() => writeNpy(temp.file('a.npy'), failing)).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    expect(() => writeNpy(temp.file('a.npy'), NDArray.ofObjects([1]))).toThrow('Object arrays cannot be saved');
    const masked = new MaskedArray(ndarray(new Uint8Array(1)), ndarray([true]));
    expect(() => writeNpy(temp.file('a.npy'), masked)).toThrow('masked');
    expect(readFileSync(temp.file('a.npy'), 'utf8')).toBe('before');
    expect(readdirSync(temp.path)).toEqual(['a.npy']);
  });

  test('the next write of the same file removes what a killed process left, but not what a live one left', () => {
    writeNpy(temp.file('a.npy'), new Uint8Array(1));
    const dead = leftover('a.npy', 999_999_999);
    const living = leftover('a.npy', process.pid);
    writeNpy(temp.file('a.npy'), new Uint8Array(1));
    expect([existsSync(dead), existsSync(living)]).toEqual([false, true]);
  });

  test('a directory is listed once for many files: an export of thousands used to read thousands of names for each file', () => {
    const leftovers = new Map();
    const found = ['a.npy', 'b.npy'].map((name) => leftover(name, 999_999_999));
    using _a = new FileReplacement(temp.file('a.npy'), leftovers);
    const later = leftover('b.npy', 999_999_998);
    using _b = new FileReplacement(temp.file('b.npy'), leftovers);
    expect([...found, later].map((path) => existsSync(path))).toEqual([false, false, true]);
  });

  test('what a killed export of thousands left is not looked through again for each file', () => {
    const leftovers = new Map();
    for (let i = 0; i < 500; i += 1) leftover(`${i}.npy`, 999_999_999);
    using _a = new FileReplacement(temp.file('0.npy'), leftovers);
    let looks = 0;
    const [[directory, found]] = [...leftovers] as [[string, object]];
    const counted = new Proxy(found, {
      get(target, name) {
        looks += 1;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' && target instanceof Map ? value.bind(target) : value;
      },
    });
    leftovers.set(directory, counted);
    using _b = new FileReplacement(temp.file('499.npy'), leftovers);
    expect(readdirSync(temp.path).filter((name) => name.includes('.999999999.')).length).toBe(498);
    expect(looks).toBeLessThan(10);
  });

  /** A temporary file that a process leaves if it is killed while it writes `file`. */
  function leftover(file: string, pid: number): string {
    const name = Buffer.from(file).toString('base64url');
    const host = hostname()
      .replaceAll(/[^A-Za-z0-9-]/g, '_')
      .slice(0, 32);
    const path = temp.file(`.${name}.${host}.${pid}.x.mmdpickle-tmp`);
    writeFileSync(path, 'half');
    return path;
  }
});

describe('npy files that grow', () => {
  test('readers see whole rows as of the last flush, even between flushes', () => {
    using writer = openNpyWriter(temp.file('log.npy'), { rowShape: [2], dtype: '<f4' });
    const seen = (): unknown => readNpy(readFileSync(temp.file('log.npy'))).toNested();
    expect(seen()).toEqual([]);
    writer.append(new Float32Array([1, 2]));
    expect(seen()).toEqual([]);
    writer.append(new Float32Array([3, 4, 5, 6])).flush();
    expect(seen()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    writer.append(ndarray(new Float32Array([7, 8]), [1, 2])).flush({ sync: true });
    expect([writer.rows, writer.shape, writer.dtype.name]).toEqual([4, [4, 2], 'float32']);
  });

  test('a reopened file continues where its header says', () => {
    {
      using writer = openNpyWriter(temp.file('log.npy'), { rowShape: [], dtype: 'int32' });
      writer.append(new Int32Array([1, 2, 3]));
    }
    {
      using writer = openNpyWriter(temp.file('log.npy'));
      writer.append(new Int32Array([4]));
    }
    expect(readNpy(readFileSync(temp.file('log.npy'))).toNested()).toEqual([1, 2, 3, 4]);
  });

  test('a file keeps its header version', () => {
    for (const version of [1, 2, 3] as const) {
      const path = temp.file(`v${version}.npy`);
      writeNpy(path, new Int32Array([1]), { version });
      openNpyWriter(path)
        .append(new Int32Array([2]))
        .close();
      expect(readFileSync(path)[6]).toBe(version);
      expect(readNpy(readFileSync(path)).toNested()).toEqual([1, 2]);
    }
  });

  test('rows of a different type, shape or order are refused, and the file stays intact', () => {
    using writer = openNpyWriter(temp.file('log.npy'), { rowShape: [2, 2], dtype: '<f4' });
    const refused = [new Float64Array(4), new Float32Array(3), arrayOf(parseDType('<f4'), [2, 2], 'F'), ndarray([[1]])];
    for (const rows of refused) {
      expect(() => writer.append(rows)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
    expect(writer.flush().rows).toBe(0);
  });

  test.each([
    { name: 'objects', create: { rowShape: [], dtype: 'O' } },
    { name: 'rows larger than any file', create: { rowShape: [2 ** 52, 2 ** 52], dtype: 'u1' } },
  ])('a new file of $name is refused, and the old one is kept', ({ create }) => {
    writeNpy(temp.file('log.npy'), new Uint8Array([1]));
    expect(() => openNpyWriter(temp.file('log.npy'), create)).toThrowError(MmdError);
    expect(readNpy(readFileSync(temp.file('log.npy'))).toNested()).toEqual([1]);
    expect(readdirSync(temp.path)).toEqual(['log.npy']);
  });

  test('an array that cannot grow is refused', () => {
    writeNpy(temp.file('f.npy'), arrayOf(parseDType('u1'), [2, 3], 'F'));
    writeNpy(temp.file('s.npy'), arrayOf(parseDType('u1'), []));
    for (const name of ['f.npy', 's.npy']) {
      expect(() => openNpyWriter(temp.file(name))).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    }
  });

  /** A header as old numpys and other tools write it: no room for more digits. */
  const writeTight = (rows: number): string => {
    const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${rows},), }\n`;
    const header = Uint8Array.of(0x93, ...Buffer.from('NUMPY'), 1, 0, text.length, 0, ...Buffer.from(text));
    writeFileSync(temp.file('tight.npy'), Buffer.concat([header, new Uint8Array(rows)]));
    return temp.file('tight.npy');
  };

  test('a header without room to count another row is refused on open', () => {
    const path = writeTight(9);
    const before = readFileSync(path);
    expect(() => openNpyWriter(path)).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_VALUE', maximum: 9 }));
    expect(readFileSync(path)).toEqual(before);
  });

  test('rows that the header has no room to count are refused before they are written', () => {
    const path = writeTight(7);
    const writer = openNpyWriter(path);
    expect(() => writer.append(new Uint8Array(3))).toThrowError(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    writer.append(new Uint8Array([5, 6]));
    writer.close();
    expect(readNpy(readFileSync(path)).toNested()).toEqual([0, 0, 0, 0, 0, 0, 0, 5, 6]);
  });

  test('a second writer on the same file is refused while the first is open, but not after it', () => {
    const path = temp.file('log.npy');
    const create = { rowShape: [], dtype: 'int32' };
    {
      using writer = openNpyWriter(path, create);
      writer.append(new Int32Array([1, 2])).flush();
      const message = `${path}: another writer is appending to it`;
      const locked = expect.objectContaining({ code: 'LOCKED', path, message, pid: process.pid });
      expect(() => openNpyWriter(path)).toThrowError(locked);
      expect(() => openNpyWriter(path, create)).toThrowError(locked);
      writer.append(new Int32Array([3])).flush();
    }
    using writer = openNpyWriter(path);
    writer.append(new Int32Array([4])).flush();
    expect(readNpy(readFileSync(path)).toNested()).toEqual([1, 2, 3, 4]);
    expect(readdirSync(temp.path)).toEqual(['log.npy']);
  });
});

describe.each(pythons())('with numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  test("numpy maps files from createNpy, and the reverse, and each sees the other's stores", async () => {
    using array = createNpy(temp.file('a.npy'), [4, 3], 'float32');
    array.set(3, 2, 2.5);
    const seen = await python.run<number>(
      `
import numpy as np
array = np.load(args["path"], mmap_mode="r+")
result = float(array[3, 2])
array[0, 0] = 9
array.flush()
other = np.lib.format.open_memmap(args["other"], "w+", ">i8", (2, 2), fortran_order=True)
other[1, 0] = -7
other.flush()
`,
      { path: temp.file('a.npy'), other: temp.file('b.npy') },
    );
    expect(seen).toBe(2.5);
    expect(array.get(0, 0)).toBe(9);
    using other = openNpy(temp.file('b.npy'), 'r+');
    expect([other.order, other.get(1, 0)]).toEqual(['F', -7n]);
  });

  test('numpy reads a growing file after every flush', async () => {
    using writer = openNpyWriter(temp.file('log.npy'), { rowShape: [3], dtype: '>u2' });
    for (let rows = 1; rows <= 12; rows += 1) {
      writer.append(arrayOf(parseDType('>u2'), [1, 3])).flush();
      const shape = await python.run('import numpy as np; result = list(np.load(args["path"]).shape)', {
        path: temp.file('log.npy'),
      });
      expect(shape).toEqual([rows, 3]);
    }
  });

  test('object arrays are refused, or with allowPickle read without running anything', async () => {
    await python.run(
      `
import numpy as np
np.save(args["path"], np.array([[1, "two"], [None, [3.5]]], dtype=object))
class Evil:
    def __reduce__(self): return (print, ("ran",))
np.save(args["evil"], np.array([Evil()], dtype=object))
`,
      { path: temp.file('o.npy'), evil: temp.file('evil.npy') },
    );
    expect(() => readNpy(temp.file('o.npy'))).toThrow('Object arrays cannot be loaded when allow_pickle=False');
    expect(() => openNpy(temp.file('o.npy'), 'r', { allowPickle: true })).toThrow('cannot be mapped');
    for (const source of [temp.file('o.npy'), readFileSync(temp.file('o.npy'))]) {
      const array = readNpy(source as string, { allowPickle: true });
      expect(array.shape).toEqual([2, 2]);
      expect(array.toNested()).toEqual([
        [1, 'two'],
        [null, [3.5]],
      ]);
    }
    const evil = readNpy(temp.file('evil.npy'), { allowPickle: true });
    expect(String(Object.prototype.toString.call(evil.get(0)))).toContain('object');
  });
});

test('the garbage collector closes the files of arrays that were not disposed, and their typed arrays stay readable', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const openFiles = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(temp.path);
      } catch {
        return false;
      }
    }).length;
  writeNpy(temp.file('a.npy'), new Float64Array([1.5]));
  const kept = Array.from({ length: 20 }, () => readNpy(temp.file('a.npy')).data as Float64Array);
  expect(openFiles()).toBe(20);
  for (let turn = 0; turn < 50 && openFiles() > 0; turn += 1) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(openFiles()).toBe(0);
  expect(kept.map((data) => data[0])).toEqual(kept.map(() => 1.5));
});

test('a mapping is readable while the file is open, and reads as zeros afterwards', () => {
  writeNpy(temp.file('a.npy'), new Uint8Array([5]));
  const array = openNpy(temp.file('a.npy'));
  const data = array.data as Uint8Array;
  expect(data[array.offset]).toBe(5);
  array[Symbol.dispose]();
  expect(data[array.offset] ?? 0).toBe(0);
});

test('write errors name the requested file', () => {
  for (const [path, array] of [
    [temp.file('nodir/a.npy'), new Uint8Array(1)],
    [temp.file('a.npy'), NDArray.ofObjects(['x'])],
  ] as const) {
    expect(() => writeNpy(path, array)).toThrowError(
      expect.objectContaining({ message: expect.stringContaining(path) }),
    );
  }
});

describe('existing files at the target path', () => {
  const writers: Record<string, (path: string) => unknown> = {
    writeNpy: (path) => writeNpy(path, new Uint8Array([1, 2])),
    createNpy: (path) => createNpy(path, [2], 'u1')[Symbol.dispose](),
  };

  test.each(Object.entries(writers))(
    "%s writes through a link to its target and keeps the target's permissions",
    (_, write) => {
      mkdirSync(temp.file('real'));
      writeFileSync(temp.file('real/a.npy'), 'old', { mode: 0o640 });
      chmodSync(temp.file('real/a.npy'), 0o640);
      symlinkSync('real/a.npy', temp.file('link.npy'));
      write(temp.file('link.npy'));
      expect(lstatSync(temp.file('link.npy')).isSymbolicLink()).toBe(true);
      expect(statSync(temp.file('real/a.npy')).mode & 0o777).toBe(0o640);
      expect(readNpy(readFileSync(temp.file('real/a.npy'))).shape).toEqual([2]);
      expect([readdirSync(temp.path).sort(), readdirSync(temp.file('real'))]).toEqual([
        ['link.npy', 'real'],
        ['a.npy'],
      ]);
    },
  );

  test.each(Object.entries(writers))('%s does not replace a pipe, as it must not replace /dev/null', (_, write) => {
    const pipe = temp.file('pipe');
    execFileSync('mkfifo', [pipe]);
    expect(() => write(pipe)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    expect(readdirSync(temp.path)).toEqual(['pipe']);
  });
});
