/**
 * The allow-list in use: which globals of a pickle may make an object, and by which function.
 *
 * @module
 */

import { checkOptions, wrongArgument } from '../options.ts';
import type { Reconstruct } from './builtin.ts';
import { toPython2, toPython3 } from './compat.ts';
import { GLOBALS, MADE_BY_NEW } from './globals.ts';
import { CONSTRUCTOR, type Constructor, type LoadOptions } from './options.ts';
import type { PyDict } from './values/dict.ts';
import { OpaqueGlobal, type OpaqueKind } from './values/opaque.ts';

/** Names that a machine keeps from one pickle to the next. */
const KEPT = 256;

/** Holds one object per name, and knows what is on the allow-list. */
export class KnownGlobals {
  readonly #options: LoadOptions;
  readonly #byName = new Map<string, Map<string, OpaqueGlobal>>();
  readonly #byOldName = new Map<string, Map<string, OpaqueGlobal>>();
  #count = 0;
  readonly #reconstruct = new Map<OpaqueGlobal, Reconstruct>();
  /** Those handled by the user's constructors. */
  readonly #users = new Set<OpaqueGlobal>();
  /** Objects made by the user's constructors, with the constructor of each. */
  readonly #made = new WeakMap<object, Constructor>();

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  /** The one object that stands for a name. */
  global(module: string, name: string): OpaqueGlobal {
    let inModule = this.#byName.get(module);
    if (inModule === undefined) this.#byName.set(module, (inModule = new Map()));
    let global = inModule.get(name);
    if (global === undefined) inModule.set(name, (global = this.#admit(new OpaqueGlobal(module, name))));
    return global;
  }

  /**
   * The one object that stands for a Python 2 name. If its Python 3 name does not map back to it (that of `int` maps to
   * `long`), the object keeps the old name, for pickles that Python 2 is to read again.
   */
  fromPython2(module: string, name: string): OpaqueGlobal {
    let inModule = this.#byOldName.get(module);
    if (inModule === undefined) this.#byOldName.set(module, (inModule = new Map()));
    let global = inModule.get(name);
    if (global === undefined) inModule.set(name, (global = this.#translated(module, name)));
    return global;
  }

  #translated(module: string, name: string): OpaqueGlobal {
    const today = toPython3(module, name);
    const [backModule, backName] = toPython2(...today);
    if (backModule === module && backName === name) return this.global(...today);
    return this.#admit(OpaqueGlobal.fromPython2(...today, [module, name]));
  }

  #admit(global: OpaqueGlobal): OpaqueGlobal {
    const { module, name } = global;
    this.#count++;
    const users = this.#usersConstructor(module, name);
    if (users !== undefined) this.#users.add(global);
    const reconstruct = users ?? GLOBALS.get(module)?.get(name);
    if (reconstruct !== undefined) this.#reconstruct.set(global, reconstruct);
    return global;
  }

  /**
   * The function that makes the object of a call; undefined if the global is not on the list, or not known to accept
   * such a call. No row accepts keyword arguments; the user's constructors see every call as it is.
   */
  reconstruct(callable: unknown, kind: OpaqueKind, kwargs: unknown): Reconstruct | undefined {
    const global = callable as OpaqueGlobal;
    const reconstruct = this.#reconstruct.get(global);
    if (reconstruct === undefined || (kind !== 'NEWOBJ' && kind !== 'NEWOBJ_EX') || this.#users.has(global)) {
      return reconstruct;
    }
    if (kwargs !== null && (kwargs as PyDict).size > 0) return undefined;
    return MADE_BY_NEW.has(`${global.module} ${global.name}`) ? reconstruct : undefined;
  }

  /** The function that gives its state to an object of a user's constructor. */
  setState(object: unknown): Constructor['setState'] {
    return this.#made.get(object as object)?.setState;
  }

  #usersConstructor(module: string, name: string): Reconstruct | undefined {
    const { globals } = this.#options;
    // The first space of a key ends the module name.
    if (globals === undefined || module.includes(' ')) return undefined;
    const key = `${module} ${name}`;
    const given =
      globals instanceof Map
        ? globals.get(key)
        : Object.hasOwn(globals, key)
          ? (globals as Record<string, unknown>)[key]
          : undefined;
    if (given === undefined) return undefined;
    const users = (typeof given === 'function' ? { construct: given } : given) as Constructor;
    checkOptions(users, CONSTRUCTOR, `globals['${key}'].`);
    if (users.construct === undefined) throw wrongArgument(`globals['${key}'].construct`, 'a function', undefined);
    return (args, _context, kind, kwargs) => {
      const object = users.construct(args, { kind, module, name, kwargs });
      if (typeof object === 'object' && object !== null) this.#made.set(object, users);
      return object;
    };
  }

  /** Forgets the names once there are very many. */
  clear(): void {
    if (this.#count <= KEPT) return;
    this.#byName.clear();
    this.#byOldName.clear();
    this.#reconstruct.clear();
    this.#users.clear();
    this.#count = 0;
  }
}
