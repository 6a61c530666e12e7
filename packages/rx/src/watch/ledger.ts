/**
 * What a watcher knows of a file, and which changes follow from what it sees next. No IO.
 *
 * @module
 */

import type { ChangeDraft } from './change.ts';

/** An entry as found by the scan. */
export interface SeenEntry {
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  readonly key: string;
  readonly live: boolean;
  readonly valueLength: number;
  /** Committed rows, if the entry is a growable array. */
  readonly rows?: number | undefined;
  /** The type of its rows. */
  readonly kind?: string | undefined;
  /** File offset of the first row. */
  readonly dataOffset?: number | undefined;
  readonly rowBytes?: number | undefined;
}

/** What is known of a live entry. */
export interface Known {
  readonly offset: number;
  end: number;
  readonly valueLength: number;
  rows: number | undefined;
  /** The type of its rows; unknown for arrays from a cursor. */
  readonly kind?: string | undefined;
  readonly dataOffset?: number | undefined;
  /** Checksum of the value; for a growable array, of its first `summed` rows. */
  sum?: number | undefined;
  /** Number of rows that `sum` covers. */
  summed?: number | undefined;
}

/** The checksum of a known value, if it is up to date. */
export function sumOf({ rows, sum, summed }: Known): number | undefined {
  return rows === summed ? sum : undefined;
}

/** An entry that is dead in the file; whether another one replaced it is determined later. */
export interface DeadEntry {
  readonly key: string;
  readonly offset: number;
}

/** What a watcher knows, as plain data, from which another watcher can continue. */
export interface LedgerState {
  readonly seq: number;
  readonly end: number;
  readonly last: { readonly offset: number; readonly key: string } | null;
  readonly live: readonly (readonly [
    key: string,
    offset: number,
    end: number,
    valueLength: number,
    rows: number | null,
    /** Checksum of the value or the rows, by which the entry is recognised after the file was rewritten. */
    sum?: number | null,
  ])[];
}

/** Whether an entry holds what was known under its key; rows may have been added. */
export type IsSame = (known: Known, entry: SeenEntry) => boolean;

/**
 * The entries of one file that are known, and the changes that were not taken yet. What is recorded and what is to be
 * reported are written down together: if reading fails between two records, neither is lost.
 */
export class WatchLedger {
  /** The number of the last change. */
  seq = 0;
  /** File offset at which the known entries end. */
  end: number;
  /** The last of them, dead or alive: while it is still there, what is known of those before it holds. */
  last: { readonly offset: number; readonly key: string } | undefined;
  /** The live entries, in file order. */
  readonly #live = new Map<string, Known>();
  readonly #growables = new Set<string>();
  #dead: DeadEntry[] = [];
  #news: ChangeDraft[] = [];

  /** @param end - where entries begin */
  constructor(end: number) {
    this.end = end;
  }

  /** Restores a ledger from a {@link WatchLedger.state}. */
  static from(state: LedgerState): WatchLedger {
    const ledger = new WatchLedger(state.end);
    ledger.seq = state.seq;
    ledger.last = state.last ?? undefined;
    for (const [key, offset, end, valueLength, rows, sum] of state.live) {
      const summed = rows ?? undefined;
      ledger.#know(key, { offset, end, valueLength, rows: summed, ...(typeof sum === 'number' && { sum, summed }) });
    }
    return ledger;
  }

  /** Everything known, as plain data. */
  state(): LedgerState {
    const { seq, end, last = null } = this;
    const live = [...this.#live].map(
      ([key, known]) =>
        [key, known.offset, known.end, known.valueLength, known.rows ?? null, sumOf(known) ?? null] as const,
    );
    return { seq, end, last, live };
  }

  /** The changes recorded since the last call, in order. */
  takeNews(): ChangeDraft[] {
    return this.#news.splice(0);
  }

  /** The number of changes that were not taken yet. */
  get untold(): number {
    return this.#news.length;
  }

  /** The number of live keys. */
  get size(): number {
    return this.#live.size;
  }

  /** The live entries in file order. */
  entries(): IterableIterator<[string, Known]> {
    return this.#live.entries();
  }

  /** What is known of the live entry of a key. */
  known(key: string): Known | undefined {
    return this.#live.get(key);
  }

  /** The keys of live growable arrays. */
  get growables(): ReadonlySet<string> {
    return this.#growables;
  }

  /**
   * Records that the last entry, a growable array, grew or was trimmed in place. Returns false if it is not a growable
   * array, and so another entry.
   * @param rows - its rows now. None may be known so far: an array read in the middle of growing is not recognised as one
   */
  stretched(end: number, rows: number | undefined): boolean {
    const { last } = this;
    const known = last === undefined ? undefined : this.#live.get(last.key);
    if (known !== undefined && known.offset === last!.offset) {
      if (known.rows === undefined && rows === undefined) return false;
      known.end = end;
      known.rows ??= 0;
      this.#growables.add(last!.key);
    }
    this.end = end;
    return true;
  }

  /**
   * Records entries that were appended, in file order. Those already dead are kept for {@link WatchLedger.takeDead}: their
   * replacements may have been committed after these entries were read.
   *
   * @param goesOn - called for arrays that may have outgrown their place
   */
  appended(entries: Iterable<SeenEntry>, goesOn: IsSame): void {
    for (const entry of entries) this.append(entry, goesOn);
  }

