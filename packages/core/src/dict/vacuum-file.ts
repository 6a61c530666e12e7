/**
 * The file that a vacuum fills, beside the one it works on: how it is named, and known again after a kill.
 *
 * @module
 */

import { encodeUtf8 } from '../bytes/index.ts';
import { isMmdError } from '../errors.ts';
import { COMMIT_NUMBER_OFFSET, encodeEmptyFile, encodeHeader, HEADER_SIZE } from '../format/layout.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { cleanUp, withFile } from './clean-up.ts';

/** The commit number of a file that a vacuum fills. No dict has one below 0. */
const UNFINISHED = -1;
/** So many names are tried. */
const NAMES = 100;
/** Bytes that the name of a file can have. */
const NAME_MAX = 255;

/**
 * Creates a file beside another one, locked, and an empty dict in the making. What a killed vacuum left is removed; whatever else
 * has the name keeps it.
 */
export function createBeside(file: StorageFile): StorageFile {
  for (let n = 0; ; n++) {
    const name = nameBeside(file.name, `.vacuum${n === 0 ? '' : n}`);
    removeRemains(file, name);
    let fresh: StorageFile;
    try {
      fresh = file.open(name, 'create-new');
    } catch (error) {
      // A directory, or whatever is no regular file, is an invalid argument.
      const taken = isMmdError(error, 'ALREADY_EXISTS') || isMmdError(error, 'INVALID_ARGUMENT');
      if (taken && n < NAMES) continue;
      throw error;
    }
    let own: boolean;
    try {
      // Until it is locked, another vacuum may take it for what a killed one left.
      own = fresh.tryLock() && !fresh.removed();
      if (own) fresh.write(0, encodeEmptyFile(UNFINISHED));
    } catch (error) {
      cleanUp(
        () => fresh.close(),
        () => file.remove(name),
      );
      throw error;
    }
    if (own) return fresh;
    fresh.close();
  }
}

/** Whoever finds the file after a kill may remove it. A commit takes that back. */
export function markUnfinished(fresh: StorageFile): void {
  fresh.storeI32(COMMIT_NUMBER_OFFSET, UNFINISHED);
}

/** The path with something behind it, cut where the file's name would become longer than a name can be. */
function nameBeside(path: string, suffix: string): string {
  const start = path.lastIndexOf('/') + 1;
  let name = path.slice(start);
  while (encodeUtf8(name).length + suffix.length > NAME_MAX) name = name.slice(0, -1);
  return `${path.slice(0, start)}${name}${suffix}`;
}

function removeRemains(file: StorageFile, name: string): void {
  let found: StorageFile;
  try {
    found = file.open(name, 'r+');
  } catch {
    // There is none, or it is not of a vacuum. What is wrong beyond that, creating a file of the name tells.
    return;
  }
  withFile(found, () => {
    const head = new Uint8Array(HEADER_SIZE);
    const length = found.read(0, head);
    const expected = encodeHeader(UNFINISHED);
    // An empty one holds nothing that could be lost: its vacuum was killed before it wrote the header.
    const unfinished = length === 0 || (length === HEADER_SIZE && head.every((byte, i) => byte === expected[i]));
    // Another process may be filling it, for a file that had the other's name before.
    if (unfinished && found.tryLock()) file.remove(name);
  });
}
