import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { MmdError, ndarray } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { exitCodeOf } from '../src/error-ends.ts';
import { reportError } from '../src/errors.ts';
import { Bench } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());

const ESCAPE = '\u001b[';
const WIPE = `\r${ESCAPE}K`;

/** A line of shell that waits until a command succeeds, however slow the machine is. */
const until = (command: string): string => `for i in {1..600}; do ${command} && break; sleep 0.05; done`;

/** Ingests two frames of four bytes from a pipe that closes when the command `wait` ends. */
const twoFrames = (wait: string): string =>
  `(printf abcdefgh; ${until('[ -s out.mmdpickle ]')}; ${wait}) | mmdpickle ingest out.mmdpickle --shape 4`;

/** The files that a process has open. */
function openFiles(pid: number | undefined): string {
  const folder = `/proc/${pid}/fd`;
  const nameOf = (fd: string): string => {
    try {
      return readlinkSync(join(folder, fd));
    } catch {
      return 'closed meanwhile';
    }
  };
  return readdirSync(folder).map(nameOf).join(' ');
}

// Most of these processes wait, many of them for a second.
describe.concurrent('on a terminal', () => {
  it('colours are used, but not with NO_COLOR or in pipes', async () => {
    const cwd = bench.folder();
    expect((await bench.terminal(cwd, 'mmdpickle ls run.mmdpickle')).stdout).toContain(`${ESCAPE}36m`);
    expect((await bench.terminal(cwd, 'NO_COLOR=1 mmdpickle ls run.mmdpickle')).stdout).not.toContain(ESCAPE);
    expect((await bench.terminal(cwd, 'mmdpickle ls run.mmdpickle | cat')).stdout).not.toContain(ESCAPE);
  });

  it('text in rows cannot send terminal commands; files and pipes get it unchanged', async () => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'text.mmdpickle'));
      dict.set('t', ndarray([`${ESCAPE}2Jx`, 'plain'], [2], { dtype: 'U8' }));
    }
    for (const line of ['head text.mmdpickle t', 'tail text.mmdpickle t', 'get text.mmdpickle t --csv']) {
      expect((await bench.terminal(cwd, `mmdpickle ${line}`)).stdout).toBe('\\u{001b}[2Jx\r\nplain\r\n');
      expect((await bench.terminal(cwd, `mmdpickle ${line} > out.csv; cat -v out.csv`)).stdout).toContain('^[[2Jx');
    }
  });

  it('an ingest shows one live line with rate, queue, drops and free disk space, and clears it at the end', async () => {
    const cwd = bench.folder();
    // The pattern must not match itself: the command is on the screen's first line.
    const { code, stdout } = await bench.terminal(cwd, twoFrames(until("grep -aq '2 [w]ritten .* 0 queued' screen")));
    expect(code).toBe(0);
    expect(stdout.replaceAll(WIPE, '<wipe>')).toMatch(
      /<wipe>2 written {2}\S+ \S+\/s {2}0 queued \(0 B\) {2}0 dropped {2}\S+ \S+ left on disk/,
    );
    expect(stdout.endsWith(`${WIPE}2 frames, 8 B written; 0 dropped\r\n`)).toBe(true);
    const quiet = await bench.terminal(cwd, `${twoFrames('sleep 0.7')} --quiet`);
    expect(quiet.stdout).toBe('2 frames, 8 B written; 0 dropped\r\n');
  });

  it('commands that take over a second show a bar with rate and time left, and nothing elsewhere', async () => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'large.mmdpickle'));
      dict.set('x', new EmptyNDArray([400_000_000], 'int64'));
    }
    const bar = until("grep -aq '[B]/s .* left' screen");
    const { stdout } = await bench.terminal(cwd, `mmdpickle stats large.mmdpickle x --bins 1 & ${bar}; kill $!; wait`);
    expect(stdout).toMatch(/stats .*\d+ % {2}\S+ MiB of \S+ GiB {2}\S+ MiB\/s {2}\S+ left/);
    const piped = await bench.terminal(cwd, 'mmdpickle stats run.mmdpickle dark 2>/dev/null');
    expect(piped.stdout).not.toContain('left');
  });
});

