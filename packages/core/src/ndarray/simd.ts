/**
 * Runs the kernels of `wasm-kernels.ts` over arrays: over file pages mapped into the kernels' memory if the
 * {@link ArrayMemory} supports that, else over cache-sized copies.
 *
 * Copies are fast too (the processor's block copy reads at the memory's full speed, at any alignment), but the kernel's
 * own time is added, and the pages of an array that is read through its mapping accumulate in the process.
 *
 * @module
 */

import type { ArrayMemory, FixedStretch } from './array-memory.ts';
import { type MemoryStore, NATIVE_ORDER } from './element-store.ts';
import type { Layout } from './layout.ts';
import { forEachRun } from './shapes.ts';
import { unordered } from './spans.ts';
import { readRun } from './transfer.ts';
import { EXPORT, kernelModule, STRIDE } from './wasm-kernels.ts';

/** Results of kernels, from address 0: `RESULT_BYTES` per block. */
const OUT_BYTES = 64 * 1024;
/** Copies: large enough for the processor's block copy to reach full speed, small enough to stay in a second-level cache. */
const COPY_BYTES = 256 * 1024;
const WASM_PAGE = 65_536;
/** Where file pages are mapped. */
const PAGES_AT: number = OUT_BYTES + COPY_BYTES;
/**
 * Arrays up to this size stay mapped until others replace them, because the page faults of the first run cost as much as
 * reading. This is address space, not memory. Less if the runtime refuses so much.
 */
const KEEP_BYTES: readonly number[] = [2 ** 30, 2 ** 25];
/** How many arrays stay mapped. */
const SLOTS = 2;
/** Larger arrays are mapped in parts of this size, so that the process never holds more of their pages. */
const PART_BYTES: number = 2 ** 25;
/** Below this, mapping costs more than copying. */
const MIN_PAGES_BYTES: number = 2 ** 22;
/** Room for the first and last page of a range, and to place it so that 2 MiB pages fit. */
const SPARE_BYTES: number = 2 ** 21 + 2 * WASM_PAGE;
/**
 * Bytes per call of a kernel: the results must fit {@link OUT_BYTES}. V8 optimizes a kernel once it has run for
 * a while, and uses the optimized code from the next call on, so the first gigabyte must not be one call.
 */
const CALL_BYTES: number = 2 ** 22;
/** Bytes of a vector; the second vector of a result indicates NaN. */
const VECTOR = 16;
/** Bytes at each of the two addresses that share a result. */
export const BLOCK_BYTES: number = 16 * 1024;
/** Below this, calling a kernel costs more than it saves: 1 us. */
export const MIN_SIMD_BYTES = 4096;
/** This many bytes are reduced by JavaScript loops, at up to 2 ns each, before the kernels are started, which takes 0.3 ms. */
const START_BYTES: number = 128 * 1024;

/** The number of wasm pages needed for file pages. */
const roomFor = (keepBytes: number): number => (SLOTS * (keepBytes + SPARE_BYTES)) / WASM_PAGE;

type Kernel = (start: number, end: number, block: number, out: number, gap: number) => void;

/**
 * Receives what a kernel produced: `RESULT_BYTES` for each block, which covers the same block of both halves of `taken`, the elements
 * as stored in memory; and as `rest` the last elements, fewer than twice {@link STRIDE} bytes, which the kernel did not process.
 */
export type UseBlocks = (results: ArrayBuffer, blocks: number, rest: Uint8Array, taken: Uint8Array) => void;

/** File pages that are mapped into the kernels' memory. */
interface Kept {
  readonly slot: number;
  /** Weak, so that it does not keep a mapping alive. */
  readonly memory: WeakRef<ArrayMemory>;
  readonly offset: number;
  readonly length: number;
  readonly pages: FixedStretch;
}

const NOTHING = new Uint8Array(0);

/** The kernels with their memory. */
export class SimdMachine {
  readonly #memory: WebAssembly.Memory;
  /** The kernels requested so far; undefined for names that have none. */
  readonly #kernels = new Map<string, Kernel | undefined>();
  /** The sizes to try; empty once there is room, or none can be had. */
  #sizes: readonly number[];
  /** How much address space there is for each of the {@link SLOTS}. */
  #keepBytes = 0;
  #busy = false;
  /** Most recently used first. */
  #kept: Kept[] = [];

