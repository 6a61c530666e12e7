import fc from 'fast-check';
import { MmapDict } from '../../src/dict/index.ts';
import type { ByteSource } from '../../src/storage/byte-source.ts';
import { bytesSource } from '../../src/storage/bytes-source.ts';
import { MemoryFile } from '../../src/storage/memory-file.ts';

/** A network on which every request takes one round trip, however many are under way. */
export class Network implements ByteSource {
  readonly name = 'network';
  rounds = 0;
  requests = 0;
  /** Under way now, and at most. */
  most = 0;
  bytes = 0;
  aborted = 0;
  failing: ((request: number) => boolean) | undefined;
  /** Refuses those that come while so many are under way. */
  refusing = Infinity;
  readonly #source: ByteSource;
  #pending: (() => void)[] = [];

  constructor(bytes: Uint8Array) {
    this.#source = bytesSource(bytes);
  }

  size(): Promise<number> {
    return this.#source.size();
  }

  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const request = this.requests++;
    this.bytes += length;
    if (this.#pending.length >= this.refusing) return Promise.reject(new Error('busy'));
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      signal?.addEventListener('abort', () => {
        this.aborted += 1;
        reject(signal.reason);
      });
      this.#pending.push(() => {
        if (this.failing?.(request) === true) reject(new Error(`request ${request} failed`));
        else resolve(this.#source.read(offset, length));
      });
      this.most = Math.max(this.most, this.#pending.length);
    });
  }

  /** Answers round after round until `action` is done. */
  async during<T>(action: Promise<T>): Promise<T> {
    let done = false;
    const settled = () => {
      done = true;
    };
    action.then(settled, settled);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (done) return action;
      this.rounds += 1;
      for (const answer of this.#pending.splice(0)) answer();
    }
  }
}

export interface Session {
  readonly values: readonly (readonly [key: string, size: number])[];
  readonly index: boolean;
}

/** A file that handles wrote one after the other. */
export function written(...sessions: readonly Session[]): Uint8Array {
  const file = MemoryFile.of();
  for (const { values, index } of sessions) {
    const dict = MmapDict.over(file.open(file.name, 'r+'), { index });
    dict.batch(() => {
      for (const [key, size] of values) dict.set(key, new Uint8Array(size).fill(size));
    });
    dict.close();
  }
  return file.toBytes();
}

export const frames = (count: number, sizeOf: (i: number) => number, from = 0) =>
  Array.from({ length: count }, (_, i) => [`frame/${from + i}`, sizeOf(from + i)] as const);
export const equal = (): number => 20_000;
export const various = (i: number): number => 20_000 + ((i * 7919) % 30_000);

/** What up to four handles write, one after the other. */
export const SESSIONS: fc.Arbitrary<Session[]> = fc.array(
  fc.record({
    values: fc.array(
      fc.tuple(
        fc.nat(60).map((n) => `k${n}`),
        fc.oneof(fc.nat(300), fc.integer({ min: 8_000, max: 30_000 }), fc.constant(20_000)),
      ),
      { maxLength: 80 },
    ),
    index: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);