describe.concurrent('in a pipe', () => {
  it('a reader that leaves early ends the program quietly', async () => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'many.mmdpickle'));
      dict.batch(() => {
        for (let i = 0; i < 5000; i += 1) dict.set(`key/${i}`, i);
      });
    }
    const lines = [
      'ls many.mmdpickle',
      'dis many.mmdpickle',
      'ls --json many.mmdpickle',
      'watch many.mmdpickle --from 0',
    ];
    for (const line of lines) {
      const { stdout, stderr } = await bench.shell(cwd, `mmdpickle ${line} | head -c 20; echo " \${PIPESTATUS[0]}"`);
      expect({ line, stdout: stdout.slice(-2), stderr }).toEqual({ line, stdout: '0\n', stderr: '' });
    }
  });

  it('data through a pipe leaves no temporary file when the program is interrupted or the reader leaves', async () => {
    const cwd = bench.folder();
    mkdirSync(join(cwd, 'tmp'));
    {
      using dict = MmapDict.open(join(cwd, 'large.mmdpickle'));
      dict.set('x', new EmptyNDArray([4_000_000], 'uint8'));
    }
    const env = { TMPDIR: join(cwd, 'tmp') };
    const child = bench.start(cwd, ['import', 'new.mmdpickle', '-', '--format', 'npy'], env);
    child.stdin?.write('half of a file');
    await vi.waitFor(() => expect(readdirSync(env.TMPDIR)).toHaveLength(1), 10_000);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.kill('SIGINT');
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130);
    expect(said).toBe('mmdpickle: stopped by SIGINT\n');
    const line = `TMPDIR=tmp mmdpickle export large.mmdpickle - x --format npy | head -c 6; echo " \${PIPESTATUS[0]}"`;
    expect((await bench.shell(cwd, line)).stdout.slice(-3)).toBe(' 0\n');
    expect(readdirSync(env.TMPDIR)).toEqual([]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends an import with the exit code that shells use for it, %i', async (signal, expected) => {
    const cwd = bench.folder();
    mkdirSync(join(cwd, 'tmp'));
    const child = bench.start(cwd, ['import', 'new.mmdpickle', '-', '--format', 'npy'], { TMPDIR: join(cwd, 'tmp') });
    await vi.waitFor(() => expect(readdirSync(join(cwd, 'tmp'))).toHaveLength(1), 10_000);
    child.kill(signal);
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(expected);
  });

  it.each([
    ['cp large.mmdpickle run.mmdpickle', 'run.mmdpickle'],
    ['mv large.mmdpickle x y', 'large.mmdpickle'],
  ])('Ctrl-C ends a blocked copy, and the file stays as it was: %s', async (line, changed) => {
    const cwd = bench.folder();
    {
      using dict = MmapDict.open(join(cwd, 'large.mmdpickle'));
      dict.set('x', new EmptyNDArray([40_000_000], 'uint8'));
    }
    const path = join(cwd, changed);
    const before = [readdirSync(cwd), readFileSync(path)] as const;
    using file = NodeFile.open(path, 'r+');
    file.lock(1000);
    const child = bench.start(cwd, line.split(' '));
    const end = new Promise((resolve) => child.once('close', resolve));
    await vi.waitFor(() => expect(openFiles(child.pid)).toContain(path), 30_000);
    child.kill('SIGINT');
    // The signal is handled while the copying thread waits: a second one would end the process.
    await new Promise((wake) => setTimeout(wake, 100));
    file.unlock();
    expect(await end).toBe(130);
    expect([readdirSync(cwd), readFileSync(path).equals(before[1])]).toEqual([before[0], true]);
  });

  it('Ctrl-C ends commands that wait for a pipe, and an import or export in the middle of its rows', async () => {
    const cwd = bench.folder();
    await bench.shell(cwd, 'mkfifo in out');
    {
      using dict = MmapDict.open(join(cwd, 'large.mmdpickle'));
      dict.set('x', new EmptyNDArray([3_000_000], 'float64'));
    }
    writeFileSync(join(cwd, 'long.csv'), '1,2,3,4\n'.repeat(3_000_000));
    const before = readdirSync(cwd);
    // Nothing reads from one pipe and nothing writes to the other, which can be opened this way only once a reader waits for it.
    const pipes = [openSync(join(cwd, 'out'), constants.O_RDONLY | constants.O_NONBLOCK)];
    const opensPipe = (): number => pipes.push(openSync(join(cwd, 'in'), constants.O_WRONLY | constants.O_NONBLOCK));
    for (const { args, atWork, by } of [
      { args: ['import', 'new.mmdpickle', 'long.csv'], atWork: /long\.csv/, by: 130 },
      { args: ['import', 'run.mmdpickle', 'in', '--format', 'csv'], atWork: opensPipe, by: 'SIGINT' },
      { args: ['export', 'large.mmdpickle', 'out', 'x', '--format', 'csv'], atWork: /\/out( |$)/, by: 'SIGINT' },
      { args: ['export', 'large.mmdpickle', 'large.csv', 'x'], atWork: /mmdpickle-tmp/, by: 130 },
    ]) {
      const child = bench.start(cwd, args);
      const end = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
      // By then signal handlers are installed, however slowly the program was loaded.
      const isAtWork = atWork instanceof RegExp ? () => expect(openFiles(child.pid)).toMatch(atWork) : atWork;
      await vi.waitFor(isAtWork, 30_000);
      child.kill('SIGINT');
      expect({ args, end: await end }).toEqual({ args, end: by });
    }
    for (const fd of pipes) closeSync(fd);
    expect(readdirSync(cwd)).toEqual(before);
  });

  it.each(['vacuum run.mmdpickle', 'ingest run.mmdpickle --from frames.raw --shape 4'])(
    'output that cannot be written leaves no lease behind: %s',
    async (line) => {
      const cwd = bench.folder();
      const before = readdirSync(cwd);
      expect((await bench.shell(cwd, `mmdpickle ${line} > /dev/full`)).code).toBe(1);
      expect(readdirSync(cwd)).toEqual(before);
    },
  );

  it('status is written to standard error as JSON, one line per second', async () => {
    const cwd = bench.folder();
    const line = `${twoFrames(until(`grep -q '"written":2' status`))} 2> status; cat status >&2`;
    const { stderr } = await bench.shell(cwd, line);
    const last = stderr.trim().split('\n').at(-1);
    expect(JSON.parse(last ?? '')).toMatchObject({ written: 2, droppedTotal: 0, queued: 0 });
  });
});

