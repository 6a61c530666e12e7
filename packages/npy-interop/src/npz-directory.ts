/**
 * The directory of an npz file, read by zip.js. What zip.js leaves to its callers is checked here: unsafe and repeated names,
 * members that overlap, impossible sizes, and budgets.
 *
 * @module
 */

import { isMmdError, MmdError } from '@mmdpickle/core';
import type { ByteSource } from '@mmdpickle/core/storage';
import { Turns } from '@mmdpickle/core/turns';
import type { FileEntry } from '@zip.js/zip.js/lib/zip-core-native.js';
import { NPZ_LIMITS, type NpzLimits } from './npz-limits.ts';
import { memberNameProblem } from './npz-write.ts';
import { ZIP_METHODS, type ZipMethod } from './zip-layout.ts';

/** A member of an npz file, as the directory describes it. */
export interface NpzMember {
  /** The name without `.npy`: its key in `numpy.load`. */
  readonly key: string;
  /** As in the archive. */
  readonly name: string;
  /** How it is packed; a method that cannot be read here is given by its number in zip files. */
  readonly method: ZipMethod | number;
  /** Bytes in the archive. */
  readonly compressedSize: number;
  /** Bytes once unpacked, including the npy header. */
  readonly size: number;
  readonly crc32: number;
  /** Offset of the member's local header in the archive. */
  readonly offset: number;
}

/** A member, and the entry with which zip.js unpacks it. */
export interface NpzEntry {
  readonly member: NpzMember;
  readonly entry: FileEntry;
  /** Why the member cannot be read; other members are not affected. */
  readonly problem: string | undefined;
}

/** Size of an entry of the directory up to its name. */
const CENTRAL_HEADER_BYTES = 46;
/** Sizes of the directory's 64-bit end record, of its locator, and of the 32-bit end record. */
const END64_BYTES = 56;
const LOCATOR_BYTES = 20;
const END_BYTES = 22;
const END_SIGNATURE = 0x06054b50;
/** Bytes in which Python searches for the end record: the record and the longest comment. */
const LAST_BYTES = END_BYTES + 65_536;
/** Size of a local header up to its name. */
export const LOCAL_HEADER_BYTES = 30;
/** What a local header starts with. */
export const LOCAL_HEADER_SIGNATURE = 0x04034b50;
/** The most bytes that deflate can unpack one byte to. */
const MAX_DEFLATE_RATIO = 1032;
/** Error messages of zip.js, and their codes here; any other message means that the file contradicts itself. */
const ZIP_ERRORS: readonly {
  readonly text: string;
  readonly code: 'BAD_FORMAT' | 'UNSUPPORTED_VALUE' | 'TRUNCATED';
}[] = [
  { text: 'File format is not recognized', code: 'BAD_FORMAT' },
  { text: 'End of central directory not found', code: 'BAD_FORMAT' },
  { text: 'Split zip file', code: 'UNSUPPORTED_VALUE' },
  { text: 'File contains encrypted entry', code: 'UNSUPPORTED_VALUE' },
  { text: 'Encrypted central directory is not supported', code: 'UNSUPPORTED_VALUE' },
  { text: 'Compression method not supported', code: 'UNSUPPORTED_VALUE' },
  { text: 'Entry data out of bounds', code: 'TRUNCATED' },
];

const ZIP_METHOD_NAMES = Object.keys(ZIP_METHODS) as ZipMethod[];
/** Methods of Python's zipfile and other programs that are not read here. */
const OTHER_METHODS: ReadonlyMap<number, string> = new Map([
  [9, 'deflate64'],
  [12, 'bzip2'],
  [14, 'lzma'],
  [93, 'zstd'],
  [95, 'xz'],
]);
/** Flag: strong encryption, which Python refuses even without the flag for ordinary encryption. */
const STRONG = 0x0040;
/** Flag: the member holds differences from other data. */
const PATCH = 0x0020;

