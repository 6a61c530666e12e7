import { Python, pythons, type Wire } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import { DictReader, type GrowableArray, type GrowableMaskedArray, MmapDict } from '../../src/dict/index.ts';
import { putEntryHead, putEntryTail, terminator } from '../../src/format/index.ts';
import { encodeJournal, type Journal, layCounts } from '../../src/format/journal.ts';
import { encodeProgram } from '../../src/format/journal-program.ts';
import { ENTRY_HEAD_SIZE, ENTRY_TAIL_SIZE, frameLengthOf, LIVE } from '../../src/format/layout.ts';
import { tailEntryFrame, tailKey } from '../../src/format/tail-entry.ts';
import { type ArraySource, type DTypeLike, NDArray } from '../../src/ndarray/index.ts';
import { load } from '../../src/pickle/index.ts';
import { bytesSource, MemoryDisk, MemoryFile } from '../../src/storage/index.ts';
import { CrashFile, crashStates, Recording } from '../../src/testing/index.ts';

/** Appends a key of one letter and a small integer as mmappickle does: over the terminator at the end, with a new commit number. */
function appendLikePython(image: Uint8Array, letter: string, value: number): Uint8Array {
  const bytes = new Uint8Array(image.length + ENTRY_HEAD_SIZE + 1 + 2 + ENTRY_TAIL_SIZE);
  bytes.set(image);
  let pos = putEntryHead(bytes, image.length - terminator().length, frameLengthOf(1, 2), 1);
  bytes.set([letter.charCodeAt(0), 0x4b, value], pos);
  pos = putEntryTail(bytes, pos + 3, 0, LIVE);
  bytes.set(terminator(), pos);
  bytes[18]!++;
  return bytes;
}

function show(dict: MmapDict): Record<string, unknown> {
  return Object.fromEntries(
    [...dict].map(([key, value]) => [key, value instanceof NDArray ? value.toNested() : value]),
  );
}

/** Every state that a kill during a batch of deletes and rows can leave, if a terminator ends the file. */
function* leftovers(): Generator<{ image: Uint8Array; committed: boolean }> {
  const file = MemoryFile.of();
  const start = MmapDict.over(file);
  start.set('a', 1).set('b', 2).set('c', 3);
  start.set('r', { arraySource: true, dtype: 'int8', shape: [0], capacity: 8 });
  const recorded = CrashFile.over(MemoryFile.of(file.toBytes()));
  const dict = MmapDict.over(recorded);
  dict.batch(() => {
    dict.set('x', 9);
    dict.delete('a');
    dict.delete('b');
    (dict.get('r') as GrowableArray).append([5, 6]);
  });
  for (const { files } of crashStates(recorded.log, { power: false, samples: 4, tears: 4 })) {
    const image = [...files.values()][0]!;
    // Before the commit there are bytes after the terminator; mmappickle would not find anything it appends there.
    const { store } = MmapDict.over(MemoryFile.of(image), { mode: 'r' }).core;
    if (store.partial || store.terminator + terminator().length !== image.length) continue;
    yield { image, committed: MmapDict.over(MemoryFile.of(image), { mode: 'r' }).has('x') };
  }
}

describe.each(pythons())('a batch cut short by a kill, with $version, numpy $numpy', (info) => {
  const python = new Python(info);
  afterAll(() => python[Symbol.asyncDispose]());

  test('is still atomic after mmappickle has appended behind its journal', async () => {
    let journals = 0;
    for (const { image, committed } of leftovers()) {
      const expected = {
        ...(committed ? { c: 3, r: [5, 6], x: 9 } : { a: 1, b: 2, c: 3, r: [] }),
        n: 7,
      };
      const appended = appendLikePython(image, 'n', 7);
      const reader = MmapDict.over(MemoryFile.of(appended), { mode: 'r' });
      expect(show(reader)).toEqual(expected);
      reader.close();
      const file = MemoryFile.of(appended);
      const writer = MmapDict.over(file);
      expect(show(writer)).toEqual(expected);
      if (writer.repairs.some(({ kind }) => kind === 'journal')) journals++;
      const checked = MmapDict.over(MemoryFile.of(appended));
      expect(checked.fsck({ repair: true }).findings.every(({ severity }) => severity !== 'error')).toBe(true);
      writer.set('later', 1);
      const loaded = await python.run(
        `import pickle, io
result = [{k: v.tolist() if hasattr(v, 'tolist') else v for k, v in unpickle(io.BytesIO(args["data"])).load().items()}
          for unpickle in (pickle.Unpickler, pickle._Unpickler)]`,
        { data: file.toBytes() },
      );
      expect(loaded).toEqual([
        { ...expected, later: 1 },
        { ...expected, later: 1 },
      ]);
    }
    expect(journals).toBeGreaterThan(2);
  });

  test('has the rows of all its arrays, masked and structured ones included, or of none', async () => {
    const file = MemoryFile.of();
    const start = MmapDict.over(file).set('a', 1);
    const record: DTypeLike = [
      ['x', '<i4'],
      ['y', '|S3'],
    ];
    const growable = (dtype: DTypeLike): ArraySource => ({ arraySource: true, dtype, shape: [0], capacity: 8 });
    const masked = { ...growable('int8'), mask: growable('bool') };
    start
      .set('masked', masked)
      .set('filled', { ...masked, fillValue: 7 })
      .set('rec', growable(record));
    const recorded = CrashFile.over(MemoryFile.of(file.toBytes()));
    const dict = MmapDict.over(recorded);
    dict.batch(() => {
      dict.delete('a');
      for (const key of ['masked', 'filled']) (dict.get(key) as GrowableMaskedArray).append([5, 6], [true, false]);
      (dict.get('rec') as GrowableArray).append(NDArray.zeros([2], record));
    });
    const images = [...crashStates(recorded.log, { power: false, samples: 4, tears: 4 })].map(
      ({ files }) => [...files.values()][0]!,
    );
    const found = await python.run(
      `import pickle, io
def show(v): return str(v.tolist()) + ' ' + str(int(getattr(v, 'fill_value', 0))) if hasattr(v, 'tolist') else v
result = [{k: show(v) for k, v in unpickle(io.BytesIO(data)).load().items()}
          for data in args["images"] for unpickle in (pickle.Unpickler, pickle._Unpickler)]`,
      { images },
    );
    const rows = "[(0, b''), (0, b'')] 0";
    expect(new Set((found as Wire[]).map((each) => JSON.stringify(each)))).toEqual(
      new Set([
        JSON.stringify({ a: 1, masked: '[] 999999', filled: '[] 7', rec: '[] 0' }),
        JSON.stringify({ masked: '[None, 6] 999999', filled: '[None, 6] 7', rec: rows }),
      ]),
    );
  });
});

