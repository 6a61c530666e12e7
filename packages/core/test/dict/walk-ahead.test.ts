import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DictReader } from '../../src/dict/dict-reader.ts';
import { MmapDict } from '../../src/dict/index.ts';
import { crc32c } from '../../src/format/checksum.ts';
import { TERMINATOR_SIZE } from '../../src/format/layout.ts';
import { TAIL_PREFIX_SIZE, tailEntryFrame } from '../../src/format/tail-entry.ts';
import {
  decodeIndexEnding,
  INDEX_BLOCK_SIZE,
  INDEX_ENDING,
  INDEX_FOOTER_SIZE,
  putIndexFooter,
} from '../../src/format/tail-index.ts';
import type { ByteSource } from '../../src/storage/byte-source.ts';
import { bytesSource } from '../../src/storage/bytes-source.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';
import { equal, frames, Network, SESSIONS, type Session, various, written } from './network.ts';

async function opened(bytes: Uint8Array): Promise<{ network: Network; reader: DictReader }> {
  const network = new Network(bytes);
  return { network, reader: await network.during(DictReader.open(network)) };
}

const expected = (bytes: Uint8Array): string[] => [...MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).keys()];

/** The file with indexes of no keys, each of which refers to the one before. */
function withIndexes(bytes: Uint8Array, count: number): Uint8Array {
  const first = bytes.length - TERMINATOR_SIZE;
  const parts = [bytes.subarray(0, first)];
  for (let i = 0, start = first; i < count; i++) {
    const { prefix, suffix } = tailEntryFrame('index', INDEX_FOOTER_SIZE, 0);
    const end = start + prefix.length + INDEX_FOOTER_SIZE + suffix.length;
    const payload = new Uint8Array(INDEX_FOOTER_SIZE);
    const fileSize = end + TERMINATOR_SIZE;
    const older = i === 0 ? 0 : start;
    putIndexFooter(payload, { seed: 1, blocks: 0, commitNumber: 1, keys: 0, fileSize, end: start, older });
    parts.push(prefix, payload, suffix);
    start = end;
  }
  return new Uint8Array(Buffer.concat([...parts, bytes.subarray(first)]));
}

