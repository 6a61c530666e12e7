import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byteChunks } from '../src/sources/byte-chunks.ts';
import { FrameCutter } from '../src/sources/frame-cutter.ts';
import { LineCutter } from '../src/sources/line-cutter.ts';

/** Cuts bytes at arbitrary places; pieces may be empty. */
function* cut(bytes: Uint8Array, places: readonly number[]): Generator<Uint8Array> {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    yield bytes.subarray(start, end);
    start = end;
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const places = fc.array(fc.nat(), { maxLength: 20 });

test('frames are the same however the stream is cut, and a short tail is reported', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 50 }), places, (bytes, size, where) => {
      const cutter = new FrameCutter(size);
      const frames = [...cut(bytes, where)].flatMap((chunk) => [...cutter.push(chunk)]);
      const whole = Math.floor(bytes.length / size);
      expect(frames).toEqual(Array.from({ length: whole }, (_, i) => bytes.slice(i * size, (i + 1) * size)));
      expect(cutter.pending).toBe(bytes.length % size);
    }),
  );
});

test('a frame that lies within a piece is not copied', () => {
  const chunk = new Uint8Array(10);
  const [frame] = new FrameCutter(4).push(chunk);
  expect(frame?.buffer).toBe(chunk.buffer);
});

test.each([0, 1.5, -3])('a frame of %s bytes is refused', (size) => {
  expect(() => new FrameCutter(size)).toThrow(/at least 1/);
});

test('lines are the same however the stream is cut', () => {
  const text = fc.array(
    fc
      .tuple(fc.string({ unit: 'grapheme' }), fc.constantFrom(1, 1, 50))
      .map(([line, times]) => line.replaceAll('\n', '').repeat(times)),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(text, places, (lines, where) => {
      const cutter = new LineCutter(1e5);
      const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
      // One piece of memory for all of them.
      const reused = Buffer.alloc(bytes.length);
      const found = [...cut(bytes, where)].flatMap((chunk) => {
        reused.set(chunk);
        return [...cutter.push(reused.subarray(0, chunk.length))].map((line) => decoder.decode(line));
      });
      expect([...found, ...[...cutter.end()].map((line) => decoder.decode(line))]).toEqual(lines);
      expect(cutter.line).toBe(lines.length);
    }),
  );
});

test('a line that arrives byte by byte takes little more memory than its length', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const cutter = new LineCutter(1e6);
  const piece = Buffer.from('a');
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 300_000; i += 1) cutter.push(piece).next();
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(10e6);
  expect([...cutter.end()][0]).toHaveLength(300_000);
});

test('a last line without a newline is emitted at the end', () => {
  const cutter = new LineCutter(10);
  const [a, b] = new TextEncoder().encode('ab');
  expect([...cutter.push(new TextEncoder().encode('a\nb'))]).toEqual([Uint8Array.of(a!)]);
  expect([...cutter.end()]).toEqual([Uint8Array.of(b!)]);
});

test('a line that is too long is a typed error', () => {
  expect(() => [...new LineCutter(3).push(new Uint8Array(4).fill(65))]).toThrow(
    expect.objectContaining({ code: 'LIMIT_EXCEEDED' }),
  );
});

test('a web stream gives its pieces, and is cancelled when the loop is left', async () => {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array([1])),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const chunk of byteChunks(stream)) {
    expect([...chunk]).toEqual([1]);
    break;
  }
  expect(cancelled).toBe(true);
});
