/**
 * Appends an entry after the terminator: filler, head, key, value and tail.
 *
 * @module
 */

import { ByteWriter } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import type { ArrayBody, EncodedValue, ValuePart } from '../format/encoded-value.ts';
import { encodeFiller } from '../format/filler.ts';
import {
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  FILLER_MIN,
  frameLengthOf,
  KEY_LENGTH_LIKE_STOP,
  LIVE,
  PAGE_ALIGNMENT,
  putEntryHead,
  putEntryTail,
  toSectorEnd,
} from '../format/layout.ts';
import { isBytes } from '../ndarray/array-source.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { AppendBuffer, GATHERED } from './append-buffer.ts';
import { closing } from './clean-up.ts';
import { isStoredBody, OpenRange } from './raw-value.ts';
import type { DictStore } from './store.ts';

/** Bytes up to which a loop copies faster than the engine. */
export const PIECE = 256;

/** Copies from file to file can be stopped after each step; whole blocks, so that a file system that shares blocks still can. */
const COPY_STEP = 2 ** 26;

/** Room for what precedes an array's data, padded to the next page. */
const SCRATCH: number = PAGE_ALIGNMENT + 512;

/** A user codec returned parts that would break the chain of entries. */
function wrongParts({ kind }: EncodedValue, expected: string, found: unknown): MmdError {
  return new MmdError('INVALID_ARGUMENT', `codec ${kind}: ${expected}, found ${String(found)}`, { expected, found });
}

/** Entries on their way to the file. */
export class EntryAppender {
  readonly buffer: AppendBuffer;
  /** The last entry that was appended. */
  lastOffset = 0;
  lastFrameLength = 0;
  /** Called between the steps of a copy from file to file. What it throws aborts the change half way. */
  #interrupt: (() => void) | undefined;
  readonly #store: DictStore;
  /** Receives what codecs write for one entry, which is gathered before the next one. */
  #scratch: ByteWriter = new ByteWriter(SCRATCH);

  constructor(store: DictStore) {
    this.#store = store;
    this.buffer = new AppendBuffer(store.file, store.durable);
  }

  /** Runs changes that a signal can stop, even while a large value is copied from file to file. */
  interruptible<T>(signal: AbortSignal | undefined, change: () => T): T {
    const outer = this.#interrupt;
    if (signal !== undefined) this.#interrupt = () => signal.throwIfAborted();
    try {
      const result = change();
      // A change that was stopped in its last value is not committed.
      signal?.throwIfAborted();
      return result;
    } finally {
      this.#interrupt = outer;
    }
  }

  /** Appends a live entry, preceded by a filler if it needs one. Returns its file offset. */
  entry(keyBytes: Uint8Array, keyLength: number, value: EncodedValue): number {
    const buffer = this.buffer;
    const { arena } = buffer;
    this.#avoidTornHead();
    const filler = value.fillerBefore?.(buffer.cursor, keyLength) ?? 0;
    if (filler !== 0 && !(Number.isSafeInteger(filler) && filler >= FILLER_MIN)) {
      throw wrongParts(value, `a filler must have 0 or at least ${FILLER_MIN} bytes`, filler);
    }
    if (filler > 0) this.#filler(filler, 0);
    const offset = buffer.cursor;
    const scratch = this.#scratch;
    scratch.length = 0;
    const parts = value.place(offset + ENTRY_HEAD_SIZE + keyLength, scratch);
    // More than that is borrowed until it is written: it must not be overwritten meanwhile.
    if (scratch.length > GATHERED) this.#scratch = new ByteWriter(SCRATCH);
    let valueLength = 0;
    if (Array.isArray(parts))
      for (const part of parts as readonly (ValuePart | null | undefined)[])
        valueLength += isBytes(part) ? part.length : (part?.nbytes ?? Number.NaN);
    if (!(Number.isSafeInteger(valueLength) && valueLength > 0)) {
      throw wrongParts(
        value,
        'a value must have at least one byte, in parts that are Uint8Arrays or bodies',
        valueLength,
      );
    }
    const frameLength = frameLengthOf(keyLength, valueLength);
    let pos = buffer.room(ENTRY_HEAD_SIZE + keyLength);
    pos = putEntryHead(arena, pos, frameLength, keyLength);
    for (let i = 0; i < keyLength; i++) arena[pos + i] = keyBytes[i]!;
    for (const part of parts) {
      if (isBytes(part)) buffer.bytes(part);
      else this.#body(part, value);
    }
    const written = buffer.cursor - offset - ENTRY_HEAD_SIZE - keyLength;
    if (written !== valueLength) throw wrongParts(value, `its parts must have ${valueLength} bytes`, written);
    const store = this.#store;
    if (value.memoHint > store.entries.memoHint) store.entries.memoHint = value.memoHint;
    putEntryTail(arena, buffer.room(ENTRY_TAIL_SIZE), store.entries.memoHint, LIVE);
    this.lastOffset = offset;
    this.lastFrameLength = frameLength;
    return offset;
  }

