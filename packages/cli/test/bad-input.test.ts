import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NDArray, ndarray } from '@mmdpickle/core';
import { MmapDict } from '@mmdpickle/core/node';
import { dump, Tuple } from '@mmdpickle/core/pickle';
import { formatNpyHeader, npyBytes, safetensorsBytes } from '@mmdpickle/npy-interop';
import { EmptyMaskedArray, EmptyNDArray } from '@mmdpickle/stubs';
import { afterAll, describe, expect, it } from 'vitest';
import { Bench } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());

/** A wrong command line, its exit code, and its error message. */
type Case = readonly [line: string, code: number, said: RegExp];

const TABLES: Readonly<Record<string, readonly Case[]>> = {
  'invalid command lines': [
    ['nosuch', 2, /unknown command 'nosuch'/],
    ['lss run.mmdpickle', 2, /Did you mean ls/],
    ['ls', 2, /missing required argument 'file'/],
    ['ls run.mmdpickle --lnog', 2, /unknown option '--lnog'.*Did you mean --long/],
    ['rm run.mmdpickle', 2, /missing required argument 'keys'/],
    ['get run.mmdpickle cube --slice a:b', 2, /--slice: expected .* found 'a:b'/],
    ['get run.mmdpickle cube --slice 99', 2, /out of bounds/],
    ['stats run.mmdpickle dark --bins 0', 2, /--bins: expected at least 1/],
    ['stats run.mmdpickle operator', 2, /needs an array/],
    ['put run.mmdpickle x one --type int', 2, /not an integer/],
    ['put run.mmdpickle x @cut.mmdpickle --type str', 2, /value: the bytes are not UTF-8/],
    ['get run.mmdpickle dark --csv --raw', 2, /--raw and --csv print the value in different ways/],
    ['get run.mmdpickle dark --npy --json', 2, /--npy and --json print the value in different ways/],
    ['import new.mmdpickle frames.raw --dtype uint9', 2, /--dtype: .*"uint9"/],
    ['ingest new.mmdpickle --format csv --schema t:float32,t:int8', 2, /--schema: two columns are named t/],
    ['ingest new.mmdpickle --format ndjson --schema x:float128[2]', 2, /--schema: column x: .*float128/],
    ['ingest new.mmdpickle --format csv --schema x:V4', 2, /--schema: column x: .*V4/],
    ['export run.mmdpickle x.foo', 2, /use --format/],
    ['export run.mmdpickle x.csv dark cube', 2, /name one key/],
    ['convert settings.pkl', 2, /give a target/],
    ['convert --upgrade --downgrade run.mmdpickle', 2, /opposites/],
    ['import new.mmdpickle frames.raw', 2, /need --dtype/],
    [
      'import new.mmdpickle frames.raw --dtype uint8 --shape x',
      2,
      /--shape: expected dimensions such as 512,1024, found x/,
    ],
    ['import new.mmdpickle frames.raw --dtype uint8 --shape 4,', 2, /--shape: expected/],
    ['ingest out.mmdpickle --from frames.raw --shape 1e1', 2, /--shape: expected/],
    ['ingest out.mmdpickle --from .', 2, /--from: \. is a directory/],
    ['ingest out.mmdpickle --from mqtt://127.0.0.1:1/100%', 2, /%25/],
    ['stats wide.mmdpickle long', 2, /minimum and mean of float128/],
    ['export masked.mmdpickle m.npy m', 2, /several .npy files/],
    ['export masked.mmdpickle - m --format npy', 2, /several .npy files/],
    ['get masked.mmdpickle m --npy', 2, /--npy cannot hold the mask of "m"/],
    ['get masked.mmdpickle m --raw', 2, /--raw cannot hold the mask of "m"/],
    ['export masked.mmdpickle - --format npy text', 1, /not an array/],
    ['export run.mmdpickle - dark cube --format npy', 2, /name one key/],
    ['export run.mmdpickle ./run.mmdpickle dark --format csv', 2, /is the file itself/],
    ...['npz', 'safetensors', 'raw', 'csv', 'pkl'].map(
      (ending): Case => [`export run.mmdpickle new.${ending}/ dark`, 2, /new\.\w+\/: the path of a directory/],
    ),
    ['export run.mmdpickle link.mmdpickle dark --format npz', 2, /is the file itself/],
    ['ingest into.mmdpickle --into nowhere', 2, /Allowed choices/],
    ['ingest out-{n}.mmdpickle --from frames.raw', 2, /--rollover/],
    ['ingest out.mmdpickle --from frames.raw --keep 2', 2, /--keep: .*--rollover/],
    ['ingest out.mmdpickle --from frames.raw --schema t:float32', 2, /--schema: .*--format/],
    ['ingest out.mmdpickle --from records.ndjson --format ndjson --shape 4', 2, /--shape: .*--schema/],
    ['dis settings.pkl gain', 2, /settings\.pkl is one pickle/],
    ['dis run.mmdpickle gain --plain', 2, /--plain shows the file as one pickle/],
    ['ingest out.mmdpickle --from udp://nonsense', 2, /expected HOST:PORT/],
    ['help nosuch', 2, /unknown command 'nosuch'/],
    ['cp run.mmdpickle ./run.mmdpickle', 2, /found the same one/],
    ['completion nosh', 2, /Allowed choices/],
  ],
  'things that do not exist': [
    ['export run.mmdpickle nodir/x.npz dark', 3, /nodir\/x.npz: its directory does not exist/],
    ['ls nofile', 3, /nofile.*no such file/],
    ['get run.mmdpickle nokey', 3, /no key "nokey".*ls/],
    ['cp run.mmdpickle to.mmdpickle nokey', 3, /no key/],
    ['rm run.mmdpickle dark nokey', 3, /no key/],
    ['import new.mmdpickle nofile.npy', 3, /nofile.npy: no such file/],
    ['check nofile', 3, /no such file/],
    ['ingest out.mmdpickle --from nofile', 3, /no such file/],
  ],
  'damaged and foreign files': [
    ['ls flat.npy', 4, /not a pickle, but an npy file; import it with 'mmdpickle import' \[NOT_A_PICKLE\]$/m],
    ['ls frames.npz', 4, /import an npz with 'mmdpickle import'; .* \[NOT_A_PICKLE\]$/m],
    ['ls file.h5', 4, /an HDF5 file, which is not supported; read it with h5py.* \[NOT_A_PICKLE\]$/m],
    ['import new.mmdpickle file.h5 --format pickle', 4, /read it with h5py.* \[NOT_A_PICKLE\]$/m],
    ['ls bad.csv', 4, /not a pickle \(first byte 0x31\) \[NOT_A_PICKLE\]; give .*import/],
    ['ls settings.pkl', 4, /layout \(byte 3 is 0x\w+, not 0x0d\) \[NOT_MMDPICKLE\]; 'mmdpickle convert' makes/],
    ['convert numbered.pkl numbered.mmdpickle', 1, /not a string: 5 \[BAD_KEY\]; 'mmdpickle put .* --type pickle'/],
    ['import numbered.mmdpickle numbered.pkl', 1, /not a string: 5 \[BAD_KEY\]; 'mmdpickle put .* --type pickle'/],
    ['put numbered.mmdpickle all @numbered.pkl --type pickle', 0, /^$/],
    ['ls cut.mmdpickle', 4, /mmdpickle fsck/],
    ['convert cut.mmdpickle whole.mmdpickle', 4, /mmdpickle fsck/],
    ['check flat.npy', 4, /opcode/],
    ['put run.mmdpickle z @.', 1, /\.: illegal operation on a directory/],
    ['import new.mmdpickle objects.npy', 1, /with --allow-pickle they are read/],
    ['put run.mmdpickle z @objects.npy', 1, /with --allow-pickle they are read/],
    ...['small.csv', 'flat.npy', 'frames.raw --dtype uint8', 'frames.npz', 'settings.pkl'].map(
      (file): Case => [`import twins.mmdpickle ./${file.split(' ')[0]} ${file}`, 1, /two inputs have the key "/],
    ),
    // Damage that fsck does not check for.
    ['convert two.pkl two.mmdpickle', 4, /use --encoding latin1, utf-8 or bytes .*\[CORRUPT\]$/m],
    [
      'import two.mmdpickle settings.pkl two.pkl',
      4,
      /two.pkl: .*use --encoding latin1, utf-8 or bytes .*\[CORRUPT\]$/m,
    ],
    ['import new.mmdpickle bad.npz', 4, /TRUNCATED\]$/m],
    ['put run.mmdpickle z @cut.npy', 4, /TRUNCATED\]$/m],
    ['import new.mmdpickle - --format npy < cut.npy', 4, /TRUNCATED\]$/m],
    ['import new.mmdpickle bad.npy', 4, /bad.npy/],
    ['import csv.mmdpickle bad.csv', 4, /line 2/],
    ['import csv.mmdpickle blank.csv', 4, /line 5: "constructor"/],
    ['import csv.mmdpickle latin.csv', 4, /latin.csv: the text is not UTF-8/],
    ['import csv.mmdpickle ends.csv', 4, /ends.csv: the text is not UTF-8/],
    ['import csv.mmdpickle small.csv --dtype int8', 1, /small.csv: line \d: .*from -128 to 127, found number 300/],
    ['import csv.mmdpickle blank.csv --key x --dtype bool', 4, /line 5: "constructor" is not a number/],
    ['import csv.mmdpickle truths.csv --dtype int8', 4, /line 3: "" is not a number/],
    ['import csv.mmdpickle truths.csv --dtype U4', 2, /U4 is not a numeric type/],
    ['import csv.mmdpickle truths.csv --dtype bool', 4, /line 3: "" is not true or false/],
    ['get halves.mmdpickle text --raw', 1, /a lone surrogate/],
    ['get halves.mmdpickle texts --csv', 1, /a lone surrogate/],
    ['export halves.mmdpickle halves.csv texts', 1, /a lone surrogate/],
    ['get wide.mmdpickle long --csv', 1, /elements of float128 cannot/],
    ['head wide.mmdpickle records', 1, /cannot be read as numbers.*UNSUPPORTED_DTYPE/],
    ['import csv.mmdpickle . --format csv', 1, /\.: illegal operation on a directory/],
    ['import csv.mmdpickle twice.csv', 4, /two columns are named "a"/],
    [
      'ingest bools.mmdpickle --from truth.csv --format csv --schema ok:bool',
      4,
      /line 2: .*"maybe" is neither true nor false/,
    ],
    ['ingest counts.mmdpickle --from truth.csv --format csv --schema ok:int8', 4, /"maybe" is not a whole number/],
    ['ingest twice.mmdpickle --from twice.csv --format csv --schema a:int8,b:int8', 4, /columns are named 'a'/],
    ['ingest cells.mmdpickle --from cells.csv --format csv --schema t:U4', 4, /line 3: .*column 't': .* is not UTF-8/],
    ['ingest skips.mmdpickle --from cells.csv --format csv --schema t:U4 --invalid skip', 1, /^$/],
    ['ingest proto.mmdpickle --from twice.csv --format csv --schema constructor:int8', 4, /no column 'constructor'/],
    ['ingest texts.mmdpickle --from bad.ndjson --format ndjson', 4, /not JSON/],
    [
      'ingest fit.mmdpickle --from bad.ndjson --format ndjson --schema t:bool',
      4,
      /line 1: column 't': expected bool.*CORRUPT/,
    ],
    ['ingest latin.mmdpickle --from latin.ndjson --format ndjson --schema s:S2', 4, /line 1: column 's': .*ASCII/],
    ['ingest frames.mmdpickle --from frames.raw --shape 7', 4, /ends within frame/],
    ['ls /tmp', 2, /is a directory/],
    ['export run.mmdpickle /dev/full dark --format csv', 1, /\/dev\/full: no space left/],
    ['fsck damaged.mmdpickle', 1, /^$/],
    ['verify run.mmdpickle', 1, /^$/],
  ],
};

