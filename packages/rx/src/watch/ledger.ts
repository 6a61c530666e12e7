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

/** The entries of one file that have been reported. */
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
  appended(entries: Iterable<SeenEntry>, goesOn: IsSame): ChangeDraft[] {
    const changes: ChangeDraft[] = [];
    for (const entry of entries) {
      if (entry.end <= this.end) continue;
      // Entries that are not in the dict do not count as known: writers overwrite them with others.
      if (isFiller(entry)) continue;
      const { key, rows, kind, offset, end, valueLength, dataOffset } = entry;
      this.end = end;
      this.last = { offset, key };
      const before = this.#live.get(key);
      this.seq += before === undefined ? 1 : 2;
      this.#know(key, { offset, end, valueLength, rows, kind, dataOffset });
      if (!entry.live) this.#dead.push({ key, offset });
      const alike = before?.kind === undefined || before.kind === kind;
      if (before?.rows !== undefined && rows !== undefined && rows >= before.rows && alike && goesOn(before, entry)) {
        // A growable array that outgrew its place continues in a new one.
        this.seq += rows;
        if (rows > before.rows)
          changes.push({ kind: 'appended', seq: this.seq, key, rows: { start: before.rows, end: rows } });
        continue;
      }
      changes.push({ kind: before === undefined ? 'added' : 'replaced', seq: this.seq, key });
      if (rows !== undefined && rows > 0) {
        this.seq += rows;
        changes.push({ kind: 'appended', seq: this.seq, key, rows: { start: 0, end: rows } });
      }
    }
    return changes;
  }

  /** Returns the dead entries seen since the last call. */
  takeDead(): DeadEntry[] {
    return this.#dead.splice(0);
  }

  /** Records that the entry at this offset is dead; a change only if no later entry with its key is known. */
  died({ key, offset }: DeadEntry): ChangeDraft[] {
    if (this.#live.get(key)?.offset !== offset) return [];
    this.#live.delete(key);
    this.#growables.delete(key);
    this.seq += 1;
    return [{ kind: 'removed', seq: this.seq, key }];
  }

  /**
   * Records the current number of rows of a growable array.
   * @param offset - of that array; if it has moved since the entries were read, a later look reports its rows
   */
  grew(key: string, offset: number, rows: number): ChangeDraft[] {
    const known = this.#live.get(key);
    const start = known?.rows;
    if (known === undefined || known.offset !== offset || start === undefined || rows <= start) return [];
    known.rows = rows;
    this.seq += rows - start;
    return [{ kind: 'appended', seq: this.seq, key, rows: { start, end: rows } }];
  }

  /**
   * Continues in a file that was rewritten: reports the entries that differ. If it has none of the known entries, it counts
   * as another file.
   *
   * @param entries - all entries of the new file
   * @param end - where entries begin
   */
  moved(entries: readonly SeenEntry[], end: number, isSame: IsSame, goesOn: IsSame): ChangeDraft[] {
    const old = new Map(this.#live);
    const kept = new Map<SeenEntry, Known>();
    const first = new Set<string>();
    for (const entry of entries) {
      if (isFiller(entry) || first.has(entry.key)) continue;
      first.add(entry.key);
      const known = old.get(entry.key);
      if (known !== undefined && isSame(known, entry)) kept.set(entry, known);
    }
    if (kept.size === 0 && old.size > 0) return this.replacedBy(entries, end, goesOn);
    this.seq += 1;
    const changes: ChangeDraft[] = [{ kind: 'vacuumed', seq: this.seq }];
    this.end = end;
    this.last = undefined;
    // Entries that are not the same do not continue the rows known under their key.
    for (const [key, known] of old) this.#live.set(key, { ...known, rows: undefined });
    const grown: SeenEntry[] = [];
    for (const entry of entries) {
      const known = kept.get(entry);
      if (known === undefined) {
        changes.push(...this.appended([entry], goesOn));
        continue;
      }
      const { key, offset, end: entryEnd, valueLength, rows, live, dataOffset } = entry;
      const { sum, summed } = known;
      this.#know(key, {
        offset,
        end: entryEnd,
        valueLength,
        rows: rows === undefined ? undefined : known.rows,
        kind: entry.kind,
        dataOffset,
        sum,
        summed,
      });
      this.end = entryEnd;
      this.last = { offset, key };
      if (!live) this.#dead.push({ key, offset });
      if (rows !== undefined) grown.push(entry);
    }
    for (const { key, offset, rows } of grown) changes.push(...this.grew(key, offset, rows!));
    for (const [key, { offset }] of old) if (!first.has(key)) changes.push(...this.died({ key, offset }));
    return changes;
  }

  /**
   * Continues in another file: all of its entries are new.
   * @param end - where entries begin
   */
  replacedBy(entries: readonly SeenEntry[], end: number, goesOn: IsSame): ChangeDraft[] {
    this.seq += 1;
    this.#live.clear();
    this.#growables.clear();
    this.end = end;
    this.last = undefined;
    return [{ kind: 'file-replaced', seq: this.seq }, ...this.appended(entries, goesOn)];
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
