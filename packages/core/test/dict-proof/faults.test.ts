import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { pythons, TempDir } from '@mmdpickle/test-support';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type GrowableArray, MmapDict } from '../../src/dict/index.ts';
import { isMmdError } from '../../src/errors.ts';
import {
  type Fault,
  type FaultyCall,
  type FaultySyscalls,
  faultySyscalls,
  libc,
  NodeFile,
} from '../../src/node/index.ts';
import { convert, MmapDict as MmapFile } from '../../src/node.ts';
import { dump } from '../../src/pickle/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';
import { crashStates } from '../../src/testing/index.ts';
import { stateText } from './canonical.ts';
import { expectText, NAME, record, withKey } from './crash-harness.ts';
import { Judge } from './judge.ts';
import { baseOf, OPERATIONS, type Operation, openFor } from './operations.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const SHORTENED = new Set(['pread', 'pwrite', 'pwritev', 'copyFileRange']);
/** Calls that a signal can interrupt. */
const INTERRUPTED = new Set([
  ...SHORTENED,
  'open',
  'ftruncate',
  'fdatasync',
  'fsync',
  'posixFallocate',
  'fallocate',
  'flock',
]);
/** In memory: what the disk does is played by the faults. The long mode runs where files usually are. */
const dir = new TempDir(LONG || !existsSync('/dev/shm') ? undefined : '/dev/shm');
const pickled = dir.file('pickled');
let path = '';
let files = 0;
const judge = new Judge(pythons());
const legacyJudge = new Judge(
  pythons().filter(({ numpy }) => numpy.startsWith('1.')),
  { lenient: true },
);

/** Real system calls without the disk's latency: a sync that succeeds changes nothing that these tests see. */
let real: ReturnType<typeof libc>;
beforeAll(() => {
  real = { ...libc(), fdatasync: () => 0, fsync: () => 0 };
});

afterAll(async () => {
  await judge[Symbol.asyncDispose]();
  await legacyJudge[Symbol.asyncDispose]();
  dir[Symbol.dispose]();
});

/** Faults at the `nth` call: once, permanently, and again while the first one is being undone. */
function plansAt(nth: number, calls: readonly FaultyCall[]): Fault[][] {
  const call = calls[nth]!;
  const same = { call, nth: calls.slice(0, nth).filter((other) => other === call).length };
  // The ordinary suite tries one errno per fault, alternating; the long mode tries both, and more second faults.
  const [one, other] = nth % 2 === 0 ? ['EIO', 'ENOSPC'] : ['ENOSPC', 'EIO'];
  const plans: Fault[][] = [[{ nth, errno: one! }]];
  if (LONG || nth % 9 === 0) plans.push([{ ...same, errno: other!, persistent: true }]);
  if (LONG || nth % 12 === 1) {
    plans.push([
      { nth, errno: 'ENOSPC' },
      { nth: nth + 1, errno: 'EIO' },
    ]);
  }
  const mild = LONG || nth % 4 === 1;
  if (mild && INTERRUPTED.has(call)) plans.push([{ ...same, errno: 'EINTR', persistent: true }]);
  if (mild && SHORTENED.has(call)) plans.push([{ ...same, errno: 'SHORT', persistent: true }]);
  if (!LONG) return plans;
  plans.push([{ nth, errno: other! }], [{ ...same, errno: one!, persistent: true }]);
  for (const later of [2, 3, 4]) {
    plans.push([
      { nth, errno: 'EIO' },
      { nth: nth + later, errno: 'EIO' },
    ]);
  }
  return plans;
}

/** Runs the steps until one throws. Returns how many were acknowledged, and what was thrown. */
function runSteps(operation: Operation, dict: MmapDict): { done: number; error: unknown } {
  let done = 0;
  try {
    for (const { run } of operation.steps) {
      run(dict);
      done++;
    }
  } catch (error) {
    return { done, error };
  }
  return { done, error: undefined };
}

/** Writes a new file: where one is truncated and written again, ext4 waits for the disk. */
function renew(bytes: Uint8Array): void {
  rmSync(path, { force: true });
  writeFileSync(path, bytes);
}

function opened(operation: Operation, syscalls: FaultySyscalls): MmapDict {
  const file = NodeFile.open(path, 'r+', { syscalls });
  try {
    return openFor(operation, file, { durability: 'commit', lockTimeout: 50 });
  } catch (error) {
    try {
      file.close();
    } catch {
      // As in MmapDict.open: the first error is the one to report.
    }
    throw error;
  }
}

/** The texts of files that were read, by digest: most faults leave one of a few. */
const known = new Map<string, string>();