describe('opening a dict over a network', () => {
  it.each<[string, Session[]]>([
    ['of one size, without an index', [{ values: frames(400, equal), index: false }]],
    ['of one size, with an index', [{ values: frames(400, equal), index: true }]],
    ['of various sizes, with an index', [{ values: frames(400, various), index: true }]],
    [
      'of various sizes, with indexes of three sessions',
      [0, 150, 280].map((from, i) => ({ values: frames([150, 130, 120][i]!, various, from), index: true })),
    ],
    [
      'each with a record',
      [
        {
          values: frames(400, various).flatMap(([key, size]) => [[key, size] as const, [`${key}/at`, 8] as const]),
          index: true,
        },
      ],
    ],
  ])('takes a tenth of the round trips that there are frames: %s', async (_, sessions) => {
    const bytes = written(...sessions);
    const { network, reader } = await opened(bytes);
    expect([...reader.keys()]).toEqual(expected(bytes));
    expect(network.rounds).toBeLessThan(45);
    expect(network.most).toBeLessThanOrEqual(17);
    // Of the frames, only their borders.
    expect(network.bytes).toBeLessThan(400 * 6000 + 60_000);
    expect(await network.during(reader.get('frame/399'))).toHaveLength(
      sessions.at(-1)!.values.find(([key]) => key === 'frame/399')![1],
    );
  });

  it('takes one round trip each if their sizes differ and no index says where they are', async () => {
    const bytes = written({ values: frames(100, various), index: false });
    const { network, reader } = await opened(bytes);
    expect([...reader.keys()]).toEqual(expected(bytes));
    expect(network.rounds).toBeGreaterThan(100);
    expect(network.requests).toBeLessThan(110);
  });

  it('reads small entries in few large pieces', async () => {
    const bytes = written({ values: frames(5000, () => 100), index: true });
    const { network, reader } = await opened(bytes);
    expect([...reader.keys()]).toEqual(expected(bytes));
    expect(network.requests).toBeLessThan(12);
  });

  it.each<[string, (block: number, slot: number) => number, number]>([
    ['names places anywhere', (block, slot) => (block * 977 + slot * 131) * (slot % 5 === 0 ? 2 ** 30 : 997), 210],
    ['names every byte of a stretch', (block, slot) => 5_000_000 + block * 30 + slot, 190],
  ])('finds the same if the index %s', async (_, placeOf, least) => {
    const bytes = written({ values: frames(200, various), index: true });
    const end = bytes.length - TERMINATOR_SIZE;
    const { footer, entry } = decodeIndexEnding(bytes.subarray(end - INDEX_ENDING, end), end)!;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let block = 0; block < footer.blocks; block++) {
      const start = entry + TAIL_PREFIX_SIZE + block * INDEX_BLOCK_SIZE;
      for (let slot = 0; slot < bytes[start + 4]!; slot++)
        view.setBigUint64(start + 12 + slot * 12, BigInt(placeOf(block, slot)), true);
      // More slots than there is room for.
      bytes[start + 4] = 255;
      view.setUint32(start, crc32c(bytes.subarray(start, start + INDEX_BLOCK_SIZE), 0, 4) ^ block, true);
    }
    const { network, reader } = await opened(bytes);
    expect([...reader.keys()]).toEqual(frames(200, various).map(([key]) => key));
    // It was believed: pieces were requested where it said.
    expect(network.requests).toBeGreaterThan(least);
    expect(network.requests).toBeLessThan(480);
  });

  it.each([5, 6])('does without an index that cannot be fetched (request %i fails)', async (nth) => {
    const bytes = written({ values: frames(200, various), index: true });
    const network = new Network(bytes);
    network.failing = (request) => request === nth;
    const reader = await network.during(DictReader.open(network));
    expect([...reader.keys()]).toEqual(frames(200, various).map(([key]) => key));
    expect(network.most).toBe(1);
  });

  it.each([1, 2, 3, 9, 16])('finds the same from a server that refuses more than %i requests at once', async (most) => {
    for (const index of [false, true]) {
      const values = frames(200, index ? various : equal);
      const network = new Network(written({ values, index }));
      network.refusing = most;
      const reader = await network.during(DictReader.open(network));
      expect([...reader.keys()]).toEqual(values.map(([key]) => key));
    }
  });

  it('finds the same from a source that answers with fewer bytes than were asked for', async () => {
    const bytes = written({ values: frames(100, equal), index: false });
    const source = bytesSource(bytes);
    const stingy: ByteSource = {
      name: 'stingy',
      size: () => source.size(),
      read: (offset, length) => source.read(offset, Math.min(length, 400)),
    };
    expect((await DictReader.open(stingy)).size).toBe(100);
  });

  it('reads no more of the indexes than helps: neither of one of small entries, nor of hundreds', async () => {
    const large = written({ values: frames(20, (i) => 100_000 + i * 9000), index: false });
    const chain = await opened(withIndexes(large, 1000));
    expect(chain.reader.size).toBe(20);
    expect(chain.network.requests).toBeLessThan(200);
    const values = [...frames(10, various), ...frames(20_000, () => 10, 10)];
    const small = written({ values, index: true });
    // Each byte once, and of the ten frames only the borders.
    expect((await opened(small)).network.bytes).toBeLessThan(small.length - 200_000);
  });

  it('finds what a handle finds, whoever wrote the file', async () => {
    await fc.assert(
      fc.asyncProperty(SESSIONS, async (sessions) => {
        const bytes = written(...sessions);
        const { network, reader } = await opened(bytes);
        expect([...reader.keys()].sort()).toEqual(expected(bytes).sort());
        for (const key of [...reader.keys()].slice(0, 5)) {
          const value = await network.during(reader.get(key));
          expect(value).toEqual(new Uint8Array((value as Uint8Array).length).fill((value as Uint8Array).length));
        }
      }),
    );
  });
});

describe('a walk that ends early', () => {
  const bytes = written({ values: frames(200, various), index: true });

  it('throws what the request failed with that it needed, if it fails again, whichever that is', async () => {
    const { network } = await opened(bytes);
    for (let nth = 0; nth < network.requests; nth++) {
      const failing = new Network(bytes);
      failing.failing = (request) => request >= nth;
      await expect(failing.during(DictReader.open(failing))).rejects.toThrow(/^request \d+ failed$/);
    }
  });

  it('aborts its requests for the reason that the caller gave', async () => {
    const network = new Network(bytes);
    const controller = new AbortController();
    network.failing = (request) => {
      if (request === 30) controller.abort(new Error('enough'));
      return false;
    };
    await expect(network.during(DictReader.open(network, { signal: controller.signal }))).rejects.toThrow('enough');
    expect(network.aborted).toBeGreaterThan(1);
  });

  it('ends the requests that it did not wait for', async () => {
    const damaged = bytes.slice();
    // The FRAME of an entry in the middle.
    const middle = [...MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).scan()][100]!.offset;
    damaged[middle] = 0;
    const network = new Network(damaged);
    await expect(network.during(DictReader.open(network))).rejects.toMatchObject({ code: 'CORRUPT', offset: middle });
    expect(network.aborted).toBeGreaterThan(10);
  });
});
