/**
 * Stand-ins for everything that is not on the allow-list: inert data that can be written again.
 *
 * @module
 */

import { inspectAs, showAs } from '../../inspect.ts';
import { checkArgument } from './check.ts';
import { canonicalOf, type Keyed } from './keys.ts';
import { PyString } from './scalars.ts';
import { Tuple } from './tuple.ts';

/**
 * A class, function or module attribute, by name only; nothing was imported. Dotted names stay text. A pickle has one
 * object per name, also for Python 2 names: its `int` and `long` are two.
 */
export class OpaqueGlobal implements Keyed {
  readonly module: string;
  readonly name: string;
  #python2: readonly [module: string, name: string] | undefined;

  /**
   * A global that keeps its Python 2 name.
   * @internal
   */
  static fromPython2(module: string, name: string, python2: readonly [module: string, name: string]): OpaqueGlobal {
    const global = new OpaqueGlobal(module, name);
    global.#python2 = python2;
    return global;
  }

  /**
   * Its Python 2 name, if the pickle gave one that the current names do not map back to.
   * @internal
   */
  static python2(global: OpaqueGlobal): readonly [module: string, name: string] | undefined {
    return global.#python2;
  }

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(module: string, name: string) {
    for (const part of [module, name])
      checkArgument(typeof part === 'string', 'the module and name of a global must be strings', part);
    this.module = module;
    this.name = name;
    Object.freeze(this);
  }

  /** `module.name` */
  toString(): string {
    return `${this.module}.${this.name}`;
  }

  static {
    showAs(OpaqueGlobal, (self) => `<${self.toString()}>`);
  }

  /** @internal */
  pyKey(): string {
    return canonicalOf('global', [this.module, this.name]);
  }
}

const OPAQUE_KINDS = ['REDUCE', 'NEWOBJ', 'NEWOBJ_EX', 'INST', 'OBJ', 'PERSID', 'BINPERSID', 'EXT'] as const;

/** @throws MmdError INVALID_ARGUMENT */
export function checkExtension(code: unknown): asserts code is number {
  const ok = Number.isInteger(code) && (code as number) > 0 && (code as number) < 2 ** 31;
  checkArgument(ok, 'an extension code must be from 1 to 2^31 - 1', code);
}

const KIND_WANTED: string = `the kind of an object must be one of ${OPAQUE_KINDS.join(', ')}`;

/** Kinds that are resolved by an id, not made by a call. */
const BY_ID: ReadonlySet<OpaqueKind> = new Set(['PERSID', 'BINPERSID', 'EXT']);

/** The ways a pickle makes an object. */
export type OpaqueKind = (typeof OPAQUE_KINDS)[number];

/** What a pickle does to an object after it is made, in order. */
export type Operation =
  | { readonly op: 'BUILD'; readonly state: unknown }
  | { readonly op: 'APPEND'; readonly items: readonly unknown[] }
  | { readonly op: 'SETITEM'; readonly pairs: readonly unknown[] }
  | { readonly op: 'ADDITEMS'; readonly items: readonly unknown[] }
  | { readonly op: 'CALL'; readonly call: OpaqueObject };

/**
 * An object whose class is not on the allow-list: how it was to be made, kept in full. Writing it again gives a pickle
 * that Python loads as an equal object.
 *
 * Two of them are one dict key only if they are the same object.
 */
export class OpaqueObject implements Keyed {
  readonly kind: OpaqueKind;
  /** What was to be called: usually an {@link OpaqueGlobal}; null for persistent ids and extension codes. */
  readonly callable: unknown;
  /** The arguments; for `PERSID` and `BINPERSID` the id, for `EXT` the code. */
  readonly args: readonly unknown[];
  /** `NEWOBJ_EX` only: the keyword arguments. */
  readonly kwargs: unknown;
  readonly #operations: Operation[] = [];

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(kind: OpaqueKind, callable: unknown, args: readonly unknown[], kwargs: unknown = null) {
    checkArgument(OPAQUE_KINDS.includes(kind), KIND_WANTED, kind);
    checkArgument(Array.isArray(args), 'the arguments of an object must be an array', args);
    if (BY_ID.has(kind)) {
      checkArgument(
        callable === null && args.length === 1,
        'PERSID, BINPERSID and EXT take one argument, the id, and no callable',
        args,
      );
      if (kind === 'EXT') checkExtension(args[0]);
    } else {
      checkArgument(isOpaque(callable), 'the callable must be an OpaqueGlobal or an OpaqueObject', callable);
    }
    if (kind === 'NEWOBJ_EX') checkKeywords(kwargs);
    this.kind = kind;
    this.callable = callable;
    this.args = args;
    this.kwargs = kwargs;
    Object.freeze(this);
  }

