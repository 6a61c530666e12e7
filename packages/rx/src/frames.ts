import type { MmapDict } from '@mmdpickle/core';
import { checkOptions } from '@mmdpickle/core/options';
import { concatMap, from, Observable, take } from 'rxjs';
import { FOLLOW_OPTIONS } from './options.ts';
import { META_SUFFIX } from './targets/frames-target.ts';
import type { Change } from './watch/change.ts';
import { looksOnce, type WatchOptions } from './watch/dict-watch.ts';

/** An entry read by {@link frames}. */
export interface FrameEntry {
  readonly key: string;
  /** Arrays are views of the dict's mapping: borrowed, as from `dict.get`. */
  readonly value: unknown;
  /** The companion that {@link appendFrames} writes with `meta`. */
  readonly meta?: unknown;
  /** The sequence number of the change: see {@link watchDict}. */
  readonly seq: number;
}

/** Which entries, and whether to wait for more. */
export interface FollowOptions extends Pick<WatchOptions, 'pollMs' | 'events' | 'scheduler'> {
  /** Only keys with this prefix. Default: all. */
  readonly prefix?: string;
  /** Continue with frames that come later, like `tail -f`. Default false: complete after those already there. */
  readonly follow?: boolean;
}

/**
 * Emits the arrays and values in a dict in the order in which they were written, then (with `follow`) new ones as they
 * come. Of frames that replaced each other before they were read, only the last is emitted.
 *
 * @param dict - read through this handle, which stays open; values are borrowed from it
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { frames } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('frames-read.mmdpickle');
 * dict.set('frame/0', new Float32Array(4));
 * frames(dict, { prefix: 'frame/' }).subscribe(({ key, value }) => [key, value]);
 * ```
 */
export function frames(dict: MmapDict, options: FollowOptions = {}): Observable<FrameEntry> {
  checkOptions(options, FOLLOW_OPTIONS);
  const { prefix = '', follow = false, ...rest } = options;

  function isFrame(change: Change): change is Change & { readonly key: string } {
    return (
      (change.kind === 'added' || change.kind === 'replaced') &&
      change.key.startsWith(prefix) &&
      !isCompanion(change.key)
    );
  }

  function isCompanion(key: string): boolean {
    return key.endsWith(META_SUFFIX) && dict.has(key.slice(0, -META_SUFFIX.length));
  }

  /** Yields one entry at a time: together the values may not fit into memory. */
  function* entriesOf(changes: readonly Change[]): Generator<FrameEntry> {
    const last = new Map<string, number>();
    for (const change of changes) {
      if (!isFrame(change)) continue;
      last.delete(change.key);
      last.set(change.key, change.seq);
    }
    for (const [key, seq] of last) {
      const value = dict.get(key);
      if (value === undefined) continue;
      const meta = dict.get(key + META_SUFFIX);
      yield meta === undefined ? { key, value, seq } : { key, value, seq, meta };
    }
  }

  return new Observable((subscriber) => {
    const looks$ = looksOnce(dict, { ...rest, from: 'start' });
    // An empty dict has nothing to report, so its first look would never come.
    if (!follow && dict.size === 0) {
      subscriber.complete();
      return undefined;
    }
    return (follow ? looks$ : looks$.pipe(take(1)))
      .pipe(concatMap((changes) => from(entriesOf(changes))))
      .subscribe(subscriber);
  });
}
