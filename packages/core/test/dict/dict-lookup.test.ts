import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DictLookup, DictReader, MmapDict } from '../../src/dict/index.ts';
import { isMmdError } from '../../src/errors.ts';
import { crc32c } from '../../src/format/checksum.ts';
import { TERMINATOR_SIZE } from '../../src/format/layout.ts';
import { TAIL_PREFIX_SIZE } from '../../src/format/tail-entry.ts';
import { decodeIndexEnding, INDEX_BLOCK_SIZE, INDEX_ENDING } from '../../src/format/tail-index.ts';
import { ndarray } from '../../src/ndarray/index.ts';
import { bytesSource } from '../../src/storage/bytes-source.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { frames, Network, SESSIONS, various, written } from './network.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

async function opened(bytes: Uint8Array): Promise<{ network: Network; lookup: DictLookup }> {
  const network = new Network(bytes);
  return { network, lookup: await network.during(DictLookup.open(network)) };
}

describe('looking up a key over a network', () => {
  it.each([100, 1000, 10_000])('takes as many requests with %i entries as with any other number', async (count) => {
    const { network, lookup } = await opened(written({ values: frames(count, () => 50), index: true }));
    expect(network.requests).toBeLessThanOrEqual(4);
    for (const key of ['frame/0', `frame/${count >> 1}`, `frame/${count - 1}`]) {
      const before = network.requests;
      expect(await network.during(lookup.get(key))).toHaveLength(50);
      // A block of the index and the entry; rarely the next block, or another key with the same hash.
      expect(network.requests - before).toBeLessThanOrEqual(4);
    }
    expect(network.bytes).toBeLessThan(10_000);
  });

  it('fetches the data of large values once, and none for their metadata', async () => {
    const file = MemoryFile.of();
    const dict = MmapDict.over(file.open(file.name, 'r+'), { index: true });
    for (let i = 0; i < 100; i++) dict.set(`plane ${i}`, ndarray(new Float64Array(5000).fill(i), [50, 100]));
    dict.close();
    const { network, lookup } = await opened(file.toBytes());
    const meta = await network.during(lookup.getMeta('plane 7'));
    expect(meta).toMatchObject({ key: 'plane 7', shape: [50, 100] });
    expect(network.bytes).toBeLessThan(4096);
    const before = network.bytes;
    expect(await network.during(lookup.get('plane 99'))).toMatchObject({ shape: [50, 100] });
    expect(network.bytes - before).toBeLessThan(40_000 + 4096);
  });

  it.each([false, true])('tells a missing key from a present one (index: %s)', async (index) => {
    const { network, lookup } = await opened(written({ values: frames(200, various), index }));
    for (const key of [
      '',
      'frame',
      'frame/200',
      'k'.repeat(255),
      'k'.repeat(256),
      '\u00e9'.repeat(128),
      'x'.repeat(2 ** 20),
    ])
      expect(await network.during(lookup.get(key))).toBeUndefined();
    expect(await network.during(lookup.get('frame/199'))).toHaveLength(various(199));
    await expect(lookup.get(7 as unknown as string)).rejects.toMatchObject({ code: 'BAD_KEY' });
  });

  it('finds what a handle finds, whoever wrote the file', async () => {
    await fc.assert(
      fc.asyncProperty(SESSIONS, async (sessions) => {
        const bytes = written(...sessions);
        const { network, lookup } = await opened(bytes);
        const dict = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
        for (let i = 0; i <= 60; i += 3) {
          const key = `k${i}`;
          expect(await network.during(lookup.get(key))).toEqual(dict.get(key));
          expect(await network.during(lookup.getMeta(key))).toEqual(dict.getMeta(key));
        }
      }),
    );
  });

  it('finds values that were deleted or replaced since the index was written as a handle does', async () => {
    const file = MemoryFile.of();
    const first = MmapDict.over(file.open(file.name, 'r+'), { index: true });
    for (let i = 0; i < 100; i++) first.set(`k${i}`, i);
    first.close();
    const second = MmapDict.over(file.open(file.name, 'r+'), { index: true });
    for (let i = 0; i < 100; i += 3) second.delete(`k${i}`);
    for (let i = 0; i < 100; i += 5) second.set(`k${i}`, -i);
    second.close();
    const bytes = file.toBytes();
    const dict = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
    const lookup = await DictLookup.open(bytesSource(bytes));
    for (let i = 0; i < 100; i++) expect(await lookup.get(`k${i}`)).toBe(dict.get(`k${i}`));
  });
});

