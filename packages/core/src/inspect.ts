/**
 * How stand-ins show themselves: as Python would print them, in bounded size, and without running anything of theirs.
 *
 * @module
 */

/** Node's hook for `console.log` and `util.inspect`, by its registered name, so that nothing of Node is imported. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never;

/** The part of Node's inspect options that is used. */
export interface InspectOptions {
  readonly depth?: number | null;
}

/** Node's `util.inspect`, which is handed to the hook. */
export type Inspect = (value: unknown, options: object) => string;

/** Gives a class its text in `console.log`. */
export function showAs<T>(
  type: { readonly prototype: T },
  show: (self: T, depth: number, options: object, inspect?: Inspect) => string,
): void {
  Object.defineProperty(type.prototype, INSPECT, {
    value(this: T, depth: number, options: object, inspect?: Inspect): string {
      return show(this, depth, options, inspect);
    },
  });
}

/** Shows `label(items)` through Node's inspect, one level down. */
export function inspectAs(label: string, value: unknown, depth: number, options: object, inspect?: Inspect): string {
  if (depth < 0 || inspect === undefined) return `[${label}]`;
  const { depth: left } = options as InspectOptions;
  return `${label} ${inspect(value, { ...options, depth: left === null || left === undefined ? left : left - 1 })}`;
}

/**
 * An array in `console.log`: what it is, and of which shape. Its elements stay where they are: they may be on a disk, and
 * many.
 */
export function showArray(self: { readonly dtype: string; readonly shape: readonly number[] }): string {
  const { name } = self.constructor;
  try {
    return `<${name} ${self.dtype} [${self.shape.join(', ')}]>`;
  } catch {
    // Its file is closed. Who only looks is not told by an error.
    return `<${name}>`;
  }
}
