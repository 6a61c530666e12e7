/**
 * Runs the kernels of `wasm-kernels.ts` over arrays, by way of copies of the size of a cache.
 *
 * A copy sounds like a loss, but the processor's block copy reads memory at its full speed, at any alignment, and the
 * kernel then reads from the second-level cache; laying the file's pages into the kernels' memory with MAP_FIXED costs
 * its page faults every time.
 *
 * @module
 */

import { type MemoryStore, NATIVE_ORDER } from './element-store.ts';
import type { Layout } from './layout.ts';
import { forEachRun } from './shapes.ts';
import { unordered } from './spans.ts';
import { swapInPlace } from './swap.ts';
import { readRun } from './transfer.ts';
import { kernelModule, STRIDE } from './wasm-kernels.ts';

/** Results of kernels, from address 0. */
const OUT_BYTES = 64 * 1024;
/** Copies: large enough for the processor's block copy to reach its speed, small enough to stay in a second-level cache. */
const COPY_BYTES = 256 * 1024;
const WASM_PAGE = 65_536;
/** Bytes that share a vector of results. */
const BLOCK_BYTES = 32 * 1024;
/** Below this, starting the kernels costs more than they spare. */
export const MIN_SIMD_BYTES: number = 256 * 1024;

type Kernel = (start: number, end: number, block: number, out: number) => void;

/** What a kernel leaves: vectors of results, and the last elements, fewer than a vector's worth, which it did not take. */
export type UseBlocks = (results: ArrayBuffer, blocks: number, rest: Uint8Array) => void;

/** The kernels with their memory. */
export class SimdMachine {
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Readonly<Record<string, Kernel>>;
  #busy = false;

  constructor() {
    this.#memory = new WebAssembly.Memory({ initial: (OUT_BYTES + COPY_BYTES) / WASM_PAGE });
    const module = new WebAssembly.Module(kernelModule() as BufferSource);
    const instance = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
    this.#kernels = instance.exports as Record<string, Kernel>;
  }

  /**
   * Runs a kernel over all elements, in any order, if there is one and it is worth it.
   * @param whole - one vector of results for as much as is at hand, instead of one for each {@link BLOCK_BYTES}
   * @returns false where nothing was done
   */
  run(name: string, layout: Layout, store: MemoryStore, whole: boolean, use: UseBlocks): boolean {
    const kernel = this.#kernels[name];
    if (kernel === undefined || this.#busy || layout.size * layout.type.itemsize < MIN_SIMD_BYTES) return false;
    this.#busy = true;
    try {
      this.#walk(layout, store, (at, length) => {
        const { buffer } = this.#memory;
        const end = at + length - (length % STRIDE);
        if (end > at) kernel(at, end, whole ? end - at : BLOCK_BYTES, 0);
        use(
          buffer,
          whole ? Math.min(1, end - at) : Math.ceil((end - at) / BLOCK_BYTES),
          new Uint8Array(buffer, end, at + length - end),
        );
      });
    } finally {
      this.#busy = false;
    }
    return true;
  }

  /** Calls `use` with stretches of the kernels' memory that together hold every element once. */
  #walk(layout: Layout, store: MemoryStore, use: (at: number, length: number) => void): void {
    const { itemsize, byteorder } = layout.type;
    const swap = byteorder !== '|' && byteorder !== NATIVE_ORDER;
    const scratch = new Uint8Array(this.#memory.buffer, OUT_BYTES, COPY_BYTES);
    const capacity = Math.floor(COPY_BYTES / itemsize);
    let gathered = 0;
    const flush = (): void => {
      if (gathered === 0) return;
      if (swap) swapInPlace(scratch.subarray(0, gathered * itemsize), itemsize);
      use(OUT_BYTES, gathered * itemsize);
      gathered = 0;
    };
    const { shape, strides, position } = unordered(layout);
    forEachRun(shape, [{ position, strides }], ([start = 0], count, [step = 0]) => {
      store.checkOpen();
      for (let first = 0; first < count; ) {
        const n = Math.min(count - first, capacity - gathered);
        readRun(store, start + first * step, n, step, scratch.subarray(gathered * itemsize));
        gathered += n;
        first += n;
        if (gathered === capacity) flush();
      }
    });
    flush();
  }
}

/** One machine a realm: V8 sets gigabytes of addresses aside for each memory. `null`: this runtime has no SIMD. */
const MACHINES = new WeakMap<object, SimdMachine | null>();

/** The machine, made when it is first needed; undefined where WebAssembly or SIMD are missing or forbidden. */
export function simdMachine(): SimdMachine | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  let machine = MACHINES.get(WebAssembly);
  if (machine === undefined) {
    try {
      machine = new SimdMachine();
    } catch {
      // A policy forbids it, or there is no SIMD or memory: the loops in JavaScript give the same results.
      machine = null;
    }
    MACHINES.set(WebAssembly, machine);
  }
  return machine ?? undefined;
}
