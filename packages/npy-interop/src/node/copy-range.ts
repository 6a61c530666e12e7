/**
 * Copies bytes from one file into an unused range of another, in steps.
 *
 * @module
 */

import { setImmediate } from 'node:timers/promises';
import type { StorageFile } from '@mmdpickle/core/storage';
import type { BytesInFile } from '../array-bytes.ts';
import type { Tick } from '../npz-write.ts';

/** Between steps of this size, progress is reported, aborts are noticed and other work runs. */
const STEP = 2 ** 27;
/** Size of the one buffer for all steps. Whole blocks of 2 MiB are written fastest. */
const BUFFER = 2 ** 21;

/**
 * Copies a range in steps; see `StorageFile.copyFrom`.
 *
 * @param to - its bytes from `offset` on must be a hole, or beyond its end
 * @throws TRUNCATED if the source ends too early; NO_SPACE; IO; what `tick` throws
 */
export function copyRange(from: BytesInFile, to: StorageFile, offset: number, length: number, tick: Tick): void {
  for (const step of steps(from, to, offset, length)) tick(step);
}

/** As {@link copyRange}, letting other work run between the steps. */
export async function copyRangeAsync(
  from: BytesInFile,
  to: StorageFile,
  offset: number,
  length: number,
  tick: Tick,
): Promise<void> {
  for (const step of steps(from, to, offset, length)) {
    tick(step);
    await setImmediate();
  }
}

function* steps(
  from: BytesInFile,
  to: StorageFile,
  offset: number,
  length: number,
): Generator<number, void, undefined> {
  const buffer = new Uint8Array(Math.min(BUFFER, length));
  for (let done = 0; done < length; ) {
    // Steps end at block boundaries of the target.
    const step = Math.min(STEP - ((offset + done) % STEP), length - done);
    to.copyFrom(from.file, from.offset + done, offset + done, step, buffer);
    done += step;
    yield step;
  }
}
