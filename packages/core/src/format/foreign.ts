/**
 * Files that people take for pickles, told by their first bytes: an error about an opcode helps nobody who gave an npz.
 *
 * @module
 */

import { decodeLatin1 } from '../bytes/utf8.ts';
import { MmdError } from '../errors.ts';

/** First bytes (as Latin-1), and what to do about the file. No pickler writes any of them. */
const FOREIGN: ReadonlyArray<readonly [start: string, what: string]> = [
  ['\x93NUMPY', 'an npy file: npyToMmd of @mmdpickle/npy-interop imports it'],
  [
    'PK\x03\x04',
    'a zip archive: if it is an npz, npzToMmd of @mmdpickle/npy-interop imports it; what torch.save wrote holds its pickle as data.pkl',
  ],
  ['\x89HDF', 'an HDF5 file, which is not read here: let h5py read it, and numpy.savez write an npz'],
  ...['\x01', '\x5e', '\x9c', '\xda'].map((level) => [`x${level}`, 'compressed with zlib: unpack it first'] as const),
  ['\x1f\x8b', 'compressed with gzip: unpack it first'],
  ['BZh91AY&SY', 'compressed with bzip2: unpack it first'],
  ['\xfd7zXZ', 'compressed with xz: unpack it first'],
  ['\x28\xb5\x2f\xfd', 'compressed with zstd: unpack it first'],
  ['SQLite format 3', 'an SQLite database'],
  ['version https://git-lfs', 'a pointer of Git LFS: get the file with `git lfs pull`'],
  ['<', 'HTML or XML: perhaps the page of an error that was downloaded in place of the file'],
  ['{', 'JSON, by the looks of it'],
];

/** Bytes of a file's start that tell. */
export const FOREIGN_BYTES: number = Math.max(...FOREIGN.map(([start]) => start.length));

/**
 * @param head - the file's first bytes, {@link FOREIGN_BYTES} of them where there are so many
 * @returns the error to throw; `undefined` where it may be a pickle
 */
export function foreignFile(head: Uint8Array, name: string): MmdError | undefined {
  const row = FOREIGN.find(([start]) => decodeLatin1(head.subarray(0, start.length)) === start);
  if (row === undefined) return undefined;
  return new MmdError('NOT_A_PICKLE', `${name}: not a pickle, but ${row[1]}`, {
    offset: 0,
    expected: 0x80,
    found: head[0],
    path: name,
  });
}
