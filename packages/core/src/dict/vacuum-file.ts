/**
 * The file that a vacuum fills, next to the one it works on: how it is named, and recognised after a kill.
 *
 * @module
 */

import { encodeUtf8 } from '../bytes/index.ts';
import { isMmdError } from '../errors.ts';
import { COMMIT_NUMBER_OFFSET, encodeEmptyFile, encodeHeader, HEADER_SIZE } from '../format/layout.ts';
import type { StorageFile } from '../storage/storage-file.ts';
import { cleanUp, closing } from './clean-up.ts';

/** The commit number of a file that a vacuum fills. No dict has one below 0. */
const UNFINISHED = -1;
/** How many further names are tried. */
const NAMES = 100;
/** Most bytes in a file's name. */
const NAME_MAX = 255;

/**
 * Creates a file next to another one, locked, with an empty, unfinished dict. What a killed vacuum left is removed; anything else with that
 * name is kept.
 */
export function createBeside(file: StorageFile): StorageFile {
  for (let n = 0; ; n++) {
    const name = nameBeside(file.name, `.vacuum${n === 0 ? '' : n}`);
    removeRemains(file, name);
    let fresh: StorageFile;
    try {
      fresh = file.open(name, 'create-new');
    } catch (error) {
      // A directory, or anything else that is not a regular file, is reported as an invalid argument.
      const taken = isMmdError(error, 'ALREADY_EXISTS') || isMmdError(error, 'INVALID_ARGUMENT');
      if (taken && n < NAMES) continue;
      throw error;
    }
    let own: boolean;
    try {
      // Until it is locked, another vacuum may mistake it for what a killed one left.
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

/** Marks the file so that whoever finds it after a kill may remove it. A commit undoes this. */
export function markUnfinished(fresh: StorageFile): void {
  fresh.storeI32(COMMIT_NUMBER_OFFSET, UNFINISHED);
}

/** The path with a suffix, shortened before it if the file's name would become too long. */
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
    // There is none, or it is not a vacuum's. Any other problem shows when a file with the name is created.
    return;
  }
  closing(found, () => {
    const head = new Uint8Array(HEADER_SIZE);
    const length = found.read(0, head);
    const expected = encodeHeader(UNFINISHED);
    // An empty file holds nothing that could be lost: its vacuum was killed before it wrote the header.
    const unfinished = length === 0 || (length === HEADER_SIZE && head.every((byte, i) => byte === expected[i]));
    // Another process may be filling it, for a file that used to have this one's name.
    if (unfinished && found.tryLock()) file.remove(name);
  });
}
