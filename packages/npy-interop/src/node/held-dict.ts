/**
 * A dict that is changed over many turns of the event loop, in one commit.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import type { StorageFile } from '@mmdpickle/core/storage';

/**
 * A second handle on a dict's file. What other code does with the first handle meanwhile is a commit of its own, neither
 * part of this one nor undone with it.
 */
export class HeldDict extends MmapDict {
  /**
   * Runs changes that may await, under the lock: all of them are committed at the end or, if `change` throws, none.
   *
   * @param dict - stays open and usable; its writes wait for the lock, `batchAsync` without blocking
   * @throws READ_ONLY, LOCKED, what `change` throws
   */
  static async change<T>(
    dict: MmapDict,
    options: { readonly signal?: AbortSignal | undefined; readonly lockTimeout?: number | undefined },
    change: (held: HeldDict) => Promise<T>,
  ): Promise<T> {
    if (!dict.writable) {
      throw new MmdError('READ_ONLY', `${dict.name}: opened with mode '${dict.mode}'`, { path: dict.name });
    }
    options.signal?.throwIfAborted();
    // Opening takes the lock for a moment; waiting for it here blocks nobody.
    const guard = NodeFile.open(dict.path, 'r+');
    const timeout = options.lockTimeout ?? 10_000;
    try {
      await guard.lockAsync(timeout, options.signal);
    } finally {
      guard.close();
    }
    const settings = (dict as HeldDict).store.options;
    using held = new HeldDict(NodeFile.open(dict.path, 'r+'), { ...settings, mode: 'r+' });
    return await held.#run(timeout, options.signal, change);
  }

  /** The file behind the dict, for what stands in the place of arrays that this change added. */
  get storage(): StorageFile {
    return this.store.file;
  }

  async #run<T>(timeout: number, signal: AbortSignal | undefined, change: (held: HeldDict) => Promise<T>): Promise<T> {
    const { file } = this.store;
    await file.lockAsync(timeout, signal);
    try {
      this.writer.begin();
      let result: T;
      try {
        result = await change(this);
        signal?.throwIfAborted();
      } catch (error) {
        this.writer.rollback();
        throw error;
      }
      this.writer.commit();
      return result;
    } finally {
      if (!file.closed) file.unlock();
    }
  }
}
