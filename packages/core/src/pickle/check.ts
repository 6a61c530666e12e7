/**
 * What a pickle would import and call, found without loading it.
 *
 * @module
 */

import { decodeLatin1, decodeUtf8, isText } from '../bytes/utf8.ts';
import { MmdError } from '../errors.ts';
import { toPython3 } from './compat.ts';
import { JOBLIB, JOBLIB_MESSAGE } from './foreign.ts';
import { type GenOp, opcodesOf } from './genops.ts';
import { GLOBALS } from './globals.ts';
import type { OpcodeName, StackItem } from './opcodes.ts';
import { ARRAY_CLASSES } from './types/numpy.ts';

/** A global that the pickle names. */
export interface CheckedGlobal {
  readonly module: string;
  readonly name: string;
  /** Offset of the opcode that names it first. */
  readonly offset: number;
  /** True if it is on the allow-list, a helper that calls the class it is given, or a harmless class never called. */
  readonly known: boolean;
  /** How often the pickle asks to call it, directly or through a helper of `copyreg`. */
  readonly calls: number;
}

/** What {@link check} finds. */
export interface CheckReport {
  /** Every global, in the order of its first appearance. */
  readonly globals: readonly CheckedGlobal[];
  /**
   * True if every global is known, called or not (importing a module runs it, and an object made by a known call may
   * call what it is given), and there are no indirect calls, changes or extensions.
   */
  readonly known: boolean;
  /**
   * Offsets of calls of something other than a plain global, such as the result of another call; and of calls of
   * `copyreg` helpers whose class is not a plain global.
   */
  readonly indirectCalls: readonly number[];
  /**
   * Offsets where BUILD, APPEND, SETITEM or ADDITEMS change something that the pickle did not make, such as a global or
   * an out-of-band buffer (the program's own object), or fill something that is not a container.
   */
  readonly changes: readonly number[];
  /** Extension codes that the pickle looks up: globals whose names only Python knows. */
  readonly extensions: readonly number[];
  /** How many persistent ids it refers to: the program's own function resolves them, or nothing does. */
  readonly persistentIds: number;
  /** How many out-of-band buffers it uses. */
  readonly buffers: number;
  /** The highest protocol among its opcodes. */
  readonly protocol: number;
  /** Position after its STOP. */
  readonly end: number;
}

/** What is known about an item on the stack; undefined for plain data and for anything unknown. */
type Item = 'mark' | 'foreign' | { readonly text: string } | Args | Made | Found | undefined;

/** The first items of a tuple: enough for every helper. */
interface Args {
  readonly first: readonly Item[];
}

/** A container that the pickle made, or the result of calling a global. */
interface Made {
  readonly by: string;
}

interface Found {
  readonly module: string;
  readonly name: string;
  readonly offset: number;
  calls: number;
}

const CONTAINERS: Readonly<Record<string, Made>> = { list: { by: 'list' }, dict: { by: 'dict' }, set: { by: 'set' } };

/** Other types that accept the opcodes that fill a list, dict or set, and only store the items. */
const FILLED: Readonly<Record<string, readonly string[]>> = {
  list: ['collections.deque'],
  dict: ['collections.OrderedDict', 'collections.Counter', 'collections.defaultdict'],
  set: ['builtins.set'],
};

const words = (module: string, names: string): string[] => names.split(' ').map((name) => `${module}.${name}`);

/** Classes and constants that pickles pass by name, and that do nothing unless called. */
const NAMES: ReadonlySet<string> = new Set([
  ...words('builtins', 'Ellipsis NotImplemented bool dict float int list object str tuple'),
  ...words('numpy', 'bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc intp longlong ulonglong'),
  ...words('numpy', 'float16 float32 float64 float128 longdouble complex64 complex128 complex256 clongdouble'),
  ...words('numpy', 'bytes_ str_ object_ void record datetime64 timedelta64'),
  ...ARRAY_CLASSES.keys(),
]);

