/**
 * File names for keys, and back.
 *
 * @module
 */

import { basename } from 'node:path';
import { MmdError } from '@mmdpickle/core';

/** Characters with a meaning to file systems, shells and URLs; `%` because it starts an escape. */
const UNSAFE = /[\p{Cc}%/\\:*?"<>|]/gu;
const NAME_MAX = 255;
/** The stem for the empty key: `.npy` alone would be hidden, and no other key is written as `%`. */
const NO_KEY = '%';

/**
 * The file name for a key: characters that file systems refuse, and a leading dot, are written as `%` and two hexadecimal
 * digits. {@link keyOfFileName} decodes them.
 * @throws KEY_TOO_LONG if the name does not fit the 255 bytes of a file name; BAD_KEY for half a surrogate pair: all of them
 *   would be written as the same replacement character
 */
export function fileNameOf(key: string, extension: string): string {
  if (/\p{Surrogate}/u.test(key)) {
    throw new MmdError(
      'BAD_KEY',
      `the key ${JSON.stringify(key)} cannot be a file name: it contains a lone surrogate`,
      {
        key,
      },
    );
  }
  const hex = (character: string): string => {
    const code = character.charCodeAt(0);
    return code > 0x7f ? character : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  };
  const name = `${key === '' ? NO_KEY : key.replace(UNSAFE, hex).replace(/^\./, hex)}${extension}`;
  if (new TextEncoder().encode(name).length <= NAME_MAX) return name;
  throw new MmdError('KEY_TOO_LONG', `the key ${JSON.stringify(key)} is too long for a file name`, {
    key,
    maximum: NAME_MAX,
  });
}

/** The key of a file name or path: without directory and extension, with escapes decoded. */
export function keyOfFileName(path: string, extension: string): string {
  const name = basename(path);
  const stem = name.endsWith(extension) ? name.slice(0, -extension.length) : name;
  if (stem === NO_KEY) return '';
  return stem.replace(/%([0-7][0-9A-Fa-f])/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** Refuses what is not a list of keys; a string would be iterated letter by letter. @throws INVALID_ARGUMENT */
export function checkKeys(call: string, keys: unknown): void {
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return;
  const found = Array.isArray(keys) ? 'a list of other values' : typeof keys;
  throw new MmdError('INVALID_ARGUMENT', `${call}: keys must be a list of strings; found ${found}`, { found: keys });
}
