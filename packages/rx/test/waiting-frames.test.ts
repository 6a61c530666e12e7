import { NDArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { OrderedDict, Tuple } from '@mmdpickle/core/pickle';
import { appendFrames, appendRows, type Frame, type IngestOperator } from '@mmdpickle/rx';
import { TempDir } from '@mmdpickle/test-support';
import { Subject } from 'rxjs';
import { describe, expect, test } from 'vitest';

/** Frames collected for one commit. */
const TOGETHER = { batch: { frames: 100, ms: 60_000 } };

async function give<T>(append: IngestOperator<T>, items: Iterable<T>): Promise<void> {
  const item$ = new Subject<T>();
  item$.pipe(append).subscribe({ error() {} });
  for (const item of items) item$.next(item);
  item$.complete();
  await append.idle();
}

/** One frame again and again, with different bytes each time, like a camera's. */
function* reused<T>(frame: T, bytes: Uint8Array): Generator<T> {
  for (const value of [1, 2, 3]) {
    bytes.fill(value);
    yield frame;
  }
}

class Sample {
  readonly axis: Uint8Array;
  constructor(axis: Uint8Array) {
    this.axis = axis;
  }
}

describe('a waiting frame has its own copy of the bytes', () => {
  const bytes = new Uint8Array(2);
  const buffer = Buffer.alloc(2);
  const shared = new Uint8Array(new SharedArrayBuffer(2));
  const bare = Object.assign(Object.create(null) as Record<string, unknown>, { axis: bytes });
  const withSelf: { axis: unknown; self?: unknown } = { axis: bytes };
  withSelf.self = withSelf;

  test.each<[string, Frame, Uint8Array]>([
    ['a Buffer', buffer, buffer],
    ['a typed array over shared memory', shared, shared],
    ['a record', { axis: bytes }, bytes],
    ['a record without a prototype', bare, bytes],
    ['a record in a record', { axis: { axis: bytes } }, bytes],
    ['a list', { axis: [bytes] }, bytes],
    ['a tuple', { axis: Tuple.of(bytes) }, bytes],
    ['an ordered dict', { axis: new OrderedDict([['axis', bytes]]) }, bytes],
    ['a record that contains itself', withSelf as Frame, bytes],
  ])('%s', async (_what, frame, memory) => {
    using dir = new TempDir();
    using waited = MmapDict.open(dir.file('waited.mmdpickle'));
    using direct = MmapDict.open(dir.file('direct.mmdpickle'));
    await give(appendFrames(waited, TOGETHER), reused(frame, memory));
    await give(appendFrames(direct), reused(frame, memory));
    for (const key of direct.keys()) expect(plain(waited.get(key))).toStrictEqual(plain(direct.get(key)));
    expect([...waited.keys()]).toEqual([...direct.keys()]);
  });

  test('an object of a user class, in rows of a schema', async () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const schema = { axis: { dtype: 'uint8', shape: [2] } };
    await give(appendRows<Sample>(dict, 'x', { schema, ...TOGETHER }), reused(new Sample(bytes), bytes));
    expect((dict.get('x') as NDArray).toNested()).toEqual([1, 2, 3].map((value) => ({ axis: [value, value] })));
  });
});

function plain(value: unknown): unknown {
  return value instanceof NDArray ? value.toNested() : value;
}

test.each([
  ['a frame whose buffer was transferred', transferred(), 'INVALID_ARGUMENT'],
  ['a frame whose buffer was truncated', cut(), 'INVALID_ARGUMENT'],
  ['a record with a transferred buffer', { axis: transferred() }, 'INVALID_ARGUMENT'],
  ['a record with a truncated buffer', { axis: cut() }, 'INVALID_ARGUMENT'],
])('%s ends a stream, whether it collects frames or not, and is counted', async (_what, frame, code) => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const appends = { together: appendFrames(dict, { key: 'a', ...TOGETHER }), direct: appendFrames(dict, { key: 'b' }) };
  for (const append of Object.values(appends)) {
    await expect(give(append, [Uint8Array.of(1), frame, Uint8Array.of(3)])).rejects.toMatchObject({ code });
    expect(append.stats()).toMatchObject({ received: 2, written: 1, droppedTotal: 1, queued: 0 });
  }
  expect([...dict.keys()]).toEqual(['a000000000', 'b000000000']);
});

test.each([transferred(), cut()])(
  'a frame whose buffer was transferred or truncated is not an element of bytes',
  async (gone) => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    const append = appendRows(dict, 'r', { dtype: 'S3' });
    await expect(give(append, [gone])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  },
);

function transferred(): Uint8Array {
  const gone = new Uint8Array(2);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  return gone;
}

function cut(): Uint8Array {
  // Not yet in the types of the library's target.
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: object,
  ) => ArrayBuffer & { resize(to: number): void };
  const room = new Resizable(4, { maxByteLength: 4 });
  const gone = new Uint8Array(room, 2);
  room.resize(1);
  return gone;
}

test('everything in a record counts towards its bytes, however deep', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  let deep: unknown[] = [];
  for (let i = 0; i < 100_000; i += 1) deep = [deep];
  const append = appendFrames<Frame>(dict, TOGETHER);
  const image = new Float64Array(1000);
  await give(append, [{ meta: { image, name: 'x', more: new Map([['n', 1]]) }, again: [image] }, { deep }]);
  const names = 'metaimagenamemorenagaindeep'.length;
  expect(append.stats()).toMatchObject({ written: 2, bytes: 8000 + 1 + 8 + 8000 + 8 + names });
  const others = appendFrames<Frame>(dict, TOGETHER);
  await give(others, [{ s: new Set(['x'.repeat(1000)]), i: 1n << 8000n, ['k'.repeat(1000)]: -1n, n: -(2n ** 63n) }]);
  const { bytes } = others.stats();
  expect(bytes).toBeCloseTo(1000 + 1000 + 1000 + 8 + 8 + 3, -1);
});

test('typed arrays of two classes with one name keep their types', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const classes = [class Volts extends Float32Array {}, class Volts extends Uint16Array {}];
  await give(
    appendFrames(dict),
    classes.map((made) => made.of(1)),
  );
  expect([...dict.keys()].map((key) => dict.getMeta(key)?.dtype)).toEqual(['float32', 'uint16']);
});
