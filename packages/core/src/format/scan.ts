/**
 * The walk over entries: a generator that requests byte ranges, so that one scanner serves files,
 * blobs and HTTP.
 *
 * @module
 */

import { decodeUtf8, isText } from '../bytes/index.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  FRAME_SIZE,
  getI32,
  getU64,
  isEntryTail,
  isTerminator,
  KEY_MAX,
  LIVE,
  TERMINATOR_SIZE,
} from './layout.ts';

/** A range of bytes that a scanner requests; the answer may be shorter only at the end of the input. */
export interface ByteRequest {
  readonly offset: number;
  readonly length: number;
}

/** State of an entry: `'damaged'` if its last bytes are not those of an entry. */
export type EntryState = 'live' | 'dead' | 'damaged';

/** An entry as the scanner sees it. One object is reused: copy what must outlive the call. */
export interface ScannedEntry {
  /** File offset of the FRAME opcode. */
  offset: number;
  frameLength: number;
  /** The key's bytes: `bytes.subarray(keyPos, keyPos + keyLength)`, borrowed. */
  bytes: Uint8Array;
  keyPos: number;
  keyLength: number;
  state: EntryState;
  memoHint: number;
}

/** Where a walk ended, and why. */
export type ScanEnd =
  | {
      readonly kind: 'terminator';
      readonly offset: number;
      /** A crash interrupted a commit, or only the FRAME of an entry is there: the terminator has to be written here. */
      readonly partial: boolean;
    }
  | {
      readonly kind: 'damage';
      /** Where the next entry or the terminator should be. */
      readonly offset: number;
      /** True: the file ends before what is there is complete. */
      readonly truncated: boolean;
      readonly message: string;
      readonly expected: unknown;
      readonly found: unknown;
    };

/** Bytes that a walk requests first, and at the border of two entries that are far apart. */
export const FIRST_CHUNK = 4096;
const LARGEST_CHUNK = 2 ** 20;
/** Most bytes around the boundary of two entries: the tail of one, and the head and key of the next. */
const BORDER = ENTRY_TAIL_SIZE + ENTRY_HEAD_SIZE + KEY_MAX;

/**
 * Walks the entries from `from` by their FRAME lengths up to the terminator. Values are skipped:
 * an entry's last bytes and the next one's first are requested together.
 *
 * @param from - file offset of an entry or the terminator
 * @param size - size of the file
 * @param visit - called for each entry, dead and damaged ones too
 * @param until - file offset of an entry to stop at, as if the terminator were there
 * @param largest - bytes of the largest chunk in which small entries are requested; the bytes of one chunk are not used
 *   after the next is requested
 * @param context - passed to `visit`. V8 compiles this loop for the one function that it calls, and drops the code with that
 *   function: one function for all walks keeps it; a closure for each makes every walk start in the interpreter (twice the time)
 */
