import type { EntryMeta } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { isSameFile } from '@mmdpickle/core/storage';
import { bytesInRows, dataOf, isArray } from '../arrays.ts';
import type { CommandSpec } from '../command.ts';
import { shapeText, typeText } from '../entries.ts';
import { jsonText } from '../json.ts';
import { ProgressBar } from '../progress.ts';
import { colorsFor, print, printJson } from '../terminal.ts';
import { keyText } from '../text.ts';

/** One difference between two files. */
interface Difference {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly key: string;
  /** What differs: type, shape or value. */
  readonly what?: string;
}

const MARKS = { added: '+', removed: '-', changed: '~' } as const;

/** `mmdpickle diff`: the keys that only one of two files has, and those whose values differ. */
export const diff: CommandSpec = {
  args: '<a> <b>',
  argDocs: { a: 'one file', b: 'the other file' },
  options: [],
  examples: [
    { line: 'mmdpickle diff run.mmdpickle other.mmdpickle', doc: 'exit code 1 when they differ', exit: 'problems' },
  ],
  async run(invocation) {
    const { terminal, args, json } = invocation;
    const [pathA = '', pathB = ''] = args;
    using bar = new ProgressBar(invocation, 'diff');
    using a = MmapDict.open(pathA, { mode: 'r' });
    using b = MmapDict.open(pathB, { mode: 'r' });
    const { green, red, yellow } = colorsFor(terminal);
    const paint = { added: green, removed: red, changed: yellow };
    let differences = 0;
    for (const difference of differencesOf(a, b, bar)) {
      differences += 1;
      const { kind, key, what } = difference;
      if (json) await printJson(terminal, difference);
      else
        await print(
          terminal,
          paint[kind](`${MARKS[kind]} ${keyText(key)}${what === undefined ? '' : `  ${what}`}`).concat('\n'),
        );
    }
    return differences === 0 ? 'ok' : 'problems';
  },
};

function* differencesOf(a: MmapDict, b: MmapDict, bar: ProgressBar): Generator<Difference> {
  using left = new StoredBytes(a);
  using right = new StoredBytes(b);
  const total = a.fileSize;
  let done = 0;
  for (const key of a.keys()) {
    const [before, after] = [a.getMeta(key), b.getMeta(key)];
    if (after === undefined) {
      yield { kind: 'removed', key };
      continue;
    }
    const what = before === undefined ? 'value' : whatDiffers(left, right, before, after);
    done += before?.length ?? 0;
    bar.update({ done, total });
    if (what !== undefined) yield { kind: 'changed', key, what };
  }
  for (const key of b.keys()) if (!a.has(key)) yield { kind: 'added', key };
}

function whatDiffers(a: StoredBytes, b: StoredBytes, before: EntryMeta, after: EntryMeta): string | undefined {
  const [was, is] = [typeOf(before), typeOf(after)];
  if (was !== is) return `${was} -> ${is}`;
  return sameValue(a, b, before, after) ? undefined : 'value';
}

function typeOf(meta: EntryMeta): string {
  return `${typeText(meta)} ${shapeText(meta)}`.trimEnd();
}

function sameValue(a: StoredBytes, b: StoredBytes, before: EntryMeta, after: EntryMeta): boolean {
  // Entries are deterministic: equal values that the same program wrote have equal bytes. Most values need not be decoded.
  if (before.dtype === undefined && sameBytes(a.of(before), b.of(after))) return true;
  const [left, right] = [a.dict.get(before.key), b.dict.get(before.key)];
  if (isArray(left) && isArray(right) && !dataOf(left).type.hasObject) {
    const pairs = [[dataOf(left), dataOf(right)] as const];
    if ('mask' in left && 'mask' in right) {
      if (jsonText(left.fillValue) !== jsonText(right.fillValue)) return false;
      pairs.push([left.mask, right.mask]);
    }
    return pairs.every(([one, other]) =>
      one.order === other.order
        ? sameBytes(one.bytes(), other.bytes())
        : sameBytes(bytesInRows(one), bytesInRows(other)),
    );
  }
  return before.dtype !== undefined && sameBytes(a.of(before), b.of(after));
}

/** Values are compared in pieces of this many bytes: one may be as large as the file. */
const PIECE = 1 << 20;

/** The values' opcodes as stored in the file of a dict, which is opened once, and again if a vacuum put another in its place. */
class StoredBytes implements Disposable {
  readonly dict: MmapDict;
  #file: NodeFile | undefined;
  #buffer: Uint8Array = new Uint8Array(4096);

  constructor(dict: MmapDict) {
    this.dict = dict;
  }

  /** The pieces of one value, borrowed until the next is requested. */
  *of({ offset, length }: EntryMeta): Generator<Uint8Array> {
    const file = this.#opened();
    if (this.#buffer.length < Math.min(length, PIECE)) this.#buffer = new Uint8Array(PIECE);
    for (let done = 0; done < length; ) {
      const piece = this.#buffer.subarray(0, Math.min(this.#buffer.length, length - done));
      const count = file.read(offset + done, piece);
      if (count === 0) return;
      yield piece.subarray(0, count);
      done += count;
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }

  #opened(): NodeFile {
    if (this.#file !== undefined && isSameFile(this.#file.identity(), this.dict.identity)) return this.#file;
    this.#file?.close();
    this.#file = NodeFile.open(this.dict.path, 'r');
    return this.#file;
  }
}

/** Compares two sequences of pieces, however they are cut. */
function sameBytes(a: Iterable<Uint8Array>, b: Iterable<Uint8Array>): boolean {
  const [left, right] = [a[Symbol.iterator](), b[Symbol.iterator]()];
  let [one, other]: Buffer[] = [Buffer.alloc(0), Buffer.alloc(0)];
  for (;;) {
    one = refill(left, one as Buffer);
    other = refill(right, other as Buffer);
    if (one.length === 0 || other.length === 0) return one.length === other.length;
    const length = Math.min(one.length, other.length);
    if (one.compare(other, 0, length, 0, length) !== 0) return false;
    one = one.subarray(length);
    other = other.subarray(length);
  }
}

function refill(pieces: Iterator<Uint8Array>, rest: Buffer): Buffer {
  let buffer = rest;
  while (buffer.length === 0) {
    const next = pieces.next();
    if (next.done === true) return buffer;
    buffer = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
  }
  return buffer;
}
