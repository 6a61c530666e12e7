/**
 * The shape of a row of the mapping table: one Python type, read and written.
 *
 * @module
 */

import type { Encoding } from './options.ts';
import type { KeySpace } from './values/keys.ts';
import type { OpaqueKind } from './values/opaque.ts';

/** What a reconstructor may know of the pickle that it is called from. */
export interface ReadContext {
  readonly lossless: boolean;
  readonly borrow: boolean;
  /** Arrays over borrowed bytes may be stored into. */
  readonly writable: boolean;
  readonly encoding: Encoding;
  /** Counts what a call copies or walks: 2 units a byte or character, 64 an item. @throws MmdError LIMIT_EXCEEDED */
  work(units: number): void;
  /** The space of keys shared by the dicts and sets of this pickle. */
  space(): KeySpace;
}

/**
 * A value that is complete only after the BUILD that follows. Until then it is opaque, and it stays opaque if the
 * state is not of the shape that belongs to it.
 */
export class Unfinished {
  /** Makes the value of a state; undefined if the state is not of the known shape. */
  readonly finish: (state: unknown) => unknown;

  constructor(finish: (state: unknown) => unknown) {
    this.finish = finish;
  }
}

/**
 * Makes a value of arguments. Returns undefined for arguments that are not exactly of the known shape: the object
 * then stays opaque. Throws nothing but LIMIT_EXCEEDED, never calls anything of the input's.
 */
export type Reconstruct = (
  args: readonly unknown[],
  context: ReadContext,
  kind: OpaqueKind,
  kwargs: unknown,
) => unknown;

/** A value that takes a state (BUILD). */
export interface Stateful {
  /** @internal False if the state is not of the known shape. */
  pySetState(state: unknown): boolean;
}

/** How a value is written: as a call, with what follows it. */
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
