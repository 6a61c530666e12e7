/**
 * Appends to growable arrays: where the rows go, how the room grows, and the commit.
 *
 * @module
 */

import { isMmdError, MmdError } from '../errors.ts';
import { bytesOf } from '../format/array-codec.ts';
import { type ParsedArray, parseArray } from '../format/array-value.ts';
import { parseMasked } from '../format/masked-value.ts';
import { type ArrayMemory, sameDType } from '../ndarray/index.ts';
import { sizeOf } from '../ndarray/shapes.ts';
import type { EntryView } from './entry-view.ts';
import type { GrowableHost, GrowablePlace, WriteRows } from './growable-array.ts';
import { RowRoom } from './row-room.ts';

/** What the host needs of the dict. */
export interface GrowableDict {
  /** Changes whenever a key, or its place, may have changed; `undefined` if that is unknown. */
  revision(): unknown;
  /** Changes whenever other entries may be at the places of known ones. */
  generation(): number;
  /** Reads the entry with the key, and retries if others change it meanwhile; `undefined` if there is none. */
  read<T>(key: string, read: (view: EntryView) => T): T | undefined;
  /** Refreshes, however recent the last refresh was. Returns true if anything changed. */
  lookAgain(): boolean;
  begin(): void;
  commit(): void;
  rollback(): void;
  /** Called before rows are written: from then on checksums of the array would be wrong. */
  unseal(): void;
  /** A batch is open, or each commit is flushed to disk. */
  careful(): boolean;
  /** Stores the row count, and commits it immediately; between begin() and commit(). */
  countAtOnce(place: GrowablePlace, rows: number): void;
  /** Stores the row count at the commit. */
  count(key: string, place: GrowablePlace, rows: number): void;
  /** The row count that the open batch will store. */
  pendingCount(place: GrowablePlace): number | undefined;
  /** Runs after the outermost commit or rollback. */
  afterwards(task: () => void): void;
  /** Makes room for at least `rows` rows in an entry, which may move. */
  growReserve(key: string, place: GrowablePlace, rows: number): void;
  /** Finishes growing in place that a crash interrupted, by writing the missing length. */
  finishGrow(place: GrowablePlace): void;
  sealReserve(key: string, place: GrowablePlace): void;
  map(place: GrowablePlace, offset: number, length: number): ArrayMemory;
}

/** How often a consistent pair of place and row count is sought while the array keeps growing. */
const ATTEMPTS = 100;

/** Where an array is, and the dict's revision when it was found there. */
interface KnownPlace {
  readonly place: GrowablePlace;
  readonly revision: unknown;
}

/** Appends to the growable arrays of one dict. */
export class GrowableAppender implements GrowableHost {
  readonly #dict: GrowableDict;
  readonly #places = new Map<string, KnownPlace>();
  readonly #rooms = new Map<string, RowRoom>();
  /** The last key that was located, and where: a stream appends to one array over and over. */
  #lastKey: string | undefined;
  #lastPlace: KnownPlace | undefined;
  #lastRoom: RowRoom | undefined;
  /** The dict's generation when the places were found. */
  #generation = -1;

  constructor(dict: GrowableDict) {
    this.#dict = dict;
  }

  locate(key: string): GrowablePlace {
    // Nothing moved since the last append: no need to look the key up.
    const revision = this.#dict.revision();
    const known = key === this.#lastKey ? this.#lastPlace : this.#places.get(key);
    const still = known !== undefined && revision !== undefined && known.revision === revision;
    const found = still ? known : { place: this.#find(key), revision };
    if (!still) this.#places.set(key, found);
    this.#lastKey = key;
    this.#lastPlace = found;
    return found.place;
  }

  #find(key: string): GrowablePlace {
    this.#lastPlace = undefined;
    const place = this.#dict.read(key, (view) => this.#placeIn(view));
    if (place === undefined)
      throw new MmdError('NOT_FOUND', `no key ${JSON.stringify(key)}: the array was deleted`, { key });
    return place;
  }

  /** The known place, if it is still right: by the same object its holder sees that nothing changed. */
  #placeIn(view: EntryView): GrowablePlace {
    const generation = this.#dict.generation();
    if (this.#generation !== generation) this.#places.clear();
    this.#generation = generation;
    const known = this.#places.get(view.key)?.place;
    const { offset, frameLength } = view.place;
    const same = known !== undefined && known.entryOffset === offset && known.frameLength === frameLength;
    return same && !known.unfinished ? known : placeOf(view);
  }