  /**
   * Records the next thing that the pickle does to an object.
   * @throws MmdError INVALID_ARGUMENT
   */
  static operate(object: OpaqueObject, operation: Operation): void {
    checkOperation(operation);
    object.#operations.push(operation);
  }

  /** What the pickle did to the object after making it, in order. */
  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** The class, or else the callable, that the object comes from, also behind helpers such as `copyreg.__newobj__`. */
  get global(): OpaqueGlobal | undefined {
    const { callable, args } = this;
    const helper = callable instanceof OpaqueGlobal && callable.module === 'copyreg';
    const first = helper ? args[0] : callable;
    return first instanceof OpaqueGlobal ? first : undefined;
  }

  /** The state given last, or undefined. */
  get state(): unknown {
    let state: unknown;
    for (const operation of this.#operations) if (operation.op === 'BUILD') state = operation.state;
    return state;
  }

  /** What was appended, or added to a set. */
  get items(): unknown[] {
    const items: unknown[] = [];
    for (const operation of this.#operations) {
      if (operation.op === 'APPEND' || operation.op === 'ADDITEMS')
        for (const item of operation.items) items.push(item);
    }
    return items;
  }

  /** Keys and values that were set, in order. */
  get dictItems(): [unknown, unknown][] {
    const entries: [unknown, unknown][] = [];
    for (const operation of this.#operations) {
      if (operation.op !== 'SETITEM') continue;
      for (let i = 0; i < operation.pairs.length; i += 2) entries.push([operation.pairs[i], operation.pairs[i + 1]]);
    }
    return entries;
  }

  /** The kind and the global: bounded, whatever the arguments are. */
  toString(): string {
    return `${this.kind} ${this.global ?? '?'}`;
  }

  static {
    showAs(OpaqueObject, (self, depth, options, inspect) => {
      const shown: { args: Tuple; operations?: readonly Operation[] } = { args: Tuple.from(self.args) };
      if (self.#operations.length > 0) shown.operations = self.#operations;
      return inspectAs(`<${self.toString()}>`, shown, depth, options, inspect);
    });
  }

  /** @internal By identity. */
  pyKey(): undefined {
    return undefined;
  }
}

/**
 * Checks an operation, also when it is written: lists may have changed since.
 * @throws MmdError INVALID_ARGUMENT
 */
export function checkOperation(operation: Operation): void {
  // For callers without types.
  const check = OPERATIONS.get((operation as Operation | null | undefined)?.op);
  checkArgument(check !== undefined, `an operation must be one of ${[...OPERATIONS.keys()].join(', ')}`, operation);
  check(operation);
}

function checkItems({ items }: { readonly items?: unknown }): void {
  checkArgument(Array.isArray(items), 'items must be an array', items);
}

function checkPairs({ pairs }: { readonly pairs?: unknown }): void {
  const ok = Array.isArray(pairs) && pairs.length % 2 === 0;
  checkArgument(ok, 'pairs must be an array of keys, each followed by its value', pairs);
}

function checkCall({ call }: { readonly call?: unknown }): void {
  checkArgument(call instanceof OpaqueObject, 'call must be an OpaqueObject', call);
}

/** The check of an operation, by its `op`. */
const OPERATIONS: ReadonlyMap<unknown, (operation: object) => void> = new Map<string, (operation: object) => void>([
  ['BUILD', () => {}],
  ['APPEND', checkItems],
  ['SETITEM', checkPairs],
  ['ADDITEMS', checkItems],
  ['CALL', checkCall],
]);

/**
 * Checks that keyword arguments are named by text, as Python requires; also when they are written.
 * @throws MmdError INVALID_ARGUMENT
 */
export function checkKeywords(kwargs: unknown): void {
  checkArgument(kwargs instanceof Map, 'keyword arguments must be a PyDict', kwargs);
  for (const name of kwargs.keys())
    checkArgument(
      typeof name === 'string' || name instanceof PyString,
      'the name of a keyword argument must be a string',
      name,
    );
}

/** Whether a value stands for something that only its owner's Python knows, such as a callable or a timezone. */
export function isOpaque(value: unknown): value is OpaqueGlobal | OpaqueObject {
  return value instanceof OpaqueGlobal || value instanceof OpaqueObject;
}