  /** Like {@link WatchLedger.appended}, for one entry. */
  append(entry: SeenEntry, goesOn: IsSame): void {
    // Entries that are not in the dict do not count as known: writers overwrite them with others.
    if (entry.end <= this.end || isFiller(entry)) return;
    const { key, rows, kind, offset, end, valueLength, dataOffset } = entry;
    const before = this.#live.get(key);
    const alike = before?.kind === undefined || before.kind === kind;
    // Asked before anything is recorded: it may read the file, and fail.
    const continued =
      before?.rows !== undefined && rows !== undefined && rows >= before.rows && alike && goesOn(before, entry);
    this.end = end;
    this.last = { offset, key };
    this.seq += before === undefined ? 1 : 2;
    this.#know(key, { offset, end, valueLength, rows, kind, dataOffset });
    if (!entry.live) this.#dead.push({ key, offset });
    // A growable array that outgrew its place continues in a new one.
    const start = continued ? before.rows! : 0;
    if (!continued) this.#news.push({ kind: before === undefined ? 'added' : 'replaced', seq: this.seq, key });
    if (rows === undefined) return;
    this.seq += rows;
    if (rows > start) this.#news.push({ kind: 'appended', seq: this.seq, key, rows: { start, end: rows } });
  }

  /** Returns the dead entries seen since the last call. */
  takeDead(): DeadEntry[] {
    return this.#dead.splice(0);
  }

  /** Records that the entry at this offset is dead; a change only if no later entry with its key is known. */
  died({ key, offset }: DeadEntry): void {
    if (this.#live.get(key)?.offset !== offset) return;
    this.#live.delete(key);
    this.#growables.delete(key);
    this.seq += 1;
    this.#news.push({ kind: 'removed', seq: this.seq, key });
  }

  /**
   * Records the current number of rows of a growable array.
   * @param offset - of that array; if it has moved since the entries were read, a later look reports its rows
   * @returns true if there are more than before
   */
  grew(key: string, offset: number, rows: number): boolean {
    const known = this.#live.get(key);
    const start = known?.rows;
    if (known === undefined || known.offset !== offset || start === undefined || rows <= start) return false;
    known.rows = rows;
    this.seq += rows - start;
    this.#news.push({ kind: 'appended', seq: this.seq, key, rows: { start, end: rows } });
    return true;
  }

  /**
   * The ledger of a file that was rewritten: it reports the entries that differ. If the file has none of the known entries,
   * it counts as another file. This ledger does not change.
   *
   * @param entries - all entries of the new file
   * @param end - where entries begin
   */
  moved(entries: readonly SeenEntry[], end: number, isSame: IsSame, goesOn: IsSame): WatchLedger {
    const kept = new Map<SeenEntry, Known>();
    const first = new Set<string>();
    for (const entry of entries) {
      if (isFiller(entry) || first.has(entry.key)) continue;
      first.add(entry.key);
      const known = this.#live.get(entry.key);
      if (known !== undefined && isSame(known, entry)) kept.set(entry, known);
    }
    if (kept.size === 0 && this.size > 0) return this.replacedBy(entries, end, goesOn);
    const next = this.#successor(end, 'vacuumed');
    // Entries that are not the same do not continue the rows known under their key.
    for (const [key, known] of this.#live) next.#know(key, { ...known, rows: undefined });
    const grown: SeenEntry[] = [];
    for (const entry of entries) {
      const known = kept.get(entry);
      if (known === undefined) {
        next.appended([entry], goesOn);
        continue;
      }
      const { key, offset, end: entryEnd, valueLength, rows, kind, live, dataOffset } = entry;
      const { sum, summed } = known;
      const knownRows = rows === undefined ? undefined : known.rows;
      next.#know(key, { offset, end: entryEnd, valueLength, rows: knownRows, kind, dataOffset, sum, summed });
      next.end = entryEnd;
      next.last = { offset, key };
      if (!live) next.#dead.push({ key, offset });
      if (rows !== undefined) grown.push(entry);
    }
    for (const { key, offset, rows } of grown) next.grew(key, offset, rows!);
    for (const [key, { offset }] of this.#live) if (!first.has(key)) next.died({ key, offset });
    return next;
  }

  /**
   * The ledger of another file: all of its entries are new. This ledger does not change.
   * @param end - where entries begin
   */
  replacedBy(entries: readonly SeenEntry[], end: number, goesOn: IsSame): WatchLedger {
    const next = this.#successor(end, 'file-replaced');
    next.appended(entries, goesOn);
    return next;
  }

  /** A ledger of no entries, which goes on counting and reporting from here. */
  #successor(end: number, kind: 'vacuumed' | 'file-replaced'): WatchLedger {
    const next = new WatchLedger(end);
    next.seq = this.seq + 1;
    next.#news = [...this.#news, { kind, seq: next.seq }];
    return next;
  }

  /** Records an entry as the last one with its key. */
  #know(key: string, known: Known): void {
    this.#live.delete(key);
    this.#live.set(key, known);
    if (known.rows === undefined) this.#growables.delete(key);
    else this.#growables.add(key);
  }
}

/** Tail entries (index, journal, checksums) have keys with this prefix, padded to this length. */
const TAIL_WORD = 'mmdpickle ';
const TAIL_LENGTH = 46;

/** Whether a dead entry is none of the dict's: blank keys only take up room, and tail entries describe the file. */
export function isFiller({ key, live }: SeenEntry): boolean {
  return !live && (key.trim() === '' || (key.length === TAIL_LENGTH && key.startsWith(TAIL_WORD)));
}
