/** Watchers of real files whose system calls fail. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type GrowableArray, isMmdError } from '@mmdpickle/core';
import { type Fault, faultySyscalls, libc, MmapDict, NodeFile } from '@mmdpickle/core/node';
import { type Change, type DictWatch, type WatchCursor, type WatchOptions, watchDict } from '@mmdpickle/rx';
import { GrowableNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { retry, type Subscription, timer, VirtualAction, VirtualTimeScheduler } from 'rxjs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

const system = faultySyscalls(libc());

beforeEach(() => {
  system.plan();
  const open = NodeFile.open.bind(NodeFile);
  vi.spyOn(NodeFile, 'open').mockImplementation((path, mode, options) =>
    // Only watchers read words without mapping them.
    open(path, mode, options?.mapWords === false ? { ...options, syscalls: system } : options),
  );
});
afterEach(() => vi.restoreAllMocks());

const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** A watcher that looks exactly when it is told to, and is subscribed to again when it fails. */
class Watcher implements Disposable {
  readonly changes: Change[] = [];
  readonly errors: unknown[] = [];
  readonly #scheduler = new VirtualTimeScheduler(VirtualAction, 0);
  readonly watch: DictWatch;
  readonly #subscription: Subscription;

  constructor(path: string, from: WatchOptions['from'] = 'now') {
    this.watch = watchDict(path, { from, events: false, scheduler: this.#scheduler });
    const delay = (error: unknown): ReturnType<typeof timer> => {
      this.errors.push(error);
      return timer(3, this.#scheduler);
    };
    this.#subscription = this.watch.pipe(retry({ delay })).subscribe((change) => this.changes.push(change));
  }

  /** Lets time pass for several polls, with these faults. */
  look(...faults: Fault[]): this {
    // The dict checks a file's size at most once a millisecond, so real time must pass.
    const end = performance.now() + 1.5;
    while (performance.now() < end);
    system.plan(...faults);
    this.#scheduler.maxFrames += 120;
    this.#scheduler.flush();
    system.plan();
    return this;
  }

  cursor(...faults: Fault[]): WatchCursor {
    system.plan(...faults);
    const cursor = this.watch.cursor();
    system.plan();
    return JSON.parse(JSON.stringify(cursor)) as WatchCursor;
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }
}

/** What was told, one by one. Rows may be told in several parts, and a removal before or after other changes. */
function told(changes: readonly Change[]): string[] {
  return changes
    .flatMap((change) => {
      if (change.kind !== 'appended') return [`${change.kind} ${'key' in change ? change.key : ''}`];
      const { start, end } = change.rows;
      return Array.from({ length: end - start }, (_, i) => `row ${start + i} of ${change.key}`);
    })
    .sort();
}

const EIO_EVERYWHERE: Fault = { nth: 0, errno: 'EIO', persistent: true };

describe('a watcher whose system calls fail', () => {
  const CALLS = ['pread', 'pread', 'pread', 'size', 'open', 'fstat', 'close'] as const;
  const fault: fc.Arbitrary<Fault> = fc.record(
    { call: fc.constantFrom(...CALLS), nth: fc.nat(60), persistent: fc.boolean(), errno: fc.constant('EIO') },
    { requiredKeys: ['nth', 'errno'] },
  );
  const faults = fc.array(fault, { maxLength: 3 });
  const KINDS = ['set', 'long', 'delete', 'rows', 'batch', 'in place', 'vacuum', 'new file', 'next'] as const;
  const PLACES = ['look', 'look', 'gone', 'cut', 'emptied', 'resume'] as const;
  const change = fc.record({ kind: fc.constantFrom(...KINDS), key: fc.nat(3), value: fc.nat(60) });
  const look = fc.record({ kind: fc.constantFrom(...PLACES), faults });

  function perform(path: string, { kind, key, value }: { kind: string; key: number; value: number }): void {
    if (kind === 'new file') rmSync(path);
    using dict = MmapDict.open(path);
    const name = `k${key}`;
    if (kind === 'set' || kind === 'new file' || kind === 'next') dict.set(name, value);
    if (kind === 'long') dict.set(name, 'x'.repeat(70_000 + value));
    if (kind === 'delete') dict.delete(name);
    if (kind === 'rows') {
      if (!dict.has('rows')) dict.set('rows', new GrowableNDArray([], 'int32', { capacity: 4 }));
      (dict.get('rows') as GrowableArray).append(new Int32Array(key + 1).fill(value));
    }
    if (kind === 'batch')
      dict.batch(() =>
        dict
          .set(name, 0)
          .set('both', 0)
          .delete(`k${(key + 1) % 4}`),
      );
    if (kind === 'vacuum') dict.vacuum();
    if (kind === 'in place') dict.vacuum({ inPlace: true });
  }

  /** Looks with faults, also while the file is cut off or its directory is gone. */
  function lookFailing(watcher: Watcher, kind: string, path: string, folder: string, faults: readonly Fault[]): void {
    if (kind === 'gone') {
      renameSync(folder, `${folder}.gone`);
      watcher.look(...faults);
      renameSync(`${folder}.gone`, folder);
    } else if (kind === 'cut' || kind === 'emptied') {
      const bytes = readFileSync(path);
      truncateSync(path, kind === 'cut' ? 10 : 0);
      watcher.look(...faults);
      writeFileSync(path, bytes, { flag: 'r+' });
    }
    watcher.look(...faults);
  }

  test('tells what one without failures tells, every change once, and leaves no descriptor open', {
    timeout: 120_000,
  }, () => {
    using dir = new TempDir();
    let n = 0;
    let failed = 0;
    fc.assert(
      fc.property(
        fc.array(fc.oneof(change, change, look), { minLength: 1, maxLength: 14 }),
        fc.constantFrom<WatchOptions['from']>('now', 'start', 2),
        faults,
        fc.boolean(),
        (steps, from, first, row) => {
          const folder = dir.file(`${n++}`);
          mkdirSync(folder);
          system.plan();
          let number = 0;
          const path = (): string => `${folder}/run-${row ? number : 'n'}.mmdpickle`;
          const source = `${folder}/run-${row ? '{n}' : 'n'}.mmdpickle`;
          perform(path(), { kind: 'set', key: 0, value: 0 });
          perform(path(), { kind: 'rows', key: 0, value: 0 });
          const before = descriptors();
          const whole = new Watcher(source, from);
          system.plan(...first);
          let part = new Watcher(source, from);
          const earlier: Change[] = [];
          const compare = (): void => {
            // What is known by its checksum is recognized by both, however often one of them opens the file again.
            for (const watcher of [whole, part]) watcher.look().cursor();
            const parts = [...earlier, ...part.changes];
            expect(told(parts)).toEqual(told(whole.changes));
            expect(parts.at(-1)?.seq).toBe(whole.changes.at(-1)?.seq);
            const seqs = parts.map(({ seq }) => seq);
            expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
          };
          compare();
          for (const step of steps) {
            if ('faults' in step) {
              whole.look();
              if (step.kind === 'resume') {
                const cursor = part.look().cursor(...step.faults);
                part[Symbol.dispose]();
                earlier.push(...part.changes);
                system.plan(...step.faults);
                part = new Watcher(source, cursor);
              }
              lookFailing(part, step.kind, path(), folder, step.faults);
            } else {
              // Who opens a file again no longer sees what happened to the one that had its name.
              if (['vacuum', 'new file', 'next'].includes(step.kind)) compare();
              if (step.kind === 'next') number += 1;
              perform(path(), step);
              continue;
            }
            compare();
          }
          expect(whole.errors).toEqual([]);
          expect(part.errors.filter((error) => !isMmdError(error))).toEqual([]);
          failed += part.errors.length;
          system.plan(EIO_EVERYWHERE);
          part[Symbol.dispose]();
          whole[Symbol.dispose]();
          expect(descriptors()).toBe(before);
        },
      ),
      { numRuns: process.env.MMDPICKLE_LONG === '1' ? 600 : 20 },
    );
    expect(failed).toBeGreaterThan(0);
  });

  test('leaves no descriptor open, whichever call fails while the file is opened', () => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    MmapDict.open(path).set('a', 1).close();
    const before = descriptors();
    for (const call of ['fstat', 'size', 'pread', 'close'] as const) {
      system.plan({ call, nth: 0, errno: 'EIO', persistent: true });
      watchDict(path, { from: 'start', events: false })
        .subscribe({ error() {} })
        .unsubscribe();
      expect([call, descriptors() - before]).toEqual([call, 0]);
    }
  });

  test('reports that the commit number cannot be read to its subscribers', () => {
    using dir = new TempDir();
    using dict = MmapDict.open(dir.file('a.mmdpickle'));
    using watcher = new Watcher(dict.name);
    dict.set('a', 1);
    // After a commit was found, the number alone is compared at short pauses.
    for (let nth = 0; nth < 30; nth += 1) {
      dict.set('a', nth);
      watcher.look({ call: 'pread', nth, errno: 'EIO' });
    }
    expect(watcher.changes.map(({ kind }) => kind)).toEqual(['added', ...Array.from({ length: 30 }, () => 'replaced')]);
  });

  test.each([
    { lengths: [20, 20, 20], nth: 0 },
    { lengths: [60_000, 20, 20], nth: 1 },
    { lengths: [10_000, 70_000, 10_000], nth: 1 },
  ])(
    'has a cursor also if read $nth of values of $lengths bytes fails, with the checksums of the others',
    ({ lengths, nth }) => {
      using dir = new TempDir();
      using dict = MmapDict.open(dir.file('a.mmdpickle'));
      lengths.forEach((length, i) => void dict.set(`${i}`, String(i).repeat(length)));
      using watcher = new Watcher(dict.name);
      using other = new Watcher(dict.name);
      const sums = ({ live }: WatchCursor): unknown[] => live.map(([, , , , , sum]) => sum);
      const all = sums(other.cursor());
      expect(sums(watcher.cursor({ call: 'pread', nth, errno: 'EIO' }))).toEqual(all.with(nth, null));
      expect(sums(watcher.cursor())).toEqual(all);
    },
  );
});
