/**
 * How opcodes create objects and operate on them.
 *
 * @module
 */

import type { MmdError } from '../errors.ts';
import { type Stateful, Unfinished } from './builtin.ts';
import { JOBLIB, JOBLIB_MESSAGE } from './foreign.ts';
import { STATELESS } from './globals.ts';
import type { Machine } from './machine.ts';
import { Deque } from './values/collections.ts';
import { PyDict } from './values/dict.ts';
import { isOpaque, OpaqueGlobal, type OpaqueKind, OpaqueObject } from './values/opaque.ts';
import { PyString } from './values/scalars.ts';
import { FrozenSet, PySet } from './values/set.ts';
import { Tuple } from './values/tuple.ts';
import { weigh } from './work.ts';

/** Pushes what a call would make: a value if the allow-list can build it, otherwise an opaque object. */
export function call(
  m: Machine,
  kind: OpaqueKind,
  callable: unknown,
  args: readonly unknown[],
  kwargs: unknown = null,
): void {
  if (!isOpaque(callable)) {
    throw m.error('BAD_OPCODE', `${kind} of something that is not callable`);
  }
  if (kind === 'REDUCE' && callable instanceof OpaqueGlobal) {
    const plain = lookThrough(m, callable, args);
    if (plain) return;
  }
  const reconstruct = m.globals.reconstruct(callable, kind, kwargs);
  if (reconstruct !== undefined) m.work(weigh(args));
  const value = reconstruct?.(args, m, kind, kwargs);
  if (value !== undefined && !(value instanceof Unfinished)) {
    m.push(value);
    return;
  }
  const object = new OpaqueObject(kind, callable, args, kwargs);
  if (value !== undefined) {
    m.pushUnfinished(object, value);
    return;
  }
  if (m.options.unknown === 'error') throw forbidden(m, callable);
  m.push(object);
}

/** The error for a call whose result would be opaque. */
export function forbidden(m: Machine, callable: unknown): MmdError {
  const global = String(callable);
  return m.error('FORBIDDEN_GLOBAL', `${global} is not on the allow-list, or not with these arguments`, global);
}

/**
 * Resolves calls of helpers for which protocol 4 has opcodes: `getattr(module.A, 'B')` is the global `A.B`, and
 * `copyreg.__newobj_ex__(cls, args, kwargs)` is NEWOBJ_EX.
 */
function lookThrough(m: Machine, { module, name }: OpaqueGlobal, args: readonly unknown[]): boolean {
  const [first, second, third] = args;
  if (module === 'builtins' && name === 'getattr') {
    const plain = first instanceof OpaqueGlobal && typeof second === 'string' && args.length === 2;
    if (!plain || second === '' || second.includes('.')) return false;
    m.work(2 * (first.name.length + second.length));
    m.push(m.globals.global(first.module, `${first.name}.${second}`));
    return true;
  }
  if (module !== 'copyreg' || name !== '__newobj_ex__') return false;
  if (!(second instanceof Tuple) || !(third instanceof PyDict) || args.length !== 3) return false;
  for (const keyword of third.keys()) if (typeof keyword !== 'string' && !(keyword instanceof PyString)) return false;
  call(m, 'NEWOBJ_EX', first, second, third);
  return true;
}

/** Pops the tuple of arguments. */
export function popArguments(m: Machine): Tuple {
  const args = m.pop();
  if (!(args instanceof Tuple)) throw m.error('BAD_OPCODE', 'the arguments of a call are not a tuple');
  return args;
}

