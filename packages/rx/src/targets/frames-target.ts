import { type MmapDict, MmdError } from '@mmdpickle/core';
import { wrongArgument } from '@mmdpickle/core/options';
import type { Pending, Placed, Target } from '../ingest/target.ts';
import { type Frame, frameBytes, frameStorer, ownFrame } from './frame.ts';

/** How frames are stored as entries. */
export interface FramesOptions<T = Frame> {
  /**
   * The key of frame `i`, where `i` counts every frame received, including dropped ones. A string is a prefix:
   * `'frame/'` gives `frame/000000000`, and continues after the highest number in the file. Default `'frame/'`.
   */
  readonly key?: string | ((frame: T, i: number) => string);
  /**
   * Whether to store a companion entry `<key>.meta` in the same commit: a dict with `seq`, `time` (seconds since 1970) and
   * the fields that the function returns.
   */
  readonly meta?: boolean | ((frame: T, i: number) => { readonly [name: string]: unknown });
  /** Shape of frames that are typed arrays. Default: one axis. */
  readonly shape?: readonly number[];
  /** The number of the first frame, if `key` is a function. Default 0. */
  readonly firstSeq?: number;
  /** Whether existing entries may be replaced. Default false: ALREADY_EXISTS ends the stream. */
  readonly replace?: boolean;
}

/** Suffix of a frame's key that gives the key of its companion. */
export const META_SUFFIX = '.meta';

const DIGITS = 9;

/** The key of a numbered frame under a prefix. */
export function frameKey(prefix: string, seq: number): string {
  return prefix + String(seq).padStart(DIGITS, '0');
}

/** One more than the highest frame number under the prefix; 0 if there is none. */
export function nextFrameSeq(keys: Iterable<string>, prefix: string): number {
  let next = 0;
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const digits = key.slice(prefix.length);
    if (/^\d{1,15}$/.test(digits)) next = Math.max(next, Number(digits) + 1);
  }
  return next;
}

/** A target with one entry per frame. */
export function framesTarget<T>(dict: MmapDict, options: FramesOptions<T>): Target<T> {
  const { key = 'frame/', meta = false, shape, replace = false } = options;
  const stored = frameStorer(shape);
  const keyOf = typeof key === 'string' ? (_frame: T, i: number) => frameKey(key, i) : key;

  function write({ item, seq: i, time }: Pending<T>): Placed {
    const at = keyOf(item, i);
    const there = replace ? undefined : (meta === false ? [at] : [at, at + META_SUFFIX]).find((name) => dict.has(name));
    if (there !== undefined) {
      throw new MmdError(
        'ALREADY_EXISTS',
        `frame ${i} would replace '${there}': pass { replace: true } to allow this`,
        {
          key: there,
          path: dict.name,
        },
      );
    }
    dict.set(at, stored(item));
    if (meta !== false) {
      const more: unknown = meta === true ? {} : meta(item, i);
      // A promise, a Map or a Date has no fields of its own, so nothing it holds would be stored.
      if (Object.prototype.toString.call(more) !== '[object Object]')
        throw wrongArgument('the result of meta()', 'an object', more);
      dict.set(
        at + META_SUFFIX,
        new Map<string, unknown>([['seq', i], ['time', time / 1000], ...Object.entries(more as object)]),
      );
    }
    return { key: at };
  }

  return {
    firstSeq: typeof key === 'string' ? nextFrameSeq(dict.keys(), key) : (options.firstSeq ?? 0),
    measure: frameBytes,
    own: ownFrame,
    write: (frames) => frames.map(write),
    finish() {},
  };
}