function readText(): string {
  const bytes = readFileSync(path);
  const name = createHash('sha1').update(bytes).digest('base64');
  let text = known.get(name);
  if (text === undefined) {
    using dict = MmapDict.over(MemoryFile.of(bytes), { mode: 'r' });
    known.set(name, (text = stateText(dict)));
  }
  return text;
}

/** Whatever happened before, a change through this dict succeeds and changes nothing else. */
function expectUsable(dict: MmapDict, before: string): void {
  dict.set('appended later', 1);
  expectText(stateText(dict), [withKey(before, 'appended later=i1')], 'the handle after a later change');
  expectText(readText(), [withKey(before, 'appended later=i1')], 'the file after a later change');
}

async function judged(operation: Operation, expected: readonly string[]): Promise<void> {
  await (operation.legacy ? legacyJudge : judge).add(readFileSync(path), expected.join('\n'), (text) => {
    expectText(text, expected, operation.name);
  });
}

describe.each(OPERATIONS)(
  'a system call that fails during "$name" gives a typed error and leaves the file in the old or the new state',
  (operation) => {
    test('for every call: once, permanently or twice', { timeout: 600_000 }, async () => {
      const base = baseOf(operation, 200);
      const texts = base.models.map((model) => stateText(model));
      path = dir.file(`faults ${files++}`);
      renew(base.bytes);
      const syscalls = faultySyscalls(real);
      let dict = opened(operation, syscalls);
      syscalls.plan();
      expect(runSteps(operation, dict)).toEqual({ done: operation.steps.length, error: undefined });
      const calls = [...syscalls.calls];
      dict.close();
      let failed = 0;
      for (const [nth, call] of calls.entries()) {
        for (const plan of plansAt(nth, calls)) {
          const where = `${operation.name}: ${call}, call ${nth} of ${calls.length}: ${JSON.stringify(plan)}`;
          try {
            renew(base.bytes);
            dict = opened(operation, syscalls);
            syscalls.plan(...plan);
            const { done, error } = runSteps(operation, dict);
            syscalls.plan();
            const poisoned = isPoisoned(dict);
            const mild = plan.every(({ errno }) => errno === 'EINTR' || errno === 'SHORT');
            if (mild && error !== undefined) throw error;
            if (error !== undefined && !isMmdError(error))
              throw new Error(`not a typed error: ${String(error)}`, { cause: error });
            if (error !== undefined) failed++;
            const allowed = error === undefined ? [texts[done]!] : texts.slice(done, done + 2);
            const found = readText();
            expectText(found, allowed, 'the file');
            if (error !== undefined) await judged(operation, allowed);
            if (dict.closed) continue;
            if (poisoned) {
              expect(() => dict.set('refused', 1)).toThrow(expect.objectContaining({ code: 'IO' }));
              closeQuietly(dict);
              using again = opened(operation, syscalls);
              expectUsable(again, found);
            } else {
              expectText(stateText(dict), [found], 'the handle');
              expectUsable(dict, found);
              closeQuietly(dict);
            }
            await judged(operation, [withKey(found, 'appended later=i1')]);
          } catch (error) {
            throw new Error(`${where}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
          }
        }
      }
      expect(failed).toBeGreaterThan(0);
      await judge.finish();
      await legacyJudge.finish();
    });
  },
);

/** Files that a crash left in need of repair, a few for each operation, with the contents they may have. */
function* broken(operation: Operation, kinds: Set<string>): Generator<{ image: Uint8Array; allowed: string[] }> {
  const base = baseOf(operation, 5);
  const texts = base.models.map((model) => stateText(model));
  for (const state of crashStates(record(operation, base, { durability: 'none' }).log, { tears: 4 })) {
    const image = state.files.get(NAME)!;
    using dict = openFor(operation, MemoryFile.of(image), {});
    // One for every kind of repair is enough; the long mode has one for every operation.
    const kind = dict.repairs.map((repair) => repair.kind).join();
    if (dict.repairs.length === 0 || kinds.has(kind)) continue;
    kinds.add(kind);
    yield { image, allowed: texts.slice(state.acknowledged, state.acknowledged + 2) };
  }
}

test('a system call that fails during a repair leaves the file unchanged or repaired', {
  timeout: 600_000,
}, async () => {
  let repairs = 0;
  let failed = 0;
  const kinds = new Set<string>();
  for (const operation of OPERATIONS) {
    if (LONG) kinds.clear();
    path = dir.file(`repairs ${files++}`);
    for (const { image, allowed } of broken(operation, kinds)) {
      repairs++;
      const syscalls = faultySyscalls(real);
      renew(image);
      closeQuietly(opened(operation, syscalls));
      // The calls of the open: those before any fault was planned.
      const calls = [...syscalls.calls];
      for (const [nth, call] of calls.entries()) {
        for (const plan of plansAt(nth, calls)) {
          const where = `${operation.name}: ${call}, call ${nth} of ${calls.length}: ${JSON.stringify(plan)}`;
          try {
            renew(image);
            syscalls.plan(...plan);
            try {
              closeQuietly(opened(operation, syscalls));
            } catch (error) {
              if (!isMmdError(error)) throw error;
              failed++;
            }
            syscalls.plan();
            const found = readText();
            expectText(found, allowed, 'the file');
            await judged(operation, allowed);
            using again = opened(operation, syscalls);
            expectUsable(again, found);
          } catch (error) {
            throw new Error(`${where}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error });
          }
        }
      }
    }
  }
  await judge.finish();
  await legacyJudge.finish();
  expect(repairs).toBeGreaterThanOrEqual(3);
  expect(failed).toBeGreaterThan(repairs);
});