  /** @param keepBytes - how much address space to reserve per slot for file pages, once there are some: the first size that works */
  constructor(...keepBytes: readonly number[]) {
    this.#sizes = keepBytes;
    const initial = PAGES_AT / WASM_PAGE;
    this.#memory = new WebAssembly.Memory({ initial, maximum: initial + roomFor(Math.max(...keepBytes)) });
    // Fails at once if the runtime has no SIMD, or may not compile.
    this.#kernel('sum_f8');
  }

  /**
   * Makes room for file pages. It is only address space, but V8 counts it as memory and collects garbage, which takes
   * milliseconds; programs that reduce only small arrays are spared that.
   */
  #makeRoom(): void {
    const sizes = this.#sizes;
    this.#sizes = [];
    for (const size of sizes) {
      try {
        this.#memory.grow(roomFor(size));
        this.#keepBytes = size;
        return;
      } catch {
        // Too little address space: less may do, and copies are always possible.
      }
    }
  }

  #kernel(name: string): Kernel | undefined {
    if (this.#kernels.has(name)) return this.#kernels.get(name);
    const code = kernelModule(name);
    let kernel: Kernel | undefined;
    if (code !== undefined) {
      const module = new WebAssembly.Module(code as BufferSource);
      const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
      kernel = exports[EXPORT] as Kernel;
    }
    this.#kernels.set(name, kernel);
    return kernel;
  }

  /**
   * Runs a kernel over all elements, in any order, if there is one and it is worth it.
   * @param what - such as `sum`
   * @param code - the type code in the kernel's name
   * @param whole - one result per call of the kernel, instead of one for each {@link BLOCK_BYTES}
   * @returns false if nothing was done
   */
  run(what: string, code: string, layout: Layout, store: MemoryStore, whole: boolean, use: UseBlocks): boolean {
    const bytes = layout.size * layout.type.itemsize;
    if (this.#busy || bytes < MIN_SIMD_BYTES) return false;
    const { byteorder } = layout.type;
    const swapped = byteorder !== '|' && byteorder !== NATIVE_ORDER;
    const type = `${swapped ? '>' : ''}${code}`;
    const kernel = this.#kernel(`${what}_${type}`);
    if (kernel === undefined) return false;
    if (bytes >= MIN_PAGES_BYTES && store.memory.mapFixed !== undefined) this.#makeRoom();
    const sure = whole ? this.#kernel(`nan_${type}`) : undefined;
    this.#busy = true;
    try {
      const { buffer } = this.#memory;
      const suspicion = new Int32Array(buffer, VECTOR, 4);
      this.#walk(layout, store, (at, length) => {
        const end = at + length;
        let from = at;
        while (end - from >= 2 * STRIDE) {
          const half = Math.floor(Math.min(end - from, CALL_BYTES) / 2);
          const gap = half - (half % STRIDE);
          kernel(from, from + gap, whole ? gap : BLOCK_BYTES, 0, gap);
          if (sure !== undefined && suspicion.some((lane) => lane !== 0)) sure(from, from + gap, gap, VECTOR, gap);
          use(buffer, whole ? 1 : Math.ceil(gap / BLOCK_BYTES), NOTHING, new Uint8Array(buffer, from, 2 * gap));
          from += 2 * gap;
        }
        if (from < end) use(buffer, 0, new Uint8Array(buffer, from, end - from), NOTHING);
      });
    } finally {
      this.#busy = false;
    }
    return true;
  }

  /** Calls `use` with ranges of the kernels' memory that together hold every element once. */
  #walk(layout: Layout, store: MemoryStore, use: (at: number, length: number) => void): void {
    const { itemsize } = layout.type;
    const scratch = new Uint8Array(this.#memory.buffer, OUT_BYTES, COPY_BYTES);
    const capacity = Math.floor(COPY_BYTES / itemsize);
    let gathered = 0;
    const flush = (): void => {
      if (gathered === 0) return;
      use(OUT_BYTES, gathered * itemsize);
      gathered = 0;
    };
    const { shape, strides, position } = unordered(layout);
    forEachRun(shape, [{ position, strides }], ([start = 0], count, [step = 0]) => {
      store.checkOpen();
      const laid = step === itemsize ? this.#layIn(store, start, count * itemsize, use) : 0;
      for (let first = laid / itemsize; first < count; ) {
        const n = Math.min(count - first, capacity - gathered);
        readRun(store, start + first * step, n, step, scratch.subarray(gathered * itemsize));
        gathered += n;
        first += n;
        if (gathered === capacity) flush();
      }
    });
    flush();
  }

  /** Runs `use` over file pages mapped into the kernels' memory. @returns how many bytes it processed */
  #layIn(store: MemoryStore, start: number, length: number, use: (at: number, length: number) => void): number {
    const { memory } = store;
    if (length < MIN_PAGES_BYTES || memory.mapFixed === undefined || this.#keepBytes === 0) return 0;
    const offset = store.origin + start;
    if (length <= this.#keepBytes) {
      const kept = this.#keep(memory, offset, length);
      if (kept === undefined) return 0;
      const { at, fresh } = kept;
      for (let done = 0; done < length; ) {
        // In parts, so that a machine with little memory need not hold all pages at once.
        const part = Math.min(length - done, PART_BYTES);
        fresh?.prefetch?.(done, part);
        use(at + done, part);
        done += part;
      }
      return length;
    }
    this.release();
    for (let done = 0; done < length; ) {
      store.checkOpen();
      const part = Math.min(length - done, PART_BYTES, this.#keepBytes);
      const pages = memory.mapFixed(this.#memory.buffer, PAGES_AT, offset + done, part, part + SPARE_BYTES);
      if (pages === undefined) return done;
      try {
        pages.prefetch?.(0, part);
        use(pages.at, part);
      } finally {
        pages.release();
      }
      done += part;
    }
    return length;
  }

  /** Where the range is mapped in the kernels' memory, by an earlier call or by this one; `fresh` if by this one. */
  #keep(memory: ArrayMemory, offset: number, length: number): { at: number; fresh?: FixedStretch } | undefined {
    const end = offset + length;
    // A file that was truncated has unmapped its pages, since a kernel that touched one past the end would kill the process.
    this.#kept = this.#kept.filter(({ pages }) => !pages.released);
    const kept = this.#kept.find(
      (each) => each.memory.deref() === memory && each.offset <= offset && end <= each.offset + each.length,
    );
    if (kept === undefined) {
      if (this.#kept.length === SLOTS) this.#kept.pop()?.pages.release();
      const slot = [0, 1].find((free) => this.#kept.every((each) => each.slot !== free)) ?? 0;
      const at = PAGES_AT + slot * (this.#keepBytes + SPARE_BYTES);
      const pages = memory.mapFixed?.(this.#memory.buffer, at, offset, length, this.#keepBytes + SPARE_BYTES);
      if (pages === undefined) return undefined;
      this.#kept.unshift({ slot, memory: new WeakRef(memory), offset, length, pages });
      return { at: pages.at, fresh: pages };
    }
    this.#kept = [kept, ...this.#kept.filter((each) => each !== kept)];
    return { at: kept.pages.at + (offset - kept.offset) };
  }

  /** Unmaps the file pages that were kept. Closing a file does so by itself. */
  release(): void {
    for (const { pages } of this.#kept) pages.release();
    this.#kept = [];
  }
}

/**
 * One machine per realm: V8 reserves gigabytes of address space for each memory. A number: how many bytes were reduced before
 * the machine was started. `null`: this runtime has no SIMD.
 */
const MACHINES = new WeakMap<object, SimdMachine | number | null>();

/**
 * The machine, created once it is worth it; undefined before, and if WebAssembly or SIMD is missing or forbidden.
 *
 * @param bytes - how many bytes are about to be reduced
 */
export function simdMachine(bytes: number): SimdMachine | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  let machine = MACHINES.get(WebAssembly);
  if (machine === undefined || typeof machine === 'number') {
    const seen = (machine ?? 0) + bytes;
    machine = seen < START_BYTES ? seen : startMachine();
    MACHINES.set(WebAssembly, machine);
  }
  return machine instanceof SimdMachine ? machine : undefined;
}

function startMachine(): SimdMachine | null {
  try {
    return new SimdMachine(...KEEP_BYTES);
  } catch {
    // Forbidden by a policy, or no SIMD: the loops in JavaScript give the same results.
    return null;
  }
}
