import { type ArraySource, MaskedArray, type MmapDict, MmdError, NDArray, sameDType } from '@mmdpickle/core';
import type { Pending, Placed, Target } from '../ingest/target.ts';
import { type CompanionOptions, companionColumns } from './companions.ts';
import { frameBytes, isTypedArray, ownFrame } from './frame.ts';
import { RowPacker } from './row-packer.ts';
import { growable } from './row-store.ts';

/** How planes are filled. */
export interface FillOptions<T> extends CompanionOptions<T> {
  /**
   * What happens when the last plane is filled: `plain` (default) ends the stream with LIMIT_EXCEEDED at the next
   * frame, `stop` completes it with the last plane, `ring` continues at plane 0.
   */
  readonly mode?: 'plain' | 'stop' | 'ring';
}

/**
 * A target that writes frame `seq` into plane `seq % planes` of an array of fixed size. The companions have a row for each
 * plane written, in the order of writing.
 */
export function fillTarget<T>(
  dict: MmapDict,
  key: string,
  stub: ArraySource | undefined,
  options: FillOptions<T>,
): Target<T> {
  const { mode = 'plain' } = options;
  const shape = stub?.shape ?? dict.getMeta(key)?.shape;
  if (shape === undefined || shape.length === 0) {
    throw new MmdError('INVALID_ARGUMENT', `'${key}' needs the stub of an array with at least one axis`, { key });
  }
  const [planes = 0, ...planeShape] = shape;
  if (planes === 0) throw new MmdError('INVALID_ARGUMENT', `'${key}' has no planes to fill`, { key, found: shape });
  const columns = companionColumns(key, options, undefined);
  const stores = columns.map((column) => growable()(dict, column.key, column.spec));
  const lastSeq = options.seq === false ? undefined : stores.at(-1)?.last();
  // Without sequence numbers, the number of times tells how many planes were written.
  const firstSeq = lastSeq === undefined ? (stores[0]?.refresh() ?? 0) : Number(lastSeq) + 1;
  const masked = stub === undefined ? dict.get(key) instanceof MaskedArray : stub.mask !== undefined;
  const packer = new RowPacker(stub?.dtype ?? dict.getMeta(key)!.dtype!, planeShape, masked);

  /** Gets the array anew, under the lock: an in-place vacuum may have moved it, or a rolled-back batch removed it. */
  function current(): NDArray | MaskedArray {
    if (!dict.has(key)) dict.set(key, stub?.order === 'F' ? reserved(stub) : stub);
    const found = dict.get(key);
    const fits =
      (found instanceof NDArray || found instanceof MaskedArray) &&
      found instanceof MaskedArray === masked &&
      found.shape.length === shape!.length &&
      found.shape.every((dim, i) => dim === shape![i]) &&
      sameDType(found.type, packer.type);
    if (!fits) {
      throw new MmdError('INVALID_ARGUMENT', `'${key}' already exists and is not an array of this shape and dtype`, {
        key,
        expected: { dtype: packer.type.name, shape, masked },
        found:
          found instanceof NDArray || found instanceof MaskedArray
            ? { dtype: found.type.name, shape: found.shape, masked: !(found instanceof NDArray) }
            : typeof found,
      });
    }
    return found;
  }

  function refuseBeyond(seq: number): void {
    if (mode !== 'plain' || seq < planes) return;
    throw new MmdError('LIMIT_EXCEEDED', `'${key}' is full: all ${planes} planes are filled`, {
      key,
      limit: 'planes',
      maximum: planes,
      found: seq,
    });
  }

  function write({ item, seq }: Pending<T>, target: NDArray | MaskedArray): Placed {
    // Checked again: a getter of the frame, run by `measure`, may have pushed the frame for the last plane.
    refuseBeyond(seq);
    const plane = seq % planes;
    target.row(plane).set(plain(item));
    return { key, rows: { start: plane, end: plane + 1 } };
  }

  return {
    firstSeq,
    endSeq: mode === 'stop' ? planes : undefined,
    measure(item, seq) {
      refuseBeyond(seq);
      packer.check(item);
      return frameBytes(item);
    },
    own: ownFrame,
    write(frames) {
      for (const store of stores) store.refresh();
      const target = current();
      const placed = frames.map((frame) => write(frame, target));
      for (const [i, column] of columns.entries()) stores[i]!.append(column.pack(frames), frames.length);
      return placed;
    },
    finish() {
      for (const store of stores) store.seal();
    },
  };
}

/**
 * A stub that reserves its disk space at once. In Fortran order each plane is scattered over all pages and stored through
 * the mapping, and a store to a page for which the disk has no space would kill the process.
 */
function reserved(stub: ArraySource): ArraySource {
  const { dtype, shape, order, file, mask, fillValue } = stub;
  return {
    arraySource: true,
    reserve: true,
    dtype,
    shape,
    order,
    file,
    fillValue,
    ...(mask !== undefined && { mask: reserved(mask) }),
    ...(stub.bytes !== undefined && { bytes: () => stub.bytes!() }),
  };
}

/** What `set` takes: a typed array of the plane's size, in C order; for one with a single element, the element. */
function plain(item: unknown): unknown {
  return isTypedArray(item) && item.length === 1 ? item[0] : item;
}
