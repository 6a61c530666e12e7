/**
 * What a pickle would import and call, found without loading it.
 *
 * @module
 */

import type { Argument } from './arguments.ts';
import { toPython3 } from './compat.ts';
import { type GenOp, opcodesOf } from './genops.ts';
import { GLOBALS } from './globals.ts';
import type { OpcodeName } from './opcodes.ts';

/** A global that the pickle names. */
export interface CheckedGlobal {
  readonly module: string;
  readonly name: string;
  /** Where it is pushed first. */
  readonly offset: number;
  /** It is on the allow-list, or a plain value: loading may make an object of it; otherwise it stays a name. */
  readonly known: boolean;
  /** How often the pickle asks to call it. */
  readonly calls: number;
}

/** What {@link check} finds. */
export interface CheckReport {
  /** Every global, in the order of its first appearance. */
  readonly globals: readonly CheckedGlobal[];
  /** True if every call is of a known global. */
  readonly known: boolean;
  /** Calls of something that is not simply a global: the result of another call, for example. Their offsets. */
  readonly indirectCalls: readonly number[];
  /** Extension codes that the pickle looks up. */
  readonly extensions: readonly number[];
  /** How many persistent ids it resolves. */
  readonly persistentIds: number;
  /** How many out-of-band buffers it takes. */
  readonly buffers: number;
  /** The highest protocol among its opcodes. */
  readonly protocol: number;
  /** Position after its STOP. */
  readonly end: number;
}

/** What is known of an item on the stack: a text, a global, a mark, or nothing. */
type Item = { readonly text: string } | Found | 'mark' | undefined;

interface Found {
  readonly module: string;
  readonly name: string;
  readonly offset: number;
  calls: number;
}

/**
 * Tells which globals a pickle would import and call in Python. Nothing is built, so it is safe for any input, and
 * cheap: one pass over the opcodes.
 *
 * @param bytes - borrowed
 * @param start - where the pickle starts
 * @throws MmdError TRUNCATED, CORRUPT, BAD_OPCODE, NOT_A_PICKLE
 *
 * @example
 * ```ts
 * import { check, emit } from '@mmdpickle/core/pickle';
 *
 * const evil = emit([['GLOBAL', 'os system'], ['UNICODE', 'ls'], 'TUPLE1', 'REDUCE', 'STOP']);
 * const { known, globals } = check(evil);
 * known; // false
 * globals[0]; // { module: 'os', name: 'system', offset: 0, known: false, calls: 1 }
 * ```
 */
export function check(bytes: Uint8Array, start = 0): CheckReport {
  const checker = new Checker();
  for (const op of opcodesOf(bytes, start, false)) checker.step(op);
  return checker.report();
}

class Checker {
  #stack: Item[] = [];
  #memo = new Map<number, Item>();
  readonly #found = new Map<string, Found>();
  readonly #indirect: number[] = [];
  readonly #extensions: number[] = [];
  #persistentIds = 0;
  #buffers = 0;
  #protocol = 0;
  #declared = 0;
  #end = 0;

