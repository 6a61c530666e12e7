/**
 * Real files: {@link NodeFile}, the storage under a dict on Node.
 *
 * @module
 */

import { constants as fsConstants } from 'node:fs';
import { constants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { MmdError } from '../errors.ts';
import type { ArrayMemory } from '../ndarray/array-memory.ts';
import {
  checkOptions,
  isBytes,
  isFlag,
  isObject,
  isOneOf,
  isText,
  type OptionRow,
  type OptionTable,
  wrongArgument,
} from '../options.ts';
import { checkReaches, copyThroughMemory } from '../storage/copy.ts';
import { checkInside, checkRange } from '../storage/range.ts';
import {
  type DataRange,
  type FileIdentity,
  isSameFile,
  type MapAccess,
  type StorageFile,
} from '../storage/storage-file.ts';
import { errnoError, uninterrupted } from './errno.ts';
import { copyExtents, copyRanges, findData, reserveByWriting, UNSUPPORTED } from './extents.ts';
import { FileWords } from './file-words.ts';
import { libc } from './libc.ts';
import { FileLock } from './lock.ts';
import { checkSyncable, type MakeOptions, openWhole, syncDirectory } from './make-file.ts';
import { FileWindows, type MappedFile, MappedMemory } from './mmap.ts';
import { absolutePath, realPath } from './paths.ts';
import { READS_AHEAD, type ReadPlan, StridedReads } from './strided-reads.ts';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, type FileStatus, type Syscalls } from './syscalls.ts';
import { readAll, writeRest, writeVector } from './transfer.ts';

const { EEXIST, EINTR, ENOENT, ENOSPC, ENOTDIR, ENOSYS, EPERM } = constants.errno;

/** How a file is opened: for reading, for changing, for changing or creating, for creating only. */
export type NodeFileMode = 'r' | 'r+' | 'a' | 'create-new';

/** O_NONBLOCK keeps `open` from hanging if a FIFO has taken the file's place. */
const FLAGS: Readonly<Record<NodeFileMode, number>> = {
  r: fsConstants.O_RDONLY | fsConstants.O_NONBLOCK,
  'r+': fsConstants.O_RDWR | fsConstants.O_NONBLOCK,
  a: fsConstants.O_RDWR | fsConstants.O_CREAT | fsConstants.O_NONBLOCK,
  'create-new': fsConstants.O_RDWR | fsConstants.O_CREAT | fsConstants.O_EXCL | fsConstants.O_NONBLOCK,
};
const IS_MODE = isOneOf(...Object.keys(FLAGS));

/** Parts whose total is no longer than this are joined: copying them is cheaper than passing each to the kernel. */
const JOIN = 65536;
/** From this length on, the free space is checked before it is reserved. */
const MUCH = 2 ** 28;

/** Options of {@link NodeFile.open}. */
export interface NodeFileOptions {
  /** The system calls; tests pass wrapped ones that fail. */
  readonly syscalls?: Syscalls;
  /**
   * Load words through mappings after the first loads. Default true; false costs a system call per word, but the process is not
   * killed by SIGBUS if somebody truncates the file to nothing: for readers that follow a file written by others.
   */
  readonly mapWords?: boolean;
  /** The name of the file in errors, for a temporary file that is to be renamed to it. Default: its path. */
  readonly calledAs?: string | undefined;
  /**
   * The first bytes of a file that `a` or `create-new` creates: it gets its name only once it holds them, so that nobody ever finds it
   * empty. On a filesystem that has neither unnamed files (O_TMPFILE) nor renames that fail if the target exists, the file is created
   * empty, and the caller writes them.
   */
  readonly initial?: Uint8Array;
  /** Whether a newly created file, and its name, are on disk when `open` returns. Default false. */
  readonly durable?: boolean;
}

const FILE_OPTIONS: OptionTable = {
  syscalls: isObject,
  mapWords: isFlag,
  calledAs: isText,
  initial: isBytes,
  durable: isFlag,
} satisfies Record<keyof NodeFileOptions, OptionRow>;

