/**
 * Entries in file order, as users see them.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE, entryEnd, HEADER_SIZE } from '../format/layout.ts';
import { answer, keyOf, scanEntries } from '../format/scan.ts';
import type { DictStore } from './store.ts';

/** An entry of the file, live or dead. */
export interface EntryInfo {
  readonly offset: number;
  readonly end: number;
  /** `undefined` if the key's bytes are not a string: not UTF-8, or with a pair of surrogates. */
  readonly key: string | undefined;
  readonly state: 'live' | 'dead' | 'damaged';
  readonly live: boolean;
  readonly valueOffset: number;
  readonly valueLength: number;
  readonly memoHint: number;
}

/**
 * All entries, up to the terminator or to damage.
 * @param from - file offset of an entry, or of the terminator; by default of the first one
 * @throws INVALID_ARGUMENT if no entry begins there
 */
export function entryInfos({ file, read }: DictStore, from: number | undefined): EntryInfo[] {
  const found: EntryInfo[] = [];
  const { name: path } = file;
  const size = file.size();
  const start = from ?? HEADER_SIZE;
  const noEntry = (): MmdError =>
    new MmdError('INVALID_ARGUMENT', `${path}: no entry begins at ${typeof from === 'number' ? from : typeof from}`, {
      found: from,
      path,
    });
  if (from !== undefined && !(Number.isSafeInteger(from) && from >= HEADER_SIZE && from <= size)) throw noEntry();
  const requests = scanEntries(start, size, (entry) => {
    const { offset, frameLength, keyLength, state, memoHint } = entry;
    found.push({
      offset,
      end: entryEnd(offset, frameLength),
      key: keyOf(entry),
      state,
      live: state === 'live',
      valueOffset: offset + ENTRY_HEAD_SIZE + keyLength,
      valueLength: frameLength - 2 - keyLength - ENTRY_TAIL_SIZE,
      memoHint,
    });
  });
  const end = answer(requests, read);
  if (from !== undefined && end.kind === 'damage' && end.offset === from) throw noEntry();
  return found;
}
