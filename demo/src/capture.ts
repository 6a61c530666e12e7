import type { MmapDict } from '@mmdpickle/core/node';
import { appendFrames, appendRows, type IngestStats, stopSignals } from '@mmdpickle/rx';
import {
  bufferCount,
  connect,
  filter,
  ignoreElements,
  lastValueFrom,
  map,
  merge,
  take,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import type { Sensor } from './sensors.ts';

/** How long and how fast to capture. */
export interface CaptureOptions {
  readonly seconds: number;
  /** Samples per second, a whole number. */
  readonly hz: number;
  readonly onSample?: (count: number) => void;
}

/**
 * Samples every sensor into its own growable array (`cpu`, `cpu/time`, `cpu/seq`, ...), and once a second stores
 * all samples of that second as one snapshot array. Ends after `seconds`, or at Ctrl-C; either way everything
 * sampled is in the file, and the arrays are sealed.
 */
export async function capture(
  dict: MmapDict,
  sensors: readonly Sensor[],
  { seconds, hz, onSample }: CaptureOptions,
): Promise<IngestStats[]> {
  const count = Math.round(seconds * hz);
  dict.batch(() => {
    dict.set('about', { program: 'mmdpickle demo', started: new Date(), hz });
    for (const { name, unit, columns } of sensors) dict.set(`${name}.about`, { unit, columns });
  });
  const rows = sensors.map(({ name, columns }) =>
    appendRows<Float64Array>(dict, name, { dtype: 'float64', rowShape: [columns.length], capacity: count }),
  );
  const width = sensors.reduce((sum, { columns }) => sum + columns.length, 0);
  const snapshots = appendFrames<Float64Array>(dict, { key: 'snapshot/', shape: [hz, width], meta: true });

  const samples$ = timer(0, 1000 / hz).pipe(
    take(count),
    takeUntil(stopSignals()),
    map(() => sensors.map((sensor) => sensor.read())),
    tap({ next: counter((sampled) => onSample?.(sampled)) }),
  );
  const written$ = samples$.pipe(
    connect((shared$) =>
      merge(
        ...rows.map((append, index) =>
          shared$.pipe(
            map((sample) => sample[index] ?? new Float64Array()),
            append,
          ),
        ),
        shared$.pipe(
          bufferCount(hz),
          // An incomplete last second is in the rows; snapshots are of whole seconds.
          filter((second) => second.length === hz),
          map((second) => Float64Array.from(second.flatMap((sample) => sample.flatMap((row) => [...row])))),
          snapshots,
        ),
      ),
    ),
    ignoreElements(),
  );
  await lastValueFrom(written$, { defaultValue: undefined });
  return [...rows, snapshots].map((append) => append.stats());
}

/** A function that calls back with the number of times it was called. */
function counter(tell: (count: number) => void): () => void {
  let count = 0;
  return () => tell((count += 1));
}