/** An npy file as numpy writes for an array of objects. */
function objectArrayFile(): Uint8Array {
  const header = formatNpyHeader({ dtype: 'O', shape: [2] });
  return Buffer.concat([header, dump(NDArray.ofObjects(['one', null]))]);
}

describe.each(Object.entries(TABLES))('%s', (_name, cases) => {
  it('end with the exit code that the help gives, and one line', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'bad.npy'), 'no npy');
    writeFileSync(join(cwd, 'bad.npz'), 'PK\x03\x04 and nothing more');
    writeFileSync(join(cwd, 'cut.npy'), npyBytes(new Float64Array(2)).subarray(0, 140));
    writeFileSync(join(cwd, 'objects.npy'), objectArrayFile());
    writeFileSync(join(cwd, 'two.pkl'), Buffer.from('\x80\x02}U\x01eU\x01\xe9s.', 'latin1'));
    writeFileSync(join(cwd, 'bad.csv'), '1,2\n3,x\n');
    writeFileSync(join(cwd, 'file.h5'), Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'));
    writeFileSync(join(cwd, 'numbered.pkl'), dump(new Map([[5, 6]])));
    writeFileSync(join(cwd, 'blank.csv'), 'a\n\n\n1\nconstructor\n');
    writeFileSync(join(cwd, 'latin.csv'), Buffer.from('\xe4\n1\n', 'latin1'));
    writeFileSync(join(cwd, 'ends.csv'), Buffer.from('a\n1\n\xc3', 'latin1'));
    writeFileSync(join(cwd, 'cells.csv'), Buffer.from('t,u\nok,1\n\xe4,2\n', 'latin1'));
    writeFileSync(join(cwd, 'small.csv'), 'a\n300\n');
    writeFileSync(join(cwd, 'truths.csv'), 'a,b\nTrue,0\n1,\n');
    {
      using dict = MmapDict.open(join(cwd, 'halves.mmdpickle'));
      dict.set('text', '\ud800').set('texts', ndarray(['\ud800'], [1], { dtype: 'U1' }));
    }
    writeFileSync(join(cwd, 'twice.csv'), 'a,b,a\n1,2,3\n');
    writeFileSync(join(cwd, 'truth.csv'), 'ok\nmaybe\n');
    symlinkSync('run.mmdpickle', join(cwd, 'link.mmdpickle'));
    {
      using dict = MmapDict.open(join(cwd, 'wide.mmdpickle'));
      dict.set('long', new EmptyNDArray([2], 'float128'));
      dict.set('records', new EmptyNDArray([2], [['n', [['x', '<c32', [2]]]]]));
    }
    {
      using dict = MmapDict.open(join(cwd, 'masked.mmdpickle'));
      dict.set('m', new EmptyMaskedArray([2])).set('text', 'no array');
    }
    writeFileSync(join(cwd, 'bad.ndjson'), '{"t":1}\n{oh\n');
    writeFileSync(join(cwd, 'latin.ndjson'), '{"s":"\u00e9"}\n');
    bench.cut(cwd, 'run.mmdpickle', 'cut.mmdpickle');
    for (const [line, code, said] of cases) {
      const end = await bench.line(cwd, `mmdpickle ${line}`);
      expect({ line, ...end }).toMatchObject({ line, code, stderr: expect.stringMatching(said) });
      expect(end.stderr).toMatch(/^((mmdpickle: |\{)[^\n]+\n)?$/);
    }
  });
});

