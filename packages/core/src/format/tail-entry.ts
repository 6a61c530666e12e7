/**
 * Tail entries: dead entries right before the terminator that describe the file itself. Python pushes
 * and pops them; a writer drops them by writing the terminator over the head of the first.
 *
 * | part | bytes | content |
 * |---|---|---|
 * | head | 11 | as every entry's; the key has 46 bytes, so that the last byte of the head is a terminator's |
 * | key | 46 | `mmdpickle ` and the kind, padded with spaces |
 * | switch | 9 | journals only: 47 (BINFLOAT), or 8E once the journal is done; the length (u64) of program, opcode and payload |
 * | program | p | journals only: opcodes up to a STOP |
 * | opcode | 9 | BINBYTES8 and the payload's length |
 * | payload | n | begins as the kind says, ends with its own length (u64) and the kind's magic (8 bytes) |
 * | tail | 8 | as every entry's, dead |
 *
 * @module
 */

import { BINBYTES8 } from './array-value.ts';
import {
  DEAD,
  ENTRY_HEAD_SIZE,
  ENTRY_TAIL_SIZE,
  FRAME_SIZE,
  getU64,
  KEY_LENGTH_LIKE_STOP,
  putEntryHead,
  putEntryTail,
  putU64,
} from './layout.ts';

/** The kinds of tail entries: the word in the key, and the magic that ends the payload. */
export const TAIL_KINDS = {
  journal: { word: 'journal', magic: 'mmdJRNL1', doc: 'changes of a batch that the next writer finishes' },
  index: { word: 'index', magic: 'mmdINDX1', doc: 'a hash table of keys, so that opening does not walk' },
  checksums: { word: 'checksums', magic: 'mmdCRC01', doc: 'a CRC-32C per live entry' },
} as const;

/** A kind of tail entry. */
export type TailKind = keyof typeof TAIL_KINDS;

/** Position in a journal of its switch, which decides whether its program runs. */
export const JOURNAL_SWITCH: number = ENTRY_HEAD_SIZE + KEY_LENGTH_LIKE_STOP;
/** Switch that makes the program run: the opcode of a float, whose eight bytes are skipped. */
export const JOURNAL_ACTIVE = 0x47;
/** Switch that makes the program part of a bytes object: the journal was done, but cannot be dropped. */
export const JOURNAL_DONE: number = BINBYTES8;

/** Bytes of a tail entry before its payload. */
export const TAIL_PREFIX_SIZE: number = ENTRY_HEAD_SIZE + KEY_LENGTH_LIKE_STOP + 9;
/** Size of the length and magic at the payload's end. */
export const TAIL_FOOTER_SIZE = 16;

/** Number of bytes of a journal, from its switch on, that {@link isActiveJournal} needs. */
export const JOURNAL_START = 12;

/**
 * Whether an entry is a journal whose program runs: a dead entry with that key may hold a float, whose opcode is the same.
 *
 * @param bytes - the entry's, from {@link JOURNAL_SWITCH} on
 * @param offset - file offset of the entry
 * @param end - file offset of its end
 */
export function isActiveJournal(bytes: Uint8Array, offset: number, end: number): boolean {
  if (bytes.length < JOURNAL_START || bytes[0] !== JOURNAL_ACTIVE) return false;
  const rest = end - ENTRY_TAIL_SIZE - offset - JOURNAL_SWITCH - 9;
  // Either may be damaged: Python still runs the program. No value begins with a float and a POP.
  return getU64(bytes, 1) === rest || (bytes[9] === 0x30 && bytes[10] === 0x30 && bytes[11] === 0x64);
}

