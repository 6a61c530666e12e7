/**
 * Sinks with backpressure over the same engine: a Node Writable, a Web WritableStream, and an async generator.
 *
 * @module
 */

import { Writable } from 'node:stream';
import type { Observer } from 'rxjs';
import { Ingest, type IngestEvents, IngestLedger } from './ingest/ingest.ts';
import { type IngestOptions, settle } from './ingest/options.ts';
import type { IngestStats } from './ingest/stats.ts';
import type { Receipt } from './ingest/target.ts';
import type { Place } from './into.ts';

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
  const ledger = new IngestLedger();
  let finish: (error?: unknown) => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    finish = (error) => (error === undefined ? resolve() : reject(error));
  });
  // Those who wait see the rejection; without them it is reported through `events.done`.
  ended.catch(() => {});
  const ingest = new Ingest(place.open(), place.make, settle(options, 'block'), ledger, {
    receipt: (receipt) => events.receipt?.(receipt),
    stop: () => events.stop?.(),
    done(error) {
      events.done?.(error);
      finish(error);
    },
  });
  options.signal?.addEventListener('abort', () => ingest.end(), { once: true });
  if (options.signal?.aborted) ingest.end();
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

/**
 * A Node Writable in object mode: `write` calls back when the frame is written or copied into the queue, and
 * `finish` comes when everything is in the file and sealed. Destroying it writes what is queued, too.
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
  const sink = openSink(place, options, eventsFor(options));
  const writable = new Writable({
    objectMode: true,
    // The queue is ours, and bounded in bytes; Node's own would only count objects.
    highWaterMark: 1,
    write(frame: T, _encoding, done) {
      sink.ingest.offer(frame).then(() => done(), done);
    },
    final(done) {
      sink.ingest.end();
      sink.ended.then(() => done(), done);
    },
    destroy(error, done) {
      sink.ingest.end();
      sink.ended.then(
        () => done(error),
        (reason: Error) => done(error ?? reason),
      );
    },
  });
  return Object.assign(writable, { stats: () => sink.stats() });
}

/**
 * A Web WritableStream: `write` settles when the frame is written or copied into the queue, `close` when everything is
 * in the file and sealed. Aborting it writes what is queued, too.
 */
export function webSink<T>(place: Place<T>, options: SinkOptions = {}): WritableStream<T> & Counted {
  const sink = openSink(place, options, eventsFor(options));
  const close = (): Promise<void> => {
    sink.ingest.end();
    return sink.ended;
  };
  const stream = new WritableStream<T>(
    { write: (frame) => sink.ingest.offer(frame), close, abort: close },
    { highWaterMark: 1 },
  );
  return Object.assign(stream, { stats: () => sink.stats() });
}

/**
 * Writes what an iterable gives, and gives the receipts. The next frame is asked for when the queue has room and the
 * receipts so far are taken; leaving the loop ends the source, and writes what is queued.
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
  const receipts: Receipt[] = [];
  const { ingest, ended } = openSink(place, options, { receipt: (receipt) => receipts.push(receipt) });
  try {
    if (ingest.open) {
      for await (const frame of source) {
        await ingest.offer(frame);
        yield* receipts.splice(0);
        if (!ingest.open) break;
      }
    }
  } finally {
    ingest.end();
    // An error of the engine is thrown below or by `offer`; one of the source goes on its way.
    await ended.catch(() => {});
  }
  await ended;
  yield* receipts.splice(0);
}
