import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BoundedQueue, type Policy } from '../src/ingest/bounded-queue.ts';
import { Histogram } from '../src/ingest/histogram.ts';

interface Item {
  readonly id: number;
  readonly bytes: number;
}

const POLICIES: readonly Policy[] = ['error', 'drop-newest', 'drop-oldest', 'sample'];

describe('a bounded queue', () => {
  test.each(POLICIES)('never passes its limits, keeps the order and accounts for every item (%s)', (policy) => {
    const commands = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 0, max: 40 }) }) },
        fc.record({
          take: fc.record({ frames: fc.integer({ min: 1, max: 4 }), bytes: fc.integer({ min: 1, max: 60 }) }),
        }),
        fc.constant({ settle: true } as const),
        fc.constant({ putBack: true } as const),
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(commands, (steps) => {
        const queue = new BoundedQueue<Item>({ frames: 5, bytes: 100 });
        const written: number[] = [];
        let flight: Item[] = [];
        let id = 0;
        let dropped = 0;
        for (const step of steps) {
          if ('push' in step) {
            const item = { id: id++, bytes: step.push };
            const { accepted, evicted } = queue.admit(item.bytes, policy);
            dropped += evicted.length + (accepted ? 0 : 1);
            if (accepted) queue.push(item);
          } else if ('take' in step && flight.length === 0) {
            flight = queue.take(step.take);
          } else if ('settle' in step) {
            queue.settle(flight);
            written.push(...flight.map((item) => item.id));
            flight = [];
          } else if ('putBack' in step) {
            queue.putBack(flight);
            flight = [];
          }
          expect(queue.frames).toBeLessThanOrEqual(5);
          expect(queue.bytes).toBeLessThanOrEqual(100);
          expect(id).toBe(written.length + dropped + queue.frames);
          if (policy === 'sample') expect(queue.waiting).toBeLessThanOrEqual(Math.max(1, 5));
        }
        written.push(...flight.map((item) => item.id), ...queue.clear().map((item) => item.id));
        expect(written).toEqual([...written].sort((a, b) => a - b));
        expect(new Set(written).size).toBe(written.length);
      }),
      { numRuns: 300 },
    );
  });

  test('drops the longest-waiting items for a new one, or all of them if it samples', () => {
    const queue = new BoundedQueue<Item>({ frames: 10, bytes: 30 });
    for (let id = 0; id < 3; id += 1) queue.push({ id, bytes: 10 });
    expect(queue.admit(15, 'drop-newest')).toEqual({ accepted: false, evicted: [] });
    expect(queue.admit(15, 'drop-oldest')).toEqual({
      accepted: true,
      evicted: [
        { id: 0, bytes: 10 },
        { id: 1, bytes: 10 },
      ],
    });
    expect(queue.admit(15, 'sample').evicted).toEqual([{ id: 2, bytes: 10 }]);
  });

  test('never drops an item in flight', () => {
    const queue = new BoundedQueue<Item>({ frames: 2, bytes: 100 });
    queue.push({ id: 0, bytes: 1 });
    queue.push({ id: 1, bytes: 1 });
    queue.take({ frames: 2, bytes: 10 });
    expect(queue.admit(1, 'drop-oldest')).toEqual({ accepted: false, evicted: [] });
  });

  test('evicts nothing for an item that could never fit', () => {
    const queue = new BoundedQueue<Item>({ bytes: 10 });
    queue.push({ id: 0, bytes: 5 });
    expect(queue.admit(11, 'drop-oldest')).toEqual({ accepted: false, evicted: [] });
    expect(queue.waiting).toBe(1);
  });

  test.each([0, -1, Number.NaN])('refuses %s as a limit', (bytes) => {
    expect(() => new BoundedQueue({ bytes })).toThrow(/queue.bytes/);
  });
});

describe('a histogram', () => {
  test('gives quantiles within one part in sixteen of the exact ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.002, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, q) => {
          const histogram = new Histogram();
          for (const value of values) histogram.record(value);
          const exact = [...values].sort((a, b) => a - b)[Math.max(1, Math.ceil(q * values.length)) - 1]!;
          const found = histogram.quantile(q);
          expect(found).toBeGreaterThanOrEqual(exact * 0.9999);
          expect(found).toBeLessThanOrEqual(exact * 2 ** (1 / 16) * 1.0001);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('is 0 if nothing was recorded, and accepts absurd durations', () => {
    const histogram = new Histogram();
    expect(histogram.quantile(0.5)).toBe(0);
    for (const value of [0, -1, 1e30]) histogram.record(value);
    expect(histogram.total).toBe(3);
    histogram.reset();
    expect(histogram.total).toBe(0);
  });
});
