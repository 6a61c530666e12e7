/**
 * Sinks with backpressure, on the same engine as the operators: a Node Writable, a Web WritableStream, and an async
 * generator.
 *
 * @module
 */

import { Duplex, type Readable, Writable } from 'node:stream';
import { checkOptions, wrongArgument } from '@mmdpickle/core/options';
import type { Observer } from 'rxjs';
import { sourceFailed } from './ingest/failures.ts';
import { Ingest, type IngestEvents } from './ingest/ingest.ts';
import { IngestLedger } from './ingest/ingest-ledger.ts';
import { type IngestOptions, settle } from './ingest/options.ts';
import type { IngestStats } from './ingest/stats.ts';
import type { Receipt } from './ingest/target.ts';
import type { Place } from './into.ts';
import { checkPlace, SINK_OPTIONS } from './options.ts';

/** Options of the stream sinks. */
export interface SinkOptions extends IngestOptions {
  /** Receives a receipt for each committed frame, then completion or the error that ended the stream. */
  readonly receipts?: Partial<Observer<Receipt>>;
}

/** A sink with counters. */
export interface Counted {
  /** A snapshot of the counters. */
  stats(): IngestStats;
}

interface Sink<T> extends Counted {
  readonly ingest: Ingest<T>;
  /** Resolves when everything is written and sealed; rejects with the error that ended the stream. */
  readonly ended: Promise<void>;
}

function openSink<T>(place: Place<T>, options: IngestOptions, events: Partial<IngestEvents>): Sink<T> {
  checkPlace(place);
  const ledger = new IngestLedger();
  let finish: (error?: unknown) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    finish = (error) => (error === undefined ? resolve() : reject(error));
  });
  // Code that awaits `ended` sees the rejection; otherwise it is reported through `events.done`.
  ended.catch(() => {});
  checkOptions(options, SINK_OPTIONS);
  const { signal } = options;
  const abort = (): void => ingest.end();
  const ingest = new Ingest(place.open(), place.make, settle(options, 'block'), ledger, {
    receipt(receipt) {
      try {
        events.receipt?.(receipt);
      } catch (error) {
        // Rethrown, it would leave the engine's state inconsistent.
        ingest.fail(error);
      }
    },
    stop: () => events.stop?.(),
    done(error) {
      signal?.removeEventListener('abort', abort);
      let last = error;
      try {
        events.done?.(error);
      } catch (thrown) {
        last ??= thrown;
      }
      finish(last);
    },
  });
  // If the place was already full, the ingest is already done.
  if (ingest.open) signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  return { ingest, ended, stats: () => ledger.stats() };
}

function eventsFor({ receipts }: SinkOptions): Partial<IngestEvents> {
  return {
    receipt: (receipt) => receipts?.next?.(receipt),
    done(error) {
      if (error === undefined) receipts?.complete?.();
      else receipts?.error?.(error);
    },
  };
}

/** Calls `abort` when the signal aborts, unless the sink is done by then. */
function whenAborted({ ended }: Sink<unknown>, signal: AbortSignal | undefined, abort: () => void): void {
  if (signal === undefined) return;
  signal.addEventListener('abort', abort, { once: true });
  const leave = (): void => signal.removeEventListener('abort', abort);
  ended.then(leave, leave);
}

/**
 * Offers a frame to the engine. If the frame is refused, also because the signal is aborted, rejects only once everything
 * received before is written: after a failed `write` a Web stream no longer calls its sink, and its user may close the dict.
 */
async function take<T>({ ingest, ended }: Sink<T>, frame: T, signal: AbortSignal | undefined): Promise<void> {
  try {
    if (signal?.aborted !== true) return await ingest.offer(frame);
    throw signal.reason;
  } catch (error) {
    await ended;
    throw error;
  }
}

/**
 * A Node Writable in object mode: `write` calls back when the frame is written or copied into the queue, and
 * `finish` is emitted when everything is in the file and sealed. Destroying it also writes what is queued.
 *
 * When `signal` aborts, what was received is written and sealed, and a Readable that is piped into it is ended, so that
 * its `pipeline` completes. Other sources (duplex streams, iterables) cannot be ended from here: their `pipeline` rejects
 * with the signal's reason, as with a `signal` of its own.
 *
 * @example
 * ```ts
 * import { Readable } from 'node:stream';
 * import { pipeline } from 'node:stream/promises';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { nodeSink, rowsPlace } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('piped.mmdpickle');
 * await pipeline(Readable.from([1.5, 2.5, 3.5]), nodeSink(rowsPlace(dict, 'volts', { dtype: 'float64' })));
 * ```
 */
