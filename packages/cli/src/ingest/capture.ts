/** Runs one ingest, from the source to the place, within its limits. @module */

import { pipeline } from 'node:stream/promises';
import { isMmdError, MmdError } from '@mmdpickle/core';
import {
  appendTo,
  type IngestOptions,
  type IngestStats,
  nodeSink,
  type Place,
  type Policy,
  type Receipt,
} from '@mmdpickle/rx';
import {
  from,
  fromEvent,
  ignoreElements,
  lastValueFrom,
  mergeMap,
  type Observable,
  Subject,
  take,
  takeUntil,
} from 'rxjs';
import { type FrameForm, framesIn, framesOf, type IngestFrame } from './format.ts';
import type { ByteInput } from './source.ts';

/** When an ingest ends, and what it does under backpressure. */
export interface CaptureOptions {
  readonly maxFrames: number | undefined;
  readonly durationMs: number | undefined;
  /** Default: block if the source can wait, else drop-oldest. */
  readonly policy: Policy | undefined;
  /** What to do with a message or line that is not a valid frame. Default: stop if the source can wait, else skip. */
  readonly invalid: 'stop' | 'skip' | undefined;
  readonly ingest: IngestOptions;
  /** Stops the capture; frames that have arrived by then are drained. */
  readonly signal: AbortSignal;
}

/** The counters of an ingest, now or at its end. */
export interface CaptureStats extends IngestStats {
  /** Messages or lines that were not valid frames, and skipped. */
  readonly invalid: number;
}

/**
 * Runs the stream to its end, to a limit, or to the signal; drains and seals in every case.
 *
 * @param watched - called with a reader of the counters when the stream begins; disposed at its end
 */
export async function capture(
  input: ByteInput,
  place: Place<IngestFrame>,
  form: FrameForm,
  options: CaptureOptions,
  watched: (stats: () => CaptureStats) => Disposable,
): Promise<CaptureStats> {
  const { maxFrames, durationMs, signal } = options;
  const policy = options.policy ?? (input.waits ? 'block' : 'drop-oldest');
  const ingest: IngestOptions = { ...options.ingest, policy };
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  const timeout = durationMs === undefined ? undefined : setTimeout(end, durationMs);
  let invalid = 0;
  const skips = (options.invalid ?? (input.waits ? 'stop' : 'skip')) === 'skip';
  const onInvalid = skips ? () => void (invalid += 1) : undefined;
  try {
    if (policy === 'block' && input.waits) {
      const receipts = new Subject<Receipt>();
      const drained = lastValueFrom(receipts.pipe(ignoreElements()), { defaultValue: undefined });
      drained.catch(() => {});
      const sink = nodeSink(place, { ...ingest, receipts });
      const stats = (): CaptureStats => ({ ...sink.stats(), invalid });
      using _watch = watched(stats);
      try {
        await pipeline(limited(framesOf(input.stream, form, onInvalid), maxFrames, stop.signal), sink);
      } catch (error) {
        // A place that is full closes the sink: the capture is done, and everything that was taken is written.
        // A pipeline whose source failed does not wait for the sink, nor report earlier frames that could not be written.
        await drained;
        if (!isMmdError(error, 'CLOSED')) throw error;
      }
      return stats();
    }
    const frames$: Observable<IngestFrame> = input.waits
      ? from(framesOf(input.stream, form, onInvalid))
      : input.messages$.pipe(mergeMap((message) => tolerant(() => framesIn(message, form), onInvalid)));
    const operator = appendTo(place, ingest);
    const stats = (): CaptureStats => ({ ...operator.stats(), invalid });
    using _watch = watched(stats);
    const run$ = frames$.pipe(
      take(maxFrames ?? Number.POSITIVE_INFINITY),
      takeUntil(fromEvent(stop.signal, 'abort')),
      operator,
      ignoreElements(),
    );
    await lastValueFrom(run$, { defaultValue: undefined });
    return stats();
  } finally {
    clearTimeout(timeout);
    signal.removeEventListener('abort', end);
  }
}

/** The frames in a message; none if it is invalid and may be skipped. */
function tolerant(read: () => IngestFrame[], onInvalid: (() => void) | undefined): IngestFrame[] {
  try {
    return read();
  } catch (error) {
    if (onInvalid === undefined || !(error instanceof MmdError)) throw error;
    onInvalid();
    return [];
  }
}

/** At most `max` frames, or those until the signal, even while the source is silent. */
async function* limited<T>(
  source: AsyncIterable<T>,
  max: number = Number.POSITIVE_INFINITY,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let leave = (): void => undefined;
  signal.addEventListener('abort', () => leave(), { once: true });
  for (let count = 0; count < max && !signal.aborted; count += 1) {
    // Not Promise.race with one promise for the signal, which would keep a callback for every frame.
    const next = await new Promise<IteratorResult<T, unknown>>((resolve, reject) => {
      leave = () => resolve({ done: true, value: undefined });
      iterator.next().then(resolve, reject);
    });
    if (next.done === true) return;
    yield next.value;
  }
}
