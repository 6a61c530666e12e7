/**
 * The bytes and the lock of one file in memory, shared by its handles.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/** ES2024's resizable buffer, which every supported engine has but the ES2023 type library does not declare. */
interface ResizableBuffer extends ArrayBuffer {
  readonly maxByteLength: number;
  resize(length: number): void;
}
type ResizableBufferConstructor = new (length: number, options: { maxByteLength: number }) => ResizableBuffer;

/** How many bytes a file allocates ahead when its size cannot be doubled. */
const STEP = 2 ** 28;

/** Turns a failed allocation into NO_SPACE. */
function orNoSpace<T>(bytes: number, take: () => T): T {
  try {
    return take();
  } catch (cause) {
    throw new MmdError('NO_SPACE', `not enough memory for a file of ${bytes} bytes`, { expected: bytes, cause });
  }
}

/** Allocates at least `end` bytes; `wanted` if the engine can. */
function bytesFor(end: number, wanted: number): Uint8Array {
  for (const length of [wanted, end + STEP]) {
    try {
      return new Uint8Array(length);
    } catch {
      // Fewer may succeed.
    }
  }
  return orNoSpace(end, () => new Uint8Array(end));
}

export interface LockWaiter {
  readonly handle: object;
  readonly works: boolean;
  readonly granted: () => void;
  readonly refused: (reason: unknown) => void;
}

/**
 * A file's bytes. Before the first mapping they are in a plain buffer that is copied when it grows;
 * the first mapping moves them, once, to a resizable buffer, whose views stay valid forever.
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
        throw new MmdError(
          'NO_SPACE',
          `a mapped memory file cannot exceed ${buffer.maxByteLength} bytes (maxMappedSize)`,
          {
            expected: end,
            maximum: buffer.maxByteLength,
          },
        );
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

  /** A view of the range, in memory that never moves again. */
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

  /** Sets the size; the bytes added read as zeros, even if the file was longer before. */
  resize(size: number): void {
    if (size > this.size) this.reserve(size);
    else this.#bytes.fill(0, size, this.size);
    this.size = size;
  }

  /** Rejects the waiters of a handle that was closed. */
  dismiss(handle: object, reason: unknown): void {
    for (const waiter of this.waiters.filter((one) => one.handle === handle)) waiter.refused(reason);
  }

  /** Hands the lock to the next waiter. Work starts in a microtask, not inside the releasing call; until then the lock is free. */
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
