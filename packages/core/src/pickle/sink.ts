/**
 * Where the writer's opcodes go: one buffer, the positions where PUTs are needed after all, and large payloads that are
 * copied only once, into the result.
 *
 * @module
 */

import { ByteWriter } from '../bytes/byte-writer.ts';
import { newBytes } from '../bytes/view-bytes.ts';
import { MmdError } from '../errors.ts';
import { OPCODES } from './opcodes.ts';

/** Payloads from this size on are kept aside and written outside of frames; frames are cut at this size. */
export const FRAME_SIZE = 65_536;
/** Shorter stretches get no frame. */
const FRAME_MINIMUM = 4;

interface Insertion {
  readonly pos: number;
  /** A payload of `length` bytes, whose opcode and length start at `head`. */
  readonly payload?: readonly Uint8Array[];
  readonly length?: number;
  readonly head?: number;
  /** A memo index. */
  readonly put?: number;
}

/** A byte writer that can insert bytes later. */
export class Sink extends ByteWriter {
  #insertions: Insertion[] = [];
  #puts = false;
  #extra = 0;
  #cuts: number[] = [];
  #lastCut = 0;

  /** Starts over; the buffer is kept. */
  reset(): void {
    this.length = 0;
    // A flat record has none of these, so it needs no new arrays.
    if (this.#insertions.length > 0) this.#insertions = [];
    if (this.#cuts.length > 0) this.#cuts = [];
    this.#puts = false;
    this.#extra = 0;
    this.#lastCut = 0;
  }

  /** Whether everything that was written is in {@link ByteWriter.bytes}, in one piece. */
  get whole(): boolean {
    return this.#insertions.length === 0;
  }

  /** Notes that an opcode starts here, so a frame may end here. */
  boundary(): void {
    if (this.length - this.#lastCut >= FRAME_SIZE) this.#cuts.push((this.#lastCut = this.length));
  }

  /** Adds the payload of the opcode that was written from `head` up to here. Borrowed until the result is made. */
  payload(pieces: readonly Uint8Array[], length: number, head: number): void {
    if (length < FRAME_SIZE) {
      for (const piece of pieces) this.raw(piece);
      return;
    }
    this.#insertions.push({ pos: this.length, payload: pieces, length, head });
    this.#extra += length;
  }

  /** Inserts a PUT of `index` for the object that was complete at `pos`. */
  put(pos: number, index: number): void {
    this.#insertions.push({ pos, put: index });
    this.#puts = true;
    this.#extra += index < 256 ? 2 : 5;
  }

  /**
   * All opcodes in order, without frames and without a copy: large payloads are the caller's own bytes (a copy of 1 MiB
   * costs more than the write to the page cache).
   * @param start - position of the first of them
   * @returns parts, borrowed until the sink or a payload changes
   */
  parts(start = 0): Uint8Array[] {
    if (this.#insertions.length === 0) return [this.bytes.subarray(start, this.length)];
    if (this.#puts) this.#insertions.sort((a, b) => a.pos - b.pos);
    const parts: Uint8Array[] = [];
    let from = start;
    for (const insertion of this.#insertions) {
      const { pos, put } = insertion;
      if (pos > from) parts.push(this.bytes.subarray(from, pos));
      from = pos;
      if (put === undefined) parts.push(...payloadOf(insertion));
      else parts.push(putOf(put));
    }
    if (this.length > from) parts.push(this.bytes.subarray(from, this.length));
    return parts;
  }

  /**
   * Moves the stretches between the cuts apart, the last one first, and inserts the frame headers: fresh memory for the
   * result costs more than all the writing. The buffer becomes the result; the sink must not be used again.
   */
  #frameInPlace(frames: number): Uint8Array {
    const { bytes } = this;
    const starts = [frames, ...this.#cuts.filter((pos) => pos < this.length)];
    let end = this.length;
    const short = end - starts.at(-1)! < FRAME_MINIMUM;
    let room = 9 * (starts.length - (short ? 1 : 0));
    const length = end + room;
    for (let i = starts.length - 1; i >= 0; i--) {
      const start = starts[i]!;
      bytes.copyWithin(start + room, start, end);
      if (end - start >= FRAME_MINIMUM) {
        putFrame(bytes, start + room, end - start);
        room -= 9;
      }
      end = start;
    }
    return bytes.subarray(0, length);
  }

  /**
   * All opcodes in order.
   * @param frames - position of the first byte that goes into frames, or -1 for none
   * @returns bytes that belong to the caller, unless nothing was inserted and `borrow` allows a view of the buffer
   */
  assemble(frames: number, borrow: boolean): Uint8Array {
    if (frames < 0 && this.#insertions.length === 0) {
      return borrow ? this.bytes.subarray(0, this.length) : this.finish();
    }
    if (frames >= 0 && this.#insertions.length === 0) {
      const most = this.length + 9 * (this.#cuts.length + 1);
      if (this.length >= FRAME_SIZE && most <= this.bytes.length && this.bytes.length <= 1.25 * most) {
        return this.#frameInPlace(frames);
      }
    }
    // Positions tie only between a payload and its own PUT, and the payload was noted first.
    if (this.#puts) this.#insertions.sort((a, b) => a.pos - b.pos);
    const out = new Assembly(
      this.length + this.#extra + (frames < 0 ? 0 : 9 * (2 + this.#cuts.length + 2 * this.#insertions.length)),
    );
    let from = 0;
    const copy = (to: number): void => {
      out.copy(this.bytes, from, to);
      from = to;
    };
    const framed = frames >= 0;
    if (framed) {
      copy(frames);
      out.open();
    }
    let cut = 0;
    const cutsUpTo = (pos: number): void => {
      for (; cut < this.#cuts.length && this.#cuts[cut]! <= pos; cut++) {
        copy(this.#cuts[cut]!);
        out.close();
        out.open();
      }
    };
    for (const insertion of this.#insertions) {
      const { pos, head, put } = insertion;
      if (put !== undefined) {
        if (framed) cutsUpTo(pos - 1);
        copy(pos);
        out.put(put);
        continue;
      }
      if (framed) {
        cutsUpTo(head!);
        copy(head!);
        out.close();
      }
      copy(pos);
      for (const piece of payloadOf(insertion)) out.copy(piece, 0, piece.length);
      if (framed) out.open();
    }
    if (framed) cutsUpTo(this.length - 1);
    copy(this.length);
    if (framed) out.close();
    return out.bytes.subarray(0, out.length);
  }
}

/**
 * A payload, of which only the length was written so far.
 * @throws MmdError INVALID_ARGUMENT if a getter of the value transferred or shrank its buffer meanwhile
 */
function payloadOf({ payload, length }: Insertion): readonly Uint8Array[] {
  const found = payload!.reduce((sum, piece) => sum + piece.length, 0);
  if (found === length) return payload!;
  const message = `bytes changed while the value was being written: there were ${length}, now there are ${found}`;
  throw new MmdError('INVALID_ARGUMENT', message, { expected: length, found });
}

/** Writes FRAME before the `size` bytes at `start`. */
function putFrame(bytes: Uint8Array<ArrayBuffer>, start: number, size: number): void {
  const view = new DataView(bytes.buffer);
  bytes[start - 9] = OPCODES.FRAME.code;
  view.setUint32(start - 8, size, true);
  view.setUint32(start - 4, Math.floor(size / 2 ** 32), true);
}

/** PUT of a memo index. */
function putOf(index: number): Uint8Array {
  return index < 256
    ? Uint8Array.of(OPCODES.BINPUT.code, index)
    : Uint8Array.of(OPCODES.LONG_BINPUT.code, index, index >>> 8, index >>> 16, index >>> 24);
}

/** The result under construction. */
class Assembly {
  readonly bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  #frame = 0;

  constructor(size: number) {
    this.bytes = newBytes(size, 'a pickle');
  }

  copy(bytes: Uint8Array, from: number, to: number): void {
    this.bytes.set(bytes.subarray(from, to), this.length);
    this.length += to - from;
  }

  put(index: number): void {
    const { bytes } = this;
    if (index < 256) {
      bytes[this.length++] = OPCODES.BINPUT.code;
      bytes[this.length++] = index;
      return;
    }
    bytes[this.length++] = OPCODES.LONG_BINPUT.code;
    for (let shift = 0; shift < 32; shift += 8) bytes[this.length++] = (index >>> shift) & 0xff;
  }

  /** Leaves room for a frame header. */
  open(): void {
    this.#frame = this.length;
    this.length += 9;
  }

  /** Writes the frame header, or removes its room if a frame is not worth it. */
  close(): void {
    const { bytes } = this;
    const start = this.#frame + 9;
    const size = this.length - start;
    if (size < FRAME_MINIMUM) {
      bytes.copyWithin(this.#frame, start, this.length);
      this.length -= 9;
      return;
    }
    putFrame(bytes, start, size);
  }
}
