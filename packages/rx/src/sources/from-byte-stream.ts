import { type DTypeLike, MmdError, memoryOver, NDArray, parseDType } from '@mmdpickle/core';
import { checkOptions, isShape, wrongArgument } from '@mmdpickle/core/options';
import type { Observable } from 'rxjs';
import { BYTE_STREAM_OPTIONS } from '../options.ts';
import { type ByteChunks, byteChunks } from './byte-chunks.ts';
import { FrameCutter } from './frame-cutter.ts';
import { observe } from './observe.ts';

/** The dtype and layout of the frames in a stream of bytes. */
export interface ByteStreamOptions {
  readonly dtype: DTypeLike;
  /** The shape of one frame. */
  readonly shape: readonly number[];
  /** Default `'C'`. */
  readonly order?: 'C' | 'F';
  /**
   * Called if the end of the stream cuts off a frame. Without it the stream then ends with TRUNCATED, after all whole
   * frames.
   */
  readonly onTail?: (tail: { readonly bytes: number; readonly expected: number; readonly frames: number }) => void;
}

/**
 * Cuts frames from a stream of bytes, whatever pieces it comes in. The next piece is read when the frames of the previous
 * one are handled, which is the backpressure for {@link writeFrames}.
 *
 * A frame that lies within one piece borrows its bytes.
 *
 * @throws MmdError TRUNCATED for a short tail; INVALID_ARGUMENT, UNSUPPORTED_DTYPE
 */
export async function* cutFrames(source: ByteChunks, options: ByteStreamOptions): AsyncGenerator<NDArray> {
  checkOptions(options, BYTE_STREAM_OPTIONS);
  if (options.shape === undefined) throw wrongArgument('shape', isShape.expected, undefined);
  const type = parseDType(options.dtype);
  if (type.hasObject) {
    throw new MmdError(
      'UNSUPPORTED_DTYPE',
      `dtype ${type.name} holds Python objects, which a byte stream cannot hold`,
      {
        found: type.name,
      },
    );
  }
  const size = options.shape.reduce((product, dim) => product * dim, 1);
  const cutter = new FrameCutter(size * type.itemsize);
  const order = options.order ?? 'C';
  let frames = 0;
  for await (const chunk of byteChunks(source)) {
    for (const bytes of cutter.push(chunk)) {
      frames += 1;
      yield NDArray.over(memoryOver(bytes), type, options.shape, { order });
    }
  }
  if (cutter.pending === 0) return;
  const tail = { bytes: cutter.pending, expected: cutter.frameBytes, frames };
  if (options.onTail === undefined) {
    throw new MmdError('TRUNCATED', `the stream ends within frame ${frames}: ${tail.bytes} of ${tail.expected} bytes`, {
      offset: frames * cutter.frameBytes,
      expected: tail.expected,
      found: tail.bytes,
    });
  }
  options.onTail(tail);
}

/**
 * {@link cutFrames} as an Observable: frames of one dtype and shape, cut from a Node stream, a Web stream or an iterable.
 *
 * @example
 * ```ts
 * import { fromByteStream } from '@mmdpickle/rx';
 *
 * const chunks = [Uint8Array.of(1, 0, 2), Uint8Array.of(0, 3, 0, 4, 0)];
 * fromByteStream(chunks, { dtype: 'uint16', shape: [2] }).subscribe((frame) => frame.get(0)); // first 1, then 3
 * ```
 */
export function fromByteStream(source: ByteChunks, options: ByteStreamOptions): Observable<NDArray> {
  return observe(source, (chunks) => cutFrames(chunks, options));
}
