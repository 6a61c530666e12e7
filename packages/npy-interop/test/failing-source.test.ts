/** Readers over a source whose reads fail now and then. */
import { DictReader, isMmdError, MemoryFile, MmapDict, MmdError } from '@mmdpickle/core';
import { type NDArray, ndarray } from '@mmdpickle/core/ndarray';
import { type ByteSource, bytesSource } from '@mmdpickle/core/storage';
import { Npz, npyBytes, npzBytes, openNpz, readNpy, readSafetensors, safetensorsBytes } from '@mmdpickle/npy-interop';
import { afterAll, beforeAll, expect, test } from 'vitest';

const LONG = process.env.MMDPICKLE_LONG === '1';
const NUMBERS = Float64Array.from({ length: 80 }, (_, i) => Math.sin(i));
const arrays = { a: NUMBERS, b: new Int32Array([1, 2]), c: new Uint8Array(300) };
const textOf = (array: NDArray): string => `${array.shape} ${array.dtype} ${[...array.bytes()].join(';')}`;

async function members(npz: Npz): Promise<string> {
  const texts: string[] = [];
  for (const key of npz.keys()) {
    const { shape } = await npz.header(key);
    await npz.verify(key);
    texts.push(`${key} ${shape} ${await npz.dataOffset(key)} ${textOf(await npz.get(key))} ${await npz.bytes(key)}`);
  }
  return texts.join();
}

interface Reader {
  readonly bytes: () => Uint8Array | Promise<Uint8Array>;
  /** Opens a source, and returns what reads it; that works on the same opened file each time. */
  readonly open: (source: ByteSource) => Promise<() => Promise<string>>;
}

const openMembers = async (source: ByteSource) => {
  const npz = await openNpz(source);
  return () => members(npz);
};

const READERS: Readonly<Record<string, Reader>> = {
  'npz, stored': { bytes: () => npzBytes(arrays), open: openMembers },
  'npz, deflated': { bytes: () => npzBytes(arrays, { compress: true }), open: openMembers },
  'npz by Npz.over': {
    bytes: () => npzBytes({ a: NUMBERS }),
    open: async (source) => {
      const npz = await Npz.over(source);
      return () => members(npz);
    },
  },
  npy: { bytes: () => npyBytes(ndarray(NUMBERS)), open: async (source) => async () => textOf(await readNpy(source)) },
  safetensors: {
    bytes: () => safetensorsBytes({ a: ndarray(NUMBERS), b: ndarray(new Int8Array([1])) }),
    open: async (source) => async () => {
      const file = await readSafetensors(source);
      return file
        .keys()
        .map((key) => textOf(file.get(key)))
        .join();
    },
  },
  dict: {
    bytes: () => {
      const file = MemoryFile.of();
      const dict = MmapDict.over(file).set('a', ndarray(NUMBERS)).set('b', 'text'.repeat(300));
      dict.set('b', 1).set('c', 'text'.repeat(900));
      return file.toBytes();
    },
    open: async (source) => {
      const reader = await DictReader.open(source);
      return async () => {
        const array = (await reader.get('a')) as NDArray;
        return `${[...reader.keys()]} ${textOf(array)} ${await reader.get('b')} ${await reader.get('c')}`;
      };
    },
  },
};

const SYSTEM = new MmdError('IO', 'EIO, input/output error', { errno: 'EIO' });
const LOST = new MmdError('IO', 'the connection was lost');
const FOREIGN = new TypeError('fetch failed');
/** A message that zip.js has, too. */
const MISLEADING = new Error('File format is not recognized');

/** What a failing read does. */
const FAILURES: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>>> = {
  'rejects with an error of the system': () => Promise.reject(SYSTEM),
  'throws an error of the system': () => {
    throw SYSTEM;
  },
  'loses the connection': () => Promise.reject(LOST),
  "rejects with somebody else's error": () => Promise.reject(FOREIGN),
  'rejects with an error that speaks of a format': () => Promise.reject(MISLEADING),
  'returns half of the bytes': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'returns nothing': () => new Uint8Array(0),
};
const THROWN: readonly unknown[] = [SYSTEM, LOST, FOREIGN, MISLEADING];

const contents = new Map<string, Uint8Array>();
beforeAll(async () => {
  for (const [name, { bytes }] of Object.entries(READERS)) contents.set(name, await bytes());
});

const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(() => void process.on('unhandledRejection', noteUnhandled));
afterAll(() => void process.off('unhandledRejection', noteUnhandled));

test.each(Object.keys(READERS).flatMap((name) => Object.keys(FAILURES).map((how) => [name, how])))(
  '%s: whichever read %s, the reader throws that or is right, and is right afterwards',
  async (name, how) => {
    const inner = bytesSource(contents.get(name)!, name);
    let reads = 0;
    let fails: (read: number) => boolean = () => false;
    const source: ByteSource = {
      name,
      size: (signal) => inner.size(signal),
      read(offset, length, signal) {
        if (!fails(reads++)) return inner.read(offset, length, signal);
        const bytes = contents.get(name)!.slice(offset, offset + length);
        return FAILURES[how]!(bytes) as Promise<Uint8Array>;
      },
    };
    const { open } = READERS[name]!;
    const expected = await (await open(source))();
    const total = reads;
    // The ordinary suite tries every ninth read of archives; each way to fail begins at another one.
    const step = LONG || total < 20 ? 1 : 9;
    for (let n = Object.keys(FAILURES).indexOf(how) % step; n < total; n += step) {
      reads = 0;
      fails = (read) => read === n;
      let work: (() => Promise<string>) | undefined;
      try {
        work = await open(source);
        expect(await work()).toBe(expected);
      } catch (error) {
        const short = how.startsWith('returns') && isMmdError(error, 'TRUNCATED');
        if (!short && !THROWN.includes(error)) throw error;
      }
      fails = () => false;
      expect(await (work ?? (await open(source)))()).toBe(expected);
    }
    expect(unhandled).toEqual([]);
  },
);
