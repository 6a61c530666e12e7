import type { EntryMeta } from '@mmdpickle/core';

/** An entry as the commands show it; plain data, so that `--json` prints it as it is. */
export interface EntryDescription {
  readonly key: string;
  readonly type: string;
  readonly kind: string;
  readonly shape?: readonly number[];
  readonly bytes: number;
  readonly entryOffset: number;
  /** Where the array's bytes begin. */
  readonly offset?: number;
  readonly alignment?: number;
  readonly layout?: string;
  readonly order?: string;
  readonly capacity?: number;
}

const PAGE = 4096;

/** What {@link EntryMeta} says, for people and scripts. */
export function describeEntry(meta: EntryMeta): EntryDescription {
  const { key, kind, entryOffset, dtype, shape, layout, order, capacity, offset } = meta;
  return {
    key,
    kind,
    type: typeText(meta),
    bytes: valueBytes(meta),
    entryOffset,
    ...(shape !== undefined && { shape }),
    ...(dtype !== undefined && { offset, alignment: alignmentOf(offset) }),
    ...(layout !== undefined && { layout }),
    ...(order !== undefined && { order }),
    ...(capacity !== undefined && { capacity }),
  };
}

/** A dtype, or what kind of value it is. */
export function typeText({ kind, dtype }: EntryMeta): string {
  if (dtype === undefined) return kind;
  return kind === 'masked' ? `masked ${dtype}` : dtype;
}

/** A shape as people write it; nothing for what has none. */
export function shapeText({ shape }: EntryMeta): string {
  return shape === undefined ? '' : `[${shape.join(', ')}]`;
}

/** The value's size in the file: array bytes, or the pickle's length. */
export function valueBytes({ nbytes, length }: EntryMeta): number {
  return nbytes ?? length;
}

/** The largest power of two, up to 4096, that divides an offset. */
export function alignmentOf(offset: number): number {
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
