import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GrowableArray, MaskedArray, NDArray, ndarray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { dump, type EmitOp, emit, load, PyFloat } from '@mmdpickle/core/pickle';
import { formatNpyHeader, readNpy } from '@mmdpickle/npy-interop';
import { GrowableNDArray } from '@mmdpickle/stubs';
import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { Bench } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());
const shell = bench.lines.bind(bench);

describe('changing a file', () => {
  it('commands that take the first of several arrays in a file report what was ignored', async () => {
    const cwd = bench.folder();
    await shell(cwd, 'cat flat.npy flat.npy > both.npy');
    for (const line of ['import both.mmdpickle both.npy', 'put put.mmdpickle x @both.npy']) {
      const { code, stderr } = await bench.line(cwd, `mmdpickle ${line}`);
      const left = `both.npy: the ${statSync(join(cwd, 'flat.npy')).size} bytes after the first array were ignored\n`;
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(left) });
    }
  });

  it('two inputs of different formats with the same key are refused, in any order: neither replaces the other', async () => {
    const cwd = bench.folder();
    await shell(cwd, 'cp flat.npy same.npy');
    writeFileSync(join(cwd, 'same.csv'), '3\n4\n');
    writeFileSync(join(cwd, 'same.pkl'), dump(new Map([['same', 6]])));
    const inputs = ['same.npy', 'same.csv', 'same.pkl'];
    for (const [i, one] of inputs.entries()) {
      for (const [j, other] of inputs.entries()) {
        if (i === j) continue;
        const { code, stderr } = await bench.line(cwd, `mmdpickle import pair${i}${j}.mmdpickle ${one} ${other}`);
        const told = /^imported before the error: same\nmmdpickle: two inputs have the key "same" \[BAD_KEY\]\n$/;
        expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(told) });
      }
    }
  });

  it.each([
    ['import i.mmdpickle both.pkl', 'both.pkl: the pickle ends at'],
    ['convert both.pkl new.mmdpickle', 'both.pkl: the pickle ends at'],
    ['convert --downgrade run.mmdpickle', '3 arrays of run.mmdpickle are in the modern layout'],
    ['export run.mmdpickle all.npz', '2 values are not arrays: left out'],
  ])('with --json, the note that %s prints beside its result is JSON too', async (line, note) => {
    const cwd = bench.folder();
    await shell(cwd, 'cat settings.pkl hostile.pkl > both.pkl');
    const { code, stdout, stderr } = await bench.line(cwd, `mmdpickle ${line} --json`);
    expect({ code, told: JSON.parse(stderr).note }).toEqual({ code: 0, told: expect.stringContaining(note) });
    JSON.parse(stdout);
  });

  it.each([
    ['float32 rows', new GrowableNDArray([4], 'float32'), [[1, 2, 3, 4]]],
    [
      'records',
      new GrowableNDArray(
        [],
        [
          ['a', 'int32'],
          ['b', 'float64', [2]],
        ],
      ),
      [{ a: 1, b: [2, 3] }],
    ],
    [
      'records with padding',
      new GrowableNDArray([], { names: ['a', 'b'], formats: ['i1', '<f8'], aligned: true }),
      [{ a: 1, b: 2 }],
    ],
  ])('Python maps %s with the lines in the guide', async (_, stub, rows) => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'run.mmdpickle'));
      (dict.set('temperature', stub).get('temperature') as GrowableArray).append(rows);
    }
    const guide = readFileSync(new URL('../../../docs/guide/dict.md', import.meta.url), 'utf8');
    const [, lines = ''] = /```python\n([\s\S]*?)```/.exec(guide) ?? [];
    const check = "import pickle\nd = pickle.load(open('run.mmdpickle', 'rb'))['temperature']\nr = rows[:len(d)]\n";
    writeFileSync(
      join(cwd, 'look.py'),
      `${lines}${check}print(r.dtype == d.dtype, r.tobytes() == d.tobytes(), len(r))\n`,
    );
    const [info] = pythons();
    if (info === undefined) return;
    expect(await shell(cwd, `${info.executable} look.py`)).toBe('True True 1\n');
  });

  it('put stores numbers, text, JSON, arrays and pickles so that Python sees the same values', async () => {
    const cwd = bench.folder();
    await shell(
      cwd,
      ...[
        'int 12345678901234567890',
        'float 2.0',
        'neg -5',
        "text 'night shift'",
        "mark '\ufeffx'",
        'digits 007 --type str',
        `json '{"b": [1, null, true], "10": {"2": 0, "1": 0}}'`,
        'array @flat.npy',
        'pickle @settings.pkl',
        `exact '{"n": 12345678901234567890, "f": [2.0, -0.0]}'`,
      ].map((words) => `mmdpickle put p.mmdpickle ${words}`),
      'echo -n abc | mmdpickle put p.mmdpickle bytes -',
      'mmdpickle rm p.mmdpickle -f array nokey',
    );
    const [info] = pythons();
    if (info === undefined) return;
    await using python = new Python(info);
    const code =
      'import pickle\nwith open(args["path"], "rb") as f: d = pickle.load(f)\nd.pop("pickle")\nresult = repr(d)';
    expect(await python.run(code, { path: join(cwd, 'p.mmdpickle') })).toBe(
      "{'int': 12345678901234567890, 'float': 2.0, 'neg': -5, 'text': 'night shift', 'mark': '\\ufeffx', 'digits': '007', 'json': {'b': [1, None, True], '10': {'2': 0, '1': 0}}, 'exact': {'n': 12345678901234567890, 'f': [2.0, -0.0]}, 'bytes': b'abc'}",
    );
  });

  it.each(['csv', 'pkl', 'npz', 'npy'])('an exported .%s file replaces an existing one as a whole', async (ending) => {
    const cwd = bench.folder();
    const path = join(cwd, `old.${ending}`);
    writeFileSync(path, 'as it was');
    const old = openSync(path, 'r');
    await shell(
      cwd,
      `mmdpickle export run.mmdpickle old.${ending} dark`,
      `mmdpickle import new.mmdpickle old.${ending}`,
    );
    expect(readFileSync(old, 'utf8')).toBe('as it was');
    closeSync(old);
  });

  it('CSV and pickles can be written to pipes too', async () => {
    const cwd = bench.folder();
    const csv = await shell(cwd, 'mmdpickle export run.mmdpickle /dev/stdout dark --format csv | head -n 1');
    expect(csv).toBe('0,1,2,3,4,5,6,7\n');
    await shell(cwd, 'mmdpickle export run.mmdpickle /dev/stdout operator --format pickle | cat > piped.pkl');
    expect(load(readFileSync(join(cwd, 'piped.pkl')) as Uint8Array)).toEqual(new Map([['operator', 'night shift']]));
  });

  it('import and export work with every format, and with pipes', async () => {
    const cwd = bench.folder();
    const keys = await shell(
      cwd,
      'mmdpickle import i.mmdpickle flat.npy frames.npz settings.pkl records.csv',
      'mmdpickle import i.mmdpickle frames.raw --dtype uint16 --shape 4,32',
      'cat flat.npy | mmdpickle import i.mmdpickle - --format npy --key piped --json',
    );
    expect(JSON.parse(keys)).toEqual({ keys: ['piped'] });
    using dict = MmapDict.open(join(cwd, 'i.mmdpickle'), { mode: 'r' });
    expect([...dict.keys()].toSorted()).toEqual(
      ['a', 'b', 'bias', 'exposure', 'flat', 'frames', 'name', 'piped', 'records/ok', 'records/t'].toSorted(),
    );
    for (const [file, extra] of [
      ['o.npz'],
      ['o.safetensors'],
      ['o.npy', ' flat'],
      ['two.npy', ' flat bias'],
      ['o.csv', ' flat'],
      ['o.raw', ' flat'],
      ['o.pkl'],
    ]) {
      const { code } = await bench.line(cwd, `mmdpickle export i.mmdpickle ${file}${extra ?? ''}`);
      expect({ file, code }).toEqual({ file, code: 0 });
    }
    expect(readFileSync(join(cwd, 'o.csv'), 'utf8')).toBe('1,2,3\n4,5,6\n');
    expect(readNpy(readFileSync(join(cwd, 'o.npy')) as Uint8Array).shape).toEqual([2, 3]);
    expect(readdirSync(join(cwd, 'two.npy')).toSorted()).toEqual(['bias.npy', 'flat.npy']);
    expect((load(readFileSync(join(cwd, 'o.pkl'))) as Map<string, unknown>).get('name')).toBe('night');
    expect(await shell(cwd, 'mmdpickle export i.mmdpickle - flat --format csv')).toBe('1,2,3\n4,5,6\n');
  });

  it('numbers in a CSV file may be infinite, even in the first line, and times may have any length', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'inf.csv'), '1,inf,-Infinity\n2,nan,+INF\n');
    await shell(cwd, 'mmdpickle import i.mmdpickle inf.csv');
    const csv = await shell(cwd, 'mmdpickle get i.mmdpickle inf --csv');
    expect(csv).toBe('1,Infinity,-Infinity\n2,NaN,Infinity\n');
    writeFileSync(join(cwd, 'times.csv'), 't\n1732246372123456789\n');
    await shell(cwd, "mmdpickle import i.mmdpickle times.csv --dtype 'datetime64[ns]'");
    expect(await shell(cwd, 'mmdpickle get i.mmdpickle times/t --csv')).toBe('1732246372123456789\n');
  });

  it('bytes of a raw file that a shape leaves over are reported', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'x.raw'), new Uint8Array(20));
    const { code, stderr } = await bench.line(cwd, 'mmdpickle import i.mmdpickle x.raw --dtype f8 --shape 2');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'x.raw: the 4 bytes after the first array were ignored\n',
    });
    expect((await bench.line(cwd, 'mmdpickle import i.mmdpickle x.raw --dtype f4')).stderr).toBe('');
  });

  it.each([
    ['complex128', '(1-2.5j),(NaN+Infinityj)\n(-0+1e-7j),-1e+300j\n'],
    ['complex64', '0.5j\n'],
    ['datetime64[s]', '""\n4347226899\n'],
    ['timedelta64[ms]', '1,\n,-2\n'],
  ])('the output of get --csv for %s can be imported again', async (dtype, text) => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'x.csv'), text);
    await shell(cwd, `mmdpickle import i.mmdpickle x.csv --dtype '${dtype}'`);
    expect((await shell(cwd, 'mmdpickle get i.mmdpickle x --csv')).toLowerCase()).toBe(
      text.toLowerCase().replaceAll('infinity', 'inf'),
    );
  });

  it('a CSV row with a single empty cell stays a row on export and import', async () => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'gaps.mmdpickle'));
      dict.set('gaps', new MaskedArray(ndarray([1, 2, 3]), ndarray([false, true, false])));
    }
    await shell(cwd, 'mmdpickle export gaps.mmdpickle gaps.csv gaps', 'mmdpickle import gaps.mmdpickle gaps.csv');
    expect(readFileSync(join(cwd, 'gaps.csv'), 'utf8')).toBe('1\n""\n3\n');
    expect(await shell(cwd, 'mmdpickle get gaps.mmdpickle gaps --csv')).toBe('1\nNaN\n3\n');
  });

  it('each CSV row ends at its own line ending, however the first one ended, and in UTF-16 too', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'ends.csv'), 'a,b\r\n1,2\n3,4\r5,6\r\n');
    const ingest = 'ingest ends.mmdpickle --from ends.csv --format csv --schema a:int8,b:U8 --into rows --key rows';
    await shell(cwd, `mmdpickle ${ingest}`, 'mmdpickle import ends.mmdpickle ends.csv');
    expect(await shell(cwd, 'mmdpickle get ends.mmdpickle rows --csv')).toBe('a,b\n1,2\n3,4\n5,6\n');
    expect(await shell(cwd, 'mmdpickle get ends.mmdpickle ends/b --csv')).toBe('2\n4\n6\n');
    writeFileSync(join(cwd, 'ends.csv'), Buffer.from('\ufeffa,b\r\n 1, \u00e9\n', 'utf16le'));
    await shell(cwd, `mmdpickle ${ingest.replaceAll('ends.mmdpickle', 'wide.mmdpickle')}`);
    expect(await shell(cwd, 'mmdpickle get wide.mmdpickle rows --csv')).toBe('a,b\n1,\u00e9\n');
  });

  it('a CSV import takes memory for its numbers, not for its text', async () => {
    const cwd = bench.folder();
    const rows = Array.from({ length: 200_000 }, (_, i) => `${i},${-i},${i * 7},${i / 4}`);
    writeFileSync(join(cwd, 'long.csv'), `constructor,b,c,d\n${rows.join('\n')}\n`);
    const line = 'NODE_OPTIONS=--max-old-space-size=40 mmdpickle import long.mmdpickle long.csv';
    expect(await bench.shell(cwd, line)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('long/constructor'),
    });
    using dict = MmapDict.open(join(cwd, 'long.mmdpickle'), { mode: 'r' });
    expect((dict.get('long/d') as NDArray).get(199_999)).toBe(49_999.75);
    expect((dict.get('long/b') as NDArray).shape).toEqual([200_000]);
  });

  it('convert turns pickles into mmdpickle files, and changes layouts in place and by copy', async () => {
    const cwd = bench.folder();
    // Python could not load a file with a copy of the damaged value.
    const bytes = readFileSync(join(cwd, 'run.mmdpickle'));
    bytes[bytes.indexOf('night shift') - 1] = 0xff;
    writeFileSync(join(cwd, 'damaged.mmdpickle'), bytes);
    const refused = await bench.line(cwd, 'mmdpickle convert damaged.mmdpickle old.mmdpickle --downgrade');
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('"operator" cannot be copied') });
    expect(existsSync(join(cwd, 'old.mmdpickle'))).toBe(false);
    await shell(
      cwd,
      'mmdpickle convert settings.pkl s.mmdpickle',
      'mmdpickle convert run.mmdpickle old.mmdpickle --downgrade',
    );
    const layouts = (name: string): (string | undefined)[] => {
      using dict = MmapDict.open(join(cwd, name), { mode: 'r' });
      return [...dict.keys()].flatMap((key) => dict.getMeta(key)?.layout ?? []);
    };
    expect(layouts('s.mmdpickle')).toEqual(['modern']);
    expect(layouts('old.mmdpickle')).toEqual(['legacy', 'legacy', 'legacy']);
    const done = await shell(cwd, 'mmdpickle convert --upgrade old.mmdpickle --json');
    expect(JSON.parse(done)).toEqual({ keys: 5, arrays: 3 });
    expect(layouts('old.mmdpickle')).toEqual(['upgraded', 'upgraded', 'upgraded']);
    await shell(cwd, 'mmdpickle convert --downgrade old.mmdpickle', 'mmdpickle convert old.mmdpickle new.mmdpickle');
    expect(layouts('new.mmdpickle')).toEqual(['modern', 'modern', 'modern']);
    expect((await bench.line(cwd, 'mmdpickle convert run.mmdpickle new.mmdpickle')).code).toBe(1);
    expect(layouts('new.mmdpickle')).toEqual(['modern', 'modern', 'modern']);
  });

  it('floats stay floats when objects are imported and exported', async () => {
    const cwd = bench.folder();
    const items = [new PyFloat(1), 1];
    const objects = Buffer.concat([formatNpyHeader({ dtype: 'O', shape: [2] }), dump(NDArray.ofObjects(items))]);
    writeFileSync(join(cwd, 'dict.pkl'), dump({ value: items }));
    writeFileSync(join(cwd, 'list.pkl'), dump(items));
    writeFileSync(join(cwd, 'array.npy'), objects);
    await shell(
      cwd,
      'mmdpickle convert dict.pkl f.mmdpickle',
      'mmdpickle import f.mmdpickle dict.pkl --key i',
      'mmdpickle import f.mmdpickle list.pkl array.npy --allow-pickle',
      'mmdpickle put f.mmdpickle p @list.pkl',
      'mmdpickle put f.mmdpickle n @array.npy --allow-pickle',
      'mmdpickle export f.mmdpickle all.pkl',
    );
    const all = load(readFileSync(join(cwd, 'all.pkl')) as Uint8Array, { lossless: true }) as Map<string, unknown>;
    expect([...all.keys()]).toEqual(['value', 'i/value', 'array', 'list', 'p', 'n']);
    for (const [key, value] of all)
      expect([key, value instanceof NDArray ? [value.get(0), value.get(1)] : value]).toEqual([key, items]);
  });

  it("--encoding gives the encoding of Python 2's 8-bit strings", async () => {
    const cwd = bench.folder();
    const text: EmitOp = ['SHORT_BINSTRING', Uint8Array.of(0xe9)];
    const header = formatNpyHeader({ dtype: 'O', shape: [1] });
    const array = emit([
      ...(['numpy.core.multiarray _reconstruct', 'numpy ndarray'] as const).map((name): EmitOp => ['GLOBAL', name]),
      ...([['BININT1', 0], 'TUPLE1', ['SHORT_BINSTRING', Uint8Array.of(0x62)], 'TUPLE3', 'REDUCE'] as EmitOp[]),
      ...(['MARK', ['BININT1', 1], ['BININT1', 1], 'TUPLE1', ['GLOBAL', 'numpy dtype'], ['UNICODE', 'O8']] as EmitOp[]),
      ...([['BININT1', 0], ['BININT1', 1], 'TUPLE3', 'REDUCE', 'MARK', ['BININT1', 3], ['UNICODE', '|']] as EmitOp[]),
      ...(['NONE', 'NONE', 'NONE', ['BININT', -1], ['BININT', -1], ['BININT1', 63], 'TUPLE', 'BUILD'] as EmitOp[]),
      ...(['NEWFALSE', 'EMPTY_LIST', text, 'APPEND', 'TUPLE', 'BUILD', 'STOP'] as EmitOp[]),
    ]);
    writeFileSync(join(cwd, 'two.npy'), Buffer.concat([header, array]));
    writeFileSync(join(cwd, 'two.pkl'), emit(['EMPTY_DICT', ['UNICODE', 'dict'], text, 'SETITEM', 'STOP']));
    await shell(
      cwd,
      'mmdpickle convert two.pkl e.mmdpickle --encoding latin1',
      'mmdpickle import e.mmdpickle two.npy --allow-pickle --encoding latin1',
      'mmdpickle import e.mmdpickle two.pkl --key bytes --encoding bytes',
      'mmdpickle put e.mmdpickle put @two.pkl --encoding latin1',
    );
    using dict = MmapDict.open(join(cwd, 'e.mmdpickle'), { mode: 'r' });
    expect(new Map([...dict].map(([key, value]) => [key, value instanceof NDArray ? value.get(0) : value]))).toEqual(
      new Map<string, unknown>([
        ['dict', 'é'],
        ['two', 'é'],
        ['bytes/dict', Uint8Array.of(0xe9)],
        ['put', new Map([['dict', 'é']])],
      ]),
    );
  });

  it('fsck, seal, verify, vacuum and reclaim report what they did as JSON', async () => {
    const cwd = bench.folder();
    const json = async (line: string): Promise<unknown> =>
      JSON.parse((await bench.line(cwd, `mmdpickle ${line} --json`)).stdout);
    expect(await json('fsck torn.mmdpickle')).toMatchObject({
      ok: true,
      repaired: false,
      findings: [{ code: 'unclaimed-bytes' }],
    });
    expect(await json('fsck --repair torn.mmdpickle')).toMatchObject({ ok: true, repaired: true, left: [] });
    expect(await json('fsck damaged.mmdpickle')).toMatchObject({ ok: false, findings: [{ code: 'broken-chain' }] });
    expect(await json('fsck damaged.mmdpickle --salvage saved.mmdpickle')).toMatchObject({
      recovered: ['operator', 'dark', 'cube', 'temperature', 'gain'],
      lost: [],
    });
    expect(await json('seal run.mmdpickle')).toEqual({ sealed: 5 });
    expect(await json('verify run.mmdpickle')).toEqual({ sealed: true, checked: 5, findings: [] });
    {
      using dict = MmapDict.open(join(cwd, 'run.mmdpickle'), { mode: 'r' });
      const bytes = readFileSync(dict.path);
      bytes.writeUInt8(99, dict.getMeta('dark')?.offset ?? 0);
      writeFileSync(dict.path, bytes);
    }
    expect(await json('verify run.mmdpickle')).toMatchObject({
      sealed: true,
      findings: [{ code: 'bad-checksum', key: 'dark' }],
    });
    expect(await json('rm run.mmdpickle cube')).toEqual({ removed: ['cube'] });
    expect(await json('reclaim run.mmdpickle')).toHaveProperty('freed');
    const { before, after, freed } = (await json('vacuum run.mmdpickle')) as Record<string, number>;
    expect(freed).toBe((before ?? 0) - (after ?? 0));
    expect(freed).toBeGreaterThan(960);
  });
});
