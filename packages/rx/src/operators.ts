/**
 * The operators that write a stream into a dict.
 *
 * @module
 */

import type { ArraySource, MmapDict } from '@mmdpickle/core';
import { checkOptions } from '@mmdpickle/core/options';
import { type IngestOperator, ingestOperator } from './ingest/operator.ts';
import type { IngestOptions } from './ingest/options.ts';
import { type Into, type Place, placeOfFrames, placeOfPlanes, placeOfRows } from './into.ts';
import { checkPlace, FILL_OPTIONS, FRAMES_OPTIONS, INGEST_OPTIONS, ROWS_OPTIONS } from './options.ts';
import type { FillOptions } from './targets/fill-target.ts';
import type { Frame } from './targets/frame.ts';
import type { FramesOptions } from './targets/frames-target.ts';
import type { RowsOptions } from './targets/rows-target.ts';

/**
 * Writes each frame as an entry of its own, and emits a receipt when it is committed.
 *
 * A frame's bytes are borrowed only while it is emitted: a frame that must wait for the file is copied.
 *
 * Errors: LIMIT_EXCEEDED (queue full under policy `error`), ALREADY_EXISTS, NO_SPACE, LOCKED (after all retries),
 * UNSUPPORTED_VALUE, KEY_TOO_LONG. The frames before one that cannot be written are in the file; those still queued at
 * LOCKED are not.
 *
 * @example
 * ```ts
 * import { map, range } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { appendFrames } from '@mmdpickle/rx';
 *
 * const dict = MmapDict.open('frames.mmdpickle');
 * const camera$ = range(0, 5).pipe(map((i) => new Uint16Array(64).fill(i)));
 * const append = appendFrames(dict, { key: (_frame, i) => `frame/${i}`, shape: [8, 8], queue: { bytes: 64e6 } });
 * camera$.pipe(append).subscribe({
 *   next: (receipt) => receipt.key, // 'frame/0', ...
 *   complete: () => dict.close(),
 * });
 * append.stats().written; // 5
 * ```
 */
export function appendFrames<T = Frame>(into: Into, options: FramesOptions<T> & IngestOptions = {}): IngestOperator<T> {
  checkOptions(options, { ...FRAMES_OPTIONS, ...INGEST_OPTIONS });
  const { open, make } = placeOfFrames(into, options);
  return ingestOperator(open, make, options);
}

/**
 * Appends each frame as a row of a growable array, with companions `<key>/time` and `<key>/seq` in the same commit.
 * When the stream ends, the arrays are sealed; a later stream continues where this one ended.
 *
 * Errors: those of {@link appendFrames}, INVALID_ARGUMENT for rows of another shape, and NOT_FOUND if a chunk is missing
 * but later ones exist.
 *
 * @example
 * ```ts
 * import { range, map } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { appendRows } from '@mmdpickle/rx';
 *
 * const dict = MmapDict.open('rows.mmdpickle');
 * range(0, 100)
 *   .pipe(
 *     map((i) => ({ celsius: 20 + i / 10, ok: true })),
 *     appendRows(dict, 'oven', { schema: { celsius: 'float32', ok: 'bool' } }),
 *   )
 *   .subscribe({ complete: () => dict.close() });
 * ```
 */
export function appendRows<T = unknown>(
  into: Into,
  key: string,
  options: RowsOptions<T> & IngestOptions,
): IngestOperator<T> {
  checkOptions(options, { ...ROWS_OPTIONS, ...INGEST_OPTIONS });
  const { open, make } = placeOfRows(into, key, options);
  return ingestOperator(open, make, options);
}

/**
 * Writes frame `i` into plane `i` of an array that is allocated once, with companions `<key>/time` and `<key>/seq`
 * that have a row for each plane written. Planes of dropped frames stay as the stub made them.
 *
 * @param stub - the array, such as an EmptyNDArray; may be omitted if `key` already exists
 *
 * @example
 * ```ts
 * import { map, range } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { fillArray } from '@mmdpickle/rx';
 * import { EmptyNDArray } from '@mmdpickle/stubs';
 *
 * const dict = MmapDict.open('cube.mmdpickle');
 * range(0, 10)
 *   .pipe(
 *     map((i) => new Float32Array(16).fill(i)),
 *     fillArray(dict, 'cube', new EmptyNDArray([10, 4, 4], 'float32'), { mode: 'stop' }),
 *   )
 *   .subscribe({ complete: () => dict.close() });
 * ```
 */
export function fillArray<T = Frame>(
  dict: MmapDict,
  key: string,
  stub?: ArraySource,
  options: FillOptions<T> & IngestOptions = {},
): IngestOperator<T> {
  checkOptions(options, { ...FILL_OPTIONS, ...INGEST_OPTIONS });
  const { open, make } = placeOfPlanes(dict, key, stub, options);
  return ingestOperator(open, make, options);
}

/**
 * Writes to any place: does what {@link appendFrames}, {@link appendRows} and {@link fillArray} do, for programs that
 * choose the place at run time.
 *
 * @example
 * ```ts
 * import { range } from 'rxjs';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { appendTo, rowsPlace } from '@mmdpickle/rx';
 *
 * const dict = MmapDict.open('placed.mmdpickle');
 * range(0, 10).pipe(appendTo(rowsPlace(dict, 'i', { dtype: 'int32' }))).subscribe({ complete: () => dict.close() });
 * ```
 */
export function appendTo<T>(place: Place<T>, options: IngestOptions = {}): IngestOperator<T> {
  checkPlace(place);
  checkOptions(options, INGEST_OPTIONS);
  const { open, make } = place;
  return ingestOperator(open, make, options);
}
