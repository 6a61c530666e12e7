import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '@mmdpickle/cli';
import { type Descr, MaskedArray, memoryOver, NDArray, ndarray, PySlice, parseDType } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { type EmitOp, emit, FrozenSet, PyArray, Tuple } from '@mmdpickle/core/pickle';
import { readNpy } from '@mmdpickle/npy-interop';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { Bench, told } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());
const shell = bench.lines.bind(bench);

describe('inspecting a file', () => {
  it('ls shows types, shapes, sizes and dead space, as a tree and as JSON', async () => {
    const cwd = bench.folder();
    const tree = await shell(
      cwd,
      'mmdpickle rm run.mmdpickle gain',
      'mmdpickle mv run.mmdpickle dark a/b/dark',
      'mmdpickle ls -l run.mmdpickle',
    );
    expect(tree).toMatch(/^key +type +shape +bytes +share +entry +data +aligned +layout +capacity\n/);
    expect(tree).toMatch(/^a\/\n {2}b\/\n {4}dark +uint16 +\[8, 8\] +128 B/m);
    expect(tree).toMatch(/^temperature +float32 +\[5, 4\] +80 B .*modern +\d+$/m);
    const listing = JSON.parse(await shell(cwd, 'mmdpickle ls --json run.mmdpickle'));
    using dict = MmapDict.open(join(cwd, 'run.mmdpickle'), { mode: 'r' });
    let dead = 0;
    for (const { live, offset, end } of dict.scan()) if (!live) dead += end - offset;
    expect(listing).toMatchObject({ size: dict.fileSize, dead, commitNumber: dict.commitNumber });
    expect(listing.entries.map(({ key }: { key: string }) => key)).toEqual([...dict.keys()]);
  });

  it('ls shows what is intact before it reports a damaged entry, and no command that copies all leaves it out', async () => {
    const cwd = bench.folder();
    const path = join(cwd, 'run.mmdpickle');
    using dict = MmapDict.open(path);
    const keys = [...dict.keys()];
    const { offset, length } = dict.getMeta('gain')!;
    using file = NodeFile.open(path, 'r+');
    // The state byte: live, with one bit flipped.
    file.write(offset + length + 6, Uint8Array.of(0x89));
    const listed = await bench.line(cwd, 'mmdpickle ls --json run.mmdpickle');
    const table = await bench.line(cwd, 'mmdpickle ls run.mmdpickle');
    for (const end of [listed, table])
      expect(end).toMatchObject({ code: 4, stderr: expect.stringContaining('"gain"') });
    const shown = JSON.parse(listed.stdout).entries.map(({ key }: { key: string }) => key);
    expect([...shown, 'gain'].sort()).toEqual(keys.sort());
    expect(table.stdout).toContain('operator');
    for (const line of [
      'cp run.mmdpickle all.mmdpickle',
      'export run.mmdpickle all.npz',
      'convert run.mmdpickle all.pkl',
    ]) {
      const end = await bench.line(cwd, `mmdpickle ${line}`);
      expect({ line, ...end }).toMatchObject({ line, code: 4, stderr: expect.stringContaining('"gain"') });
      expect(existsSync(join(cwd, line.split(' ')[2]!))).toBe(false);
    }
  });

  it('get prints slices as text, JSON, CSV, raw bytes and npy', async () => {
    const cwd = bench.folder();
    expect(await shell(cwd, 'mmdpickle get run.mmdpickle operator')).toBe('"night shift"\n');
    expect(JSON.parse(await shell(cwd, 'mmdpickle get run.mmdpickle dark --slice 1,::2 --json'))).toEqual({
      dtype: 'uint16',
      shape: [4],
      data: [8, 10, 12, 14],
    });
    expect(await shell(cwd, 'mmdpickle get run.mmdpickle dark --slice 0:2,:3 --csv')).toBe('0,1,2\n8,9,10\n');
    await shell(cwd, 'mmdpickle get run.mmdpickle dark --npy > d.npy; mmdpickle get run.mmdpickle dark --raw > d.raw');
    expect(readNpy(readFileSync(join(cwd, 'd.npy')) as Uint8Array).get(7, 7)).toBe(63);
    expect(readFileSync(join(cwd, 'd.raw'))).toHaveLength(128);
    expect(await shell(cwd, 'mmdpickle head -n 1 run.mmdpickle temperature')).toBe('0,0.5,1,1.5\n');
    expect(JSON.parse(await shell(cwd, 'mmdpickle tail -n 1 run.mmdpickle temperature --json'))).toEqual({
      row: 4,
      data: [8, 8.5, 9, 9.5],
    });
    expect(JSON.parse(await shell(cwd, 'mmdpickle stats run.mmdpickle dark --json --bins 2'))).toMatchObject({
      count: 64,
      min: 0,
      max: 63,
      mean: 31.5,
      histogram: [32, 32],
    });
  });

  it('elements are shown exactly, whatever their kind and order', async () => {
    const cwd = bench.folder();
    const nested: Descr = [
      ['a', '<i4'],
      [
        'n',
        [
          ['x', '<i4'],
          ['y', '<f8'],
        ],
      ],
    ];
    {
      using dict = MmapDict.open(join(cwd, 'kinds.mmdpickle'));
      dict.set(
        'columns',
        ndarray(
          [
            [1, 2],
            [3, 4],
          ],
          [2, 2],
          'uint8',
        ).copy({ order: 'F' }),
      );
      dict.set('times', ndarray([1732246372123456789n, null], [2], 'datetime64[ns]'));
      const records = NDArray.over(memoryOver(new Uint8Array(16)), nested, [1]);
      dict.set('records', records.set(0, { a: 1, n: { x: 2, y: -0 } }));
      dict.set(
        'many',
        new EmptyNDArray(
          Array.from({ length: 24 }, () => 2),
          'uint8',
        ),
      );
      dict.set('wide', new EmptyNDArray([2, 70_000], 'uint8'));
      dict.set('type', parseDType('<f4')).set('slice', new PySlice(1, 'b')).set('zero', -0);
      dict.set('sets', new Map([[new FrozenSet([1, 2]), Tuple.of(new PyArray('b', 1, new Uint8Array([255])))]]));
      dict.set(
        'counts',
        new Map<unknown, unknown>([
          [
            '10',
            new Map<unknown, unknown>([
              [2, 'b'],
              [1, 'a'],
            ]),
          ],
          ['9', [new Set([1])]],
        ]),
      );
    }
    const get = (words: string): Promise<string> => shell(cwd, `mmdpickle get kinds.mmdpickle ${words}`);
    expect(await get('columns --raw')).toBe('\u0001\u0002\u0003\u0004');
    expect(await get('columns --slice -9223372036854775807:9223372036854775807,1 --csv')).toBe('2\n4\n');
    expect(await get('slice')).toBe('slice(1, "b", None)\n');
    expect(await get('times')).toBe('datetime64[ns] [2]\n[1732246372123456789, NaT]\n');
    expect(JSON.parse(await shell(cwd, 'mmdpickle stats kinds.mmdpickle times --json'))).toMatchObject({
      count: 1,
      masked: 0,
      nan: 1,
      min: '1732246372123456789',
    });
    expect(await get('records --csv')).toBe('a,n\n1,2 -0\n');
    expect(await get('many')).toMatch(/cut; --json prints all\)\n$/);
    expect(JSON.parse(await get('wide --json')).data).toEqual(Array(2).fill(Array(70_000).fill(0)));
    expect(await get('type')).toBe('dtype(float32)\n');
    expect(await get('zero --json')).toBe('-0.0\n');
    expect(await get('sets')).toBe("{{1, 2}: (array('b', [-1]),)}\n");
    expect(await get('sets --json')).toMatch(/^\{"1,2":\[/);
    // In the dict's order; a JavaScript object would put keys that look like indices first.
    expect(await get('counts --json')).toBe('{"10":{"2":"b","1":"a"},"9":[[1]]}\n');
  });

  it('dis shows entries with their offsets in the file, and omits the bytes of arrays', async () => {
    const cwd = bench.folder();
    using dict = MmapDict.open(join(cwd, 'run.mmdpickle'), { mode: 'r' });
    const { offset } = dict.getMeta('dark') ?? {};
    expect(await shell(cwd, 'mmdpickle dis run.mmdpickle dark')).toContain(
      `BYTEARRAY8 bytearray(b'') 128 bytes at ${offset}`,
    );
    const ops = (await shell(cwd, 'mmdpickle dis run.mmdpickle dark --json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(ops).toContainEqual({ pos: (offset ?? 0) - 9, name: 'BYTEARRAY8', arg: { bytes: 128, at: offset } });
    const { globals } = JSON.parse(await shell(cwd, 'mmdpickle check run.mmdpickle --json'));
    expect(globals).toMatchObject([{ module: 'numpy', name: 'ndarray', known: true, calls: 3 }]);
    expect(existsSync(join(cwd, 'owned'))).toBe(false);
  });

  it('check reports where a pickle changes, calls or looks up something that it does not name', async () => {
    const cwd = bench.folder();
    const ops: EmitOp[] = [['GLOBAL', 'uuid UUID'], 'EMPTY_DICT', 'BUILD', ['EXT1', 7], 'EMPTY_TUPLE', 'REDUCE'];
    writeFileSync(join(cwd, 'doubts.pkl'), emit([...ops, 'STOP']));
    const { code, stdout } = await bench.line(cwd, 'mmdpickle check doubts.pkl');
    expect(code).toBe(1);
    expect(stdout).toContain('calls of something other than a plain global, at 16\n');
    expect(stdout).toContain('changes to something that the pickle did not create, at 12\n');
    expect(stdout).toContain('globals that Python looks up by an extension code: 7\nNOT ok');
  });

  it('check does not accept a file because of the first of several pickles, and commands that read it report the rest', async () => {
    const cwd = bench.folder();
    await shell(cwd, 'cat settings.pkl hostile.pkl > both.pkl');
    const { code, stdout } = await bench.line(cwd, 'mmdpickle check both.pkl');
    expect({ code, stdout }).toMatchObject({ code: 1, stdout: expect.stringMatching(/^NOT ok: the pickle ends at/m) });
    const { end, rest } = JSON.parse((await bench.line(cwd, 'mmdpickle check both.pkl --json')).stdout);
    expect(end + rest).toBe(statSync(join(cwd, 'both.pkl')).size);
    for (const line of [
      'import both.mmdpickle both.pkl',
      'convert both.pkl new.mmdpickle',
      'put put.mmdpickle x @both.pkl',
    ]) {
      const { code, stderr } = await bench.line(cwd, `mmdpickle ${line}`);
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: `both.pkl: the pickle ends at ${end}, and ${rest} more bytes were ignored\n`,
      });
    }
  });

  it('diff names the keys that were added, removed and changed', async () => {
    const cwd = bench.folder();
    const { code, stdout } = await bench.line(cwd, 'mmdpickle diff run.mmdpickle other.mmdpickle');
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: '~ operator  value\n- dark\n- cube\n- temperature\n+ "only here"\n',
    });
    expect(
      await shell(cwd, 'mmdpickle cp run.mmdpickle same.mmdpickle', 'mmdpickle diff run.mmdpickle same.mmdpickle'),
    ).toBe('');
  });

  it('diff detects different objects in an array, and a different fill value', async () => {
    const cwd = bench.folder();
    const mask = ndarray([true]);
    for (const [name, fillValue] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      using dict = MmapDict.open(join(cwd, `${name}.mmdpickle`));
      dict.set('same', NDArray.ofObjects(['x'])).set('objects', NDArray.ofObjects([name]));
      dict.set('filled', new MaskedArray(ndarray([5]), mask, { fillValue }));
    }
    const { code, stdout } = await bench.line(cwd, 'mmdpickle diff a.mmdpickle b.mmdpickle');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '~ objects  value\n~ filled  value\n' });
  });

  it('diff compares the elements of arrays, whatever their order in memory', async () => {
    const cwd = bench.folder();
    const columns = ndarray([
      [1, 3, 5],
      [2, 4, 6],
    ]).transpose();
    {
      using one = MmapDict.open(join(cwd, 'c.mmdpickle'));
      using other = MmapDict.open(join(cwd, 'f.mmdpickle'));
      one.set('equal', columns.copy()).set('same bytes', ndarray([[1, 3, 5, 2, 4, 6]]).reshape([3, 2]));
      other.set('equal', columns).set('same bytes', columns);
    }
    const { code, stdout } = await bench.line(cwd, 'mmdpickle diff c.mmdpickle f.mmdpickle');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '~ "same bytes"  value\n' });
  });

  it('watch --from N continues after change N', async () => {
    const seen = await shell(bench.folder(), 'mmdpickle watch run.mmdpickle --from 2 --count 2 --json');
    expect(
      seen
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).seq),
    ).toEqual([3, 4]);
  });

  it('tail -f and watch follow another process until they are interrupted', async () => {
    const cwd = bench.folder();
    const watch = bench.start(cwd, ['watch', 'new.mmdpickle', '--json', '--count', '1']);
    await told(watch, /waiting/);
    const tail = bench.start(cwd, ['tail', '-f', '-n', '1', 'run.mmdpickle', 'temperature']);
    const ends = [tail, watch].map((child) => new Promise((resolve) => child.once('close', resolve)));
    const rows: string[] = [];
    const changes: string[] = [];
    watch.stdout?.setEncoding('utf8').on('data', (text: string) => changes.push(text));
    const first = new Promise((resolve) => tail.stdout?.once('data', resolve));
    tail.stdout?.setEncoding('utf8').on('data', (text: string) => rows.push(text));
    await first;
    const second = new Promise((resolve) => tail.stdout?.once('data', resolve));
    writeFileSync(join(cwd, 'row.raw'), new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer));
    const ingest = '--from row.raw --dtype float32 --shape 4 --into rows --key temperature';
    await shell(cwd, `mmdpickle ingest run.mmdpickle ${ingest}`, 'mmdpickle put new.mmdpickle k 1');
    await second;
    // A file that is recreated is empty for a moment.
    writeFileSync(join(cwd, 'empty'), '');
    renameSync(join(cwd, 'empty'), join(cwd, 'run.mmdpickle'));
    await delay(500);
    const third = new Promise((resolve) => tail.stdout?.once('data', resolve));
    await shell(cwd, `mmdpickle ingest next.mmdpickle ${ingest}`, 'mv next.mmdpickle run.mmdpickle');
    await third;
    // A different array with at least as many rows, and the same array at another offset.
    const next = async (change: (dict: MmapDict) => void): Promise<void> => {
      const told = new Promise((resolve) => tail.stdout?.once('data', resolve));
      using dict = MmapDict.open(join(cwd, 'run.mmdpickle'));
      change(dict);
      await told;
    };
    await next((dict) => dict.set('temperature', ndarray(new Float32Array([5, 6, 7, 8, 5, 6, 7, 9]), [2, 4])));
    await next((dict) => {
      dict.vacuum();
      dict.set('temperature', ndarray(new Float32Array([5, 6, 7, 8, 5, 6, 7, 9, 1, 2, 3, 4]), [3, 4]));
    });
    tail.kill('SIGINT');
    expect(await Promise.all(ends)).toEqual([0, 0]);
    expect(rows.join('')).toBe('8,8.5,9,9.5\n1,2,3,4\n1,2,3,4\n5,6,7,8\n5,6,7,9\n1,2,3,4\n');
    expect(JSON.parse(changes.join(''))).toMatchObject({ kind: 'added', key: 'k' });
  });
});

