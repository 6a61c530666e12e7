/**
 * The canonical rendering of a value that `load` returned, as fixtures/README.md defines it; its counterpart is
 * fixtures/render.py.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import { type DType, isDType, MaskedArray, NDArray, ndarray } from '../../src/ndarray/index.ts';
import {
  ByteArray,
  Complex,
  ELLIPSIS,
  FrozenSet,
  NOT_IMPLEMENTED,
  NumpyScalar,
  OpaqueGlobal,
  OpaqueObject,
  type Operation,
  OutOfBandBuffer,
  PyDateTime,
  PyFloat,
  PyRange,
  PySlice,
  PyString,
  RecArray,
  RecordType,
  Tuple,
} from '../../src/pickle/index.ts';
import { KNOWN } from './render-known.ts';

/** A node of the tree; shared nodes are numbered at the end. */
export type Node = { [key: string]: unknown };

/** Payloads longer than this are rendered as their hash. */
const LONG = 1024;

/** A reference to a node that was rendered before. */
class Reference {
  readonly node: Node;

  constructor(node: Node) {
    this.node = node;
  }
}

/** Eight bytes, big-endian, in hex. */
export function floatHex(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

/** Bytes in hex, or their hash. */
export function bytesNode(bytes: Uint8Array): Node {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length <= LONG) return { hex: buffer.toString('hex') };
  return { length: bytes.length, sha256: createHash('sha256').update(buffer).digest('hex') };
}

/** UTF-8 with surrogatepass, and code points, of a JavaScript string. */
function utf8Of(text: string): Uint8Array {
  const pieces: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code < 0x80) pieces.push(code);
    else if (code < 0x800) pieces.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) pieces.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else pieces.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(pieces);
}

function codesOf(utf8: Uint8Array): number[] {
  const codes: number[] = [];
  for (let i = 0; i < utf8.length; ) {
    const lead = utf8[i] as number;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    let code = length === 1 ? lead : lead & (0x7f >> length);
    for (let k = 1; k < length; k++) code = (code << 6) | ((utf8[i + k] as number) & 63);
    codes.push(code);
    i += length;
  }
  return codes;
}

function textNode(utf8: Uint8Array, text: string): unknown {
  if (utf8.length > LONG) return { t: 'str', ...bytesNode(utf8) };
  const codes = codesOf(utf8);
  return codes.some((code) => code >= 0xd800 && code < 0xe000) ? { t: 'str', codes } : text;
}

/** A dtype, as README.md defines it. */
export function dtypeNode(type: DType): Node {
  const node: Node = { kind: type.kind, itemsize: type.itemsize, byteorder: type.byteorder };
  if (type.kind === 'm' || type.kind === 'M') node.unit = [type.unit?.base ?? 'generic', type.unit?.count ?? 1];
  if (type.fields !== undefined) {
    node.fields = type.fields.map(({ name, title, offset, dtype }) => ({
      name,
      title: title ?? null,
      offset,
      dtype: dtypeNode(dtype),
    }));
  }
  if (type.base !== undefined) Object.assign(node, { base: dtypeNode(type.base), shape: type.shape });
  return node;
}

/** All index tuples of a shape in C order. */
function* indices(shape: readonly number[]): Generator<number[]> {
  if (shape.includes(0)) return;
  const index = shape.map(() => 0);
  for (;;) {
    yield [...index];
    let axis = shape.length - 1;
    while (axis >= 0 && ++(index[axis] as number) === shape[axis]) index[axis--] = 0;
    if (axis < 0) return;
  }
}

/** The elements' bytes in C order, read through the strides and not through the array's own copy. */
export function elementBytes(array: NDArray): Uint8Array {
  const { itemsize } = array.type;
  const bytes = new Uint8Array(array.size * itemsize);
  let at = 0;
  for (const index of indices(array.shape)) {
    const offset = index.reduce((sum, i, axis) => sum + i * (array.byteStrides[axis] as number), array.byteOffset);
    bytes.set(array.memory.bytes(offset, itemsize), at);
    at += itemsize;
  }
  return bytes;
}

/** Renders values; one per tree. */
export class Renderer {
  readonly #nodes = new Map<object, Node>();

  /** Registers a node before its items are rendered, so that cycles find it. */
  tracked(value: object, node: Node): Node {
    this.#nodes.set(value, node);
    return node;
  }

  items(values: Iterable<unknown>): unknown[] {
    return Array.from(values, (value) => this.render(value));
  }