/**
 * Closes the descriptors of files that became garbage without being closed. It watches the file object because mapped arrays refer to
 * it and map further windows through its descriptor as long as they live. Typed arrays over a mapping need only the mapping.
 */
const forgotten = new FinalizationRegistry<{ readonly sys: Syscalls; readonly fds: readonly number[] }>(
  ({ sys, fds }) => {
    for (const fd of fds) sys.close(fd);
  },
);

/** Options inherited by files that are opened through another one. */
type Inherited = Required<Omit<NodeFileOptions, 'calledAs' | keyof MakeOptions>>;

/**
 * A regular file of the operating system, open for positional IO, mapping and locking.
 *
 * @example
 * ```ts
 * import { NodeFile } from '@mmdpickle/core/node';
 *
 * using file = NodeFile.open('numbers.bin', 'a');
 * file.write(0, new Uint8Array([1, 2, 3]));
 * file.map(0, 3, 'write').bytes(0, 3)[0] = 9;
 * file.size(); // 3
 * ```
 */
export class NodeFile implements StorageFile, MappedFile {
  readonly writable: boolean;
  readonly #options: Inherited;
  readonly #sys: Syscalls;
  readonly #fd: number;
  #mappingFd: number | undefined;
  /** Both descriptors, for the finalization registry. */
  readonly #fds: number[];
  /** The name in errors. */
  #name: string;
  #path: string;
  /** Created on first use, like everything below that reading a few values does not need. */
  #lock: FileLock | undefined;
  #windows: { [A in MapAccess]?: FileWindows } | undefined;
  #words: FileWords | undefined;
  #closed = false;
  /** The status when the file was opened. */
  readonly #status: FileStatus;
  #identity: FileIdentity | undefined;
  #poison: MmdError | undefined;
  /** The file is known to have at least this many bytes. */
  #atLeast = 0;
  #scratch: Uint8Array | undefined;
  readonly #strided = new StridedReads();

