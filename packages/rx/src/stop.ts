/**
 * Stop requests: another process asks the capture to end, through the file itself.
 *
 * @module
 */

import type { MmapDict } from '@mmdpickle/core';
import { defer, filter, map, merge, type Observable, of, take } from 'rxjs';
import { checkDict } from './options.ts';
import { looksOnce, type WatchOptions } from './watch/dict-watch.ts';

/** The key under which a stop request is stored until it is obeyed. */
export const STOP_KEY = 'mmdpickle/stop';

/**
 * Asks the process that captures into this file to end, and commits the request. Any writer can do the same; in Python:
 * `d['mmdpickle/stop'] = 'enough'`.
 *
 * @param dict - open for writing
 * @param reason - for the capture's log
 * @throws READ_ONLY, LOCKED, NOT_FOUND, NO_SPACE, IO, as `MmapDict.set`
 */
export function requestStop(dict: MmapDict, reason = ''): void {
  checkDict('the dict', dict);
  dict.set(STOP_KEY, reason);
}

/**
 * Emits the reason once {@link requestStop} has been called, and completes. For `takeUntil`. The request is removed from
 * the file, so that the next capture does not find it; a request that is already in the file is obeyed at once.
 *
 * @param dict - open for writing
 *
 * @example
 * ```ts
 * import { interval, lastValueFrom, map, takeUntil } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { appendFrames, requestStop, stopRequested } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('stoppable.mmdpickle');
 * const camera$ = interval(5).pipe(map(() => new Uint8Array(16)));
 * setTimeout(() => requestStop(dict, 'seen enough'), 30); // as a rule from another process
 * await lastValueFrom(camera$.pipe(takeUntil(stopRequested(dict)), appendFrames(dict)));
 * ```
 */
export function stopRequested(
  dict: MmapDict,
  options: Pick<WatchOptions, 'pollMs' | 'events' | 'scheduler'> = {},
): Observable<string> {
  return defer(() =>
    // The watch begins first: a request that comes in between is found by the check that follows.
    merge(looksOnce(dict, options), of([])).pipe(
      filter(() => dict.has(STOP_KEY)),
      take(1),
      map(() => String(dict.pop(STOP_KEY))),
    ),
  );
}