it('of a command that fails, and whose file cannot be closed either, the first error is reported', () => {
  const stderr = new PassThrough();
  const [stdin, stdout, { signal }] = [new PassThrough(), new PassThrough(), new AbortController()];
  const use = (): void => {
    using _file = {
      [Symbol.dispose]() {
        throw new MmdError('IO', 'closing failed', { errno: 'EIO' });
      },
    };
    throw new MmdError('NO_SPACE', 'the disk is full');
  };
  let code: number | undefined;
  try {
    use();
  } catch (error) {
    code = reportError(error, { stdin, stdout, stderr, env: {}, signal }, { json: false, debug: false });
  }
  expect(code).toBe(exitCodeOf('NO_SPACE'));
  expect(String(stderr.read())).toContain('the disk is full [NO_SPACE]');
});

describe.concurrent('shell completions', () => {
  it('complete commands, options, choices, files and the keys in a file', async () => {
    const cwd = bench.folder();
    const answers = async (...words: string[]): Promise<string[]> => {
      const { stdout } = await bench.run(cwd, ['complete', '--', ...words]);
      return stdout.split('\n').flatMap((line) => (line.includes('\t') ? [line.split('\t')[0] ?? ''] : []));
    };
    expect(await answers('in')).toEqual(['info', 'ingest']);
    expect(await answers('ls', '--l')).toEqual(['--long']);
    expect(await answers('ingest', '--policy', 'drop')).toEqual(['drop-oldest', 'drop-newest']);
    expect(await answers('get', 'ru')).toEqual(['run.mmdpickle']);
    expect(await answers('get', 'run.mmdpickle', 'c')).toEqual(['cube']);
    expect(await answers('get', 'nofile', 'c')).toEqual([]);
  });

  it('complete a key that more keys than are offered precede', async () => {
    const cwd = bench.folder();
    using dict = MmapDict.open(join(cwd, 'many.mmdpickle'));
    dict.batch(() => {
      for (let i = 0; i < 2000; i += 1) dict.set(`frame/${i}`, i);
      dict.set('gain', 2.5);
    });
    const { stdout } = await bench.run(cwd, ['complete', '--', 'get', 'many.mmdpickle', 'ga']);
    expect(stdout).toContain('gain');
  });

  it('are available as a script for every shell', async () => {
    const cwd = bench.folder();
    for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
      const { code, stdout } = await bench.run(cwd, ['completion', shell]);
      expect({ shell, code }).toEqual({ shell, code: 0 });
      expect(stdout).toContain('mmdpickle');
    }
  });
});
