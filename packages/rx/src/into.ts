/**
 * The three places that frames can be written to, for the operators and the sinks alike.
 *
 * @module
 */

import type { ArraySource, MmapDict } from '@mmdpickle/core';
import { checkOptions, has, wrongArgument } from '@mmdpickle/core/options';
import { fixedHome } from './ingest/home.ts';
import type { MakeTarget } from './ingest/ingest.ts';
import type { OpenHome } from './ingest/operator.ts';
import { FILL_OPTIONS, FRAMES_OPTIONS, ROWS_OPTIONS } from './options.ts';
import { RollingFiles } from './rolling.ts';
import { type FillOptions, fillTarget } from './targets/fill-target.ts';
import type { Frame } from './targets/frame.ts';
import { type FramesOptions, framesTarget } from './targets/frames-target.ts';
import { type RowsOptions, rowsTarget } from './targets/rows-target.ts';

/** A dict, which stays open, or a row of files. */
export type Into = MmapDict | RollingFiles;

/** A place for frames, which {@link nodeSink}, {@link webSink} and {@link writeFrames} write to. */
export interface Place<T> {
  readonly open: OpenHome;
  readonly make: MakeTarget<T>;
}

/** A place with one entry per frame, as with {@link appendFrames}. */
export function framesPlace<T = Frame>(into: Into, options: FramesOptions<T> = {}): Place<T> {
  checkOptions(options, FRAMES_OPTIONS);
  return placeOfFrames(into, options);
}

/** As {@link framesPlace}, with options already checked. */
export function placeOfFrames<T>(into: Into, options: FramesOptions<T>): Place<T> {
  return { open: opener(into), make: (dict) => framesTarget(dict, options) };
}

/** A place with one row per frame, as with {@link appendRows}. */
export function rowsPlace<T = unknown>(into: Into, key: string, options: RowsOptions<T>): Place<T> {
  checkOptions(options, ROWS_OPTIONS);
  return placeOfRows(into, key, options);
}

/** As {@link rowsPlace}, with options already checked. */
export function placeOfRows<T>(into: Into, key: string, options: RowsOptions<T>): Place<T> {
  const rolls = into instanceof RollingFiles;
  return { open: opener(into), make: (dict, seq) => rowsTarget(dict, key, options, rolls ? seq : 0) };
}

/** A place with one plane per frame, as with {@link fillArray}. */
export function planesPlace<T = Frame>(
  dict: MmapDict,
  key: string,
  stub?: ArraySource,
  options: FillOptions<T> = {},
): Place<T> {
  checkOptions(options, FILL_OPTIONS);
  return placeOfPlanes(dict, key, stub, options);
}

/** As {@link planesPlace}, with options already checked. */
export function placeOfPlanes<T>(
  dict: MmapDict,
  key: string,
  stub: ArraySource | undefined,
  options: FillOptions<T>,
): Place<T> {
  return { open: opener(dict), make: (home) => fillTarget(home, key, stub, options) };
}

function opener(into: Into): OpenHome {
  if (into instanceof RollingFiles) return () => into.openHome();
  // Not `instanceof`: the dict may come from another copy of the package.
  if (!has(into, 'batch', 'function')) throw wrongArgument('the target', 'an open dict or rollingFiles', into);
  return () => fixedHome(into);
}