export function nodeSink<T>(place: Place<T>, options: SinkOptions = {}): Writable & Counted {
  const { signal } = checkOptions(options, SINK_OPTIONS);
  const sink = openSink(place, options, eventsFor(options));
  const writable = new Writable({
    objectMode: true,
    // The engine has its own queue, bounded in bytes; Node's would only count objects.
    highWaterMark: 1,
    write(frame: T, _encoding, done) {
      take(sink, frame, signal).then(() => done(), done);
    },
    final(done) {
      sink.ingest.end();
      sink.ended.then(() => done(), done);
    },
    destroy(error, done) {
      sink.ingest.end(error ?? undefined);
      sink.ended.then(() => done(error), done);
    },
  });
  const sources = new Set<Readable>();
  const abort = (): void => {
    if (sources.size > 0 && [...sources].every((source) => !(source instanceof Duplex))) sources.forEach(complete);
    else writable.destroy(signal?.reason);
  };
  writable.on('pipe', (source) => {
    sources.add(source);
    // `pipe` and `pipeline` add their listeners to the source only after this event.
    if (signal?.aborted) process.nextTick(abort);
  });
  writable.on('unpipe', (source) => sources.delete(source));
  whenAborted(sink, signal, abort);
  return Object.assign(writable, { stats: () => sink.stats() });

  /** Ends the source for `pipeline` and `pipe`; only destroying it would count as a premature close. */
  function complete(source: Readable): void {
    source.unpipe(writable);
    source.emit('end');
    source.destroy();
  }
}

/**
 * A Web WritableStream: `write` settles when the frame is written or copied into the queue, `close` when everything is
 * in the file and sealed. Aborting it also writes what is queued.
 *
 * When `signal` aborts, what was received is written and sealed; then the stream fails with the signal's reason. So
 * `pipeTo` cancels its source and rejects, as with a `signal` of its own: a sink cannot end a source that has more frames.
 */
export function webSink<T>(place: Place<T>, options: SinkOptions = {}): WritableStream<T> & Counted {
  const { signal } = checkOptions(options, SINK_OPTIONS);
  const sink = openSink(place, options, eventsFor(options));
  const stream = new WritableStream<T>(
    {
      start(controller) {
        const abort = (): void => {
          sink.ended.then(
            () => controller.error(signal?.reason),
            (error: unknown) => controller.error(error),
          );
        };
        if (signal?.aborted) abort();
        else whenAborted(sink, signal, abort);
      },
      write: (frame) => take(sink, frame, signal),
      close() {
        sink.ingest.end();
        return sink.ended;
      },
      abort(reason) {
        sink.ingest.end(reason);
        // The stream itself fails with `reason`; only another error, such as for lost frames, is passed on here.
        return sink.ended.catch((error: unknown) => {
          if (error !== reason) throw error;
        });
      },
    },
    { highWaterMark: 1 },
  );
  return Object.assign(stream, { stats: () => sink.stats() });
}

/**
 * Yields the items of an iterable until the signal aborts, even while the next item is awaited. Later items, and how the
 * iterable ends, are ignored.
 */
async function* givenUntil<T>(
  source: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator: AsyncIterator<T> | Iterator<T> =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let leave = (): void => {};
  const abort = (): void => leave();
  signal.addEventListener('abort', abort);
  let over = false;
  try {
    while (!signal.aborted) {
      // Not Promise.race with a single promise for the signal: it would keep a callback for every frame.
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        leave = () => resolve(undefined);
        Promise.resolve(iterator.next()).then(resolve, reject);
      }).catch((error: unknown) => {
        over = true;
        throw error;
      });
      if (next === undefined) break;
      over = next.done === true;
      if (over) break;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // A generator that is waiting for its source ends only after that wait.
    if (!over) Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);
}

/**
 * Writes the frames of an iterable, and yields each frame's receipt once its commit is done. The next frame is requested
 * when the queue has room and the receipts so far have been consumed. Leaving the loop ends the source and writes what is
 * queued; so does aborting `signal`, at once.
 *
 * @throws what ended the stream: see {@link appendFrames}
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { framesPlace, writeFrames } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('written.mmdpickle');
 * for await (const receipt of writeFrames([new Uint8Array(4), new Uint8Array(4)], framesPlace(dict))) receipt.key;
 * ```
 */
export async function* writeFrames<T>(
  source: AsyncIterable<T> | Iterable<T>,
  place: Place<T>,
  options: IngestOptions = {},
): AsyncGenerator<Receipt> {
  if (!isIterable(source)) throw wrongArgument('the source', 'a list, a stream or another iterable of frames', source);
  const receipts: Receipt[] = [];
  let wake = (): void => {};
  const { ingest, ended } = openSink(place, options, {
    receipt(receipt) {
      receipts.push(receipt);
      wake();
    },
    stop: () => wake(),
  });
  const frames = givenUntil(source, options.signal);
  let asked: Promise<IteratorResult<T>> | undefined;
  try {
    while (ingest.open) {
      const given = (asked ??= frames.next());
      // Not for the frame alone: while the source is silent, collected frames are committed by a timer, or fail.
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        given.then(resolve, reject);
        // Receipts of commits that were done while the previous ones were consumed.
        if (receipts.length > 0) wake();
      });
      if (next !== undefined) {
        asked = undefined;
        if (next.done === true) break;
        await ingest.offer(next.value);
      }
      yield* receipts.splice(0);
    }
  } catch (error) {
    ingest.end(error ?? sourceFailed());
  } finally {
    ingest.end();
    const left = frames.return(undefined).catch(() => {});
    // A source that is still awaited ends only after that wait.
    if (asked === undefined) await left;
    await ended.catch(() => {});
  }
  // Including the receipts of frames that were written after an error.
  yield* receipts.splice(0);
  await ended;
}
