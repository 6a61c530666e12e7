import type { EntryMeta } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
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
  const total = a.fileSize;
  let done = 0;
  for (const key of a.keys()) {
    if (!b.has(key)) {
      yield { kind: 'removed', key };
      continue;
    }
    const what = whatDiffers(a, b, key);
    done += a.getMeta(key)?.length ?? 0;
    bar.update({ done, total });
    if (what !== undefined) yield { kind: 'changed', key, what };
  }
  for (const key of b.keys()) if (!a.has(key)) yield { kind: 'added', key };
}

function whatDiffers(a: MmapDict, b: MmapDict, key: string): string | undefined {
  const before = a.getMeta(key);
  const after = b.getMeta(key);
  if (before === undefined || after === undefined) return 'value';
  const [was, is] = [typeOf(before), typeOf(after)];
  if (was !== is) return `${was} -> ${is}`;
  return sameValue(a, b, key) ? undefined : 'value';
}

function typeOf(meta: EntryMeta): string {
  return `${typeText(meta)} ${shapeText(meta)}`.trimEnd();
}

function sameValue(a: MmapDict, b: MmapDict, key: string): boolean {
  const [left, right] = [a.get(key), b.get(key)];
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
  // Entries are deterministic: equal values that the same program wrote have equal bytes.
  return sameBytes([storedBytes(a, key)], [storedBytes(b, key)]);
}

/** A value's opcodes as stored in the file. */
function storedBytes(dict: MmapDict, key: string): Uint8Array {
  const { offset = 0, length = 0 } = dict.getMeta(key) ?? {};
  using file = NodeFile.open(dict.path, 'r');
  const bytes = new Uint8Array(length);
  file.read(offset, bytes);
  return bytes;
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
