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

/** A container that is being written. Kept and used again. */
export interface Frame {
  kind: number;
  /** What to write: items, keys and values in turn, or steps. Borrowed. */
  items: readonly unknown[];
  /** Owned by the frame: where entries are laid out that do not stand in an array. What stands beyond the end is left over. */
  readonly scratch: unknown[];
  /** The keys that the last dict of this depth had, by place, and their memo indices: records have the same ones. */
  readonly keys: string[];
  readonly slots: number[];
  index: number;
  batchStart: number;
  batchEnd: number;
  end: number;
  value: object | null;
  /** Where the writer's memo notes a tuple. */
  slot: number;
}

/** Nothing to write. */
export const NOTHING: readonly unknown[] = [];

/** The containers that are open, the innermost last. */
export class Frames {
  readonly #frames: Frame[] = [];
  depth = 0;
  /** Frames that were in use since the value's start. */
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

  /** The one at a depth that is in use: the outermost has 0. */
  at(depth: number): Frame {
    return this.#frames[depth]!;
  }

  pop(): void {
    const frame = this.#frames[--this.depth]!;
    frame.items = NOTHING;
    frame.value = null;
  }

  /** Closes all, and lets go of what they hold. */
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
