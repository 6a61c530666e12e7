import { readFileSync } from 'node:fs';
import type { GrowableArray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { type Change, watchDict } from '@mmdpickle/rx';
import { GrowableNDArray } from '@mmdpickle/stubs';
import { Python, pythons, TempDir } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';
import { until } from './blocker.ts';

const WRITER = readFileSync(new URL('./reference-writer.py', import.meta.url), 'utf8');

/** Reported with the key only. */
function told(changes: readonly Change[]): string[] {
  return changes.map((change) => ('key' in change ? `${change.kind} ${change.key}` : change.kind));
}

describe.each(pythons().slice(0, 1))('commits of Python $version', (info) => {
  test.each([true, false])('are seen one by one, like those of this library (file events: %s)', async (events) => {
    using dir = new TempDir();
    const path = dir.file('a.mmdpickle');
    using dict = MmapDict.open(path, { index: false });
    dict.set('ours', 1);
    await using python = new Python(info);
    const changes: Change[] = [];
    const subscription = watchDict(path, { events, pollMs: 5 }).subscribe((change) => changes.push(change));
    const expected: string[] = [];
    for (const [call, change] of [
      ["store(args['path'], 'theirs', 7)", 'added theirs'],
      ["store(args['path'], 'theirs', 8)", 'replaced theirs'],
      ["store(args['path'], 'ours', 2)", 'replaced ours'],
      ["delete(args['path'], 'ours')", 'removed ours'],
      // Stores through a mapping cause no file event.
      ["delete(args['path'], 'theirs', mapped=True)", 'removed theirs'],
    ] as const) {
      await python.run(`${WRITER}\n${call}`, { path });
      expected.push(change);
      await until(() => changes.length >= expected.length, change);
      expect(told(changes)).toEqual(expected);
    }
    dict.set('ours', 3);
    await until(() => changes.length > expected.length);
    expect(told(changes).at(-1)).toBe('added ours');
    subscription.unsubscribe();
  });
});

test('rows committed by a store through a mapping are seen', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const rows = dict.set('r', new GrowableNDArray([], 'int8', { capacity: 100 })).get('r') as GrowableArray;
  const changes: Change[] = [];
  const subscription = watchDict(dict, { events: false, pollMs: 2 }).subscribe((change) => changes.push(change));
  for (let i = 1; i <= 5; i += 1) {
    rows.append(Int8Array.of(i));
    await until(() => changes.length === i);
  }
  subscription.unsubscribe();
  expect(changes.map((change) => change.kind === 'appended' && change.rows)).toEqual(
    [0, 1, 2, 3, 4].map((start) => ({ start, end: start + 1 })),
  );
});

test('a watcher that is subscribed to again resumes where it was', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const watch = watchDict(dict);
  const seen: string[] = [];
  const collect = (): { unsubscribe(): void } => watch.subscribe((change) => seen.push(...told([change])));
  let subscription = collect();
  dict.set('a', 1);
  await until(() => seen.length === 1);
  subscription.unsubscribe();
  dict.set('b', 1).delete('a');
  subscription = collect();
  const second = collect();
  dict.set('c', 1);
  await until(() => seen.length === 5);
  subscription.unsubscribe();
  second.unsubscribe();
  expect(seen).toEqual(['added a', 'added b', 'removed a', 'added c', 'added c']);
});

test('a watch survives a vacuum by the watched dict itself', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  dict.set('a', new Float32Array(1000)).set('b', 'text').delete('a');
  const seen: string[] = [];
  const subscription = watchDict(dict).subscribe((change) => seen.push(...told([change])));
  dict.vacuum();
  dict.set('c', 1);
  await until(() => seen.length === 2);
  expect(seen).toEqual(['vacuumed', 'added c']);
  subscription.unsubscribe();
});
