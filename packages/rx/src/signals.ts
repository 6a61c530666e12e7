import { constants } from 'node:os';
import { wrongArgument } from '@mmdpickle/core/options';
import { fromEvent, map, merge, type Observable, take } from 'rxjs';

/**
 * Emits once, when the process is asked to end, and completes. For `takeUntil`: what was received is then written and
 * sealed before the process ends. While this is subscribed to, the first of these signals does not end the process;
 * a second one has its usual effect.
 *
 * @param signals - default SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed)
 *
 * @example
 * ```ts
 * import { interval, lastValueFrom, map, take, takeUntil } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { appendRows, stopSignals } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('signals.mmdpickle');
 * const load$ = interval(10).pipe(map(() => process.uptime()), take(3));
 * await lastValueFrom(load$.pipe(takeUntil(stopSignals()), appendRows(dict, 'load', { dtype: 'float64' })));
 * ```
 */
export function stopSignals(
  signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'],
): Observable<NodeJS.Signals> {
  if (!Array.isArray(signals) || !signals.every((signal) => Object.hasOwn(constants.signals, signal)))
    throw wrongArgument('signals', 'a list of signal names', signals);
  return merge(...signals.map((signal) => fromEvent(process, signal).pipe(map(() => signal)))).pipe(take(1));
}
