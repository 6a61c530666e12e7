/**
 * The companion columns of rows and planes: the time of receipt and the sequence number of each frame.
 *
 * @module
 */

import { NAT, type NDArray, type TypedArray } from '@mmdpickle/core';
import { wrongArgument } from '@mmdpickle/core/options';
import type { Pending } from '../ingest/target.ts';
import type { ColumnSpec } from './row-store.ts';

/** Which companions a target keeps. */
export interface CompanionOptions<T> {
  /**
   * `<key>/time`: the time of receipt of each row, or the time that the function returns in milliseconds since 1970;
   * stored as datetime64[us] in UTC. Default true.
   */
  readonly time?: boolean | ((frame: T, seq: number) => number);
  /** `<key>/seq`: the sequence number of each row (int64); a missing number is a dropped frame. Default true. */
  readonly seq?: boolean;
}

/** A column that is filled from frames, and with blanks in rows that have no frame. */
export interface RowColumn<T> {
  readonly key: string;
  readonly spec: ColumnSpec;
  /** Returns one row per frame. */
  pack(frames: readonly Pending<T>[]): NDArray | TypedArray;
  /** Returns the rows for dropped frames `[seq, seq + count)`. */
  blank(seq: number, count: number): NDArray | TypedArray;
}

/** The companion columns of `key`. */
export function companionColumns<T>(
  key: string,
  options: CompanionOptions<T>,
  capacity: number | undefined,
): RowColumn<T>[] {
  const { time = true, seq = true } = options;
  const columns: RowColumn<T>[] = [];
  if (time !== false) {
    const timeOf = time === true ? (frame: Pending<T>) => frame.time : ({ item, seq: i }: Pending<T>) => time(item, i);
    columns.push(
      column(
        `${key}/time`,
        'datetime64[us]',
        capacity,
        (frame) => microseconds(timeOf(frame)),
        () => NAT,
      ),
    );
  }
  if (seq)
    columns.push(
      column(
        `${key}/seq`,
        'int64',
        capacity,
        (frame) => BigInt(frame.seq),
        (i) => BigInt(i),
      ),
    );
  return columns;
}

function column<T>(
  key: string,
  dtype: string,
  capacity: number | undefined,
  countOf: (frame: Pending<T>) => bigint,
  blankOf: (seq: number) => bigint,
): RowColumn<T> {
  /** Reused for single rows, which are the usual case: each is copied into the file before the next one. */
  const single = new BigInt64Array(new ArrayBuffer(8));
  return {
    key,
    spec: { dtype, rowShape: [], masked: false, fillValue: null, capacity, reserve: false },
    pack(frames) {
      if (frames.length !== 1) return BigInt64Array.from(frames, countOf);
      single[0] = countOf(frames[0]!);
      return single;
    },
    blank: (seq, count) => BigInt64Array.from({ length: count }, (_, i) => blankOf(seq < 0 ? -1 : seq + i)),
  };
}

/**
 * Converts milliseconds since 1970 to the count of a datetime64[us]; NaN and infinities become NaT.
 * @throws MmdError INVALID_ARGUMENT for anything but a number, and for one out of range
 */
export function microseconds(ms: number): bigint {
  if (typeof ms !== 'number') throw wrongArgument('the result of time()', 'a number of milliseconds since 1970', ms);
  if (!Number.isFinite(ms)) return NAT;
  if (Math.abs(ms * 1000) < 2 ** 63) return BigInt(Math.round(ms * 1000));
  throw wrongArgument('the result of time()', 'a number of milliseconds since 1970 that fits datetime64[us]', ms);
}
