/**
 * A log of every change to a set of files, and its replay.
 *
 * @module
 */

/** One recorded step. `file` is the file's number in the log; bytes are copies. */
export type CrashOp =
  | { readonly kind: 'create'; readonly file: number; readonly name: string }
  | { readonly kind: 'write'; readonly file: number; readonly offset: number; readonly bytes: Uint8Array }
  /** A store through a mapping: never torn if it is aligned to its length. */
  | { readonly kind: 'store'; readonly file: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly file: number; readonly size: number }
  | { readonly kind: 'allocate'; readonly file: number; readonly size: number }
  | { readonly kind: 'punch'; readonly file: number; readonly offset: number; readonly length: number }
  | { readonly kind: 'sync'; readonly file: number }
  | { readonly kind: 'rename'; readonly file: number; readonly to: string }
  | { readonly kind: 'remove'; readonly name: string }
  /** Names created, changed or removed so far are on disk. */
  | { readonly kind: 'sync-names' };

/**
 * Names and contents of files at one point in time.
 *
 * @example
 * ```ts
 * import { DiskImage } from '@mmdpickle/core/testing';
 *
 * const image = new DiskImage();
 * image.apply({ kind: 'create', file: 0, name: 'a' });
 * image.apply({ kind: 'write', file: 0, offset: 1, bytes: new Uint8Array([7]) });
 * image.files().get('a'); // [0, 7]
 * ```
 */
export class DiskImage {
  readonly names: Map<string, number> = new Map();
  readonly contents: Map<number, Uint8Array> = new Map();

  /** An independent copy; contents are shared until they change. */
  clone(): DiskImage {
    const copy = new DiskImage();
    for (const [name, file] of this.names) copy.names.set(name, file);
    for (const [file, bytes] of this.contents) copy.contents.set(file, bytes);
    return copy;
  }

  /** The named files; the bytes are shared with this image and must not be changed. */
  files(): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    for (const [name, file] of this.names) files.set(name, this.contents.get(file) ?? new Uint8Array(0));
    return files;
  }

  /** Applies one step; contents are replaced, never changed in place. */
  apply(op: CrashOp): void {
    switch (op.kind) {
      case 'create':
        this.names.set(op.name, op.file);
        if (!this.contents.has(op.file)) this.contents.set(op.file, new Uint8Array(0));
        break;
      case 'write':
      case 'store': {
        const grown = this.#resized(op.file, Math.max(this.#size(op.file), op.offset + op.bytes.length));
        grown.set(op.bytes, op.offset);
        break;
      }
      case 'truncate':
        this.#resized(op.file, op.size);
        break;
      case 'allocate':
        this.#resized(op.file, Math.max(this.#size(op.file), op.size));
        break;
      case 'punch':
        this.#resized(op.file, this.#size(op.file)).fill(0, op.offset, op.offset + op.length);
        break;
      case 'rename':
        for (const [name, file] of this.names) if (file === op.file) this.names.delete(name);
        this.names.set(op.to, op.file);
        break;
      case 'remove':
        this.names.delete(op.name);
        break;
      case 'sync':
      case 'sync-names':
        break;
    }
  }

  #size(file: number): number {
    return this.contents.get(file)?.length ?? 0;
  }

  #resized(file: number, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    const old = this.contents.get(file);
    if (old !== undefined) bytes.set(old.subarray(0, size));
    this.contents.set(file, bytes);
    return bytes;
  }
}

/** Something acknowledged to the caller: it must survive any later crash. */
export interface CrashMark {
  readonly label: string;
  /** The number of steps recorded before it. */
  readonly after: number;
}

/**
 * All steps on the files of one test, in order.
 *
 * @example
 * ```ts
 * import { MemoryDisk } from '@mmdpickle/core/storage';
 * import { CrashFile, CrashLog } from '@mmdpickle/core/testing';
 *
 * const log = new CrashLog();
 * const disk = new MemoryDisk();
 * CrashFile.over(disk.open('a', 'create-new'), log).write(0, new Uint8Array(3));
 * CrashFile.over(disk.open('b', 'create-new'), log).sync();
 * log.ops.length; // 2
 * ```
 */
export class CrashLog {
  readonly ops: CrashOp[] = [];
  readonly marks: CrashMark[] = [];
  readonly initial: DiskImage = new DiskImage();
  #files = 0;

  /** Records that an operation was acknowledged to its caller. */
  mark(label: string): void {
    this.marks.push({ label, after: this.ops.length });
  }

  /** Assigns a number to an existing file. Its content counts as being on disk already. */
  adopt(name: string, bytes: Uint8Array): number {
    const file = this.#files++;
    // An adopted file existed before the first step, even if it is opened later.
    this.initial.names.set(name, file);
    this.initial.contents.set(file, bytes);
    return file;
  }

  /** Assigns a number to a file that is being created. */
  create(name: string): number {
    const file = this.#files++;
    this.ops.push({ kind: 'create', file, name });
    return file;
  }

  /** The content of the disk after all steps. */
  final(): DiskImage {
    const image = this.initial.clone();
    for (const op of this.ops) image.apply(op);
    return image;
  }
}
