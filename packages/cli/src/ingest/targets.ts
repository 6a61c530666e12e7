/** The table of targets: where frames are stored in the file. @module */

import type { MmapDict } from '@mmdpickle/core/node';
import { chunked, framesPlace, type Into, type Place, planesPlace, type RowsOptions, rowsPlace } from '@mmdpickle/rx';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { usageError } from '../errors.ts';
import type { FrameForm, IngestFrame } from './format.ts';

/** The settings of a target. */
export interface TargetSettings {
  readonly key: string;
  readonly form: FrameForm;
  /** Whether the frames go to a series of files. */
  readonly rolling: boolean;
  /** chunks: rows of each array. */
  readonly rows: number;
  /** ring, fill: planes of the array. */
  readonly planes: number;
}

interface TargetRow {
  readonly doc: string;
  /** The default key. */
  readonly key: string;
  /** Checks the settings, and returns a function that makes the place in a dict, which need not exist or be open before that. */
  placeIn(settings: TargetSettings): (into: Into) => Place<IngestFrame>;
}

/** The rows of `--into`. */
export const TARGETS: Readonly<Record<string, TargetRow>> = {
  frames: {
    doc: 'one entry per frame, with KEY as their prefix',
    key: 'frame/',
    placeIn:
      ({ key }) =>
      (into) =>
        framesPlace<IngestFrame>(into, { key }),
  },
  rows: {
    doc: 'rows of a growable array',
    key: 'data',
    placeIn: (settings) => rows(settings),
  },
  chunks: {
    doc: 'arrays of --rows rows each',
    key: 'data',
    placeIn: (settings) => rows(settings, { layout: chunked({ rows: settings.rows }) }),
  },
  ring: {
    doc: 'an array of --planes planes, overwriting the oldest',
    key: 'data',
    placeIn: (settings) => planes(settings, 'ring'),
  },
  fill: {
    doc: 'an array of --planes planes, ending when it is full',
    key: 'data',
    placeIn: (settings) => planes(settings, 'stop'),
  },
};

function rows(
  settings: TargetSettings,
  more: Partial<RowsOptions<IngestFrame>> = {},
): (into: Into) => Place<IngestFrame> {
  const options = { ...rowsOptions(settings), ...more };
  return (into) => rowsPlace(into, settings.key, options);
}

function rowsOptions({ form }: TargetSettings): RowsOptions<IngestFrame> {
  if (form.format === 'raw') return { dtype: form.dtype, rowShape: form.shape };
  if (form.schema === undefined) throw usageError('--into rows: records need --schema name:dtype,...');
  return { schema: form.schema };
}

function planes(
  { key, form, rolling, planes: count }: TargetSettings,
  mode: 'ring' | 'stop',
): (into: Into) => Place<IngestFrame> {
  if (rolling)
    throw usageError('--rollover works with frames, rows and chunks only: ring and fill have a fixed number of planes');
  if (form.format !== 'raw') throw usageError(`--into ring and fill take raw frames, not ${form.format}`);
  const stub = new EmptyNDArray([count, ...form.shape], form.dtype);
  return (into) => planesPlace<IngestFrame>(into as MmapDict, key, stub, { mode }) as Place<IngestFrame>;
}
