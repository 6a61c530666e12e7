import type { Rows } from '../ingest/target.ts';

/** What every change says. */
export interface ChangeBase {
  /**
   * Rises with every change, by 1 for each entry that was added, each that died, and each row: it counts what happened
   * in the file, so that all watchers of a file give a change the same number.
   */
  readonly seq: number;
  /** The file's commit number when the change was noticed. */
  readonly commitNumber: number;
  readonly path: string;
}

/** Something that happened in a dict. */
export type Change = ChangeBase &
  (
    | { readonly kind: 'added' | 'replaced' | 'removed'; readonly key: string }
    | { readonly kind: 'appended'; readonly key: string; readonly rows: Rows }
    /** The file was written anew. What was read from it before still holds, but for the changes of entries that follow. */
    | { readonly kind: 'vacuumed' }
    /** Another file has the name now, with nothing of what was known (or, for a pattern, comes next). Its entries follow as `added`. */
    | { readonly kind: 'file-replaced' }
  );

/** A change before it is known where it was seen. */
export type ChangeDraft = Change extends infer C
  ? C extends Change
    ? Omit<C, 'commitNumber' | 'path'>
    : never
  : never;
