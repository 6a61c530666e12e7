/**
 * Sinks with backpressure over the same engine: a Node Writable, a Web WritableStream, and an async generator.
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
  /** Told about each commit, and how the stream ended. */
  readonly receipts?: Partial<Observer<Receipt>>;
}

/** A sink that can be asked for its counters. */
export interface Counted {
  /** A reading of the counters now. */
  stats(): IngestStats;
}

interface Sink<T> extends Counted {
  readonly ingest: Ingest<T>;
  /** Settles when all is written and sealed, or with what went wrong. */
  readonly ended: Promise<void>;
}

function openSink<T>(place: Place<T>, options: IngestOptions, events: Partial<IngestEvents>): Sink<T> {
  checkPlace(place);
  const ledger = new IngestLedger();
  let finish: (error?: unknown) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    finish = (error) => (error === undefined ? resolve() : reject(error));
  });
  // Those who wait see the rejection; without them it is reported through `events.done`.
  ended.catch(() => {});
  checkOptions(options, SINK_OPTIONS);
  const { signal } = options;
  const abort = (): void => ingest.end();
  const ingest = new Ingest(place.open(), place.make, settle(options, 'block'), ledger, {
    receipt(receipt) {
      try {
        events.receipt?.(receipt);
      } catch (error) {
        // Thrown on, it would end the engine in the middle of its books.
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
  // A place that was full to begin with is done already.
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

/** Calls back when the signal aborts, until the sink is done. */
function whenAborted({ ended }: Sink<unknown>, signal: AbortSignal | undefined, abort: () => void): void {
  if (signal === undefined) return;
  signal.addEventListener('abort', abort, { once: true });
  const leave = (): void => signal.removeEventListener('abort', abort);
  ended.then(leave, leave);
}

/**
 * Takes a frame. One that is refused, also since the signal is aborted, is so when all that came before is written: a Web
 * stream whose `write` fails asks its sink for nothing more, and whoever hears of it may close the dict.
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
 * `finish` comes when everything is in the file and sealed. Destroying it writes what is queued, too.
 *
 * When `signal` aborts, what was received is written and sealed, and a Readable that is piped into it is ended, so that
 * its `pipeline` completes. Other sources (duplex streams, iterables) cannot be ended from here: theirs rejects with
 * the signal's reason, as with a `signal` of its own.
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
    // The queue is ours, and bounded in bytes; Node's own would only count objects.
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
    // Whoever pipes listens to the source afterwards only.
    if (signal?.aborted) process.nextTick(abort);
  });
  writable.on('unpipe', (source) => sources.delete(source));
  whenAborted(sink, signal, abort);
  return Object.assign(writable, { stats: () => sink.stats() });

  /** To `pipeline`, and to `pipe`, the source has ended: destroyed alone it would be one that closed too early. */
  function complete(source: Readable): void {
    source.unpipe(writable);
    source.emit('end');
    source.destroy();
  }
}

/**
 * A Web WritableStream: `write` settles when the frame is written or copied into the queue, `close` when everything is
 * in the file and sealed. Aborting it writes what is queued, too.
 *
 * When `signal` aborts, what was received is written and sealed; then the stream fails with the signal's reason. So
 * `pipeTo` cancels its source and rejects, as with a `signal` of its own: a sink cannot end a source that gives more.
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
        // The stream fails with the reason itself: what is told here is that frames were lost, too.
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
 * What an iterable gives, until the signal: also while the iterable is silent. What it gives after that, and how it ends,
 * concerns nobody any more.
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
      // Not Promise.race with one promise of the signal: it would keep a callback for every frame.
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
    // A generator that waits for its source ends after that wait.
    if (!over) Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);
}

/**
 * Writes what an iterable gives, and gives the receipts, each when its commit is done. The next frame is asked for when the
 * queue has room and the receipts so far are taken; leaving the loop ends the source, and writes what is queued. So does
 * `signal`, at once.
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
      // Not for the frame alone: what was collected is committed by its time, or fails, while the source is silent.
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        given.then(resolve, reject);
        // Of commits that were done while the receipts before were read.
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
    // A source that is silent ends after its wait.
    if (asked === undefined) await left;
    await ended.catch(() => {});
  }
  // Those of what was written after an error, too.
  yield* receipts.splice(0);
  await ended;
}