/** A handle whose sync failed refuses every change. */
function isPoisoned(dict: MmapDict): boolean {
  if (dict.closed) return false;
  try {
    dict.core.store.file.write(0, new Uint8Array(0));
    return false;
  } catch {
    return true;
  }
}

/** Closing may fail if the plan says so; the file is judged all the same. */
function closeQuietly(dict: MmapDict): void {
  try {
    dict.close();
  } catch (error) {
    if (!isMmdError(error)) throw error;
  }
}

describe('a full disk, where even overwriting needs room', () => {
  test.each<[string, (dict: MmapDict) => unknown]>([
    ['a new key', (dict) => dict.set('new', 1)],
    ['a key that is set again', (dict) => dict.set('a', 2)],
    ['a key that is deleted', (dict) => dict.delete('a')],
    ['rows', (dict) => (dict.get('rows') as GrowableArray).append([1])],
    ['a batch with changes in several places', (dict) => dict.batch(() => dict.set('new', 1).delete('a'))],
    ['rows in a batch', (dict) => dict.batch(() => (dict.get('rows') as GrowableArray).append([1]))],
  ])('either refuses %s and leaves the dict unchanged, or accepts it', (_name, change) => {
    const copies = { cloneRange: () => -constants.errno.EINVAL };
    const look = (): unknown => {
      using dict = MmapDict.over(NodeFile.open(path));
      return { a: dict.get('a'), new: dict.get('new'), rows: (dict.get('rows') as GrowableArray).shape[0] };
    };
    for (let nth = 0, refused = true; refused; nth++) {
      path = dir.file(`full${files++}`);
      const syscalls = faultySyscalls({ ...real, ...copies });
      const file = NodeFile.open(path, 'a', { syscalls });
      const dict = MmapDict.over(file, { index: false });
      dict.set('a', 1).set('rows', { arraySource: true, dtype: 'int32', shape: [0], capacity: 9 });
      const before = look();
      syscalls.plan({ call: 'pwrite', nth, errno: 'ENOSPC', persistent: true });
      refused = false;
      try {
        change(dict);
      } catch (error) {
        refused = isMmdError(error, 'NO_SPACE');
      }
      if (refused) expect(look()).toEqual(before);
      else expect(look()).not.toEqual(before);
      syscalls.plan();
      dict.set('later', 1);
      dict.close();
    }
  });
});

test.each<[string, (path: string) => void]>([
  ['opened', (path) => MmapFile.open(path, { mode: 'w-' }).close()],
  ['converted', (path) => void convert(pickled, path)],
])('a new file that cannot be %s is closed, and the failure reported is the first', (_name, create) => {
  const open = NodeFile.open.bind(NodeFile);
  const syscalls = faultySyscalls(real);
  const opening = vi
    .spyOn(NodeFile, 'open')
    .mockImplementation((path, mode, options) => open(path, mode, { ...options, syscalls }));
  try {
    for (let nth = 0, done = false; !done; nth += 1) {
      writeFileSync(pickled, dump(new Map([['a', 1]])));
      const before = readdirSync('/proc/self/fd').length;
      syscalls.plan({ nth, errno: 'EIO', persistent: true });
      let error: unknown;
      try {
        create(dir.file(`made${files++}`));
        done = syscalls.calls.length <= nth;
      } catch (reason) {
        error = reason;
      }
      const first = syscalls.calls[nth];
      syscalls.plan();
      expect([first, readdirSync('/proc/self/fd').length - before]).toEqual([first, 0]);
      if (error !== undefined) expect(error).toMatchObject({ code: 'IO', errno: 'EIO' });
    }
  } finally {
    opening.mockRestore();
  }
});
