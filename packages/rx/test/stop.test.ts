import { MmapDict } from '@mmdpickle/core/node';
import { appendFrames, requestStop, STOP_KEY, stopRequested } from '@mmdpickle/rx';
import { TempDir } from '@mmdpickle/test-support';
import { firstValueFrom, interval, lastValueFrom, map, takeUntil, timeout, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { expect, test } from 'vitest';

test('a capture ends when another handle asks for it, and the request is removed', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  using viewer = MmapDict.open(dir.file('a.mmdpickle'));
  const reasons: string[] = [];
  const stop$ = stopRequested(dict).pipe(
    map((reason) => {
      reasons.push(reason);
      return reason;
    }),
  );
  const capture = lastValueFrom(
    interval(1).pipe(
      map((i) => Uint8Array.of(i)),
      takeUntil(stop$),
      appendFrames(dict),
      toArray(),
    ),
  );
  setTimeout(() => requestStop(viewer, 'seen enough'), 20);
  const receipts = await capture;
  expect(reasons).toEqual(['seen enough']);
  expect(dict.has(STOP_KEY)).toBe(false);
  expect(dict.size).toBe(receipts.length);
});

test('a request made while its watch starts is obeyed', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  using viewer = MmapDict.open(dir.file('a.mmdpickle'));
  let asked = 0;
  const options = {
    pollMs: 20,
    get events() {
      // Options are checked first; then this one is read when the file is open and its entries are not yet read.
      if (++asked === 2) requestStop(viewer, 'in between');
      return false;
    },
  };
  expect(await firstValueFrom(stopRequested(dict, options).pipe(timeout(5000)))).toBe('in between');
  expect(asked).toBe(2);
});

test('an earlier request is obeyed at once', () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  requestStop(dict);
  const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
  scheduler.run(({ expectObservable }) => {
    expectObservable(stopRequested(dict, { events: false })).toBe('(a|)', { a: '' });
  });
  expect(dict.size).toBe(0);
});
