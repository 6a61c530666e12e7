/** The catalog against a Map, across every growth of its table and segments. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeUtf8 } from '../../src/bytes/index.ts';
import { Catalog } from '../../src/dict/catalog.ts';

interface Place {
  readonly offset: number;
  readonly frameLength: number;
}

/** Applies each operation to a catalog and to a Map, whose order is that of Python's dict. */
class Pair {
  readonly catalog: Catalog = new Catalog(7);
  readonly model: Map<string, Place> = new Map();
  #offset = 0;

  put(key: string): void {
    const [bytes, place] = this.#entry(key);
    this.catalog.put(bytes, 0, bytes.length, place.offset, place.frameLength);
    this.model.delete(key);
    this.model.set(key, place);
  }

  putMissing(key: string): void {
    const [bytes, place] = this.#entry(key);
    if (this.catalog.findBytes(bytes, 0, bytes.length) >= 0) return;
    this.catalog.putMissing(bytes, 0, bytes.length, place.offset, place.frameLength);
    this.model.set(key, place);
  }

  load(key: string): void {
    const [bytes, place] = this.#entry(key);
    this.catalog.load(bytes, 0, bytes.length, place.offset, place.frameLength);
    this.model.set(key, place);
  }

  remove(key: string): void {
    this.catalog.remove(key);
    this.model.delete(key);
  }

  clear(): void {
    this.catalog.clear();
    this.model.clear();
  }

  #entry(key: string): [Uint8Array, Place] {
    this.#offset += 100;
    return [encodeUtf8(key), { offset: this.#offset, frameLength: 50 + (this.#offset % 7) }];
  }

  check(keys: Iterable<string>): void {
    const { catalog, model } = this;
    expect(catalog.size).toBe(model.size);
    for (const key of keys) {
      const slot = catalog.find(key);
      const place = model.get(key);
      if (place === undefined) expect(slot).toBe(-1);
      else
        expect([catalog.key(slot), catalog.place(slot)]).toEqual([
          key,
          { ...place, keyLength: encodeUtf8(key).length },
        ]);
    }
  }
}

describe('the catalog', () => {
  test('a catalog matches a Map after any sequence of puts, loads and removals', () => {
    const act = fc.tuple(fc.constantFrom('put', 'putMissing', 'load', 'remove'), fc.nat(300));
    // With few keys, most slots belong to removed keys; the others move once the table is full.
    fc.assert(
      fc.property(fc.array(act, { maxLength: 900, size: 'max' }), fc.constantFrom(30, 301), (acts, count) => {
        const pair = new Pair();
        for (const [name, key] of acts) pair[name as 'put'](`k${key % count}`);
        pair.check(Array.from({ length: 302 }, (_, i) => `k${i}`));
        expect([...pair.catalog.keys()]).toEqual([...pair.model.keys()]);
        const seen: number[] = [];
        pair.catalog.each((slot, { offsets, keys, keyStarts, keyLengths }, at) => {
          const start = keyStarts[at]!;
          expect(Buffer.from(keys.subarray(start, start + keyLengths[at]!)).toString()).toBe(pair.catalog.key(slot));
          expect(offsets[at]).toBe(pair.catalog.offset(slot));
          seen.push(pair.catalog.offset(slot));
        });
        expect(seen).toEqual([...pair.model.values()].map(({ offset }) => offset));
      }),
      { numRuns: 60 },
    );
  });

  test('lists the keys present at the first call of next, whatever changes while they are listed', () => {
    const act = fc.tuple(fc.constantFrom('put', 'putMissing', 'load', 'remove', 'clear'), fc.nat(40));
    const acts = fc.array(act, { maxLength: 400, size: 'max' });
    fc.assert(
      fc.property(acts, acts, fc.nat(40), (before, during, listed) => {
        const pair = new Pair();
        for (const [name, key] of before) pair[name as 'put'](`k${key}`);
        const expected = [...pair.model.keys()];
        const keys = pair.catalog.keys();
        const seen: string[] = [];
        const list = (count: number): void => {
          for (let i = 0; i < count; i++) {
            const next = keys.next();
            if (!next.done) seen.push(next.value);
          }
        };
        list(1 + listed);
        for (const [i, [name, key]] of during.entries()) {
          pair[name as 'put'](`k${key}`);
          if (i % 16 === 0) list(1);
        }
        list(50);
        expect(seen).toEqual(expected);
      }),
    );
  });

  test('finds every key while entries are migrated from one table to the next', () => {
    const pair = new Pair();
    for (let i = 0; i < 40_000; i++) {
      if (i % 3 === 0) pair.putMissing(`key-${i}`);
      else pair.put(`key-${i}`);
      if (i % 5 === 0) pair.put(`key-${i >> 1}`);
      if (i % 7 === 0) pair.remove(`key-${i >> 2}`);
      // Tables and segments grow near powers of two.
      if ((i & (i + 1)) < 40 || i % 1000 === 0)
        pair.check([`key-${i}`, `key-${i >> 1}`, `key-${i >> 2}`, `key-${i + 1}`]);
    }
    pair.check(Array.from({ length: 40_010 }, (_, i) => `key-${i}`));
    expect([...pair.catalog.keys()]).toEqual([...pair.model.keys()]);
  });

  test.each([0, 100, 5000, 8192, 8193, 20_000])('keeps long keys when %d keys were expected', (expected) => {
    const pair = new Pair();
    for (let i = 0; i < 50; i++) pair.load(`before-${i}`);
    pair.catalog.expect(expected);
    const keys = Array.from({ length: 9000 }, (_, i) => `${i}`.padEnd(255, 'é').slice(0, 125));
    for (const key of keys) pair.load(key);
    pair.check(keys);
    pair.check(['before-0', 'before-49', 'before-50']);
  });

  test('a key that is replaced again and again takes no more slots and displaces no other key', () => {
    const pair = new Pair();
    const others = Array.from({ length: 20 }, (_, i) => `other-${i}`);
    for (const key of others) pair.put(key);
    for (let i = 0; i < 100_000; i++) pair.put(`k${i % 10}`);
    pair.check([...others, ...Array.from({ length: 11 }, (_, i) => `k${i}`)]);
    expect([...pair.catalog.keys()]).toEqual([...pair.model.keys()]);
    expect(pair.catalog.find('k9')).toBeLessThan(200);
    pair.clear();
    pair.put('again');
    pair.check(['again', 'k1']);
  });
});
