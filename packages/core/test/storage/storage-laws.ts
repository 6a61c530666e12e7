import fc from 'fast-check';
import { expect } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import type { StorageFile } from '../../src/storage/storage-file.ts';

/** A file under test, a way to reopen it, and a second file to copy from. */
export interface Subject {
  readonly file: StorageFile;
  readonly other: StorageFile;
  /** Closes the file and opens it again. */
  reopen(): StorageFile;
  /** Whether words are stored through a mapping. Default true. */
  readonly stores?: boolean;
}

/** The model of a file: its bytes. */
class Model {
  bytes = new Uint8Array(0);

  resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (offset + bytes.length > this.bytes.length) this.resize(offset + bytes.length);
    this.bytes.set(bytes, offset);
  }
}

interface Real {
  subject: Subject;
  file: StorageFile;
}

type Step = fc.Command<Model, Real>;

const offsets = fc.oneof(fc.nat(40), fc.nat(20_000), fc.constantFrom(4095, 4096, 4097, 8191, 12288, 16384, 65_537));
const lengths = fc.oneof(fc.nat(20), fc.nat(9000));

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 255);
}

function step(text: string, run: (model: Model, real: Real) => void): Step {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      const { file } = real;
      expect(file.size()).toBe(model.bytes.length);
      const all = new Uint8Array(model.bytes.length + 3);
      expect(file.read(0, all)).toBe(model.bytes.length);
      expect(Buffer.compare(all.subarray(0, model.bytes.length), model.bytes), `contents after ${text}`).toBe(0);
      const seen = file.map(0, model.bytes.length, 'read').bytes(0, model.bytes.length);
      expect(Buffer.compare(seen, model.bytes), `mapping after ${text}`).toBe(0);
    },
    toString: () => text,
  };
}