  pairs(entries: Iterable<readonly [unknown, unknown]>): unknown[] {
    return Array.from(entries, ([key, value]) => [this.render(key), this.render(value)]);
  }

  unordered(values: Iterable<unknown>): unknown[] {
    const keyed = Array.from(values, (value) => ({ value, key: JSON.stringify(sorted(render(value))) }));
    keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    return keyed.map(({ value }) => this.render(value));
  }

  render(value: unknown): unknown {
    switch (typeof value) {
      case 'boolean':
        return value;
      case 'string':
        return textNode(utf8Of(value), value);
      case 'bigint':
        return { t: 'int', v: String(value) };
      case 'number':
        if (Number.isSafeInteger(value) && !Object.is(value, -0)) return { t: 'int', v: String(value) };
        return { t: 'float', v: floatHex(value) };
      case 'object':
        return value === null ? null : this.#object(value);
      default:
        throw new Error(`a ${typeof value} came out of a pickle`);
    }
  }

  #object(value: object): unknown {
    const met = this.#nodes.get(value);
    if (met !== undefined) return new Reference(met);
    if (value instanceof PyFloat) return { t: 'float', v: floatHex(value.value) };
    if (value instanceof PyString) return textNode(value.utf8, String(value));
    if (value instanceof Complex) return { t: 'complex', re: floatHex(value.re), im: floatHex(value.im) };
    if (value === ELLIPSIS || value === NOT_IMPLEMENTED) return { t: 'singleton', v: String(value) };
    if (value instanceof OutOfBandBuffer)
      return { t: value.readonly ? 'bytes' : 'bytearray', ...bytesNode(value.bytes) };
    if (value instanceof ByteArray) return this.tracked(value, { t: 'bytearray', ...bytesNode(value) });
    if (value instanceof PyRange || value instanceof PySlice) {
      const t = value instanceof PyRange ? 'range' : 'slice';
      return { t, v: this.items([value.start, value.stop, value.step]) };
    }
    if (value instanceof OpaqueGlobal) return { t: 'global', v: `${value.module} ${value.name}` };
    if (value instanceof OpaqueObject) return this.#opaque(value);
    if (value instanceof NDArray) return this.#array(value);
    if (value instanceof MaskedArray) return this.#masked(value);
    if (value instanceof NumpyScalar) return { t: 'scalar', dtype: dtypeNode(value.dtype), ...bytesNode(value.bytes) };
    if (value instanceof RecordType) return { t: 'dtype', dtype: dtypeNode(value.dtype) };
    if (isDType(value)) return { t: 'dtype', dtype: dtypeNode(value) };
    if (value instanceof Date) return this.render(PyDateTime.fromDate(value));
    if (value instanceof Float64Array || value instanceof Int16Array) {
      return { ...(this.#array(ndarray(value)) as Node) };
    }
    for (const [maker, known] of KNOWN) if (value instanceof maker) return known(this, value as never);
    if (value instanceof Uint8Array) return { t: 'bytes', ...bytesNode(value) };
    return this.#container(value);
  }

  #container(value: object): Node {
    if (value instanceof Tuple) {
      const node = value.length > 0 ? this.tracked(value, { t: 'tuple' }) : { t: 'tuple' };
      return Object.assign(node, { items: this.items(value) });
    }
    if (value instanceof FrozenSet) {
      const node = value.size > 0 ? this.tracked(value, { t: 'frozenset' }) : { t: 'frozenset' };
      return Object.assign(node, { items: this.unordered(value) });
    }
    if (Array.isArray(value)) return Object.assign(this.tracked(value, { t: 'list' }), { items: this.items(value) });
    if (value instanceof Set) return Object.assign(this.tracked(value, { t: 'set' }), { items: this.unordered(value) });
    const prototype: unknown = Object.getPrototypeOf(value);
    const node = this.tracked(value, { t: 'dict' });
    if (value instanceof Map) return Object.assign(node, { pairs: this.pairs(value) });
    if (prototype === Object.prototype) return Object.assign(node, { pairs: this.pairs(Object.entries(value)) });
    throw new Error(
      `nothing renders a ${(prototype as { constructor?: { name?: string } } | null)?.constructor?.name}`,
    );
  }

