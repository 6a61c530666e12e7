/**
 * Loads pieces of a pickle one at a time: each becomes a pickle of its own, in which large bytes are not copied but mapped, and which first
 * creates the memo objects of other pieces that it needs.
 *
 * @module
 */

import { ByteWriter } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { ByteArray, Decoder, type LoadOptions, OPCODES } from '../pickle/index.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { PickleCursor } from './pickle-cursor.ts';
import { missingSlot, type PickleRange } from './pickle-split.ts';

/** Bytes objects from this length on are mapped; arrays in them are then copied from file to file. */
const MAPPED_FROM = 1024;
/** Opcodes of shared objects up to this length are kept: most pieces need the same few. */
const KEPT_LENGTH = 4096;
const KEPT_COUNT = 4096;
/** Shared objects are all over the file, and most are short. */
const FAR_CHUNK = 4096;

const { FRAME, PROTO, STOP, POP, TUPLE2, BINPERSID } = OPCODES;
const { BINBYTES, BINBYTES8, BYTEARRAY8, BINUNICODE } = OPCODES;
const { MEMOIZE, PUT, BINPUT, LONG_BINPUT, GET, BINGET, LONG_BINGET } = OPCODES;

/** A range of the file that is mapped. */
interface MappedBytes {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** The opcode that had it as its argument. */
  readonly code: number;
}

/** Opcodes of a piece, with the memo slots that it needs and does not set. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly needs: readonly number[];
}

/** Loads pieces of one file. */
export class PickleLoader {
  readonly #file: StorageFile;
  readonly #protocol: number | undefined;
  readonly #objects: ReadonlyMap<number, PickleRange>;
  readonly #near: PickleCursor;
  readonly #far: PickleCursor;
  readonly #decoder: Decoder;
  readonly #writer = new ByteWriter(4096);
  readonly #kept = new Map<number, Piece>();
  /** Large objects that a piece refers to by number instead of containing their bytes. */
  #payloads: MappedBytes[] = [];