const steps: fc.Arbitrary<Step>[] = [
  fc.tuple(offsets, lengths, fc.nat(255), fc.nat(3)).map(([offset, length, seed, more]) =>
    step(`write(${offset}, ${length}) of ${length + more}`, (model, { file }) => {
      const bytes = pattern(length + more, seed);
      model.write(offset, bytes.subarray(0, length));
      if (more === 0) file.write(offset, bytes);
      else file.write(offset, bytes, length);
    }),
  ),
  fc.tuple(offsets, fc.array(lengths, { maxLength: 5 }), fc.boolean()).map(([offset, sizes, big]) =>
    step(`writeParts(${offset}, [${sizes.join()}], ${big})`, (model, { file }) => {
      const parts = sizes.map((size, i) => pattern(size, i));
      // Large parts take another path through the operating system.
      if (big) parts.push(pattern(70_000, 3));
      model.write(offset, Buffer.concat(parts));
      file.writeParts(offset, parts);
    }),
  ),
  offsets.map((size) =>
    step(`truncate(${size})`, (model, { file }) => {
      model.resize(size);
      file.truncate(size);
    }),
  ),
  fc.tuple(offsets, lengths, fc.boolean()).map(([offset, length, keepSize]) =>
    step(`allocate(${offset}, ${length}, ${keepSize})`, (model, { file }) => {
      if (!keepSize && length > 0) model.resize(Math.max(model.bytes.length, offset + length));
      file.allocate(offset, length, { keepSize });
    }),
  ),
  fc.tuple(offsets, lengths).map(([offset, length]) =>
    step(`punchHole(${offset}, ${length})`, (model, { file }) => {
      if (file.punchHole(offset, length)) model.bytes.fill(0, offset, offset + length);
    }),
  ),
  fc.tuple(offsets, offsets, lengths, fc.boolean()).map(([from, to, length, itself]) =>
    step(`copyFrom(${itself ? 'itself' : 'other'}, ${from}, ${to}, ${length})`, (model, { file, subject }) => {
      const source = itself ? file : subject.other;
      const count = Math.max(0, Math.min(length, source.size() - from));
      if (count === 0) return;
      const bytes = new Uint8Array(count);
      source.read(from, bytes);
      model.write(to, bytes);
      file.copyFrom(source, from, to, count);
    }),
  ),
  fc.tuple(offsets, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })).map(([offset, value]) =>
    step(`storeI32(${offset}, ${value})`, (model, { file }) => {
      if (offset + 4 > model.bytes.length) {
        expectCode('INVALID_ARGUMENT', () => file.storeI32(offset, value));
        return;
      }
      new DataView(model.bytes.buffer).setInt32(offset, value, true);
      file.storeI32(offset, value);
      expect(file.loadI32(offset)).toBe(value);
    }),
  ),
  fc
    .tuple(
      offsets,
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
    )
    .map(([offset, word, half]) =>
      step(`storePair(${offset}, ${word}, ${offset + 8}, ${half})`, (model, { file, subject }) => {
        if (offset + 10 > model.bytes.length) {
          expectCode('INVALID_ARGUMENT', () => file.storePair(offset, word, offset + 8, half));
          return;
        }
        const stored = (offset + 8) % 4 !== 3 && subject.stores !== false;
        expect(file.storePair(offset, word, offset + 8, half)).toBe(stored);
        if (!stored) return;
        const view = new DataView(model.bytes.buffer);
        view.setInt32(offset, word, true);
        view.setInt16(offset + 8, half, true);
      }),
    ),
  // Often enough that a mapping is used, both near a stored pair and far from it.
  fc.tuple(offsets, fc.integer({ min: 1, max: 40 }), fc.boolean()).map(([offset, times, same]) =>
    step(`endsWith(${offset}, ${same ? 'what is there' : 'something else'}) ${times} times`, (model, { file }) => {
      const there = model.bytes.slice(offset, offset + 2);
      const bytes = there.length === 2 ? there : new Uint8Array(2);
      if (!same) bytes[1]! ^= 1;
      for (let i = 0; i < times; i++) expect(file.endsWith(offset, bytes)).toBe(same && there.length === 2);
    }),
  ),
  fc.tuple(offsets, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })).map(([offset, value]) =>
    step(`storeI64(${offset}, ${value})`, (model, { file }) => {
      if (offset + 8 > model.bytes.length) {
        expectCode('INVALID_ARGUMENT', () => file.loadI64(offset));
        return;
      }
      new DataView(model.bytes.buffer).setBigInt64(offset, value, true);
      file.storeI64(offset, value);
      expect(file.loadI64(offset)).toBe(value);
    }),
  ),
  fc.tuple(offsets, lengths, fc.constantFrom('view', 'write', 'copy-on-write' as const)).map(([offset, length, how]) =>
    step(`map(${offset}, ${length}) and store by ${how}`, (model, { file }) => {
      const count = Math.max(0, Math.min(length, model.bytes.length - offset));
      if (count === 0) return;
      const memory = file.map(offset, count, how === 'copy-on-write' ? how : 'write');
      const bytes = pattern(count, 99);
      if (how === 'view') memory.bytes(0, count).set(bytes);
      else memory.write?.(0, bytes);
      expect(Buffer.compare(memory.bytes(0, count), bytes)).toBe(0);
      if (how === 'copy-on-write') return;
      memory.flush?.(0, count);
      memory.advise?.(0, count, 'willneed');
      model.bytes.set(bytes, offset);
    }),
  ),
  fc.constant(
    step('sync', (_model, { file }) => {
      file.sync();
    }),
  ),
  fc.tuple(offsets, lengths).map(([offset, length]) =>
    step(`dataRanges(${offset}, ${length})`, (model, { file }) => {
      const ranges = file.dataRanges(offset, offset + length);
      let at = offset;
      for (const range of ranges) {
        expect(range.offset).toBeGreaterThanOrEqual(at);
        expect(range.end).toBeGreaterThan(range.offset);
        expect(model.bytes.subarray(at, range.offset).every((byte) => byte === 0)).toBe(true);
        at = range.end;
      }
      expect(at).toBeLessThanOrEqual(Math.max(offset, Math.min(offset + length, model.bytes.length)));
      expect(model.bytes.subarray(at, offset + length).every((byte) => byte === 0)).toBe(true);
    }),
  ),
  fc.constant(
    step('reopen', (_model, real) => {
      real.file = real.subject.reopen();
    }),
  ),
];

/** Runs random steps against a byte array and the file, and compares both after each. */
export function checkLaws(make: () => Subject, runs: number): void {
  fc.assert(
    fc.property(fc.commands(steps, { maxCommands: 25 }), (commands) => {
      const subject = make();
      subject.other.write(100, pattern(6000, 5));
      subject.other.write(14_000, pattern(3000, 6));
      fc.modelRun(() => ({ model: new Model(), real: { subject, file: subject.file } }), commands);
    }),
    { numRuns: process.env.MMDPICKLE_LONG === undefined ? runs : runs * 20 },
  );
}

/** Expects an {@link MmdError} of this code. */
export function expectCode(code: string, call: () => unknown): void {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  if (!isMmdError(thrown)) throw new Error(`expected an MmdError ${code}, got ${String(thrown)}`, { cause: thrown });
  expect(thrown.code).toBe(code);
}
