/**
 * Files mistaken for pickles, recognized by their first bytes: an error about an opcode helps nobody who passed an npz.
 *
 * @module
 */

import { decodeLatin1 } from '../bytes/utf8.ts';
import { isMmdError, MmdError } from '../errors.ts';

/** Magic bytes (as Latin-1), and what to do about such a file. No pickler writes any of them. */
const FOREIGN: ReadonlyArray<readonly [start: string, what: string]> = [
  ['\x93NUMPY', 'an npy file; import it with npyToMmd of @mmdpickle/npy-interop'],
  [
    'PK\x03\x04',
    'a zip archive; import an npz with npzToMmd of @mmdpickle/npy-interop; a file written by torch.save has its pickle in data.pkl',
  ],
  ['\x89HDF', 'an HDF5 file, which is not supported; read it with h5py, and write an npz with numpy.savez'],
  ['\x89PNG', 'a PNG image'],
  ...['\x01', '\x5e', '\x9c', '\xda'].map(
    (level) => [`x${level}`, 'compressed with zlib; decompress it first'] as const,
  ),
  ['\x1f\x8b', 'compressed with gzip; decompress it first'],
  ['BZh91AY&SY', 'compressed with bzip2; decompress it first'],
  ['\xfd7zXZ', 'compressed with xz; decompress it first'],
  ['\x28\xb5\x2f\xfd', 'compressed with zstd; decompress it first'],
  ['SQLite format 3', 'an SQLite database'],
  ['version https://git-lfs', 'a Git LFS pointer; fetch the file with `git lfs pull`'],
  ['<', 'HTML or XML; perhaps an error page that was downloaded instead of the file'],
  ...['{', '['].map((start) => [start, 'apparently JSON'] as const),
];

/** How many bytes of a file's start are needed to recognize it. */
export const FOREIGN_BYTES: number = Math.max(...FOREIGN.map(([start]) => start.length));

/** The kind of file that begins with these bytes; `undefined` if it may be a pickle. */
function foreignKind(head: Uint8Array): string | undefined {
  return FOREIGN.find(([start]) => decodeLatin1(head.subarray(0, start.length)) === start)?.[1];
}

/**
 * @param head - the file's first {@link FOREIGN_BYTES} bytes, or all of them if there are fewer
 * @returns the error to throw; `undefined` if it may be a pickle
 */
export function foreignFile(head: Uint8Array, name: string): MmdError | undefined {
  const kind = foreignKind(head);
  if (kind === undefined) return undefined;
  return new MmdError('NOT_A_PICKLE', `${name}: not a pickle, but ${kind}`, {
    offset: 0,
    expected: 0x80,
    found: head[0],
    path: name,
  });
}

/** Makes the error of an unreadable pickle name the kind of file at `start`, if its bytes are recognized. */
export function namingForeign(error: unknown, bytes: Uint8Array, start: number, offset: number): unknown {
  const unreadable = ['NOT_A_PICKLE', 'BAD_OPCODE', 'CORRUPT', 'TRUNCATED'] as const;
  if (!unreadable.some((code) => isMmdError(error, code))) return error;
  const kind = foreignKind(bytes.subarray(start, start + FOREIGN_BYTES));
  const { message } = error as MmdError;
  if (kind === undefined || message.endsWith(kind)) return error;
  return new MmdError('NOT_A_PICKLE', `${message}: not a pickle, but ${kind}`, {
    offset,
    found: bytes[start],
    cause: error,
  });
}

/** What joblib's pickles hold in place of an array: the array itself follows it, which only joblib can read. */
export const JOBLIB = { module: 'joblib.numpy_pickle', name: 'NumpyArrayWrapper' } as const;

export const JOBLIB_MESSAGE: string =
  'not a pickle, but a file written by joblib.dump, with the bytes of an array between its opcodes; load it with joblib in Python, and save it with pickle, or its arrays with numpy.save';