  #opaque(value: OpaqueObject): Node {
    const { kind } = value;
    if (kind === 'EXT') return { t: 'extension', code: value.args[0] };
    if (kind === 'PERSID' || kind === 'BINPERSID') return { t: 'persistent', id: this.render(value.args[0]) };
    const node = this.tracked(value, { t: 'object', kind: kind === 'INST' ? 'OBJ' : kind });
    node.callable = this.render(value.callable);
    node.args = this.items(value.args);
    node.kwargs = kind === 'NEWOBJ_EX' ? this.pairs(value.kwargs as Map<unknown, unknown>) : null;
    node.ops = this.#operations(value.operations);
    return node;
  }

  /** Merges runs of one kind: how a pickler batches them does not matter. */
  #operations(operations: readonly Operation[]): unknown[] {
    const made: Node[] = [];
    const extend = (op: string, key: string, items: readonly unknown[]): void => {
      const last = made.at(-1);
      if (last?.op === op) last[key] = [...(last[key] as unknown[]), ...items];
      else made.push({ op, [key]: items });
    };
    for (const operation of operations) {
      if (operation.op === 'BUILD') made.push({ op: 'build', state: this.render(operation.state) });
      else if (operation.op === 'APPEND') extend('append', 'items', this.items(operation.items));
      else if (operation.op === 'ADDITEMS') extend('additem', 'items', this.items(operation.items));
      else if (operation.op === 'CALL') {
        const { callable, args } = operation.call;
        made.push({ op: 'call', callable: this.render(callable), args: this.items(args.slice(1)) });
      } else {
        const flat = this.items(operation.pairs);
        const pairs = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
        extend('setitem', 'pairs', pairs);
      }
    }
    return made;
  }

  #array(value: NDArray): Node {
    const node = this.tracked(value, { t: 'ndarray', class: value instanceof RecArray ? 'recarray' : 'ndarray' });
    Object.assign(node, { dtype: dtypeNode(value.type), shape: [...value.shape], order: value.order });
    if (!value.type.hasObject) return Object.assign(node, bytesNode(elementBytes(value)));
    return Object.assign(node, {
      items: Array.from(indices(value.shape), (index) => this.render(value.get(...index))),
    });
  }

  #fill({ fillValue, type }: MaskedArray): Node | null {
    if (fillValue === null) return null;
    const dtype = dtypeNode(type);
    if (type.hasObject) return { dtype, items: this.items([fillValue]) };
    return { dtype, ...bytesNode(NumpyScalar.of(fillValue, type).bytes) };
  }

  #masked(value: MaskedArray): Node {
    const node = this.tracked(value, { t: 'masked' });
    const mask = { ...(this.render(value.mask) as Node), order: 'C' };
    return Object.assign(node, { data: this.render(value.data), mask, fill: this.#fill(value) });
  }
}

/** The same tree with the keys of its nodes in order, so that its text is canonical. */
function sorted(tree: unknown): unknown {
  if (Array.isArray(tree)) return tree.map(sorted);
  if (typeof tree !== 'object' || tree === null) return tree;
  const entries = Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, value]) => [key, sorted(value)]));
}

/** The tree of a value; shared nodes are numbered in the order in which they are first met. */
export function render(value: unknown): unknown {
  const tree = new Renderer().render(value);
  const shared = new Set<Node>();
  const pending: unknown[] = [tree];
  while (pending.length > 0) {
    const node = pending.pop();
    if (node instanceof Reference) shared.add(node.node);
    else if (typeof node === 'object' && node !== null) pending.push(...Object.values(node));
  }
  const numbers = new Map<Node, number>();
  const numberOf = (node: Node): number => {
    if (!numbers.has(node)) numbers.set(node, numbers.size);
    return numbers.get(node) as number;
  };
  const number = (node: unknown): unknown => {
    if (node instanceof Reference) return { ref: numberOf(node.node) };
    if (Array.isArray(node)) return node.map(number);
    if (typeof node !== 'object' || node === null) return node;
    const id = shared.has(node as Node) ? { id: numberOf(node as Node) } : {};
    return { ...id, ...Object.fromEntries(Object.entries(node).map(([key, item]) => [key, number(item)])) };
  };
  return number(tree);
}

/** A tree without what plain mode does not keep: integral floats are ints, surrogate pairs are characters. */
export function plainly(tree: unknown): unknown {
  if (Array.isArray(tree)) return tree.map(plainly);
  if (typeof tree !== 'object' || tree === null) return tree;
  const node = tree as Node;
  if (node.t === 'float' && node.v !== 'nan') {
    const value = Buffer.from(String(node.v), 'hex').readDoubleBE();
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? { t: 'int', v: String(value) } : node;
  }
  if (node.t === 'str' && Array.isArray(node.codes)) {
    const text = (node.codes as number[]).map((code) => String.fromCodePoint(code)).join('');
    return textNode(utf8Of(text), text);
  }
  return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, plainly(item)]));
}
