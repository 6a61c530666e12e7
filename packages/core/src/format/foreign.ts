/**
 * Files that people take for pickles.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { foreignKind } from '../pickle/foreign.ts';

export { FOREIGN_BYTES } from '../pickle/foreign.ts';

/**
 * @param head - the file's first bytes, {@link FOREIGN_BYTES} of them where there are so many
 * @returns the error to throw; `undefined` where it may be a pickle
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