  /** Use {@link NodeFile.open}. */
  private constructor(
    options: Inherited,
    fd: number,
    path: string,
    name: string,
    status: FileStatus,
    writable: boolean,
  ) {
    this.#options = options;
    this.#sys = options.syscalls;
    this.#fd = fd;
    this.#fds = [fd];
    this.#path = path;
    this.#name = name;
    this.#status = status;
    this.writable = writable;
    forgotten.register(this, { sys: this.#sys, fds: this.#fds }, this);
  }

  /**
   * Opens a regular file; symbolic links are followed.
   * @throws NOT_FOUND; ALREADY_EXISTS (`create-new`); READ_ONLY if it may be read but not changed;
   * INVALID_ARGUMENT for directories, FIFOs, sockets and devices, and for impossible paths; IO for everything else
   */
  static open(path: string | URL, mode: NodeFileMode = 'r', options: NodeFileOptions = {}): NodeFile {
    const { syscalls = libc(), mapWords = true, calledAs, ...make } = checkOptions(options, FILE_OPTIONS);
    return NodeFile.#open(path, mode, { syscalls, mapWords }, 0o666, calledAs, make);
  }

  static #open(
    path: string | URL,
    mode: NodeFileMode,
    options: Inherited,
    permissions: number,
    calledAs: string | undefined,
    make: MakeOptions = {},
  ): NodeFile {
    if (!Object.hasOwn(FLAGS, mode)) throw wrongArgument('the mode of a file', IS_MODE.expected, mode);
    const { syscalls: sys } = options;
    const real = absolutePath(path);
    const name = calledAs ?? real;
    // Checked before the open: opening a device can already have side effects.
    const before = sys.stat(real);
    if (typeof before !== 'number') refuseSpecial(before, name);
    const found = typeof before !== 'number';
    const { initial, durable = false } = make;
    let fd = -EINTR;
    if (mode === 'a' || mode === 'create-new') {
      if (durable && !found) checkSyncable(sys, real);
      if (initial !== undefined) fd = openWhole(sys, real, mode, { initial, durable }, permissions, found);
    }
    // If it could not be created with its content for any other reason, the plain open reports that.
    if (fd < 0 && fd !== -EEXIST) fd = uninterrupted(() => sys.open(real, FLAGS[mode], permissions));
    if (fd < 0)
      throw errnoError(fd, `opening for ${mode === 'r' ? 'reading' : 'writing'}`, name, undefined, mode === 'r');
    try {
      const status = sys.fstat(fd);
      if (typeof status === 'number') throw errnoError(status, 'fstat', name);
      refuseSpecial(status, name);
      const own = realPath(real);
      if (durable && !found) syncDirectory(sys, own);
      return new NodeFile(options, fd, own, calledAs ?? own, status, mode !== 'r');
    } catch (error) {
      sys.close(fd);
      // Nobody else knows of it yet.
      if (mode === 'create-new') sys.unlink(real);
      throw error;
    }
  }

  get name(): string {
    return this.#name;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The file descriptor, borrowed: for operations that this class does not offer. */
  get fd(): number {
    this.#alive();
    return this.#fd;
  }

  /**
   * The descriptor that mappings are made from. In a worker thread it is opened separately: when a worker is terminated, Node closes its
   * descriptors, but mappings remain, and a flock is released only with the last reference to the open file description that holds it.
   */
  get mappingFd(): number {
    if (isMainThread || !this.writable) return this.#fd;
    if (this.#mappingFd === undefined) {
      const fd = uninterrupted(() => this.#sys.open(`/proc/self/fd/${this.#fd}`, FLAGS['r+'], 0));
      if (fd >= 0) this.#fds.push(fd);
      this.#mappingFd = fd < 0 ? this.#fd : fd;
    }
    return this.#mappingFd;
  }

  size(): number {
    this.#alive();
    const size = this.#sys.size(this.#fd);
    if (size < 0) throw errnoError(size, 'getting the size', this.#name);
    // The file was truncated: touching a page mapped beyond its end would kill the process.
    if (size < this.#atLeast) this.#cutWindows(size);
    this.#atLeast = size;
    return size;
  }

  identity(): FileIdentity {
    this.#alive();
    // The file behind a descriptor never changes.
    return (this.#identity ??= { dev: this.#status.dev, ino: this.#status.ino });
  }

  identityOfName(): FileIdentity | undefined {
    this.#alive();
    const status = this.#sys.stat(this.#path);
    if (typeof status === 'number') {
      if (status === -ENOENT || status === -ENOTDIR) return undefined;
      throw errnoError(status, 'stat', this.#name, undefined, true);
    }
    // The bind mount of a single file still leads to it after it was unlinked, but nobody else can find it.
    if (status.links === 0 && this.#status.links > 0) return undefined;
    return { dev: status.dev, ino: status.ino };
  }

  removed(): boolean {
    this.#alive();
    const status = this.#sys.fstat(this.#fd);
    if (typeof status === 'number') throw errnoError(status, 'fstat', this.#name);
    return status.links === 0;
  }

  read(offset: number, into: Uint8Array): number {
    this.#alive();
    checkRange(this.#name, offset, into.length);
    const plan = this.#strided.plan(offset, into.length);
    if (plan !== 'usual') return this.#readAhead(plan, offset, into);
    return readAll(this.#sys, this.#fd, this, offset, into);
  }

  /** Reads, and lets the system start those reads that will follow at the same distance, if they would wait for the disk. */
  #readAhead(plan: ReadPlan, offset: number, into: Uint8Array): number {
    // Only a hint: where it fails, each read waits for itself.
    const expect = (reads: number): unknown => this.#sys.willNeed(this.#fd, this.#strided.after(reads), into.length);
    if (plan === 'ahead') {
      expect(READS_AHEAD);
      return readAll(this.#sys, this.#fd, this, offset, into);
    }
    const began = performance.now();
    const count = readAll(this.#sys, this.#fd, this, offset, into);
    if (this.#strided.took(performance.now() - began)) for (let i = 1; i <= READS_AHEAD; i++) expect(i);
    return count;
  }

  endsWith(offset: number, bytes: Uint8Array): boolean {
    this.#change();
    const end = offset + bytes.length;
    if (end > this.#atLeast && end > this.size()) return false;
    return this.#wordsAt(offset, bytes.length).endsWith(offset, bytes);
  }

  write(offset: number, bytes: Uint8Array, length: number = bytes.length): void {
    this.#change();
    checkRange(this.#name, offset, length);
    const count = this.#sys.pwrite(this.#fd, bytes, length, offset);
    if (count !== length) writeRest(this.#sys, this, offset, bytes.subarray(0, length), count);
    if (offset + length > this.#atLeast) this.#atLeast = offset + length;
  }

  writeParts(offset: number, parts: readonly Uint8Array[]): void {
    this.#change();
    let total = 0;
    for (const part of parts) total += part.length;
    checkRange(this.#name, offset, total);
    if (total <= JOIN) {
      const joined = (this.#scratch ??= new Uint8Array(JOIN)).subarray(0, total);
      let at = 0;
      for (const part of parts) {
        joined.set(part, at);
        at += part.length;
      }
      this.write(offset, joined);
      return;
    }
    writeVector(this.#sys, this.#fd, this, offset, parts, total);
    if (offset + total > this.#atLeast) this.#atLeast = offset + total;
  }

  storeI32(offset: number, value: number): void {
    this.#change();
    this.#wordsAt(offset, 4).storeI32(offset, value);
  }

  storeI64(offset: number, value: bigint): void {
    this.#change();
    this.#wordsAt(offset, 8).storeI64(offset, value);
  }

  storePair(offset: number, word: number, halfOffset: number, half: number): boolean {
    this.#change();
    return this.#wordsAt(offset, halfOffset + 2 - offset).storePair(offset, word, halfOffset, half);
  }

  loadI32(offset: number): number {
    if (this.#closed) this.#alive();
    return this.#wordsAt(offset, 4).loadI32(offset);
  }

  loadI64(offset: number): bigint {
    this.#alive();
    return this.#wordsAt(offset, 8).loadI64(offset);
  }

  truncate(size: number): void {
    this.#change();
    checkRange(this.#name, size, 0);
    this.#cutWindows(size);
    const result = uninterrupted(() => this.#sys.ftruncate(this.#fd, size));
    if (result < 0) throw errnoError(result, `setting the size to ${size}`, this.#name);
    this.#atLeast = size;
  }

  sync(): void {
    this.#change();
    const result = uninterrupted(() => this.#sys.fdatasync(this.#fd));
    if (result < 0) {
      const error = errnoError(result, 'fdatasync', this.#name);
      this.poison(error);
      throw error;
    }
  }

  /** After a failed sync the content of the disk is unknown, so every later change throws. */
  poison(error: MmdError): void {
    this.#poison ??= error;
  }

  allocate(offset: number, length: number, options: { readonly keepSize?: boolean } = {}): void {
    this.#change();
    checkRange(this.#name, offset, length);
    // The system rejects a length of 0.
    if (length === 0) return;
    const before = this.size();
    const keep = options.keepSize === true;
    this.#refuseMoreThanFree(offset, length, before);
    const result = uninterrupted(() =>
      keep
        ? this.#sys.fallocate(this.#fd, FALLOC_FL_KEEP_SIZE, offset, length)
        : this.#sys.posixFallocate(this.#fd, offset, length),
    );
    if (result >= 0) return;
    // Reserving without changing the size is an optimization that a filesystem need not offer.
    if (keep && length > 0 && UNSUPPORTED.has(result)) return;
    try {
      if (keep || result !== -ENOSYS) throw errnoError(result, `reserving ${length} bytes`, this.#name, offset);
      reserveByWriting(this, offset, length);
    } catch (error) {
      // A disk that fills up half-way leaves the file longer.
      if (this.size() > before) this.truncate(before);
      throw error;
    }
  }

  /** The system would take all free space before it finds that too little, and other writers would fail meanwhile. */
  #refuseMoreThanFree(offset: number, length: number, size: number): void {
    const beyond = offset + length - Math.max(offset, size);
    if (beyond < MUCH) return;
    const free = this.#sys.freeSpace(this.#path);
    // Part of the range may already be reserved.
    if (free < 0 || beyond - MUCH <= free) return;
    throw errnoError(-ENOSPC, `reserving ${length} bytes with ${free} free`, this.#name, offset);
  }

  /** Reserves disk space for a range that is about to be written. Failures are ignored: the write will report them. */
  reserve(offset: number, length: number): void {
    this.#change();
    this.#sys.fallocate(this.#fd, FALLOC_FL_KEEP_SIZE, offset, length);
  }

  punchHole(offset: number, length: number): boolean {
    this.#change();
    checkRange(this.#name, offset, length);
    if (length === 0) return true;
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    const result = uninterrupted(() => this.#sys.fallocate(this.#fd, mode, offset, length));
    if (result >= 0) return true;
    if (UNSUPPORTED.has(result)) return false;
    throw errnoError(result, `punching a hole of ${length} bytes`, this.#name, offset);
  }

  dataRanges(offset: number, end: number): DataRange[] {
    checkRange(this.#name, offset, Math.max(0, end - offset));
    return findData(this.#sys, this, offset, Math.min(end, this.size()));
  }

  copyFrom(source: StorageFile, sourceOffset: number, offset: number, length: number, buffer?: Uint8Array): void {
    this.#change();
    checkRange(this.#name, offset, length);
    checkRange(source.name, sourceOffset, length);
    if (this.#overlaps(source, sourceOffset, offset, length)) {
      copyThroughMemory(source, sourceOffset, this, offset, length, buffer);
      return;
    }
    checkReaches(source, sourceOffset + length, sourceOffset);
    if (!(source instanceof NodeFile)) {
      const copy = (at: number, to: number, count: number): void =>
        copyThroughMemory(source, at, this, to, count, buffer);
      copyRanges(source, sourceOffset, this, offset, length, copy);
      return;
    }
    copyExtents(this.#sys, source, sourceOffset, this, offset, length, buffer);
  }

  map(offset: number, length: number, access: MapAccess): ArrayMemory {
    this.#alive();
    if (access === 'write') this.#change();
    checkRange(this.#name, offset, length);
    const windows = (this.#windows ??= {});
    const own = (windows[access] ??= new FileWindows(this.#sys, this.mappingFd, this, access));
    return new MappedMemory(own, offset, length, access);
  }

  lock(timeoutMs: number): void {
    if (this.#closed) this.#alive();
    (this.#lock ?? this.#locking()).lock(timeoutMs);
  }

  #locking(): FileLock {
    return (this.#lock ??= new FileLock(this.#sys, this.#fd, this.#path));
  }

  tryLock(): boolean {
    this.#alive();
    return this.#locking().tryLock();
  }

  async lockAsync(
    timeoutMs: number,
    signal?: AbortSignal,
    meanwhile?: () => boolean,
    work?: () => void,
  ): Promise<void> {
    this.#alive();
    await this.#locking().lockAsync(timeoutMs, signal, meanwhile, work);
  }

  unlock(): void {
    if (this.#closed) this.#alive();
    (this.#lock ?? this.#locking()).unlock();
  }

  /** @param calledAs - as in {@link NodeFileOptions} */
  open(name: string, mode: 'r' | 'r+' | 'create-new', calledAs?: string): NodeFile {
    this.#alive();
    if (mode !== 'create-new') return NodeFile.open(name, mode, { ...this.#options, calledAs });
    const file = NodeFile.#open(name, mode, this.#options, 0o600, calledAs);
    try {
      file.#resemble(this);
    } catch (error) {
      this.#sys.unlink(absolutePath(name));
      try {
        file.close();
      } catch {
        // The first error is the one to report.
      }
      throw error;
    }
    return file;
  }

  /**
   * Copies permissions and owner. Nobody who may not read the original may read the copy, so if the group cannot be kept,
   * the copy's group gets no more permissions than others.
   */
  #resemble(original: NodeFile): void {
    const status = this.#sys.fstat(original.#fd);
    if (typeof status === 'number') throw errnoError(status, 'fstat', original.#name);
    const own = this.#sys.fstat(this.#fd);
    if (typeof own === 'number') throw errnoError(own, 'fstat', this.#name);
    const { uid, gid } = status;
    let { mode } = status;
    if (own.uid !== uid || own.gid !== gid) {
      const chown = (owner: number): boolean => this.#allowed(() => this.#sys.fchown(this.#fd, owner, gid));
      if (!chown(uid)) {
        mode &= 0o1777;
        if (own.gid !== gid && !chown(own.uid)) mode &= ((mode & 0o007) << 3) | 0o1707;
      }
    }
    this.#allowed(() => this.#sys.fchmod(this.#fd, mode));
  }

  /** False if the system denies it to this process, or the filesystem does not support it. */
  #allowed(call: () => number): boolean {
    const result = uninterrupted(call);
    if (result >= 0) return true;
    if (result === -EPERM || UNSUPPORTED.has(result)) return false;
    throw errnoError(result, 'copying permissions and owner', this.#name);
  }

  renameOver(name: string): void {
    this.#change();
    const target = realPath(absolutePath(name));
    const result = uninterrupted(() => this.#sys.rename(this.#path, target));
    if (result < 0) throw errnoError(result, `renaming to ${target}`, this.#name);
    this.#name = target;
    this.#path = target;
    this.#lock?.renamed(target);
    syncDirectory(this.#sys, target);
  }

  remove(name: string): void {
    this.#alive();
    const path = absolutePath(name);
    const result = uninterrupted(() => this.#sys.unlink(path));
    if (result < 0 && result !== -ENOENT) throw errnoError(result, 'removing', path);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    forgotten.unregister(this);
    if (this.#windows !== undefined) for (const windows of Object.values(this.#windows)) windows.close();
    this.#words?.close();
    this.#lock?.abandon();
    if (this.#mappingFd !== undefined && this.#mappingFd !== this.#fd) this.#sys.close(this.#mappingFd);
    // The descriptor is gone whatever close returns, and what was only read has lost nothing.
    const result = this.#sys.close(this.#fd);
    if (result < 0 && result !== -EINTR && this.writable) throw errnoError(result, 'closing', this.#name);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #alive(): void {
    if (this.#closed) throw new MmdError('CLOSED', `${this.#name}: the file is closed`, { path: this.#name });
  }

  #change(): void {
    if (this.#closed) this.#alive();
    if (!this.writable) {
      throw new MmdError('READ_ONLY', `${this.#name}: the file is open for reading only`, { path: this.#name });
    }
    if (this.#poison !== undefined) {
      throw new MmdError('IO', `${this.#name}: an earlier write did not reach the disk; reopen the file`, {
        path: this.#name,
        errno: this.#poison.errno,
        cause: this.#poison,
      });
    }
  }

  #cutWindows(size: number): void {
    if (this.#windows !== undefined) for (const windows of Object.values(this.#windows)) windows.cut(size);
    this.#words?.cut(size);
  }

  /** The words of the file, after a check that the range lies inside it. */
  #wordsAt(offset: number, length: number): FileWords {
    if (!(offset >= 0 && offset + length <= this.#atLeast)) checkInside(this.#name, offset, length, this.size());
    return (this.#words ??= new FileWords(this.#sys, this, this.#options.mapWords));
  }

  #overlaps(source: StorageFile, sourceOffset: number, offset: number, length: number): boolean {
    if (Math.abs(sourceOffset - offset) >= length) return false;
    return isSameFile(this.identity(), source.identity());
  }
}

function refuseSpecial(status: FileStatus, name: string): void {
  if (status.kind === 'file') return;
  throw new MmdError('INVALID_ARGUMENT', `${name}: is a ${status.kind}, not a regular file`, {
    path: name,
    errno: status.kind === 'directory' ? 'EISDIR' : undefined,
    expected: 'file',
    found: status.kind,
  });
}