it('watch reads no further while its output is not consumed, and then continues where it was', async () => {
  const cwd = bench.folder();
  const path = join(cwd, 'stuck.mmdpickle');
  const stop = new AbortController();
  let output = '';
  const reader = new EventEmitter();
  const takes = once(reader, 'takes');
  const stdout = new Writable({
    highWaterMark: 1,
    write(piece, _encoding, taken) {
      const text = String(piece);
      output += text;
      reader.emit('first');
      if (text.includes('"last"')) stop.abort();
      void takes.then(() => taken());
    },
  });
  const first = once(reader, 'first');
  using dict = MmapDict.open(path);
  dict.update(Array.from({ length: 10_001 }, (_, i): [string, number] => [`key ${i}`, i]));
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  const watching = run(['watch', path, '--json', '--from', '0'], { ...streams, env: {}, signal: stop.signal });
  await first;
  for (const value of [1, 2, 3]) {
    dict.set('again', value);
    await delay(100);
  }
  // After this, nothing shows that the value was replaced.
  dict.vacuum();
  reader.emit('takes');
  dict.set('last', 1);
  expect(await watching).toBe(0);
  const changes = output.trim().split('\n');
  const keys = changes.flatMap((line) => (JSON.parse(line) as { key?: string }).key ?? []);
  expect(keys).toEqual([...Array.from({ length: 10_001 }, (_, i) => `key ${i}`), 'again', 'last']);
});