/** The bytes that switch a journal off, for {@link JOURNAL_SWITCH}; with the length, which may be damaged. */
export function journalOff(offset: number, end: number): Uint8Array {
  const bytes = Uint8Array.of(JOURNAL_DONE, 0, 0, 0, 0, 0, 0, 0, 0);
  putU64(bytes, 1, end - ENTRY_TAIL_SIZE - offset - JOURNAL_SWITCH - 9);
  return bytes;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const KINDS = Object.keys(TAIL_KINDS) as readonly TailKind[];

/** Keys and magics as text and bytes, made once: every journal, and so every batch of row counts, needs them. */
const KEYS = perKind(({ word }) => `mmdpickle ${word}`.padEnd(KEY_LENGTH_LIKE_STOP, ' '));
const MAGICS = perKind(({ magic }) => magic);

type TailText = Readonly<Record<TailKind, { readonly text: string; readonly bytes: Uint8Array }>>;

function perKind(textOf: (row: (typeof TAIL_KINDS)[TailKind]) => string): TailText {
  const rows = KINDS.map((kind) => {
    const text = textOf(TAIL_KINDS[kind]);
    return [kind, { text, bytes: ascii(text) }];
  });
  return Object.fromEntries(rows) as TailText;
}

/** Whether the ASCII text is at `pos`. */
function hasText(bytes: Uint8Array, pos: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[pos + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The key of a kind of tail entry. */
export function tailKey(kind: TailKind): string {
  return KEYS[kind].text;
}

/** Whether a key is that of a tail entry, not of a value. */
export function isTailKey(key: string): boolean {
  return key.length === KEY_LENGTH_LIKE_STOP && KINDS.some((kind) => tailKey(kind) === key);
}

/** The kind that a dead entry's key names; `undefined` for every other entry. */
export function tailKindOf(bytes: Uint8Array, keyPos: number, keyLength: number): TailKind | undefined {
  if (keyLength !== KEY_LENGTH_LIKE_STOP || bytes[keyPos] !== 0x6d || bytes[keyPos + 9] !== 0x20) return undefined;
  for (const kind of KINDS) if (hasText(bytes, keyPos, tailKey(kind))) return kind;
  return undefined;
}

/**
 * The bytes around a payload of `length` bytes, footer included.
 * @param program - a journal's opcodes, which come before the payload's opcode and end with STOP
 */
export function tailEntryFrame(
  kind: TailKind,
  length: number,
  memoHint: number,
  program?: Uint8Array,
): { prefix: Uint8Array; suffix: Uint8Array } {
  const prefix = new Uint8Array(TAIL_PREFIX_SIZE + (program === undefined ? 0 : 9 + program.length));
  const size = prefix.length + length + ENTRY_TAIL_SIZE;
  let pos = putEntryHead(prefix, 0, size - FRAME_SIZE, KEY_LENGTH_LIKE_STOP);
  prefix.set(KEYS[kind].bytes, pos);
  pos += KEY_LENGTH_LIKE_STOP;
  if (program !== undefined) {
    prefix[pos] = JOURNAL_ACTIVE;
    putU64(prefix, pos + 1, program.length + 9 + length);
    prefix.set(program, pos + 9);
    pos += 9 + program.length;
  }
  prefix[pos] = BINBYTES8;
  putU64(prefix, pos + 1, length);
  const suffix = new Uint8Array(ENTRY_TAIL_SIZE);
  putEntryTail(suffix, 0, memoHint, DEAD);
  return { prefix, suffix };
}

/**
 * Writes length and magic over the last 16 bytes.
 * @param length - that of the payload, if `bytes` are only its end
 */
export function putTailFooter(kind: TailKind, bytes: Uint8Array, length: number = bytes.length): void {
  const pos = bytes.length - TAIL_FOOTER_SIZE;
  putU64(bytes, pos, length);
  bytes.set(MAGICS[kind].bytes, pos + 8);
}

/**
 * Reads a footer.
 * @param bytes - the payload's last 16 bytes are at `pos`
 */
export function tailFooter(bytes: Uint8Array, pos: number): { kind: TailKind; length: number } | undefined {
  for (const kind of KINDS) {
    if (hasText(bytes, pos + 8, TAIL_KINDS[kind].magic)) return { kind, length: getU64(bytes, pos) };
  }
  return undefined;
}
