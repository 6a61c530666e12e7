/** Where frames go in the file: a table. @module */

import { MmapDict } from '@mmdpickle/core/node';
import { chunked, framesPlace, type Into, type Place, planesPlace, type RowsOptions, rowsPlace } from '@mmdpickle/rx';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { usageError } from '../errors.ts';
import type { FrameForm, IngestFrame } from './format.ts';

/** What a target is told. */
export interface TargetSettings {
  readonly key: string;
  readonly form: FrameForm;
  /** chunks: rows of each array. */
  readonly rows: number;
  /** ring, fill: planes of the array. */
  readonly planes: number;
}

interface TargetRow {
  readonly doc: string;
  /** The key when none is given. */
  readonly key: string;
  place(into: Into, settings: TargetSettings): Place<IngestFrame>;
}

/** The rows of `--into`. */
export const TARGETS: Readonly<Record<string, TargetRow>> = {
  frames: {
    doc: 'an entry for each frame, KEY is their prefix',
    key: 'frame/',
    place: (into, { key }) => framesPlace<IngestFrame>(into, { key }),
  },
  rows: {
    doc: 'rows of a growable array',
    key: 'data',
    place: (into, settings) => rowsPlace(into, settings.key, rowsOptions(settings)),
  },
  chunks: {
    doc: 'arrays of --rows rows each',
    key: 'data',
    place: (into, settings) =>
      rowsPlace(into, settings.key, { ...rowsOptions(settings), layout: chunked({ rows: settings.rows }) }),
  },
  ring: {
    doc: 'an array of --planes planes, the oldest is written over',
    key: 'data',
    place: (into, settings) => planes(into, settings, 'ring'),
  },
  fill: {
    doc: 'an array of --planes planes, ends when it is full',
    key: 'data',
    place: (into, settings) => planes(into, settings, 'stop'),
  },
};

function rowsOptions({ form }: TargetSettings): RowsOptions<IngestFrame> {
  if (form.format === 'raw') return { dtype: form.dtype, rowShape: form.shape };
  if (form.schema === undefined) throw usageError('--into rows: records need --schema name:dtype,...');
  return { schema: form.schema };
}

function planes(into: Into, settings: TargetSettings, mode: 'ring' | 'stop'): Place<IngestFrame> {
  const { key, form } = settings;
  if (!(into instanceof MmapDict))
    throw usageError('--rollover goes with frames, rows and chunks: planes have a number of their own');
  if (form.format !== 'raw') throw usageError(`--into ring and fill take raw frames, not ${form.format}`);
  const stub = new EmptyNDArray([settings.planes, ...form.shape], form.dtype);
  return planesPlace<IngestFrame>(into, key, stub, { mode }) as Place<IngestFrame>;
}
