import { MmapDict } from '@mmdpickle/core/node';
import {
  appendFrames,
  appendRows,
  appendTo,
  chunked,
  cutFrames,
  fillArray,
  frames,
  framesPlace,
  fromMqtt,
  nodeSink,
  parseSchema,
  planesPlace,
  readNdjson,
  requestStop,
  rollingFiles,
  rowsPlace,
  series,
  stopRequested,
  stopSignals,
  watchDict,
  webSink,
  writeFrames,
} from '@mmdpickle/rx';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import { firstValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';

/** Options that can only be a mistake, by the calls that take them. The message contains the name. */
const INGEST: readonly (readonly [string, unknown])[] = [
  ['queue', { queue: 5 }],
  ['queue.frames', { queue: { frames: 0 } }],
  ['queue.frame', { queue: { frame: 5 } }],
  ['batch', { batch: 5 }],
  ['batch', { batch: null }],
  ['batch.ms', { batch: { ms: '50' } }],
  ['retry', { retry: 5 }],
  ['retry.count', { retry: { count: 1.5 } }],
  ['policy', { policy: 'drop' }],
  ['durabilty', { durabilty: 'commit' }],
  ['signal', { signal: 5 }],
  ['scheduler', { scheduler: 5 }],
  ['scheduler', { scheduler: {} }],
  ['lockTimeout', { lockTimeout: Number.NaN }],
];
const FRAMES: typeof INGEST = [
  ['shape', { shape: 5 }],
  ['shape', { shape: [3, -1] }],
  ['key', { key: 5 }],
  ['meta', { meta: 5 }],
  ['rowShape', { rowShape: [1] }],
];
const ROWS: typeof INGEST = [
  ['rowShape', { dtype: 'int8', rowShape: 'x' }],
  ['records', { dtype: 'int8', records: 'rows' }],
  ['layout', { dtype: 'int8', layout: 'chunked' }],
];
const FILL: typeof INGEST = [
  ['mode', { mode: 'x' }],
  ['time', { time: 5 }],
];
const LOOKS: typeof INGEST = [
  ['pollMs', { pollMs: 0 }],
  ['events', { events: 'no' }],
  ['scheduler', { scheduler: 5 }],
];

const CALLS: Record<string, [typeof INGEST, (dict: MmapDict, options: never) => unknown]> = {
  appendFrames: [[...FRAMES, ...INGEST], (dict, options) => appendFrames(dict, options)],
  appendRows: [[...ROWS, ...INGEST], (dict, options) => appendRows(dict, 'k', options)],
  fillArray: [[...FILL, ...INGEST], (dict, options) => fillArray(dict, 'k', new EmptyNDArray([2], 'int8'), options)],
  appendTo: [INGEST, (dict, options) => appendTo(framesPlace(dict), options)],
  framesPlace: [FRAMES, (dict, options) => framesPlace(dict, options)],
  rowsPlace: [ROWS, (dict, options) => rowsPlace(dict, 'k', options)],
  planesPlace: [FILL, (dict, options) => planesPlace(dict, 'k', undefined, options)],
  nodeSink: [
    [...INGEST, ['options', null], ['receipts', { receipts: 5 }]],
    (dict, options) => nodeSink(framesPlace(dict), options),
  ],
  webSink: [[...INGEST, ['options', null]], (dict, options) => webSink(framesPlace(dict), options)],
  writeFrames: [INGEST, (dict, options) => writeFrames([new Uint8Array(1)], framesPlace(dict), options).next()],
  rollingFiles: [
    [
      ['keep', { keep: 0 }],
      ['keep', { keep: 2.5 }],
      ['frame', { frame: 5 }],
      ['open', { open: 5 }],
    ],
    (dict, options) => rollingFiles(`${dict.name}-{n}`, options),
  ],
  watchDict: [
    [
      ...LOOKS,
      ['from', { from: 'now2' }],
      ['from', { from: {} }],
      ['from', { from: Number.NaN }],
      ['from', { from: 0.5 }],
      ['from', { from: Infinity }],
    ],
    (dict, options) => watchDict(dict, options),
  ],
  frames: [[...LOOKS, ['prefix', { prefix: 5 }], ['from', { from: 'now' }]], (dict, options) => frames(dict, options)],
  chunked: [
    [
      ['rows', {}],
      ['rows', { rows: 0.5 }],
      ['rows', { rows: Infinity }],
      ['row', { rows: 5, row: 5 }],
    ],
    (_dict, options) => chunked(options),
  ],
  cutFrames: [
    [
      ['shape', { dtype: 'int8' }],
      ['shape', { dtype: 'int8', shape: 2 }],
      ['order', { dtype: 'int8', shape: [1], order: 'A' }],
    ],
    (_dict, options) => cutFrames([Uint8Array.of(1)], options).next(),
  ],
  readNdjson: [
    [
      ['maxLineBytes', { maxLineBytes: Number.NaN }],
      ['onInvald', { onInvald() {} }],
    ],
    (_dict, options) => readNdjson([], options).next(),
  ],
  fromMqtt: [
    [
      ['qos', { qos: 3 }],
      ['decode', { decode: 'json' }],
    ],
    (_dict, options) => fromMqtt('mqtt://127.0.0.1:1', 'x', options),
  ],
  stopRequested: [LOOKS, (dict, options) => firstValueFrom(stopRequested(dict, options))],
};

const MISTAKES = Object.entries(CALLS).flatMap(([call, [wrong, run]]) =>
  [...wrong, ['options', 5] as const].map(([name, options]) => ({ call, name, options, run })),
);

describe('a mistake in options', () => {
  test.each(MISTAKES)('$call refuses $options and names $name as the mistake', async ({ name, options, run }) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const refused = expect.objectContaining({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(name) as string,
    });
    await expect((async () => await run(dict, options as never))()).rejects.toEqual(refused);
    expect(dict.size).toBe(0);
  });

  test.each([undefined, null, 5, {}])('a place to write to, or to watch, cannot be %s', (what) => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(() => appendFrames(what as never)).toThrow(refused);
    expect(() => framesPlace('path.mmd' as never)).toThrow(refused);
    expect(() => appendRows(what as never, 'k', { dtype: 'int8' })).toThrow(refused);
    expect(() => fillArray(what as never, 'k')).toThrow(refused);
    expect(() => watchDict(what as never)).toThrow(refused);
    expect(() => rollingFiles(what as never, {})).toThrow(refused);
    expect(() => fromMqtt(what as never, 'x')).toThrow(refused);
    expect(() => fromMqtt('mqtt://127.0.0.1:1', what as never)).toThrow(refused);
    expect(() => fromMqtt('mqtt://127.0.0.1:1', ['x', ''])).toThrow(refused);
  });

  test.each([undefined, null, 5, 'path', {}, 'a dict'])(
    'a value that is not a place, dict, source, schema or signals is refused: %s',
    async (what) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      const wrong = (what === 'a dict' ? dict : what) as never;
      const wrongDict = (what === 'a dict' ? dir : what) as never;
      const calls: (() => unknown)[] = [
        () => readNdjson((what === 'a dict' ? {} : what) as never).next(),
        () => appendTo(wrong),
        () => nodeSink(wrong),
        () => webSink(wrong),
        () => writeFrames([], wrong).next(),
        () => requestStop(wrongDict),
        () => series(wrongDict, 'k'),
        () => series(dict, 5 as never),
        () => firstValueFrom(frames(wrongDict)),
        () => firstValueFrom(stopRequested(wrongDict)),
        () => parseSchema({ x: { dtype: 'int8', shape: wrong } }),
        // Without an argument there are default signals.
        () => stopSignals((wrong ?? null) as never),
        () => stopSignals([wrong]),
      ];
      // A dict has entries to iterate over.
      if (what !== 'a dict') {
        calls.push(
          () => parseSchema(wrong),
          () => writeFrames(wrong, framesPlace(dict)).next(),
        );
      }
      for (const call of calls)
        await expect((async () => await call())(), String(call)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );

  test('an undefined option is treated as absent', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const sink = nodeSink(framesPlace(dict), {
      queue: undefined,
      batch: { ms: undefined },
      signal: undefined,
    } as never);
    await new Promise((resolve) => sink.end(new Uint8Array(1), () => resolve(undefined)));
    expect(dict.size).toBe(1);
  });

  test('a policy for sinks that can wait is refused with the names of those sinks', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    expect(() => appendFrames(dict, { policy: 'block' })).toThrow(/nodeSink, webSink or writeFrames/);
  });
});

test.each([
  ['a function', watchDict],
  ['a long text', '{'.repeat(1000)],
])('what is refused is described in a few words: %s', (_what, found) => {
  expect(() => rowsPlace(found as never, 'k', { dtype: 'int8' })).toThrow(/^[^\n]{20,200}$/);
});
