/**
 * Records a file between any two writes of a change, and plays it back as other processes would see it.
 *
 * @module
 */

import { MemoryDisk, type MemoryFile } from '../storage/memory-file.ts';
import type { StorageFile } from '../storage/storage-file.ts';

/** Methods that read from a file or query it. */
export const FILE_LOOKS: readonly (keyof StorageFile)[] = [
  'read',
  'endsWith',
  'size',
  'loadI32',
  'loadI64',
  'identity',
  'identityOfName',
  'removed',
  'map',
];

/** Methods that change a file. */
export const FILE_CHANGES: readonly (keyof StorageFile)[] = [
  'write',
  'writeParts',
  'copyFrom',
  'truncate',
  'allocate',
  'punchHole',
  'storeI32',
  'storeI64',
  'storePair',
];

/**
 * Wraps a file so that `call` is called before each call of the named methods; files opened through it are wrapped too.
 *
 * @example
 * ```ts
 * import { MemoryFile } from '@mmdpickle/core/storage';
 * import { preceded } from '@mmdpickle/core/testing';
 *
 * let reads = 0;
 * const file = preceded(MemoryFile.of(new Uint8Array([1, 2, 3])), ['read'], () => reads++);
 * file.read(0, new Uint8Array(2)); // reads is 1
 * ```
 */
export function preceded(
  file: StorageFile,
  names: readonly (keyof StorageFile)[],
  call: (name: keyof StorageFile) => void,
): StorageFile {
  return new Proxy(file, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      const counts = (names as readonly PropertyKey[]).includes(name);
      return (...args: unknown[]) => {
        if (counts) call(name as keyof StorageFile);
        const result = Reflect.apply(value, target, args) as unknown;
        return name === 'open' ? preceded(result as StorageFile, names, call) : result;
      };
    },
  });
}

/** The state of a file between two calls that change it. */
export interface Image {
  /** A copy of all bytes. */
  readonly bytes: Uint8Array;
  /** The number of changes completed before it. */
  readonly before: number;
  /** The same number, or one more during a change. */
  readonly after: number;
}

/**
 * Records a file in memory while it is changed.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core';
 * import { MemoryDisk } from '@mmdpickle/core/storage';
 * import { Recording } from '@mmdpickle/core/testing';
 *
 * const disk = new MemoryDisk();
 * MmapDict.over(disk.open('dict', 'create-new')).close();
 * const recording = new Recording(disk, 'dict');
 * MmapDict.over(recording.open()).set('a', 1);
 * recording.done();
 * recording.images.length; // the empty dict, the one with `a`, and what stood there between the writes
 * ```
 */
export class Recording {
  readonly images: Image[] = [];
  readonly #disk: MemoryDisk;
  readonly #name: string;
  #changes = 0;

  constructor(disk: MemoryDisk, name: string) {
    this.#disk = disk;
    this.#name = name;
    this.#take(0);
  }

  /** Opens the file for the code that changes it. */
  open(): StorageFile {
    return preceded(this.#disk.open(this.#name, 'r+'), FILE_CHANGES, () => this.#take(1));
  }

  /** To be called after each change. */
  done(): void {
    this.#changes++;
    this.#take(0);
  }

  #take(open: number): void {
    const before = this.#changes;
    this.images.push({ bytes: this.#disk.open(this.#name, 'r').toBytes(), before, after: before + open });
  }
}

/**
 * Plays back the images of a {@link Recording} as a file that changes while it is being read.
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core';
 * import { MemoryDisk } from '@mmdpickle/core/storage';
 * import { Playback, Recording } from '@mmdpickle/core/testing';
 *
 * const disk = new MemoryDisk();
 * MmapDict.over(disk.open('dict', 'create-new')).close();
 * const recording = new Recording(disk, 'dict');
 * MmapDict.over(recording.open()).set('a', 1);
 * recording.done();
 * const playback = new Playback(recording.images);
 * const dict = MmapDict.over(playback.open(() => 1), { mode: 'r' });
 * const seen = playback.during(() => dict.get('a')); // undefined or 1: an image passed at each look
 * ```
 */
export class Playback {
  /** Index of the image that is shown. */
  shown = 0;
  /** The disk; its only file is named `dict`. */
  readonly disk: MemoryDisk = new MemoryDisk();
  readonly images: readonly Image[];
  readonly #screen: MemoryFile;
  #running = false;
  #locks = 0;

  constructor(images: readonly Image[]) {
    this.images = images;
    this.#screen = this.disk.open('dict', 'create-new');
    this.show(0);
  }

  /** The image shown, with the numbers of changes that a reader may see. */
  get image(): Image {
    return this.images[this.shown]!;
  }

  /** Shows an image immediately. */
  show(number: number): void {
    this.shown = number;
    const { bytes } = this.image;
    this.#screen.truncate(bytes.length);
    this.#screen.write(0, bytes);
  }

  /**
   * Opens the file for reading: during {@link Playback.during}, each access first advances by `stride()` images. Taking the lock
   * advances to the end of the current change, and no image passes until the lock is released.
   */
  open(stride: () => number): StorageFile {
    return preceded(this.disk.open('dict', 'r'), [...FILE_LOOKS, 'lock', 'unlock'], (name) => {
      if (!this.#running) return;
      if (name === 'unlock') this.#locks--;
      else if (name === 'lock') {
        this.#locks++;
        while (this.image.after > this.image.before) this.show(this.shown + 1);
      } else if (this.#locks === 0) this.#pass(stride());
    });
  }

  /** Lets images pass while `look` runs. */
  during<T>(look: () => T): T {
    this.#running = true;
    try {
      return look();
    } finally {
      this.#running = false;
    }
  }

  #pass(count: number): void {
    const number = Math.min(this.shown + count, this.images.length - 1);
    if (number > this.shown) this.show(number);
  }
}