export function* scanEntries<C = undefined>(
  from: number,
  size: number,
  visit: (entry: ScannedEntry, context: C) => void,
  until: number = Infinity,
  largest: number = LARGEST_CHUNK,
  context?: C,
): Generator<ByteRequest, ScanEnd, Uint8Array> {
  const entry: ScannedEntry = {
    offset: from,
    frameLength: 0,
    bytes: new Uint8Array(0),
    keyPos: 0,
    keyLength: 0,
    state: 'dead',
    memoHint: 0,
  };
  let bytes: Uint8Array = entry.bytes;
  let start = from;
  let chunk = FIRST_CHUNK;
  let offset = from;
  let keyOffset = 0;
  for (;;) {
    if (offset === until) return { kind: 'terminator', offset, partial: false };
    let pos = offset - start;
    if (pos + ENTRY_HEAD_SIZE + KEY_MAX > bytes.length && start + bytes.length < size) {
      // Small entries are requested in ever larger chunks; after a far jump, chunks start small again.
      chunk = offset <= start + bytes.length + chunk ? Math.min(chunk * 2, largest) : FIRST_CHUNK;
      start = offset;
      pos = 0;
      bytes = yield { offset, length: Math.min(chunk, size - offset) };
    }
    const left = size - offset;
    if (pos + ENTRY_HEAD_SIZE > bytes.length) {
      return damage(offset, true, 'an entry or the terminator is cut off', ENTRY_HEAD_SIZE, left);
    }
    if (bytes[pos] !== 0x95) return damage(offset, false, 'missing FRAME', 0x95, bytes[pos]);
    if (bytes[pos + 9] !== 0x8c) {
      // `d.` after a FRAME of another length: a crash interrupted a commit at a sector boundary. Still the terminator.
      if (bytes[pos + 9] === 0x64 && bytes[pos + 10] === 0x2e) {
        return { kind: 'terminator', offset, partial: !isTerminator(bytes, pos) };
      }
      // mmappickle's fsck cuts a file off after the FRAME of its terminator, or of an incomplete entry, and adds a terminator.
      if (left === FRAME_SIZE + TERMINATOR_SIZE && isTerminator(bytes, pos + FRAME_SIZE)) {
        return { kind: 'terminator', offset, partial: true };
      }
      return damage(offset, false, 'missing SHORT_BINUNICODE after FRAME', 0x8c, bytes[pos + 9]);
    }
    const frameLength = getU64(bytes, pos + 1);
    const keyLength = bytes[pos + 10]!;
    if (frameLength > left - FRAME_SIZE) {
      return damage(offset, true, 'an entry reaches past the end of the file', frameLength, left - FRAME_SIZE);
    }
    if (frameLength < 2 + keyLength + 1 + ENTRY_TAIL_SIZE) {
      return damage(offset, false, 'a FRAME too short for an entry', 2 + keyLength + 1 + ENTRY_TAIL_SIZE, frameLength);
    }
    const end = offset + FRAME_SIZE + frameLength;
    const tail = end - ENTRY_TAIL_SIZE;
    keyOffset = pos + ENTRY_HEAD_SIZE;
    entry.bytes = bytes;
    entry.keyPos = keyOffset;
    if (end > start + bytes.length) {
      // The key is copied: the next chunk begins at this entry's tail.
      entry.bytes = bytes.slice(keyOffset, keyOffset + keyLength);
      entry.keyPos = 0;
      chunk = tail <= start + bytes.length + chunk ? Math.min(chunk * 2, largest) : FIRST_CHUNK;
      start = tail;
      bytes = yield { offset: tail, length: Math.min(Math.max(chunk, BORDER), size - tail) };
      if (bytes.length < ENTRY_TAIL_SIZE) {
        return damage(offset, true, 'the file became shorter', ENTRY_TAIL_SIZE, bytes.length);
      }
    }
    const tailPos = tail - start;
    const state = bytes[tailPos + 6]!;
    entry.offset = offset;
    entry.frameLength = frameLength;
    entry.keyLength = keyLength;
    entry.memoHint = getI32(bytes, tailPos + 1);
    const whole = isEntryTail(bytes, tailPos);
    if (!whole && end > size - TERMINATOR_SIZE) {
      // No terminator can follow: only an entry with a valid tail was written completely.
      return damage(offset, true, 'an entry without its tail', 'memo hint and state', bytes[tailPos]);
    }
    if (!whole) entry.state = 'damaged';
    else entry.state = state === LIVE ? 'live' : state === DEAD ? 'dead' : 'damaged';
    visit(entry, context as C);
    offset = end;
  }
}

function damage(offset: number, truncated: boolean, message: string, expected: unknown, found: unknown): ScanEnd {
  return { kind: 'damage', offset, truncated, message, expected, found };
}

/** Runs a generator of byte requests against a synchronous reader. */
export function answer<T>(
  requests: Generator<ByteRequest, T, Uint8Array>,
  read: (offset: number, length: number) => Uint8Array,
): T {
  for (let step = requests.next(); ; ) {
    if (step.done === true) return step.value;
    step = requests.next(read(step.value.offset, step.value.length));
  }
}

/** Runs a generator of byte requests against an asynchronous reader. */
export async function answerAsync<T>(
  requests: Generator<ByteRequest, T, Uint8Array>,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<T> {
  for (let step = requests.next(); ; ) {
    if (step.done === true) return step.value;
    step = requests.next(await read(step.value.offset, step.value.length));
  }
}

/** The key of an entry; `undefined` if no string has its bytes: only this entry is then hidden. */
export function keyOf({ bytes, keyPos, keyLength }: ScannedEntry): string | undefined {
  const end = keyPos + keyLength;
  return isText(bytes, keyPos, end) ? decodeUtf8(bytes, keyPos, end) : undefined;
}
