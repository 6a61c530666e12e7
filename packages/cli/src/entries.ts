import type { EntryMeta } from '@mmdpickle/core';

/** An entry as the commands show it; plain data, so that `--json` prints it as it is. */
export interface EntryDescription {
  readonly key: string;
  /** A dtype, or what kind of value it is. */
  readonly type: string;
  readonly kind: string;
  readonly shape?: readonly number[];
  readonly shapeText: string;
  /** The value's size in the file: array bytes, or the pickle's length. */
  readonly bytes: number;
  readonly entryOffset: number;
  /** Where the array's bytes begin. */
  readonly offset?: number;
  /** The largest power of two, up to 4096, that divides the offset. */
  readonly alignment?: number;
  readonly layout?: string;
  readonly order?: string;
  readonly capacity?: number;
}

const PAGE = 4096;

/** What {@link EntryMeta} says, for people and scripts. */
export function describeEntry(meta: EntryMeta): EntryDescription {
  const { key, kind, entryOffset, dtype, shape, nbytes } = meta;
  if (dtype === undefined) return { key, kind, type: kind, shapeText: '', bytes: nbytes ?? meta.length, entryOffset };
  const { layout, order, capacity, offset } = meta;
  return {
    key,
    kind,
    type: kind === 'masked' ? `masked ${dtype}` : dtype,
    shapeText: shape === undefined ? '' : `[${shape.join(', ')}]`,
    bytes: nbytes ?? meta.length,
    entryOffset,
    ...(shape !== undefined && { shape }),
    offset,
    alignment: alignmentOf(offset),
    ...(layout !== undefined && { layout }),
    ...(order !== undefined && { order }),
    ...(capacity !== undefined && { capacity }),
  };
}

function alignmentOf(offset: number): number {
  let alignment = 1;
  while (alignment < PAGE && offset % (alignment * 2) === 0) alignment *= 2;
  return alignment;
}

/** What an entry has beside its key and value: the FRAME, the key's opcode, the memo hint and the state. */
const ENTRY_OVERHEAD = 9 + 2 + 8;

/** The bytes that an entry takes in the file. */
export function entryBytes({ key, length }: EntryMeta): number {
  return ENTRY_OVERHEAD + Buffer.byteLength(key) + length;
}