test('a reader over a byte source, and salvage, see such a batch completely or not at all', async () => {
  for (const { image, committed } of leftovers()) {
    const batch = committed ? { r: [5, 6], x: 9 } : { a: 1, b: 2, r: [] };
    const salvaged = (bytes: Uint8Array): Record<string, unknown> => {
      const target = MmapDict.over(MemoryFile.of());
      MmapDict.over(MemoryFile.of(bytes), { mode: 'r', lenient: true }).salvage(target);
      return show(target);
    };
    const { entryOffset } = MmapDict.over(MemoryFile.of(image), { mode: 'r' }).getMeta('c')!;
    for (const [bytes, more] of [
      [image, {}],
      [appendLikePython(image, 'n', 7), { n: 7 }],
    ] as const) {
      const read: Record<string, unknown> = {};
      for await (const [key, value] of (await DictReader.open(bytesSource(bytes))).entries()) {
        read[key] = value instanceof NDArray ? value.toNested() : value;
      }
      expect(read).toEqual({ c: 3, ...batch, ...more });
      expect(salvaged(bytes)).toEqual({ c: 3, ...batch, ...more });
      const broken = bytes.slice();
      broken[entryOffset]! ^= 1;
      expect(salvaged(broken)).toEqual({ c: 3, ...batch, ...more });
    }
  }
});

test('a reader that saw the journal at the end continues after an append and after the journal was carried out', () => {
  for (const { image } of leftovers()) {
    const file = MemoryFile.of(image);
    const reader = MmapDict.over(file, { mode: 'r' });
    const before = show(reader);
    const appended = appendLikePython(image, 'n', 7);
    file.write(0, appended);
    expect(show(reader)).toEqual({ ...before, n: 7 });
    const writer = MmapDict.over(file, { mode: 'r+' });
    (writer.get('r') as GrowableArray).append([1]);
    expect(show(reader)).toEqual({ ...before, r: [...(before.r as number[]), 1], n: 7 });
  }
});

test('fsck carries out a journal in the middle of the file, and reports it', () => {
  for (const { image, committed } of leftovers()) {
    const file = MemoryFile.of(appendLikePython(image, 'n', 7));
    const { findings } = MmapDict.over(file, { lenient: true }).fsck({ repair: true });
    expect(MmapDict.over(file, { mode: 'r' }).fsck().findings).toEqual([]);
    expect(findings.every(({ code }) => code === 'pending-journal')).toBe(true);
    expect(MmapDict.over(file, { mode: 'r' }).has('a')).toBe(!committed);
  }
});