/** Reads the directory of an archive, and refuses what no honest writer makes. */
export async function readDirectory(
  from: ByteSource,
  options: { readonly limits?: NpzLimits | undefined; readonly signal?: AbortSignal | undefined },
): Promise<ReadonlyMap<string, NpzEntry>> {
  // Later reads of members have a signal of their own.
  let signal = options.signal;
  const source: ByteSource = {
    name: from.name,
    size: () => from.size(signal),
    async read(offset, length) {
      try {
        return await from.read(offset, length, signal);
      } catch (cause) {
        throw new SourceFailure(cause);
      }
    },
  };
  const size = await from.size(signal);
  const maximum = options.limits?.members ?? NPZ_LIMITS.members;
  const entries = new Map<string, NpzEntry>();
  // Programs that read no npz file need not load zip.js. If it cannot be loaded, the archive is not to blame.
  const { holdsMore, openZip } = await import('./zip-reader.ts');
  try {
    const reader = openZip(source, size);
    const walked = { entries: 0, length: 0 };
    const turns = new Turns(signal);
    for await (const entry of reader.getEntriesGenerator()) {
      options.signal?.throwIfAborted();
      if (turns.due) await turns.take();
      walked.entries += 1;
      walked.length +=
        CENTRAL_HEADER_BYTES + entry.rawFilename.length + entry.rawExtraField.length + entry.rawComment.length;
      // As in Python, nothing but the final slash makes an entry a folder.
      if (entry.filename.endsWith('/')) continue;
      if (entry.directory) {
        const text = `${source.name}: member ${JSON.stringify(entry.filename)} is marked as a folder`;
        throw new MmdError('CORRUPT', text, { offset: entry.offset, found: entry.filename });
      }
      if (!(entries.size < maximum)) {
        const text = `${source.name}: more than ${maximum} members; raise limits.members if the file is trusted`;
        throw new MmdError('LIMIT_EXCEEDED', text, {
          limit: 'members',
          maximum,
        });
      }
      const member = describeMember(entry, source.name);
      if (entries.has(member.key)) throw badMember(source.name, member, 'occurs twice');
      entries.set(member.key, { member, entry, problem: unreadable(entry) });
    }
    // Members beyond the count would be lost silently; Python reads on to the directory's end.
    const end = (reader.directoryOffset ?? 0) + walked.length;
    if (holdsMore(reader) && !(await endsTwice(source, size, end, walked))) {
      const text = `${source.name}: the directory holds more members than the ${entries.size} that it counts`;
      throw new MmdError('CORRUPT', text, { offset: 0, found: entries.size });
    }
    // zip.js uses the end record that leads to a directory, Python the last one there is.
    const ends = await endsAfter(source, size, end);
    if (ends.length > 1) {
      const text = `${source.name}: another end-of-directory record follows: readers may disagree on the contents`;
      throw new MmdError('CORRUPT', text, { offset: ends.at(-1), found: ends.length });
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof SourceFailure) throw error.cause;
    throw zipError(error, source.name, 0, await startsAsZip(from, size, signal));
  }
  signal = undefined;
  refuseOverlaps([...entries.values()], size, source.name);
  return entries;
}

function describeMember(entry: FileEntry, archive: string): NpzMember {
  const { compressedSize, uncompressedSize: size, offset } = entry;
  const name = nameOf(entry);
  const method = methodOf(entry);
  const key = name.endsWith('.npy') ? name.slice(0, -4) : name;
  const member: NpzMember = { key, name, method, compressedSize, size, crc32: (entry.crc32 ?? 0) >>> 0, offset };
  // Python keeps the former name, with a warning.
  const lost = name === '' && entry.rawFilename.length > 0;
  const spelling = lost
    ? 'has an extra field that replaces its name with an empty one'
    : 'has a name that is marked as UTF-8 but is not valid UTF-8';
  const problem = isSpelled(entry) && !lost ? memberNameProblem(name) : spelling;
  if (problem !== undefined) throw badMember(archive, member, problem);
  // Offsets count from where the archive begins according to the directory's end, which may be before the file.
  if (offset < 0) throw badMember(archive, member, 'starts before the beginning of the file');
  if (unreadable(entry) !== undefined) return member;
  const most = method === 'stored' ? compressedSize : compressedSize * MAX_DEFLATE_RATIO;
  if (size > most || (method === 'stored' && size !== compressedSize)) {
    throw badMember(archive, member, `cannot unpack from ${compressedSize} to ${size} bytes`);
  }
  return member;
}

function methodOf({ compressionMethod }: FileEntry): ZipMethod | number {
  return ZIP_METHOD_NAMES.find((name) => ZIP_METHODS[name] === compressionMethod) ?? compressionMethod;
}

/** Why a member cannot be read here, though other programs may read it; undefined if it can. */
function unreadable(entry: FileEntry): string | undefined {
  const flags = entry.rawBitFlag ?? 0;
  if (entry.encrypted || (flags & STRONG) !== 0) return 'is encrypted';
  if ((flags & PATCH) !== 0) return 'holds only differences from other data';
  const method = methodOf(entry);
  if (typeof method === 'string') return undefined;
  const name = OTHER_METHODS.get(method);
  return `is compressed with method ${method}${name === undefined ? '' : ` (${name})`}, which is not supported`;
}

/**
 * Whether only a 64-bit end record and a 32-bit one follow the entries: some writers (Info-ZIP for what comes through a
 * pipe, miniz) write both where one would do, and zip.js reads the first only if the second requires it.
 */