  /** @param objects - the ranges that create the objects that pieces share */
  constructor(
    file: StorageFile,
    protocol: number | undefined,
    objects: ReadonlyMap<number, PickleRange>,
    options: LoadOptions,
  ) {
    this.#file = file;
    this.#protocol = protocol;
    this.#objects = objects;
    this.#near = new PickleCursor(file);
    this.#far = new PickleCursor(file, FAR_CHUNK);
    const { persistentLoad } = options;
    this.#decoder = new Decoder({
      ...options,
      borrow: true,
      persistentLoad: (id) => this.#resolve(id) ?? persistentLoad?.(id),
    });
  }

  /** The value of the whole pickle, with its large bytes mapped one by one, and the file offset after its STOP. */
  whole(): { value: unknown; end: number } {
    // Finds the end of the pickle: bytes after its STOP do not belong to it.
    this.#near.seek(0);
    while (this.#near.next() !== STOP.code);
    const { end } = this.#near;
    return { value: this.#load({ start: 0, end, memo: 0 }, [], true), end };
  }

  /** The object that a range pushes. */
  object(range: PickleRange): unknown {
    return this.#load(range, []);
  }

  /** A key and its value. */
  pair(range: PickleRange): readonly [key: unknown, value: unknown] {
    return this.#load(range, [TUPLE2.code]) as readonly [unknown, unknown];
  }

  /** File offset of bytes that are mapped for the last value; `undefined` if they are in memory. */
  offsetOf(bytes: Uint8Array): number | undefined {
    for (const { bytes: mapped, offset } of this.#payloads) {
      const distance = bytes.byteOffset - mapped.byteOffset;
      const inside = bytes.buffer === mapped.buffer && distance >= 0 && distance + bytes.length <= mapped.length;
      if (inside) return offset + distance;
    }
    return undefined;
  }

  #load(range: PickleRange, after: readonly number[], whole = false): unknown {
    this.#payloads = [];
    const value = this.#piece(this.#near, range, whole);
    const parts = [...this.#prelude(value.needs), value.bytes];
    const head = this.#protocol === undefined ? [] : [PROTO.code, this.#protocol];
    const size = parts.reduce((sum, { length }) => sum + length, head.length + after.length + 1);
    const bytes = new Uint8Array(size);
    bytes.set(head);
    let pos = head.length;
    for (const part of parts) {
      bytes.set(part, pos);
      pos += part.length;
    }
    bytes.set([...after, STOP.code], pos);
    try {
      return this.#decoder.load(bytes);
    } catch (error) {
      if (!(error instanceof MmdError)) throw error;
      const { code, message, stack: _, name: __, ...fields } = error;
      const where = `${this.#file.name}: between ${range.start} and ${range.end}`;
      // The pickle machine counts from the start of the piece.
      throw new MmdError(code, `${where}: ${message.replace(/ \(at \d+\)$/, '').replace(/ at \d+/, '')}`, {
        ...fields,
        offset: range.start,
        path: this.#file.name,
        cause: error,
      });
    }
  }

  /** Opcodes that create the objects in the memo slots, each once, and leave nothing on the stack. */
  #prelude(needs: readonly number[]): Uint8Array[] {
    if (needs.length === 0) return [];
    const pieces = new Map<number, { readonly range: PickleRange; readonly bytes: Uint8Array }>();
    const seen = new Set<number>();
    const wanted = [...needs];
    for (let slot = wanted.pop(); slot !== undefined; slot = wanted.pop()) {
      if (seen.has(slot)) continue;
      seen.add(slot);
      const range = this.#objects.get(slot);
      if (range === undefined) throw missingSlot(slot, this.#file.name);
      const piece = this.#shared(slot, range);
      pieces.set(slot, { range, bytes: piece.bytes });
      for (const need of piece.needs) wanted.push(need);
    }
    const inOrder = [...pieces.values()].sort((a, b) => a.range.start - b.range.start || b.range.end - a.range.end);
    const prelude: Uint8Array[] = [];
    let end = 0;
    for (const { range, bytes } of inOrder) {
      // An object inside another one is created with it.
      if (range.start < end) continue;
      end = range.end;
      prelude.push(bytes, Uint8Array.of(POP.code));
    }
    return prelude;
  }

  #shared(slot: number, range: PickleRange): Piece {
    const kept = this.#kept.get(slot);
    if (kept !== undefined) return kept;
    const before = this.#payloads.length;
    const piece = this.#piece(this.#far, range);
    const small = piece.bytes.length <= KEPT_LENGTH && this.#payloads.length === before;
    if (small && this.#kept.size < KEPT_COUNT) this.#kept.set(slot, piece);
    return piece;
  }

  /** Rewrites the opcodes of a range: without frames, with every memo slot by number, with large bytes left out. */
  #piece(cursor: PickleCursor, { start, end, memo }: PickleRange, whole = false): Piece {
    const writer = this.#writer;
    writer.length = 0;
    const own = new Set<number>();
    const needs = new Set<number>();
    let next = memo;
    cursor.seek(start);
    while (cursor.end < end) {
      switch (cursor.next()) {
        case FRAME.code:
        case STOP.code:
          continue;
        case PROTO.code:
          if (whole) break;
          continue;
        case MEMOIZE.code:
          if (whole) break;
          own.add(next);
          putSlot(writer, next++);
          continue;
        case PUT.code:
        case BINPUT.code:
        case LONG_BINPUT.code:
          if (!whole) own.add(cursor.index());
          break;
        case GET.code:
        case BINGET.code:
        case LONG_BINGET.code:
          if (!whole && !own.has(cursor.index())) needs.add(cursor.index());
          break;
        case BINBYTES.code:
        case BINBYTES8.code:
        case BYTEARRAY8.code:
          if (cursor.end - cursor.payload < MAPPED_FROM) break;
          this.#leaveOut(writer, cursor);
          continue;
      }
      const length = cursor.end - cursor.start;
      const pos = writer.reserve(length);
      cursor.copy(writer.bytes, pos);
      writer.length += length;
    }
    return { bytes: writer.finish(), needs: [...needs] };
  }

  #leaveOut(writer: ByteWriter, { code, payload: offset, end }: PickleCursor): void {
    const length = end - offset;
    const memory = this.#file.map(offset, length, 'read');
    if (length > memory.maxWindow) {
      const message = `${this.#file.name}: one piece of ${length} bytes at ${offset}; this runtime maps at most ${memory.maxWindow}, newer ones map more`;
      throw new MmdError('LIMIT_EXCEEDED', message, { offset, limit: 'window', maximum: memory.maxWindow });
    }
    const id = `${ID}${this.#payloads.length}`;
    this.#payloads.push({ offset, bytes: memory.bytes(0, length), code });
    writer.u8(BINUNICODE.code);
    writer.u32(id.length);
    writer.raw(Uint8Array.from(id, (char) => char.charCodeAt(0)));
    writer.u8(BINPERSID.code);
  }

  #resolve(id: unknown): unknown {
    if (typeof id !== 'string' || !id.startsWith(ID)) return undefined;
    const payload = this.#payloads[Number(id.slice(ID.length))];
    if (payload === undefined || payload.code !== BYTEARRAY8.code) return payload?.bytes;
    const { buffer, byteOffset, length } = payload.bytes;
    return new ByteArray(buffer as ArrayBuffer, byteOffset, length);
  }
}

/** Prefix of the persistent ids that stand for mapped bytes. A pickle that contains such an id gets bytes of its own file. */
const ID = 'mmdpickle: mapped bytes ';

function putSlot(writer: ByteWriter, slot: number): void {
  if (slot < 256) {
    writer.u8(BINPUT.code);
    writer.u8(slot);
  } else {
    writer.u8(LONG_BINPUT.code);
    writer.u32(slot);
  }
}
