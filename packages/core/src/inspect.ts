/**
 * How stand-ins are displayed: as Python would print them, in bounded size, and without running any of their code.
 *
 * @module
 */

/** Node's hook for `console.log` and `util.inspect`, by its registered symbol, so that nothing is imported from Node. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never;

/** The part of Node's inspect options that is used. */
export interface InspectOptions {
  readonly depth?: number | null;
}

/** Node's `util.inspect`, which is passed to the hook. */
export type Inspect = (value: unknown, options: object) => string;

/** Defines how instances of a class are shown by `console.log`. */
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
 * Shows an array in `console.log` by its class, dtype and shape. Its elements are not read: they may be on disk, and there
 * may be many.
 */
export function showArray(self: { readonly dtype: string; readonly shape: readonly number[] }): string {
  const { name } = self.constructor;
  try {
    return `<${name} ${self.dtype} [${self.shape.join(', ')}]>`;
  } catch {
    // Its file is closed. Displaying it must not throw.
    return `<${name}>`;
  }
}