async function endsTwice(
  source: ByteSource,
  size: number,
  offset: number,
  { entries, length }: { readonly entries: number; readonly length: number },
): Promise<boolean> {
  if (offset + END64_BYTES + LOCATOR_BYTES + END_BYTES !== size) return false;
  const tail = await source.read(offset, size - offset);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const end = END64_BYTES + LOCATOR_BYTES;
  return (
    view.getUint32(0, true) === 0x06064b50 &&
    view.getBigUint64(32, true) === BigInt(entries) &&
    view.getBigUint64(40, true) === BigInt(length) &&
    view.getUint32(END64_BYTES, true) === 0x07064b50 &&
    view.getUint32(end, true) === END_SIGNATURE &&
    view.getUint16(end + 10, true) === entries &&
    view.getUint32(end + 12, true) === length
  );
}

/** Offsets, in what follows the entries, of end records of a directory, or of what looks like one. */
async function endsAfter(source: ByteSource, size: number, offset: number): Promise<number[]> {
  if (size - offset === END_BYTES) return [offset];
  const start = Math.max(offset, size - LAST_BYTES);
  const tail = await source.read(start, size - start);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const places = Array.from({ length: Math.max(0, tail.length - 3) }, (_, at) => at);
  return places.filter((at) => view.getUint32(at, true) === END_SIGNATURE).map((at) => start + at);
}

/** A name not marked as UTF-8 is in code page 437, whose control characters zip.js decodes as pictures, unlike Python. */
function nameOf({ filename, filenameUTF8, rawFilename }: FileEntry): string {
  if (filenameUTF8) return filename;
  const controls = (byte: number): boolean => byte < 0x20 || byte === 0x7f;
  if (!rawFilename.some(controls)) return filename;
  return Array.from(filename, (picture, i) => {
    const byte = rawFilename[i]!;
    return controls(byte) ? String.fromCharCode(byte) : picture;
  }).join('');
}

/** False for a name that is marked as UTF-8 but is not: a decoder makes the same character of each wrong byte. */
function isSpelled({ filename, filenameUTF8, rawFilename }: FileEntry): boolean {
  if (!filenameUTF8 || !filename.includes('\ufffd')) return true;
  const bytes = new TextEncoder().encode(filename);
  return bytes.length === rawFilename.length && bytes.every((byte, i) => byte === rawFilename[i]);
}

/** What is wrong with a member, as an error. */
export function badMember(
  archive: string,
  member: NpzMember,
  problem: string,
  code: 'CORRUPT' | 'UNSUPPORTED_VALUE' = 'CORRUPT',
): MmdError {
  return new MmdError(code, `${archive}: member ${JSON.stringify(member.name)} ${problem}`, {
    offset: member.offset,
    found: member.name,
  });
}

function refuseOverlaps(entries: readonly NpzEntry[], size: number, archive: string): void {
  const sorted = [...entries].sort((a, b) => a.member.offset - b.member.offset);
  sorted.forEach(({ member, entry }, i) => {
    const end = member.offset + LOCAL_HEADER_BYTES + entry.rawFilename.length + member.compressedSize;
    const limit = sorted[i + 1]?.member.offset ?? size;
    if (end > limit)
      throw badMember(
        archive,
        member,
        i + 1 < sorted.length ? 'overlaps the next member' : 'extends past the end of the file',
      );
  });
}

async function startsAsZip(source: ByteSource, size: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (size < 4) return false;
  const head = await source.read(0, 4, signal);
  return new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true) === LOCAL_HEADER_SIGNATURE;
}

/** Why the source threw, which may be anything: an error of zip.js says something about the file, one of the source does not. */
class SourceFailure extends Error {
  constructor(cause: unknown) {
    super('the source cannot be read', { cause });
  }
}

/** An error of zip.js as one of ours; ours and those of the source pass through. */
export function zipError(error: unknown, name: string, offset: number, cutShort = false): unknown {
  if (error instanceof SourceFailure) return error.cause;
  if (isMmdError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = ZIP_ERRORS.find(({ text }) => message.startsWith(text))?.code ?? 'CORRUPT';
  if (code === 'BAD_FORMAT' && cutShort) {
    return new MmdError('TRUNCATED', `${name}: starts as a zip file, but has no directory at its end`, {
      offset,
      cause: error,
    });
  }
  // Why an archive is ambiguous is not in the message, but beside it.
  const { reason } = error as { reason?: unknown };
  const why = typeof reason === 'string' ? `: ${reason}` : '';
  const what = code === 'BAD_FORMAT' ? 'not a zip file: ' : '';
  return new MmdError(code, `${name}: ${what}${message}${why}`, { offset, cause: error });
}