/** BUILD: applies the state on top to the object under it. */
export function build(m: Machine): void {
  const state = m.pop();
  const object = m.top();
  if (object instanceof OpaqueObject) {
    if (m.finish(object, state)) return;
    const { callable } = object;
    if (
      !m.entry &&
      callable instanceof OpaqueGlobal &&
      callable.module === JOBLIB.module &&
      callable.name === JOBLIB.name
    )
      throw m.error('NOT_A_PICKLE', JOBLIB_MESSAGE);
    // It was waiting for its state, and this one leaves it opaque.
    if (m.options.unknown === 'error' && object.callable !== null) throw forbidden(m, object.callable);
    OpaqueObject.operate(object, { op: 'BUILD', state });
    return;
  }
  const setState = m.globals.setState(object);
  if (setState !== undefined) {
    setState(object, state);
    return;
  }
  if (typeof object === 'object' && object !== null) {
    if ('pySetState' in object) {
      m.work(weigh(state instanceof Tuple ? state : [state]));
      if ((object as Stateful).pySetState(state)) return;
    } else if (STATELESS.has(Object.getPrototypeOf(object)) && isNoState(state)) return;
  }
  throw m.error('BAD_OPCODE', 'BUILD with a state that this value does not accept');
}

/** Whether a state sets nothing: None, alone or with an empty dict of slots. */
function isNoState(state: unknown): boolean {
  if (!(state instanceof Tuple) || state.length !== 2) return state === null;
  return state[0] === null && state[1] instanceof PyDict && state[1].size === 0;
}

/** A list that gets this many items at once is long, or will be. */
const LARGE_BATCH = 512;

/** APPEND and APPENDS: moves the items above `height` to the list under them. */
export function appendItems(m: Machine, height: number): void {
  const { stack } = m;
  const list = itemUnder(m, height);
  if (Array.isArray(list) && !(list instanceof Tuple)) {
    if (m.height - height >= LARGE_BATCH) m.makeRoom(list, m.height - height);
    for (let i = height; i < m.height; i++) list.push(stack[i]);
    if (list instanceof Deque && list.length > (list.maxlen ?? Infinity)) {
      // Dropping the first items moves all the others.
      m.work(2 * list.length);
      Deque.keepBound(list);
    }
  } else if (list instanceof OpaqueObject) {
    OpaqueObject.operate(list, { op: 'APPEND', items: stack.slice(height, m.height) });
  } else {
    throw m.error('BAD_OPCODE', 'APPEND on something that is not a list');
  }
  m.height = height;
}

/** SETITEM and SETITEMS: moves the keys and values above `height` to the dict under them. */
export function setItems(m: Machine, height: number): void {
  const { stack } = m;
  const dict = itemUnder(m, height);
  if ((m.height - height) % 2 === 1) throw m.error('BAD_OPCODE', 'a key without a value');
  if (dict instanceof PyDict) PyDict.fill(dict, stack, height, m.height, m.space, m.shapes);
  else if (dict instanceof OpaqueObject)
    OpaqueObject.operate(dict, { op: 'SETITEM', pairs: stack.slice(height, m.height) });
  else if (dict instanceof Map) for (let i = height; i < m.height; i += 2) dict.set(stack[i], stack[i + 1]);
  else throw m.error('BAD_OPCODE', 'SETITEM on something that is not a dict');
  m.height = height;
}

/** ADDITEMS: moves the items above `height` to the set under them. */
export function addItems(m: Machine, height: number): void {
  const { stack } = m;
  const set = itemUnder(m, height);
  if (set instanceof FrozenSet) throw m.error('BAD_OPCODE', 'ADDITEMS on a frozenset');
  if (set instanceof PySet) PySet.fill(set, stack, height, m.height, m.space);
  else if (set instanceof OpaqueObject)
    OpaqueObject.operate(set, { op: 'ADDITEMS', items: stack.slice(height, m.height) });
  else if (set instanceof Set) for (let i = height; i < m.height; i++) set.add(stack[i]);
  else throw m.error('BAD_OPCODE', 'ADDITEMS on something that is not a set');
  m.height = height;
}

/** The item below `height`, which must be above the mark that is now topmost. */
function itemUnder(m: Machine, height: number): unknown {
  if (height <= m.fence) throw m.underflow();
  return m.stack[height - 1];
}
