/**
 * The thin wrapper that turns the engine into an RxJS operator.
 *
 * @module
 */

import { MmdError } from '@mmdpickle/core';
import {
  defer,
  fromEvent,
  interval,
  map,
  merge,
  NEVER,
  Observable,
  type OperatorFunction,
  Subject,
  startWith,
  switchMap,
  takeUntil,
} from 'rxjs';
import { sourceFailed } from './failures.ts';
import type { Home } from './home.ts';
import { Ingest, type IngestEvents, type MakeTarget } from './ingest.ts';
import { IngestLedger } from './ingest-ledger.ts';
import { type IngestOptions, settle } from './options.ts';
import type { IngestStats } from './stats.ts';
import type { Receipt } from './target.ts';

/**
 * An RxJS operator that writes the frames it receives, emits a receipt for each committed frame, and has counters.
 *
 * One operator object is one place in the file: sequence numbers and counters continue when it is subscribed to again
 * (by `retry` or `repeat`), and are shared by concurrent subscriptions.
 */
export interface IngestOperator<T> extends OperatorFunction<T, Receipt> {
  /** Emits every `statsMs` while a stream runs, and when it ends. Sampled only while subscribed to. */
  readonly stats$: Observable<IngestStats>;
  /** A snapshot of the counters. */
  stats(): IngestStats;
  /**
   * Resolves when no stream is running: after unsubscribing, everything received is then written and sealed.
   * @throws the error of the last stream that ended, if it ended with one
   */
  idle(): Promise<void>;
}

/** Opens the dict that a stream writes to; called at every subscription. */
export type OpenHome = () => Home;

/** Makes an operator that writes to a target. */
export function ingestOperator<T>(open: OpenHome, make: MakeTarget<T>, options: IngestOptions): IngestOperator<T> {
  const settings = settle(options, 'error');
  if (settings.policy === 'block') {
    throw new MmdError(
      'INVALID_ARGUMENT',
      "an Observable cannot wait, so policy 'block' needs a sink: nodeSink, webSink or writeFrames",
      { found: 'block' },
    );
  }
  const ledger = new IngestLedger();
  const running$ = new Subject<boolean>();
  let last: unknown;
  const waiters: (() => void)[] = [];

  function begin(events: IngestEvents): Ingest<T> {
    try {
      return new Ingest(open(), make, settings, ledger, events);
    } catch (error) {
      last = error;
      throw error;
    }
  }

  function operate(source: Observable<T>): Observable<Receipt> {
    return new Observable<Receipt>((subscriber) => {
      const stop$ = new Subject<void>();
      const { signal } = options;
      const ingest = begin({
        receipt: (receipt) => subscriber.next(receipt),
        stop: () => stop$.next(),
        done(error) {
          last = error;
          running$.next(ledger.active.size > 0);
          if (ledger.active.size === 0) for (const waiter of waiters.splice(0)) waiter();
          if (error === undefined) subscriber.complete();
          else subscriber.error(error);
        },
      });
      running$.next(ledger.active.size > 0);
      const aborted$ = signal === undefined ? NEVER : fromEvent(signal, 'abort');
      if (signal?.aborted || !ingest.open) {
        ingest.end();
        return;
      }
      // Before subscribing: a source that emits at once may be unsubscribed from before `subscribe` returns.
      subscriber.add(() => {
        stop$.next();
        ingest.end();
      });
      source.pipe(takeUntil(merge(stop$, aborted$))).subscribe({
        next: (frame) => ingest.push(frame),
        error: (error) => ingest.end(error ?? sourceFailed()),
        complete: () => ingest.end(),
      });
    });
  }

  return Object.assign(operate, {
    stats$: defer(() => running$.pipe(startWith(ledger.active.size > 0))).pipe(
      switchMap((running) =>
        running ? interval(settings.statsMs, settings.scheduler).pipe(map(() => ledger.stats())) : [ledger.stats()],
      ),
    ),
    stats: () => ledger.stats(),
    async idle() {
      if (ledger.active.size > 0) await new Promise<void>((resolve) => waiters.push(resolve));
      if (last !== undefined) throw last;
    },
  });
}
