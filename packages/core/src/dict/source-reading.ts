/**
 * Reading from byte sources, which may be user code.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { decodeHeader, HEADER_SIZE } from '../format/layout.ts';
import { isBytes } from '../ndarray/array-source.ts';
import type { ByteSource } from '../storage/byte-source.ts';

/** A source whose header has been read. */
export interface OpenSource {
  readonly size: number;
  readonly commitNumber: number;
  /** Reads a range. */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>;
}

/**
 * Checks that something is a byte source, and reads the header.
 * @throws NOT_A_PICKLE, NOT_MMDPICKLE, TRUNCATED; INVALID_ARGUMENT
 */
export async function openSource(source: ByteSource, signal: AbortSignal | undefined): Promise<OpenSource> {
  const size = await sizeOf(source, signal);
  const read = (offset: number, length: number): Promise<Uint8Array> => readFrom(source, offset, length, signal);
  const { commitNumber } = decodeHeader(await read(0, Math.min(size, HEADER_SIZE)), source.name);
  return { size, commitNumber, read };
}

async function sizeOf(source: ByteSource, signal: AbortSignal | undefined): Promise<number> {
  const { size, read } = (source ?? {}) as Partial<ByteSource>;
  if (typeof size !== 'function' || typeof read !== 'function') {
    throw new MmdError(
      'INVALID_ARGUMENT',
      `a reader needs a byte source, found ${typeof source}: use bytesSource(bytes), blobSource(blob) or httpSource(url)`,
      { found: source },
    );
  }
  const count = await source.size(signal);
  if (!(Number.isSafeInteger(count) && count >= 0)) throw notASource(source, 'size() must return a count', count);
  return count;
}

/** Reads a range of a source. @throws INVALID_ARGUMENT if it returns anything but bytes */
export async function readFrom(
  source: ByteSource,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const bytes: unknown = await source.read(offset, length, signal);
  if (isBytes(bytes)) return bytes;
  throw notASource(source, 'read() must return a Uint8Array', bytes);
}

function notASource({ name }: ByteSource, what: string, found: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', `${name}: a byte source's ${what}`, { found });
}
