/**
 * A row of the mapping table, and what reading one needs.
 *
 * @module
 */

import { encodeLatin1 } from '../../bytes/utf8.ts';
import { isMmdError } from '../../errors.ts';
import type { Reconstruct, Reduction } from '../builtin.ts';
import type { WriteContext } from '../writers.ts';

/** One Python type: what reads it and what writes it. */
export interface TypeRow {
  /** The type's name in Python, for people. */
  readonly python: string;
  /** The class that stands for it here, or undefined where the row writes no class. */
  readonly type?: { readonly prototype: object };
  /** The globals that make it, as `'module name'`, each with the function that reads its arguments. */
  readonly globals: Readonly<Record<string, Reconstruct>>;
  /** How the class is written. */
  readonly reduce?: (value: never, context: WriteContext) => Reduction;
}

/** A row whose writer accepts instances of its class. */
export function row<T extends object>(
  python: string,
  type: { readonly prototype: T },
  globals: Readonly<Record<string, Reconstruct>>,
  reduce: (value: T, context: WriteContext) => Reduction,
): TypeRow {
  return { python, type, globals, reduce };
}

/** Calls a constructor that checks its arguments; undefined if it rejects them. Running out of `work` still throws. */
export function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (isMmdError(error) && error.limit !== 'work') return undefined;
    throw error;
  }
}

/** Bytes, or those of the text that Python 2's bytes are read as; undefined for anything else. */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  return typeof value === 'string' ? encodeLatin1(value) : undefined;
}

/** A call of a function or class. */
export function reduceCall(name: string, args: readonly unknown[], more: Partial<Reduction> = {}): Reduction {
  const [module, attribute] = name.split(' ') as [string, string];
  return { module, name: attribute, args, ...more };
}