  /**
   * Like {@link EntryAppender.entry}, for a key and a value in one piece of at most {@link PIECE} bytes: they are copied once, without
   * intermediate parts.
   */
  piece(bytes: Uint8Array, length: number, keyLength: number, memoEnd: number): number {
    const buffer = this.buffer;
    const { arena } = buffer;
    const store = this.#store;
    this.#avoidTornHead();
    const offset = buffer.cursor;
    const frameLength = frameLengthOf(keyLength, length - keyLength);
    const start = buffer.room(ENTRY_HEAD_SIZE + length + ENTRY_TAIL_SIZE);
    const pos = putEntryHead(arena, start, frameLength, keyLength);
    for (let i = 0; i < length; i++) arena[pos + i] = bytes[i]!;
    if (memoEnd > store.entries.memoHint) store.entries.memoHint = memoEnd;
    putEntryTail(arena, pos + length, store.entries.memoHint, LIVE);
    this.lastOffset = offset;
    this.lastFrameLength = frameLength;
    return offset;
  }

  #filler(size: number, keyLength: number): void {
    this.buffer.bytes(encodeFiller(size, keyLength, this.#store.entries.memoHint));
  }

  #body(body: ArrayBody, value: EncodedValue): void {
    const buffer = this.buffer;
    const { file } = this.#store;
    const piece = body.piece?.();
    if (piece !== undefined) {
      if (!isBytes(piece)) throw wrongParts(value, 'a piece must be a Uint8Array', piece);
      if (buffer.borrowed) buffer.flush();
      buffer.bytes(piece);
      return;
    }
    const start = buffer.cursor;
    if (body.reserve) {
      buffer.flush();
      file.allocate(start, body.nbytes);
    }
    let done = 0;
    if (isStoredBody(body)) {
      buffer.flush();
      this.#copy(body.from, body.fromOffset, start, body.nbytes);
      done = body.nbytes;
      buffer.wrote(done);
    } else if (body.file !== undefined) {
      buffer.flush();
      const { path, offset, length } = body.file;
      const copy = (source: StorageFile): void => this.#copy(source, offset, start, length);
      if (body.file instanceof OpenRange) copy(body.file.from);
      else closing(file.open(path, 'r'), copy);
      done = length;
      buffer.wrote(done);
    } else if (body.chunks !== undefined) {
      for (const chunk of body.chunks()) {
        // Anything else with a length would be written as zeros, or element by element.
        if (!isBytes(chunk)) throw wrongParts(value, 'a chunk must be a Uint8Array', chunk);
        if (buffer.borrowed) buffer.flush();
        buffer.bytes(chunk);
        done += chunk.length;
        // The chunk stays valid until the next one is requested: the last one need not be written now.
        if (done === body.nbytes) break;
      }
    }
    buffer.hole(Math.max(0, body.nbytes - done));
  }

  #copy(source: StorageFile, sourceOffset: number, offset: number, length: number): void {
    const { file } = this.#store;
    const interrupt = this.#interrupt;
    if (interrupt === undefined) {
      file.copyFrom(source, sourceOffset, offset, length);
      return;
    }
    for (let done = 0; done < length; ) {
      interrupt();
      const step = Math.min(COPY_STEP - ((offset + done) % COPY_STEP), length - done);
      file.copyFrom(source, sourceOffset + done, offset + done, step);
      done += step;
    }
  }

  #avoidTornHead(): void {
    const buffer = this.buffer;
    if (!buffer.empty || toSectorEnd(buffer.base) !== ENTRY_HEAD_SIZE - 1) return;
    // A head whose last byte lies beyond a sector boundary can be committed only if that byte stays the same.
    this.#filler(ENTRY_HEAD_SIZE + KEY_LENGTH_LIKE_STOP + 1 + ENTRY_TAIL_SIZE, KEY_LENGTH_LIKE_STOP);
  }
}
