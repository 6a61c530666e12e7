/**
 * What a watcher knows of a file, and what follows from what it sees next. No IO.
 *
 * @module
 */

import type { ChangeDraft } from './change.ts';

/** An entry as the scan gives it. */
export interface SeenEntry {
  readonly offset: number;
  /** Exclusive. */
  readonly end: number;
  readonly key: string;
  readonly live: boolean;
  readonly valueLength: number;
  /** Committed rows, where the entry is a growable array. */
  readonly rows?: number | undefined;
  /** What its rows are. */
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
  /** What its rows are; not known of arrays that a cursor knew. */
  readonly kind?: string | undefined;
  readonly dataOffset?: number | undefined;
  /** Checksum of the value; of an array that grows, of its first rows. */
  sum?: number | undefined;
  /** So many rows. */
  summed?: number | undefined;
}

/** The checksum of what is known, where it has been taken. */
export function sumOf({ rows, sum, summed }: Known): number | undefined {
  return rows === summed ? sum : undefined;
}

/** An entry that is dead on the disk; whether another one replaced it is a later look's to tell. */
export interface DeadEntry {
  readonly key: string;
  readonly offset: number;
}

/** What a watcher knows, as plain data: kept, it lets another watcher go on where this one stopped. */
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
    /** Checksum of the value, or of the rows. By it the entry is known again when the file was written anew. */
    sum?: number | null,
  ])[];
}

/** Tells whether an entry of a file that was written anew holds what was known under its key; rows may have come. */
export type IsSame = (known: Known, entry: SeenEntry) => boolean;

/** The entries of one file, as far as they were reported. */
export class WatchLedger {
  /** The number of the last change. */
  seq = 0;
  /** Where the entries that are known end. */
  end: number;
  /** The last of them, dead or alive: if it stands there later, what is known of those before it holds. */
  last: { readonly offset: number; readonly key: string } | undefined;
  /** In file order. */
  readonly #live = new Map<string, Known>();
  readonly #growables = new Set<string>();
  #dead: DeadEntry[] = [];

  /** @param end - where entries begin */
  constructor(end: number) {
    this.end = end;
  }

  /** Goes on from a {@link WatchLedger.state}. */
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

  /** All that is known, as plain data. */
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
   * The last entry is a growable array whose reserve grew or was trimmed in place; false where it is none, so that it is another one.
   * @param rows - that it has now: where it was met in the middle of that, it was not told from other values, and none are known
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
   * Entries that were appended, in file order. Those that are dead already are kept for {@link WatchLedger.takeDead}:
   * what replaced them may have been committed after these entries were read.
   *
   * @param goesOn - asked of arrays that may have outgrown their place
   */
  appended(entries: Iterable<SeenEntry>, goesOn: IsSame): ChangeDraft[] {
    const changes: ChangeDraft[] = [];
    for (const entry of entries) {
      if (entry.end <= this.end) continue;
      // What is not in the dict does not count as known either: writers put entries in its place.
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
        // A growable array that outgrew its place goes on in a new one.
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

  /** Dead entries seen since the last call. */
  takeDead(): DeadEntry[] {
    return this.#dead.splice(0);
  }

  /** The entry at this place is dead; news if no later one with its key is known. */
  died({ key, offset }: DeadEntry): ChangeDraft[] {
    if (this.#live.get(key)?.offset !== offset) return [];
    this.#live.delete(key);
    this.#growables.delete(key);
    this.seq += 1;
    return [{ kind: 'removed', seq: this.seq, key }];
  }

  /**
   * A growable array has so many rows now.
   * @param offset - where that array is: one that has left its place since the entries were read is a later look's to tell
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
   * Goes on in a file that was written anew. Where nothing of what was known is in it, it is another file; else it is told
   * by entries what is not the same any more.
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
    // Rows of what is not the same do not go on in it.
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
   * Goes on in another file: all of its entries are news.
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

  /** The entry is the last one with its key. */
  #know(key: string, known: Known): void {
    this.#live.delete(key);
    this.#live.set(key, known);
    if (known.rows === undefined) this.#growables.delete(key);
    else this.#growables.add(key);
  }
}

/** Tail entries (index, journal, checksums) have keys that begin so, padded to this length. */
const TAIL_WORD = 'mmdpickle ';
const TAIL_LENGTH = 46;

/** Dead entries that are not in the dict: blank keys only take up room, and tail entries are about the file. */
export function isFiller({ key, live }: SeenEntry): boolean {
  return !live && (key.trim() === '' || (key.length === TAIL_LENGTH && key.startsWith(TAIL_WORD)));
}