  look(key: string, was?: GrowablePlace): { readonly place: GrowablePlace; readonly rows: number } {
    for (let attempt = 0; ; attempt++) {
      const place = this.locate(key);
      checkSameRows(key, place, was);
      try {
        const rows = this.rows(place);
        // An in-place vacuum may have put something else there.
        if (attempt === ATTEMPTS || this.locate(key) === place) return { place, rows };
      } catch (error) {
        // Another process may have grown the array and committed more rows since the last refresh.
        if (attempt === ATTEMPTS || !this.#dict.lookAgain()) throw error;
      }
    }
  }

  rows(place: GrowablePlace): number {
    return this.#dict.pendingCount(place) ?? committedRows(place);
  }

  append(key: string, was: GrowablePlace, count: number, write: WriteRows, done: () => void): void {
    const dict = this.#dict;
    dict.begin();
    try {
      let place = this.locate(key);
      checkSameRows(key, place, was);
      dict.unseal();
      if (place.unfinished) {
        dict.finishGrow(place);
        place = this.locate(key);
      }
      const rows = this.rows(place);
      if (rows + count > place.capacity) {
        dict.growReserve(key, place, Math.max(rows + count, place.capacity * 2));
        place = this.locate(key);
      } else if (!isAtomic(place)) {
        // Any number of rows without bytes fits.
        dict.growReserve(key, place, place.rowBytes === 0 ? rows + count : place.capacity);
        place = this.locate(key);
      }
      write(place, rows);
      dict.count(key, place, rows + count);
    } catch (error) {
      dict.rollback();
      throw error;
    }
    dict.afterwards(() => followIfThere(done));
    dict.commit();
  }

  appendAtOnce(key: string, place: GrowablePlace, bytes: Uint8Array, count: number): number {
    const dict = this.#dict;
    if (dict.careful() || place.unfinished || place.maskOffset !== undefined || !isAtomic(place)) return -1;
    dict.begin();
    let rows: number;
    try {
      if (this.locate(key) !== place || (rows = committedRows(place)) + count > place.capacity) {
        dict.rollback();
        return -1;
      }
      dict.unseal();
      const offset = place.dataOffset + rows * place.rowBytes;
      this.#roomOf(key, place).reserve(offset, bytes.length);
      place.file.write(offset, bytes);
      dict.countAtOnce(place, rows + count);
    } catch (error) {
      dict.rollback();
      throw error;
    }
    dict.commit();
    return rows + count;
  }

  #roomOf(key: string, place: GrowablePlace): RowRoom {
    if (this.#lastRoom?.place === place) return this.#lastRoom;
    let room = this.#rooms.get(key);
    if (room?.place !== place) this.#rooms.set(key, (room = new RowRoom(place)));
    return (this.#lastRoom = room);
  }

  seal(key: string): void {
    this.#rooms.delete(key);
    this.#lastRoom = undefined;
    this.#dict.sealReserve(key, this.locate(key));
  }

  map(place: GrowablePlace, offset: number, length: number): ArrayMemory {
    return this.#dict.map(place, offset, length);
  }
}

/**
 * After the batch the array may be deleted, replaced, or never have been created (if it was rolled back), and the disk may fail: such an
 * error is thrown when the array is next refreshed or appended to. Thrown here, it would make committed rows look uncommitted.
 */
function followIfThere(follow: () => void): void {
  try {
    follow();
  } catch (error) {
    if (!isMmdError(error)) throw error;
  }
}

/** Refuses an array with rows of another shape or dtype: it is not this one, even if it has its key. */
function checkSameRows(key: string, place: GrowablePlace, was: GrowablePlace = place): void {
  if (place === was) return;
  const [found, expected] = [kindOfRows(place), kindOfRows(was)];
  if (found === expected && sameDType(place.type, was.type)) return;
  throw new MmdError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(key)} was replaced by an array of ${found}, while this one has ${expected}; get it again`,
    { key, expected, found },
  );
}

function kindOfRows({ rowShape, type, maskOffset }: GrowablePlace): string {
  return `${maskOffset === undefined ? '' : 'masked '}rows of shape [${rowShape}] and dtype ${type.name}`;
}

/**
 * Whether the row count is stored in one machine store. If another writer moved the entry, it may be torn; then the array is moved first.
 */
export function isAtomic({ countOffset }: GrowablePlace): boolean {
  return countOffset % 8 === 0;
}

/** The committed rows, checked against the room there is. */
export function committedRows(place: GrowablePlace): number {
  const { file, countOffset } = place;
  // Small counts, as nearly all are, are read without a bigint. No store makes another count look like one of them.
  const low = file.loadI32(countOffset);
  const rows = low >= 0 && file.loadI32(countOffset + 4) === 0 ? low : Number(file.loadI64(countOffset));
  if (rows >= 0 && rows <= place.capacity) return rows;
  throw new MmdError(
    'CORRUPT',
    `${place.file.name}: a row count of ${rows} is invalid for a capacity of ${place.capacity}`,
    {
      offset: place.countOffset,
      expected: place.capacity,
      found: rows,
      path: place.file.name,
    },
  );
}

/** How many rows fit. */
function rowsIn(length: number, rowBytes: number): number {
  return rowBytes === 0 ? Number.MAX_SAFE_INTEGER : Math.floor(length / rowBytes);
}

/** Reads the offsets of a growable array's parts. @throws INVALID_ARGUMENT if it is not growable (any more) */
export function placeOf(view: EntryView): GrowablePlace {
  const reader = view.reader();
  const plain = parseArray(reader);
  const masked = plain === undefined ? parseMasked(view.reader()) : undefined;
  const data: ParsedArray | undefined = plain ?? masked?.data;
  if (data?.countPos === undefined) {
    throw new MmdError('INVALID_ARGUMENT', `${JSON.stringify(view.key)} is not a growable array (any more)`, {
      key: view.key,
    });
  }
  const rowShape = data.shape.slice(1);
  const row = bytesOf(rowShape, data.type);
  // If a crash interrupted growing, the entry has room that the data does not claim yet.
  const unfinished = masked === undefined && reader.pos < view.length;
  const dataLength = data.dataLength + (unfinished ? view.length - reader.pos : 0);
  return {
    file: view.file,
    entryOffset: view.place.offset,
    frameLength: view.place.frameLength,
    keyLength: view.place.keyLength,
    type: data.type,
    rowShape,
    countOffset: view.offset + data.countPos,
    dataOffset: view.offset + data.dataPos,
    dataLength,
    // Rows that do not fit the mask would overwrite what follows it.
    capacity: Math.min(
      rowsIn(dataLength, row),
      masked === undefined ? Infinity : rowsIn(masked.mask.dataLength, sizeOf(rowShape)),
    ),
    rowBytes: row,
    unfinished,
    ...(masked !== undefined && { maskOffset: view.offset + masked.mask.dataPos }),
    filled: masked?.fill !== undefined,
  };
}
