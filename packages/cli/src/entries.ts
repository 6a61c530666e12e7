import type { EntryMeta } from '@mmdpickle/core';

/** An entry as the commands show it; plain data, so that `--json` can print it. */
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

/** Describes an entry for people and scripts. */
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

/** The dtype of an array, else the kind of the value. */
export function typeText({ kind, dtype }: EntryMeta): string {
  if (dtype === undefined) return kind;
  return kind === 'masked' ? `masked ${dtype}` : dtype;
}

/** The shape as people write it; empty for values without one. */
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

/** Bytes of an entry besides its key and value: the FRAME, the key's opcode, the memo hint and the state. */
const ENTRY_OVERHEAD = 9 + 2 + 8;

/** The bytes that an entry takes in the file. */
export function entryBytes({ key, length }: EntryMeta): number {
  return ENTRY_OVERHEAD + Buffer.byteLength(key) + length;
}
