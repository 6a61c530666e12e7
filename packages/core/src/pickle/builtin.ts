/**
 * Types for the rows of the mapping table, each of which reads and writes one Python type.
 *
 * @module
 */

import type { Encoding } from './options.ts';
import type { KeySpace } from './values/keys.ts';
import type { OpaqueKind } from './values/opaque.ts';

/** What a reconstructor may know about the pickle being read. */
export interface ReadContext {
  readonly lossless: boolean;
  readonly borrow: boolean;
  /** Arrays over borrowed bytes are writable. */
  readonly writable: boolean;
  readonly encoding: Encoding;
  /** Counts what a call copies or walks: 2 units per byte or character, 64 per item. @throws MmdError LIMIT_EXCEEDED */
  work(units: number): void;
  /** The key space shared by the dicts and sets of this pickle. */
  space(): KeySpace;
}

/**
 * A value that is complete only after the BUILD that follows. Until then it is opaque, and it stays opaque if the state
 * does not have the expected shape.
 */
export class Unfinished {
  /** Makes the value from a state; undefined if the state does not have the known shape. */
  readonly finish: (state: unknown) => unknown;

  constructor(finish: (state: unknown) => unknown) {
    this.finish = finish;
  }
}

/**
 * Makes a value from arguments. Returns undefined unless they have exactly the known shape: the object then stays
 * opaque. Throws nothing but LIMIT_EXCEEDED, and never calls anything from the input.
 */
export type Reconstruct = (
  args: readonly unknown[],
  context: ReadContext,
  kind: OpaqueKind,
  kwargs: unknown,
) => unknown;

/** A value that takes a state (BUILD). */
export interface Stateful {
  /** @internal False if the state does not have the known shape. */
  pySetState(state: unknown): boolean;
}

/** How a value is written: as a call, and the opcodes that follow it. */
export interface Reduction {
  readonly module: string;
  readonly name: string;
  readonly args: readonly unknown[];
  /** BUILD, if not undefined. */
  readonly state?: unknown;
  /** APPENDS. */
  readonly items?: Iterable<unknown>;
  /** SETITEMS. */
  readonly entries?: Iterable<readonly [unknown, unknown]>;
}
