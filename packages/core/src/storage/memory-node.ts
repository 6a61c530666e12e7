/**
 * The bytes and the lock of one file in memory, shared by its handles.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** ES2024's resizable buffer, which every supported engine has and ES2023's library does not know. */
interface ResizableBuffer extends ArrayBuffer {
  readonly maxByteLength: number;
  resize(length: number): void;
}
type ResizableBufferConstructor = new (length: number, options: { maxByteLength: number }) => ResizableBuffer;

/** What a file takes ahead where it cannot have as much again. */
const STEP = 2 ** 28;

/** What an engine cannot give is NO_SPACE. */
function orNoSpace<T>(bytes: number, take: () => T): T {
  try {
    return take();
  } catch (cause) {
    throw new MmdError('NO_SPACE', `there is no memory for a file of ${bytes} bytes`, { expected: bytes, cause });
  }
}

/** Bytes for `end` at least; `wanted` where the engine has an array of so many. */
function bytesFor(end: number, wanted: number): Uint8Array {
  for (const length of [wanted, end + STEP]) {
    try {
      return new Uint8Array(length);
    } catch {
      // Less may do.
    }
  }
  return orNoSpace(end, () => new Uint8Array(end));
}

/** Who waits for the lock of a file in memory. */
export interface LockWaiter {
  readonly handle: object;
  readonly works: boolean;
  readonly granted: () => void;
  readonly refused: (reason: unknown) => void;
}

/**
 * A file's bytes. Before the first mapping they live in a plain buffer that is copied when it grows;
 * with the first mapping they move, once, to a resizable one, whose views stay valid for good.
 */
export class MemoryNode {
  readonly ino: bigint;
  readonly maxMappedSize: number;
  size = 0;
  owner: object | undefined;
  depth = 0;
  readonly waiters: LockWaiter[] = [];
  #bytes: Uint8Array = new Uint8Array(0);
  #resizable = false;

  constructor(ino: bigint, maxMappedSize: number) {
    this.ino = ino;
    this.maxMappedSize = maxMappedSize;
  }

  /** All bytes, borrowed until the next growth. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Makes room for `end` bytes; does not change the size. */
  reserve(end: number): void {
    if (end <= this.#bytes.length) return;
    if (this.#resizable) {
      const buffer = this.#bytes.buffer as ResizableBuffer;
      if (end > buffer.maxByteLength) {
        throw new MmdError('NO_SPACE', `a mapped memory file ends at ${buffer.maxByteLength} bytes`, {
          expected: end,
          maximum: buffer.maxByteLength,
        });
      }
      const length = Math.min(buffer.maxByteLength, Math.max(end, this.#bytes.length * 2, 65536));
      orNoSpace(end, () => buffer.resize(length));
      this.#bytes = new Uint8Array(buffer);
      return;
    }
    const grown = bytesFor(end, Math.max(end, this.#bytes.length * 2, 256));
    grown.set(this.#bytes.subarray(0, this.size));
    this.#bytes = grown;
  }

  /** The stretch, over bytes that never move again. */
  pinned(offset: number, length: number): Uint8Array {
    if (!this.#resizable) {
      const maxByteLength = Math.max(this.maxMappedSize, this.#bytes.length, offset + length);
      const Resizable = ArrayBuffer as unknown as ResizableBufferConstructor;
      const buffer = orNoSpace(maxByteLength, () => new Resizable(this.#bytes.length, { maxByteLength }));
      const bytes = new Uint8Array(buffer);
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#resizable = true;
    }
    this.reserve(offset + length);
    return new Uint8Array(this.#bytes.buffer, offset, length);
  }

  /** Sets the size; a grown file reads as zeros there, also where it was longer before. */
  resize(size: number): void {
    if (size > this.size) this.reserve(size);
    else this.#bytes.fill(0, size, this.size);
    this.size = size;
  }

  /** The handle is closed: it waits no more. */
  dismiss(handle: object, reason: unknown): void {
    for (const waiter of this.waiters.filter((one) => one.handle === handle)) waiter.refused(reason);
  }

  /** Hands the lock to the next waiter. Work begins on its own, not in the middle of who let go; until then the lock is free. */
  passOn(): void {
    if (this.waiters[0]?.works === true) queueMicrotask(() => this.#grant());
    else this.#grant();
  }

  #grant(): void {
    const next = this.owner === undefined ? this.waiters.shift() : undefined;
    if (next === undefined) return;
    this.owner = next.handle;
    this.depth = 1;
    next.granted();
  }
}
