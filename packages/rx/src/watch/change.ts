import type { Rows } from '../ingest/target.ts';

/** The fields that every change has. */
export interface ChangeBase {
  /**
   * Sequence number. It grows with every change, by 1 for each entry added, each entry that died, and each row appended:
   * it counts what happened in the file, so all watchers of a file give a change the same number.
   */
  readonly seq: number;
  /** The file's commit number when the change was noticed. */
  readonly commitNumber: number;
  readonly path: string;
}

/** A change in a dict. */
export type Change = ChangeBase &
  (
    | { readonly kind: 'added' | 'replaced' | 'removed'; readonly key: string }
    | { readonly kind: 'appended'; readonly key: string; readonly rows: Rows }
    /** The file was rewritten. What was read from it before still holds, except for the changes of entries that follow. */
    | { readonly kind: 'vacuumed' }
    /** Another file has the name now, with none of the known entries (or is the next of a pattern). Its entries follow as `added`. */
    | { readonly kind: 'file-replaced' }
  );

/** A change without the fields that are added when it is emitted. */
export type ChangeDraft = Change extends infer C
  ? C extends Change
    ? Omit<C, 'commitNumber' | 'path'>
    : never
  : never;