test.each<[string, number, (end: number) => Partial<Journal>]>([
  ['a dead mark in the header', 0, () => ({ deaths: new Set([23]) })],
  ['a dead mark that begins where the journal does', 0, (end) => ({ deaths: new Set([end]) })],
  ['a dead mark beyond the end', 0, () => ({ deaths: new Set([2 ** 45]) })],
  ['a row count in the header', 0, () => ({ stores: new Map([[23, 5]]) })],
  ['a row count that reaches into the journal', 0, (end) => ({ stores: new Map([[end - 7, 5]]) })],
  ['a row count beyond the end', 0, () => ({ stores: new Map([[2 ** 40, 5]]) })],
  ['overwritten bytes in the header', 0, () => ({ overwrites: [[23, Uint8Array.of(1)]] })],
  ['overwritten bytes that reach into the journal', 0, (end) => ({ overwrites: [[end - 1, Uint8Array.of(1, 1)]] })],
  ['overwritten bytes beyond the end', 0, () => ({ overwrites: [[2 ** 45, Uint8Array.of(1)]] })],
  ['none, so it is obeyed', 9, (end) => ({ deaths: new Set([end - 2]), overwrites: [[24, Uint8Array.of(0x95)]] })],
])('a journal is ignored if one of its targets is forged: %s', (_what, believed, forge) => {
  const file = MemoryFile.of();
  const [, b] = [...MmapDict.over(file).set('a', 1).set('b', 2).set('d', 4).scan()];
  const end = file.size() - terminator().length;
  const { deaths = [], stores = [], overwrites = [] } = forge(end);
  const seen = [b!.valueOffset, Uint8Array.of(0x4b, 9)] as const;
  const payload = encodeJournal({
    deaths: new Set(deaths),
    stores: new Map(stores),
    overwrites: [seen, ...overwrites],
  });
  const { prefix, suffix } = tailEntryFrame('journal', payload.length, 0, encodeProgram([], []));
  file.writeParts(end, [prefix, payload, suffix, terminator()]);
  const dict = MmapDict.over(file);
  dict.set('c', 3);
  const expected = believed > 0 ? { a: 1, b: believed, c: 3 } : { a: 1, b: 2, d: 4, c: 3 };
  expect([...dict]).toEqual(Object.entries(expected));
  expect(dict.fsck().findings).toEqual([]);
});

test('a journal is ignored once the file gained bytes, even if its last target is the end of another entry', () => {
  const file = MemoryFile.of();
  const made = MmapDict.over(file).set('a', 1).set('b', 'longer').set('c', 3).set('d', 4);
  const [first, b, , d] = [...made.scan()];
  const payload = encodeJournal({ deaths: new Set([b!.end - 2, d!.end - 2]), stores: new Map() });
  const { prefix, suffix } = tailEntryFrame('journal', payload.length, 0, encodeProgram([], []));
  file.writeParts(file.size() - terminator().length, [prefix, payload, suffix, terminator()]);
  const bytes = file.toBytes();
  expect([...MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).keys()]).toEqual(['a', 'c']);
  const won = MemoryFile.of(Uint8Array.from([...bytes.subarray(0, first!.end), ...bytes.subarray(first!.offset)]));
  expect([...MmapDict.over(won).set('e', 5)]).toEqual(Object.entries({ a: 1, b: 'longer', c: 3, d: 4, e: 5 }));
});

test('pending row counts are overlaid on the bytes that are read, however many there are', () => {
  const offsets = Array.from({ length: 200 }, (_, i) => 40 * i);
  for (const [start, length] of [
    [0, 8000],
    [3, 500],
    [40, 8],
    [35, 16],
    [41, 7],
    [39, 8],
    [0, 0],
  ] as const) {
    const bytes = new Uint8Array(length);
    layCounts(new Map(offsets.map((offset) => [offset, 7])), bytes, start);
    const laid = offsets.filter((offset) => offset >= start && offset + 8 <= start + length);
    expect([...bytes.keys()].filter((i) => bytes[i] !== 0)).toEqual(laid.map((offset) => offset - start));
  }
});

test.each<[string, unknown]>([
  ['a float', 1.5],
  ['a list that begins with one', [1.5, 2]],
  ['bytes', new Uint8Array(300)],
])("a dead entry with a journal's key that holds %s is left alone", (_what, value) => {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file).set('a', 1).set('b', 2).set('c', 3);
  const { core } = dict;
  // Another writer may do this: here such a key is refused.
  core.transact(() => core.put(tailKey('journal'), core.encodeValue(value, undefined)));
  dict.delete(tailKey('journal'));
  expect(dict.fsck().findings).toEqual([]);
  dict.set('behind', 4);
  expect(dict.fsck().findings).toEqual([]);
  dict.batch(() => dict.delete('a') && dict.delete('b'));
  expect(load(file.toBytes())).toEqual(new Map(Object.entries({ c: 3, behind: 4 })));
});

test('a batch of so many deletes that its journal is long is atomic', () => {
  const disk = new MemoryDisk();
  const keys = Array.from({ length: 2000 }, (_, i) => `key-${i}`);
  const made = MmapDict.over(disk.open('dict', 'create-new'));
  made.batch(() => {
    for (const key of keys) made.set(key, key.length);
  });
  made.close();
  const recording = new Recording(disk, 'dict');
  const dict = MmapDict.over(recording.open(), { index: false });
  const kept = keys.filter((_, i) => i % 2 === 0);
  dict.batch(() => {
    for (const key of keys) if (!kept.includes(key)) dict.delete(key);
  });
  dict.close();
  // The first of the images writes and commits the journal; the dead marks follow.
  const images = recording.images.filter((_, i, all) => i < 8 || i > all.length - 8);
  let done = false;
  for (const { bytes } of images) {
    const found = [...MmapDict.over(MemoryFile.of(bytes), { mode: 'r' }).keys()];
    done ||= found.length < keys.length;
    expect(found).toEqual(done ? kept : keys);
  }
  expect(done).toBe(true);
});