  /** What an opcode does to what is known, where that is more than its row says. */
  readonly #steps: { readonly [N in OpcodeName]?: (op: GenOp) => void } = {
    PROTO: ({ arg }) => {
      this.#declared = Number(arg);
    },
    GLOBAL: ({ arg, pos }) => this.#stack.push(this.#global(...pair(arg), pos)),
    STACK_GLOBAL: ({ pos }) => {
      const [module, name] = this.#stack.splice(-2);
      this.#stack.push(this.#global(textOf(module), textOf(name), pos));
    },
    REDUCE: ({ pos }) => this.#call(this.#stack.splice(-2)[0], pos),
    NEWOBJ: ({ pos }) => this.#call(this.#stack.splice(-2)[0], pos),
    NEWOBJ_EX: ({ pos }) => this.#call(this.#stack.splice(-3)[0], pos),
    INST: ({ arg, pos }) => {
      this.#aboveMark();
      this.#call(this.#global(...pair(arg), pos), pos);
    },
    OBJ: ({ pos }) => this.#call(this.#aboveMark()[0], pos),
    DUP: () => this.#stack.push(this.#stack.at(-1)),
    POP: () => this.#stack.pop(),
    PUT: (op) => this.#put(op),
    BINPUT: (op) => this.#put(op),
    LONG_BINPUT: (op) => this.#put(op),
    MEMOIZE: () => this.#memo.set(this.#memo.size, this.#stack.at(-1)),
    GET: (op) => this.#get(op),
    BINGET: (op) => this.#get(op),
    LONG_BINGET: (op) => this.#get(op),
    EXT1: (op) => this.#extension(op),
    EXT2: (op) => this.#extension(op),
    EXT4: (op) => this.#extension(op),
    PERSID: () => {
      this.#persistentIds++;
      this.#stack.push(undefined);
    },
    BINPERSID: () => {
      this.#persistentIds++;
      this.#stack[this.#stack.length - 1] = undefined;
    },
    NEXT_BUFFER: () => {
      this.#buffers++;
      this.#stack.push(undefined);
    },
  };

  step(op: GenOp): void {
    const { opcode, arg } = op;
    this.#protocol = Math.max(this.#protocol, opcode.proto);
    this.#end = op.end;
    const special = this.#steps[opcode.name];
    if (special !== undefined) {
      special(op);
      return;
    }
    const { before, after } = opcode;
    const marked = before.indexOf('mark');
    if (marked >= 0) this.#aboveMark();
    this.#stack.length = Math.max(0, this.#stack.length - (marked >= 0 ? marked : before.length));
    const text = typeof arg === 'string' ? { text: arg } : undefined;
    for (const item of after) this.#stack.push(item === 'mark' ? 'mark' : text);
  }

  report(): CheckReport {
    const globals = [...this.#found.values()].map(({ module, name, offset, calls }) => ({
      module,
      name,
      offset,
      known: isKnown(module, name),
      calls,
    }));
    return {
      globals,
      known: this.#indirect.length === 0 && globals.every(({ known, calls }) => known || calls === 0),
      indirectCalls: this.#indirect,
      extensions: this.#extensions,
      persistentIds: this.#persistentIds,
      buffers: this.#buffers,
      protocol: Math.max(this.#protocol, this.#declared),
      end: this.#end,
    };
  }

  /** Removes the topmost mark and gives what was above it. */
  #aboveMark(): Item[] {
    const mark = this.#stack.lastIndexOf('mark');
    return mark === -1 ? this.#stack.splice(0) : this.#stack.splice(mark).slice(1);
  }

  #global(module: string, name: string, offset: number): Found {
    const [today, nameToday] = this.#declared < 3 ? toPython3(module, name) : [module, name];
    const key = `${today.length}:${today}.${nameToday}`;
    let found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, (found = { module: today, name: nameToday, offset, calls: 0 }));
    return found;
  }

  #call(callable: Item, pos: number): void {
    if (typeof callable === 'object' && 'calls' in callable) callable.calls++;
    else this.#indirect.push(pos);
    this.#stack.push(undefined);
  }

  #put({ arg }: GenOp): void {
    this.#memo.set(Number(arg), this.#stack.at(-1));
  }

  #get({ arg }: GenOp): void {
    this.#stack.push(this.#memo.get(Number(arg)));
  }

  #extension({ arg }: GenOp): void {
    this.#extensions.push(Number(arg));
    this.#stack.push(undefined);
  }
}

/** Loading makes a value of it, or Python makes nothing but a name. */
function isKnown(module: string, name: string): boolean {
  return GLOBALS.get(module)?.has(name) === true || (module === 'builtins' && /^(Ellipsis|NotImplemented)$/.test(name));
}

/** The two parts of GLOBAL's argument: pickletools joins them by a blank. */
function pair(arg: Argument | null): [string, string] {
  const text = String(arg);
  const at = text.indexOf(' ');
  return [text.slice(0, at), text.slice(at + 1)];
}

const textOf = (item: Item): string => (typeof item === 'object' && 'text' in item ? item.text : '?');
