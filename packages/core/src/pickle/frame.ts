/**
 * The containers that are being written.
 *
 * @module
 */

/** What a frame writes. */
export const LIST = 0;
export const DICT = 1;
export const SET = 2;
export const TUPLE = 3;
export const STEPS = 4;

/** A container that is being written. Frames are reused. */
export interface Frame {
  kind: number;
  /** What to write: items, keys and values in turn, or steps. Borrowed. */
  items: readonly unknown[];
  /** Owned by the frame: holds entries that are not in an array already. Items beyond `end` are left over. */
  readonly scratch: unknown[];
  /** The keys of the last dict at this depth, by position, and their memo indices: records repeat their keys. */
  readonly keys: string[];
  readonly slots: number[];
  index: number;
  batchStart: number;
  batchEnd: number;
  end: number;
  value: object | null;
  /** A tuple's slot in the writer's memo. */
  slot: number;
}

/** Nothing to write. */
export const NOTHING: readonly unknown[] = [];

/** The containers that are open, the innermost last. */
export class Frames {
  readonly #frames: Frame[] = [];
  depth = 0;
  /** The greatest depth since the value's start. */
  #deepest = 0;

  push(kind: number, items: readonly unknown[], end: number, value: object | null): Frame {
    let frame = this.#frames[this.depth];
    if (frame === undefined) {
      frame = {
        kind,
        items,
        scratch: [],
        keys: [],
        slots: [],
        index: 0,
        batchStart: 0,
        batchEnd: 0,
        end,
        value,
        slot: -1,
      };
      this.#frames.push(frame);
    } else {
      frame.kind = kind;
      frame.items = items;
      frame.index = 0;
      frame.batchStart = 0;
      frame.batchEnd = 0;
      frame.end = end;
      frame.value = value;
    }
    if (++this.depth > this.#deepest) this.#deepest = this.depth;
    return frame;
  }

  /** The innermost. */
  top(): Frame {
    return this.#frames[this.depth - 1]!;
  }

  /** The frame at a depth in use; the outermost is at 0. */
  at(depth: number): Frame {
    return this.#frames[depth]!;
  }

  pop(): void {
    const frame = this.#frames[--this.depth]!;
    frame.items = NOTHING;
    frame.value = null;
  }

  /** Closes all frames and drops what they hold. */
  release(): void {
    while (this.depth > 0) this.pop();
    for (let depth = 0; depth < this.#deepest; depth++) {
      const { scratch, keys } = this.#frames[depth]!;
      if (scratch.length > 0) scratch.length = 0;
      if (keys.length > 0) keys.length = 0;
    }
    this.#deepest = 0;
  }
}