describe('object arrays', () => {
  it('are imported with --allow-pickle', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'objects.npy'), objectArrayFile());
    expect(await bench.line(cwd, 'mmdpickle import new.mmdpickle objects.npy --allow-pickle')).toMatchObject({
      code: 0,
    });
    expect(await bench.line(cwd, 'mmdpickle put new.mmdpickle z @objects.npy --allow-pickle')).toMatchObject({
      code: 0,
    });
    using dict = MmapDict.open(join(cwd, 'new.mmdpickle'), { mode: 'r' });
    for (const key of ['objects', 'z']) expect((dict.get(key) as NDArray).toNested()).toEqual(['one', null]);
  });
});

const EVIL = 'a\u001b[2Jb\u009b\u202e';

describe('errors', () => {
  it('of an import after a complete one report what was imported', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'bad.npz'), 'PK\u0003\u0004');
    writeFileSync(join(cwd, 'bad.safetensors'), '');
    writeFileSync(join(cwd, 'good.safetensors'), safetensorsBytes({ a: new Uint8Array(3), 'b c': new Uint8Array(3) }));
    for (const [inputs, keys] of [
      ['flat.npy bad.npz', 'flat'],
      ['good.safetensors bad.safetensors', 'a "b c"'],
    ] as const) {
      const { code, stdout, stderr } = await bench.line(cwd, `mmdpickle import some.mmdpickle ${inputs}`);
      expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
      expect(stderr).toMatch(/^imported before the error: .*\nmmdpickle: [^\n]*\[TRUNCATED\]\n$/);
      expect(stderr.split('\n')[0]).toBe(`imported before the error: ${keys}`);
    }
  });

  it.each([
    ['value', 2 ** 24],
    ['key', 2 ** 16],
  ])('report a %s that nests another one twice at each of sixty levels', async (key, maximum) => {
    const cwd = bench.folder();
    {
      let value: unknown = Tuple.of();
      for (let level = 0; level < 60; level++) value = Tuple.of(value, value);
      using dict = MmapDict.open(join(cwd, 'shared.mmdpickle'));
      dict.set('value', value).set('key', new Map([[value, 1]]));
    }
    const { code, stderr } = await bench.line(cwd, `mmdpickle get shared.mmdpickle ${key} --json`);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`contains more than ${maximum} others`),
    });
  });

  it('come as one line of JSON with --json, and with a stack only with --debug', async () => {
    const cwd = bench.folder();
    const json = await bench.line(cwd, 'mmdpickle get run.mmdpickle nokey --json');
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'NOT_FOUND', key: 'nokey' } });
    const usage = await bench.line(cwd, 'mmdpickle get --json run.mmdpickle --nosuch');
    expect(JSON.parse(usage.stderr)).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
    const debug = await bench.line(cwd, 'mmdpickle get run.mmdpickle nokey --debug');
    expect(debug.stderr).toMatch(/^mmdpickle: .*\n.*\n +at /);
  });

  it('report that another process has the lease, with exit code 5', async () => {
    const cwd = bench.folder();
    using dict = MmapDict.open(join(cwd, 'run.mmdpickle'));
    using _lease = dict.lease();
    const { code, stderr } = await bench.run(cwd, ['vacuum', 'run.mmdpickle']);
    expect({ code, stderr }).toMatchObject({ code: 5, stderr: expect.stringMatching(/LOCKED/) });
  });

  it('leave no new file behind', async () => {
    const cwd = bench.folder();
    const ingest = 'ingest new.mmdpickle --from frames.raw';
    const lines = [
      'import new.mmdpickle nofile.npy',
      'ls new.mmdpickle',
      'ingest new.mmdpickle --from nofile',
      `${ingest} --dtype none`,
      `${ingest} --shape 0`,
      `${ingest} --format csv`,
      `${ingest} --format ndjson --into rows`,
      `${ingest} --format ndjson --into ring`,
      `${ingest} --into ring --rollover 1f`,
      'ingest new.mmdpickle --from udp://127.0.0.1:0 --policy block',
    ];
    for (const line of lines) {
      const { code } = await bench.line(cwd, `mmdpickle ${line}`);
      expect({ line, code, left: existsSync(join(cwd, 'new.mmdpickle')) }).toEqual({
        line,
        code: line.includes('nofile') || line.startsWith('ls') ? 3 : 2,
        left: false,
      });
    }
  });

  it('of a failed change leave no new file behind, and an existing one as it was', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'bad.npz'), 'PK\x03\x04 and nothing more');
    writeFileSync(join(cwd, 'bad.csv'), 'a\nx\n');
    for (const words of ['import FILE bad.npz', 'import FILE bad.csv', `put FILE ${'k'.repeat(256)} 1`]) {
      const ended = await bench.line(cwd, `mmdpickle ${words.replace('FILE', 'new.mmdpickle')}`);
      expect({ words, ...ended, left: existsSync(join(cwd, 'new.mmdpickle')) }).toMatchObject({ left: false });
      expect(ended.code).not.toBe(0);
      MmapDict.open(join(cwd, 'empty.mmdpickle')).close();
      await bench.line(cwd, `mmdpickle ${words.replace('FILE', 'empty.mmdpickle')}`);
      expect(existsSync(join(cwd, 'empty.mmdpickle'))).toBe(true);
    }
    // The first file was committed before the second was found to be bad.
    await bench.line(cwd, 'mmdpickle import some.mmdpickle flat.npy bad.npz');
    expect((await bench.line(cwd, 'mmdpickle ls some.mmdpickle')).stdout).toContain('flat');
  });

  it('name the requested file, not the temporary one beside it, when an export fails', async () => {
    const cwd = bench.folder();
    for (const output of ['out.npz', 'out.npy', 'out.csv']) {
      const { code, stderr } = await bench.shell(
        cwd,
        `trap '' XFSZ; ulimit -f 0; mmdpickle export run.mmdpickle ${output} dark`,
      );
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`${join(cwd, output)}: writing`),
      });
    }
  });

  it('report a directory as standard input, and a full temporary directory', async () => {
    const cwd = bench.folder();
    for (const [line, said] of [
      ['mmdpickle put run.mmdpickle x - < .', /: illegal operation on a directory/],
      ['mmdpickle import new.mmdpickle - --format csv --key x < .', /: illegal operation on a directory/],
      ['mmdpickle ingest out.mmdpickle < .', /: illegal operation on a directory/],
      [
        "trap '' XFSZ; head -c 9999 /dev/zero | (ulimit -f 0; mmdpickle import new.mmdpickle - --format raw --dtype u1)",
        /stdin.raw: file too large/,
      ],
    ] as const) {
      const { code, stderr } = await bench.shell(cwd, line);
      expect({ line, code, stderr }).toMatchObject({ line, code: 1, stderr: expect.stringMatching(said) });
    }
    expect(existsSync(join(cwd, 'new.mmdpickle'))).toBe(false);
  });

  it('name standard input, not the temporary file that it was copied to', async () => {
    const cwd = bench.folder();
    const shape = '--dtype f8 --shape 3';
    for (const [input, format, said] of [
      ['', 'npy', 'standard input: npy magic'],
      ['garbage', 'npz', 'standard input: not a zip file'],
      ['a text of no tensors', 'safetensors', 'standard input: not a safetensors file'],
      ['', 'pickle', 'standard input: the file is empty'],
      ['', `raw ${shape}`, 'standard input: raw array'],
      ['1,2\n3', 'csv', 'standard input: '],
    ] as const) {
      for (const json of ['', ' --json']) {
        const line = `mmdpickle import new.mmdpickle - --format ${format}${json}`;
        const { stderr } = await bench.line(cwd, line, input);
        expect({ line, stderr }).toMatchObject({ stderr: expect.stringContaining(said) });
        expect({ line, stderr }).not.toMatchObject({ stderr: expect.stringContaining('stdin') });
      }
    }
    // In a process of its own, where the real standard input is.
    const line = 'cat flat.npy frames.npz | mmdpickle import new.mmdpickle - --format npy';
    expect((await bench.shell(cwd, line)).stderr).toMatch(/^standard input: the \d+ bytes after the first array/);
  });

  it('print no control characters of a hostile file', async () => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'evil.mmdpickle'));
      dict.set(EVIL, 'x\u009b]0;owned\u0007');
    }
    const shown = [['ls'], ['info', EVIL], ['get', EVIL], ['watch', '--from', '0', '--count', '1'], ['head', EVIL]];
    const scripts = [...shown, ['get', `${EVIL}!`]].map((args) => [...args, '--json']);
    const others = [
      ['ls', `--${EVIL}`],
      ['fsck', EVIL, '--debug'],
      ['complete', '--', 'get'],
    ];
    for (const args of [...shown, ...scripts, ...others]) {
      const [command = '', ...rest] = args;
      const line = command === 'complete' ? [...args, 'evil.mmdpickle', ''] : [command, 'evil.mmdpickle', ...rest];
      const { stdout, stderr } = await bench.line(cwd, `mmdpickle ${line.map((word) => `'${word}'`).join(' ')}`);
      expect((stdout + stderr).replaceAll(/[\n\t]/g, '')).not.toMatch(/\p{C}/u);
      if (args.includes('--json')) expect(JSON.stringify(JSON.parse(stdout || stderr))).toContain('\u009b');
    }
  });
});
