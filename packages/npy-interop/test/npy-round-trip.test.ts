import { NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { npyBytes, npyPieces, readNpy, writeNpy } from '@mmdpickle/npy-interop';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { arrayOf, arrays, describeArray, PYTHON_ARRAYS, toWire } from './arrays.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

const RUNS = 200;

describe('npy files', () => {
  test('an array survives a round trip with type, shape, order and bytes', () => {
    fc.assert(
      fc.property(arrays(), (array) => {
        const back = readNpy(npyBytes(array));
        expect(describeArray(back)).toEqual(describeArray(array));
      }),
      { numRuns: LONG ? 3000 : 150 },
    );
  });

  test('reading bytes borrows them: a store is visible on both sides', () => {
    const bytes = npyBytes(new Uint8Array([1, 2, 3]));
    readNpy(bytes).set(0, 9);
    expect(bytes[128]).toBe(9);
  });

  test('bytes at any offset in a buffer are read', () => {
    const file = npyBytes(new Float64Array([1.5, 2.5]));
    const shifted = new Uint8Array(file.length + 3);
    shifted.set(file, 3);
    expect(readNpy(shifted.subarray(3)).toNested()).toEqual([1.5, 2.5]);
  });

  test('a stream receives the same bytes as npyBytes', async () => {
    const array = arrayOf(parseDType('>i4'), [3, 5], 'F');
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const reading = new Response(readable as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer();
    const size = await writeNpy(writable, array);
    const bytes = new Uint8Array(await reading);
    expect(size).toBe(bytes.length);
    expect(bytes).toEqual(npyBytes(array));
  });

  test('versions 2 and 3 are written on request and read', () => {
    for (const version of [1, 2, 3] as const) {
      const bytes = npyBytes(new Int8Array([4, 5]), { version });
      expect(bytes[6]).toBe(version);
      expect(readNpy(bytes).toNested()).toEqual([4, 5]);
    }
  });

  test('a source that yields too few or too many bytes is an error', () => {
    for (const length of [7, 9]) {
      const source = { arraySource: true as const, dtype: 'u1', shape: [8], bytes: () => [new Uint8Array(length)] };
      expect(() => npyBytes(source)).toThrow();
    }
  });

  test('a source without bytes reads as zeros', () => {
    const bytes = npyBytes({ arraySource: true, dtype: '<i4', shape: [2, 2] });
    expect(readNpy(bytes).toNested()).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test("an aborted write stops between pieces with the signal's reason", () => {
    const abort = new AbortController();
    const pieces = npyPieces(new Uint8Array(8), { signal: abort.signal });
    pieces.next();
    abort.abort(new Error('enough'));
    expect(() => pieces.next()).toThrow('enough');
  });
});

describe.each(pythons())('with numpy $numpy', (info) => {
  let python: Python;
  let temp: TempDir;
  beforeAll(() => {
    python = new Python(info);
    temp = new TempDir();
  });
  afterAll(async () => {
    await python[Symbol.asyncDispose]();
    temp[Symbol.dispose]();
  });

  test('array -> npy -> numpy -> npy -> array keeps type, shape, order and bytes', async () => {
    const samples = fc.sample(arrays(), { numRuns: RUNS, seed: 20261121 });
    const answers = await python.run<{ wires: unknown[]; files: Uint8Array[] }>(
      // Through real files: numpy leaves padding undefined when it reads from memory.
      `${PYTHON_ARRAYS}
wires, files = [], []
for data in args["files"]:
    with open(args["path"], "wb") as file: file.write(data)
    array = np.load(args["path"])
    wires.append(wire(array))
    np.save(args["path"], array, allow_pickle=False)
    with open(args["path"], "rb") as file: files.append(file.read())
result = {"wires": wires, "files": files}
`,
      { files: samples.map((array) => npyBytes(array)), path: temp.file('trip.npy') },
    );
    samples.forEach((array, i) => {
      expect(answers.wires[i]).toEqual(toWire(array));
      const back = readNpy(answers.files[i] as Uint8Array);
      expect(describeArray(back)).toEqual(describeArray(array));
    });
  });

  test('files are byte for byte those that numpy saves', async () => {
    const samples = fc.sample(arrays(), { numRuns: RUNS, seed: 7 });
    const files = await python.run<Uint8Array[]>(
      `${PYTHON_ARRAYS}
result = []
for item in args["arrays"]:
    np.save(args["path"], make(item), allow_pickle=False)
    with open(args["path"], "rb") as file: result.append(file.read())
`,
      { arrays: samples.map(toWire), path: temp.file('saved.npy') },
    );
    samples.forEach((array, i) => {
      expect(npyBytes(array)).toEqual(files[i]);
    });
  });

  test('values are the same as in numpy', async () => {
    const files = await python.run<Uint8Array[]>(`
import io
import numpy as np
arrays = [np.array([1.5, -2.0], "e"), np.array([1 + 2j], "G"[:0] + "D"), np.array(["a", "bcd"]), np.array([b"x", b"yz"]),
  np.array(["2020-02-29T12:00", "NaT"], "M8[s]"), np.array([[1, 2], [3, 4]], ">i2", order="F"), np.array(True),
  np.array([(1, 2.5, "hi")], [("i", "<i4"), ("f", ">f8"), ("s", "U2")])]
result = []
for array in arrays:
    out = io.BytesIO()
    np.save(out, array)
    result.append(out.getvalue())
`);
    const values = files.map((bytes) => readNpy(bytes));
    expect(values[0]?.toNested()).toEqual([1.5, -2]);
    expect(values[1]?.get(0)).toMatchObject({ re: 1, im: 2 });
    expect(values[2]?.toNested()).toEqual(['a', 'bcd']);
    expect(values[3]?.get(1)).toEqual(Uint8Array.of(0x79, 0x7a));
    expect(values[4]?.toNested()).toEqual([1582977600n, null]);
    expect(values[5]?.toNested()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(values[5]?.order).toBe('F');
    expect(values[6]?.get()).toBe(true);
    expect(values[7]?.get(0)).toMatchObject({ i: 1, f: 2.5, s: 'hi' });
    expect(values.every((value) => value instanceof NDArray)).toBe(true);
  });
});