it('watch can be interrupted while it prints what was in the file', async () => {
  const ENTRIES = 50_000;
  const path = join(bench.folder(), 'long.mmdpickle');
  using dict = MmapDict.open(path);
  dict.update(Array.from({ length: ENTRIES }, (_, i): [string, number] => [`key ${i}`, i]));
  const stop = new AbortController();
  let lines = 0;
  const stdout = new Writable({
    write(_piece, _encoding, taken) {
      // As a signal does, this waits for a turn of the event loop.
      if (lines === 0) setImmediate(() => stop.abort());
      lines += 1;
      taken();
    },
  });
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  expect(await run(['watch', path, '--json', '--from', '0'], { ...streams, env: {}, signal: stop.signal })).toBe(0);
  expect(lines).toBeLessThan(ENTRIES);
});

it('diff opens each file once, however many values it compares, and reads large equal ones in pieces', async () => {
  const cwd = bench.folder();
  const large = new Uint8Array(5 << 20);
  const paths = ['left', 'right'].map((name, i) => {
    const path = join(cwd, `${name}.mmdpickle`);
    using dict = MmapDict.open(path);
    dict.update(Array.from({ length: 200 }, (_, i): [string, number] => [`key ${i}`, i]));
    dict.set('large', large).set('small', i);
    return path;
  });
  const opened = vi.spyOn(NodeFile, 'open');
  const read = vi.spyOn(NodeFile.prototype, 'read');
  const stdout = new PassThrough();
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  const code = await run(['diff', ...paths], { ...streams, env: {}, signal: new AbortController().signal });
  const [opens, longest] = [opened.mock.calls.length, Math.max(...read.mock.calls.map(([, bytes]) => bytes.length))];
  opened.mockRestore();
  read.mockRestore();
  expect([code, String(stdout.read())]).toEqual([1, '~ small  value\n']);
  expect(opens).toBeLessThan(10);
  expect(longest).toBeLessThan(large.length);
});
