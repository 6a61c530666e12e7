/**
 * Writes sensor streams into an mmdpickle file, and reads them back as streams.
 *
 * @module
 */

export { type FollowOptions, type FrameEntry, frames } from './frames.ts';
export type { Policy, QueueLimits } from './ingest/bounded-queue.ts';
export type { IngestOperator } from './ingest/operator.ts';
export type { IngestOptions } from './ingest/options.ts';
export { DROP_REASONS, type DropReason, type IngestStats } from './ingest/stats.ts';
export type { Placed, Receipt, Rows } from './ingest/target.ts';
export { framesPlace, type Into, type Place, planesPlace, rowsPlace } from './into.ts';
export { appendFrames, appendRows, appendTo, fillArray } from './operators.ts';
export { FilePattern, RollingFiles, type RollingOptions, rollingFiles } from './rolling.ts';
export { stopSignals } from './signals.ts';
export { type Counted, nodeSink, type SinkOptions, webSink, writeFrames } from './sinks.ts';
export { atLine } from './sources/at-line.ts';
export type { ByteChunks } from './sources/byte-chunks.ts';
export { type ByteStreamOptions, cutFrames, fromByteStream } from './sources/from-byte-stream.ts';
export { fromMqtt, type MqttClientLike, type MqttOptions } from './sources/from-mqtt.ts';
export { fromNdjson, type NdjsonOptions, readNdjson } from './sources/from-ndjson.ts';
export {
  type Column,
  checkRecord,
  type PlainRecord,
  parseSchema,
  type RecordSchema,
  type SchemaColumn,
} from './sources/schema.ts';
export { requestStop, STOP_KEY, stopRequested } from './stop.ts';
export { chunked } from './targets/chunked.ts';
export type { CompanionOptions } from './targets/companions.ts';
export type { FillOptions } from './targets/fill-target.ts';
export type { Frame } from './targets/frame.ts';
export type { FramesOptions } from './targets/frames-target.ts';
export { type ColumnSpec, growable, type RowArray, type RowLayout, type RowStore } from './targets/row-store.ts';
export type { RowsOptions } from './targets/rows-target.ts';
export { Series, type SeriesChunk, series } from './targets/series.ts';
export type { Change, ChangeBase } from './watch/change.ts';
export { DictWatch, type WatchOptions, watchDict } from './watch/dict-watch.ts';
export type { WatchCursor } from './watch/resume.ts';