/** The helpers that call classes, and how many of their first arguments are these classes. */
const HELPERS: ReadonlyMap<string, number> = new Map([
  ['copyreg.__newobj__', 1],
  ['copyreg.__newobj_ex__', 1],
  // The class, and the base that makes the object.
  ['copyreg._reconstructor', 2],
]);

/**
 * Finds which globals a pickle would import and call in Python. Nothing is built, so it is safe for any input, and
 * cheap: one pass over the opcodes.
 *
 * `known` errs on the side of caution: it is false wherever a name decides what Python would run, and that name is not
 * known to make plain values only. It relies on Python's library and numpy being what those names say, and handling
 * their arguments, of which `check` sees only the globals, without faults of their own.
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
  const checker = new Checker(bytes);
  for (const op of opcodesOf(bytes, start, false)) checker.step(op);
  return checker.report();
}

class Checker {
  readonly #bytes: Uint8Array;
  #stack: Item[] = [];
  /** By exact index: as numbers, indices beyond 2^53 would collide. */
  #memo = new Map<number | bigint, Item>();
  readonly #found = new Map<string, Found>();
  readonly #indirect: number[] = [];
  readonly #changes: number[] = [];
  readonly #extensions: number[] = [];
  #persistentIds = 0;
  #buffers = 0;
  #protocol = 0;
  #declared = 0;
  #end = 0;

  /** The effects of opcodes on what is known, where they go beyond the opcode's row. */
  readonly #steps: { readonly [N in OpcodeName]?: (op: GenOp) => void } = {
    PROTO: ({ arg }) => {
      this.#declared = Number(arg);
    },
    GLOBAL: (op) => this.#stack.push(this.#global(...this.#lines(op), op.pos)),
    STACK_GLOBAL: ({ pos }) => {
      const [module, name] = this.#stack.splice(-2);
      this.#stack.push(this.#global(textOf(module) ?? '?', textOf(name) ?? '?', pos));
    },
    EMPTY_TUPLE: () => this.#stack.push({ first: [] }),
    TUPLE1: () => this.#tuple(this.#stack.splice(-1)),
    TUPLE2: () => this.#tuple(this.#stack.splice(-2)),
    TUPLE3: () => this.#tuple(this.#stack.splice(-3)),
    TUPLE: () => this.#tuple(this.#aboveMark()),
    REDUCE: ({ pos }) => this.#callTuple(this.#stack.splice(-2), pos),
    NEWOBJ: ({ pos }) => this.#callTuple(this.#stack.splice(-2), pos),
    NEWOBJ_EX: ({ pos }) => this.#callTuple(this.#stack.splice(-3), pos),
    INST: (op) => this.#call(this.#global(...this.#lines(op), op.pos), this.#aboveMark(), op.pos),
    OBJ: ({ pos }) => {
      const [callable, ...args] = this.#aboveMark();
      this.#call(callable, args, pos);
    },
    BUILD: ({ pos }) => {
      this.#stack.pop();
      const object = this.#stack.at(-1);
      if (isMade(object) && object.by === `${JOBLIB.module}.${JOBLIB.name}`) {
        throw new MmdError('NOT_A_PICKLE', `${JOBLIB_MESSAGE} (at ${pos})`, { offset: pos });
      }
      if (object === 'foreign' || isFound(object)) this.#changes.push(pos);
    },
    APPEND: (op) => this.#fill(op),
    APPENDS: (op) => this.#fill(op),
    SETITEM: (op) => this.#fill(op),
    SETITEMS: (op) => this.#fill(op),
    ADDITEMS: (op) => this.#fill(op),
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
      this.#stack.push('foreign');
    },
    BINPERSID: () => {
      this.#persistentIds++;
      this.#stack.pop();
      this.#stack.push('foreign');
    },
    NEXT_BUFFER: () => {
      this.#buffers++;
      this.#stack.push('foreign');
    },
    // A buffer that is already read-only stays the program's own object.
    READONLY_BUFFER: () => {},
  };

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

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
    for (const item of after) this.#stack.push(item === 'mark' ? 'mark' : (CONTAINERS[item] ?? text));
  }

  report(): CheckReport {
    const globals = [...this.#found.values()].map((found) => {
      const { module, name, offset, calls } = found;
      return { module, name, offset, known: isKnown(found), calls };
    });
    const doubts = [this.#indirect, this.#changes, this.#extensions];
    return {
      globals,
      known: doubts.every(({ length }) => length === 0) && globals.every(({ known }) => known),
      indirectCalls: this.#indirect,
      changes: this.#changes,
      extensions: this.#extensions,
      persistentIds: this.#persistentIds,
      buffers: this.#buffers,
      protocol: Math.max(this.#protocol, this.#declared),
      end: this.#end,
    };
  }

  /** Removes the topmost mark and returns what was above it. */
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

  /**
   * The two lines as Python reads them; the decoded argument is the disassembler's text, with escapes undone. What is
   * not UTF-8 names nothing in Python; it is shown as Latin-1.
   */
  #lines({ pos, end }: GenOp): [string, string] {
    const decode = isText(this.#bytes, pos + 1, end - 1) ? decodeUtf8 : decodeLatin1;
    return decode(this.#bytes, pos + 1, end - 1).split('\n') as [string, string];
  }

  #tuple(items: readonly Item[]): void {
    this.#stack.push({ first: items.slice(0, 2) });
  }

  #callTuple([callable, args]: readonly Item[], pos: number): void {
    this.#call(callable, typeof args === 'object' && 'first' in args ? args.first : [], pos);
  }

  #call(callable: Item, args: readonly Item[], pos: number): void {
    if (!isFound(callable)) {
      this.#indirect.push(pos);
      this.#stack.push(undefined);
      return;
    }
    callable.calls++;
    const by = dotted(callable);
    const count = HELPERS.get(by);
    if (count !== undefined) this.#callClasses(args.slice(0, count), count, pos);
    this.#stack.push({ by });
  }

  /** Counts a helper's calls of its first arguments, except of `object`, which does nothing with its arguments. */
  #callClasses(classes: readonly Item[], count: number, pos: number): void {
    const found = classes.filter(isFound);
    if (found.length < count) this.#indirect.push(pos);
    for (const cls of found) if (dotted(cls) !== 'builtins.object') cls.calls++;
  }

  /** Moves items into the container under them. */
  #fill({ opcode: { before }, pos }: GenOp): void {
    if (before.includes('mark')) this.#aboveMark();
    else this.#stack.length = Math.max(0, this.#stack.length - before.length + 1);
    if (!isFilled(this.#stack.at(-1), before[0]!)) this.#changes.push(pos);
  }

  #put({ arg }: GenOp): void {
    this.#memo.set(indexOf(arg), this.#stack.at(-1));
  }

  #get({ arg }: GenOp): void {
    this.#stack.push(this.#memo.get(indexOf(arg)));
  }

  #extension({ arg }: GenOp): void {
    this.#extensions.push(Number(arg));
    this.#stack.push('foreign');
  }
}

/** Whether a global only makes plain values, or is merely named. */
function isKnown({ module, name, calls }: Found): boolean {
  const path = `${module}.${name}`;
  return GLOBALS.get(module)?.has(name) === true || HELPERS.has(path) || (calls === 0 && NAMES.has(path));
}

function isFilled(item: Item, container: StackItem): boolean {
  return typeof item === 'object' && 'by' in item && (item.by === container || FILLED[container]!.includes(item.by));
}

const isMade = (item: Item): item is Made => typeof item === 'object' && 'by' in item;

const isFound = (item: Item): item is Found => typeof item === 'object' && 'calls' in item;

const dotted = ({ module, name }: Found): string => `${module}.${name}`;

const textOf = (item: Item): string | undefined => (typeof item === 'object' && 'text' in item ? item.text : undefined);

/** A memo index; `00` and `01` are read as bools. */
const indexOf = (arg: GenOp['arg']): number | bigint => (typeof arg === 'bigint' ? arg : Number(arg));