describe('a damaged file', () => {
  const bytes = written({ values: [...frames(20, () => 30), ...frames(60, (i) => i, 20)], index: true });
  const intact = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
  const outcome = async (read: () => Promise<unknown>): Promise<unknown> => {
    try {
      return await read();
    } catch (error) {
      if (!isMmdError(error)) throw error;
      return error.code;
    }
  };

  it('gives what it gives to a reader that looks at all entries, or what it gave before', async () => {
    const places = fc.nat(bytes.length - 1);
    const flips = fc.integer({ min: 1, max: 255 });
    await fc.assert(
      fc.asyncProperty(places, flips, fc.integer({ min: 0, max: 79 }), async (at, flip, number) => {
        const damaged = bytes.slice();
        damaged[at]! ^= flip;
        const key = `frame/${number}`;
        const found = await outcome(async () => (await DictLookup.open(bytesSource(damaged))).get(key));
        const all = await outcome(async () => (await DictReader.open(bytesSource(damaged))).get(key));
        expect([all, intact.get(key)]).toContainEqual(found);
      }),
      { numRuns: LONG ? 4000 : 200 },
    );
  });

  it('is looked at as a whole if its index has no end: every block is full', async () => {
    const endless = written({ values: frames(20_000, () => 10), index: true });
    const end = endless.length - TERMINATOR_SIZE;
    const { footer, entry } = decodeIndexEnding(endless.subarray(end - INDEX_ENDING, end), end)!;
    expect(footer.blocks).toBeGreaterThan(600);
    const view = new DataView(endless.buffer, endless.byteOffset);
    for (let number = 0; number < footer.blocks; number++) {
      const start = entry + TAIL_PREFIX_SIZE + number * INDEX_BLOCK_SIZE;
      const block = endless.subarray(start, start + INDEX_BLOCK_SIZE).fill(0);
      block[4] = 42;
      view.setUint32(start, crc32c(block, 0, 4) ^ number, true);
    }
    const { network, lookup } = await opened(endless);
    expect(await network.during(lookup.get('frame/777'))).toHaveLength(10);
    expect(network.requests).toBeLessThan(300);
  });

  it('is refused as by other readers if it is none of ours', async () => {
    for (const bad of [
      new Uint8Array(0),
      new Uint8Array([0x80, 4, 0x4e, 0x2e]),
      new TextEncoder().encode('x'.repeat(500)),
    ])
      expect(await outcome(() => DictLookup.open(bytesSource(bad)))).toBe(
        await outcome(() => DictReader.open(bytesSource(bad))),
      );
    for (const wrong of [undefined, 7, {}, { size: 3, read: 4 }])
      await expect(DictLookup.open(wrong as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(DictLookup.open(bytesSource(bytes), { lazy: true } as never)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('stops when it is aborted', async () => {
    const network = new Network(bytes);
    await expect(
      network.during(DictLookup.open(network, { signal: AbortSignal.abort(new Error('no')) })),
    ).rejects.toThrow('no');
    const lookup = await network.during(DictLookup.open(network));
    await expect(network.during(lookup.get('frame/1', AbortSignal.abort(new Error('no'))))).rejects.toThrow('no');
    expect(await network.during(lookup.get('frame/1'))).toHaveLength(30);
  });
});
