/**
 * Reading without concurrent changes.
 *
 * @module
 */

import type { StorageFile } from '../storage/storage-file.ts';
import type { DictCore } from './core.ts';

/** Runs `look` while the file that has the dict's name is locked. @throws LOCKED, and what `look` throws */
export function underLock<T>(core: DictCore, look: (file: StorageFile) => T): T {
  lockNamed(core);
  const { file } = core.store;
  try {
    return look(file);
  } finally {
    file.unlock();
  }
}

/** Locks the file that has the name: a vacuum may have put another one there, even while its lock was waited for. */
function lockNamed(core: DictCore): void {
  const { store } = core;
  for (;;) {
    const { file } = store;
    file.lock(store.options.lockTimeout);
    try {
      // A batch has already locked the file that it writes.
      if (core.inTransaction() || !store.follow()) return;
    } catch (error) {
      file.unlock();
      throw error;
    }
    file.unlock();
  }
}
