import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NDArray } from '@mmdpickle/core';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { freePort } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { Bench, type Ended, told } from './command-line.ts';

const bench = await Bench.open();
afterAll(() => bench[Symbol.dispose]());

const MOSQUITTO = '/usr/sbin/mosquitto';

describe('formats and targets', () => {
  it('write the received frames, whatever the target', async () => {
    const cwd = bench.folder();
    const lines = [
      'ingest frames.mmdpickle --from frames.raw --dtype uint16 --shape 4,8 --durability commit',
      'ingest rows.mmdpickle --from records.ndjson --format ndjson --schema t:float64,ok:bool --into rows --key log',
      'ingest chunks.mmdpickle --from records.csv --format csv --schema t:float64,ok:bool --into chunks --rows 2 --key log',
      'ingest ring.mmdpickle --from frames.raw --dtype uint16 --shape 4,8 --into ring --planes 3',
      'ingest fill.mmdpickle --from frames.raw --dtype uint16 --shape 4,8 --into fill --planes 2',
      'ingest limited.mmdpickle --from frames.raw --dtype uint16 --shape 4,8 --max-frames 3 --batch 10ms',
      "ingest 'roll-{n}.mmdpickle' --from frames.raw --dtype uint16 --shape 4,8 --rollover 1f --keep 2",
    ];
    for (const line of lines) {
      const { code, stderr } = await bench.line(cwd, `mmdpickle ${line}`);
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
    }
    expect(keysOf(cwd, 'frames')).toHaveLength(4);
    expect(arrayIn(cwd, 'frames', 'frame/000000003').get(3, 7)).toBe(127);
    expect(arrayIn(cwd, 'rows', 'log').get(2)).toEqual({ t: 2.5, ok: true });
    expect(keysOf(cwd, 'chunks').filter((key) => /log\/\d+$/.test(key))).toHaveLength(2);
    expect(arrayIn(cwd, 'ring', 'data').shape).toEqual([3, 4, 8]);
    expect(arrayIn(cwd, 'fill', 'data').get(1, 3, 7)).toBe(63);
    expect(keysOf(cwd, 'limited')).toHaveLength(3);
    expect(readdirSync(cwd).filter((name) => name.startsWith('roll-'))).toHaveLength(2);
  });

  it('keep integers, times and text in records exactly', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'ns.csv'), 't,n,d,name,x\n1732246372123456789,-9007199254740993,7,ab,inf\n');
    writeFileSync(join(cwd, 'ns.ndjson'), '{"t":1732246372123456789,"n":-9007199254740993,"d":7,"name":"ab"}\n');
    const columns = 't:datetime64[ns],n:int64,d:datetime64[25D],name:S2';
    for (const [name, schema, more] of [
      ['csv', `${columns},x:float32`, { x: Number.POSITIVE_INFINITY }],
      ['ndjson', columns, {}],
    ] as const) {
      const args = `--from ns.${name} --format ${name} --schema '${schema}' --into rows --key log`;
      const { code } = await bench.line(cwd, `mmdpickle ingest ${name}.mmdpickle ${args}`);
      expect({ name, code }).toEqual({ name, code: 0 });
      const record = { t: 1732246372123456789n, n: -9007199254740993n, d: 7n, name: new Uint8Array([97, 98]), ...more };
      expect(arrayIn(cwd, name, 'log').get(0)).toEqual(record);
    }
  });

  it('count invalid input that --invalid skip leaves out, and report it by exit code 1', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'some.ndjson'), '{"t":1}\nnonsense\n{"t":"x"}\n{"t":2}\n');
    const args = '--from some.ndjson --format ndjson --schema t:float64 --into rows --invalid skip --json';
    const { code, stdout } = await bench.line(cwd, `mmdpickle ingest some.mmdpickle ${args}`);
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, written: 2, invalid: 2, droppedTotal: 0 });
  });

  it('keep the records before a bad or oversized one', async () => {
    const cwd = bench.folder();
    const long = `${'9'.repeat(2 ** 21)},1\n2,2\n`;
    const cases = [
      ['1,2,3\n2,2\n', 'stop', 4],
      ['1,300\n2,2\n', 'stop', 4],
      ['1,x\n2,2\n', 'stop', 4],
      [long, 'stop', 1],
      [long, 'skip', 1],
    ] as const;
    for (const [i, [bad, invalid, exit]] of cases.entries()) {
      writeFileSync(join(cwd, 'bad.csv'), `t,n\n${'1,1\n'.repeat(40)}${bad}`);
      const args = `--from bad.csv --format csv --schema t:float64,n:int8 --into rows --invalid ${invalid}`;
      const { code } = await bench.line(cwd, `mmdpickle ingest ${i}.mmdpickle ${args}`);
      expect([i, code]).toEqual([i, exit]);
      expect(arrayIn(cwd, `${i}`, 'data').shape).toEqual([40]);
    }
  });

  it('skip the invalid CSV lines and no others', async () => {
    const cwd = bench.folder();
    const lines = Array.from({ length: 1000 }, (_, i) => `${i},${i}`);
    for (const [line, bad] of [
      [100, '"1'],
      [300, '1,"2"x'],
      [500, '1 ,"2" 3'],
      [700, '1,2,3'],
      [900, '1,"2,3'],
    ] as const)
      lines[line] = bad;
    writeFileSync(join(cwd, 'bad.csv'), ['t,n', ...lines].join('\n'));
    const args = '--from bad.csv --format csv --schema t:float64,n:int32 --into rows --invalid skip --json';
    const { code, stdout } = await bench.line(cwd, `mmdpickle ingest out.mmdpickle ${args}`);
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, written: 995, invalid: 5 });
  });

  it('report that frames could not be written, even if the source breaks off after them', async () => {
    const cwd = bench.folder();
    const line = 'head -c 100001 /dev/zero | mmdpickle ingest out.mmdpickle --shape 1000 --batch 60s';
    const { code, stderr } = await bench.shell(cwd, `trap '' XFSZ; ulimit -f 20; ${line}`);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(/NO_SPACE/) });
  });

  it('commit the frames of a file together, and those of a pipe as they arrive', async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, 'frames.raw'), new Uint8Array(500));
    const commits = async (line: string): Promise<unknown> => {
      const { stdout } = await bench.line(cwd, line);
      const { written, commits } = JSON.parse(stdout);
      return { written, together: commits < 100 };
    };
    const ingest = 'mmdpickle --json ingest out.mmdpickle --into rows';
    expect(await commits(`${ingest} --from frames.raw --key a`)).toEqual({ written: 500, together: true });
    expect(await commits(`${ingest} --key b < frames.raw`)).toEqual({ written: 500, together: true });
    expect(await commits(`cat frames.raw | ${ingest} --key c`)).toEqual({ written: 500, together: false });
  });

  it.concurrent('write the records before a bad one, even if they have to wait for the file', async () => {
    const cwd = bench.folder();
    const path = join(cwd, 'out.mmdpickle');
    MmapDict.open(path).close();
    using file = NodeFile.open(path, 'r+');
    file.lock(1000);
    const form = ['--format', 'ndjson', '--schema', 'n:int8', '--into', 'rows'];
    const child = bench.start(cwd, ['ingest', path, ...form, '--json']);
    const ended = withoutInput(child);
    child.stdin?.write('{"n":1}\n{"n":2}\n');
    await told(child, /"received":2/);
    child.stdin?.end('nonsense\n');
    // Long enough for a process that does not wait to have exited.
    await Promise.race([ended, sleep(500)]);
    file.unlock();
    expect((await ended).code).toBe(4);
    expect(arrayIn(cwd, 'out', 'data').shape).toEqual([2]);
  });

  it.concurrent('report dropped frames by exit code 1', async () => {
    const cwd = bench.folder();
    const path = join(cwd, 'drops.mmdpickle');
    MmapDict.open(path).close();
    using file = NodeFile.open(path, 'r+');
    file.lock(1000);
    const child = bench.start(cwd, [
      'ingest',
      path,
      '--shape',
      '1',
      '--policy',
      'drop-newest',
      '--queue',
      '10',
      '--json',
    ]);
    const ended = withoutInput(child);
    child.stdin?.write('abcdefghijklmnopqrstuvwxyz');
    await told(child, /"received":26/);
    child.stdin?.end();
    file.unlock();
    const { code, stdout } = await ended;
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, received: 26, written: 10, droppedTotal: 16 });
  });

  it.concurrent('commit batches while frames arrive steadily', async () => {
    const cwd = bench.folder();
    const child = bench.start(cwd, ['ingest', 'out.mmdpickle', '--shape', '1', '--batch', '200ms']);
    const ended = withoutInput(child);
    const pace = setInterval(() => child.stdin?.write('a'), 20);
    // A line of counters each second, as long as frames arrive.
    const [, written] = await told(child, /"written":([1-9]\d*)/);
    clearInterval(pace);
    child.kill('SIGKILL');
    await ended;
    expect(keysOf(cwd, 'out').length).toBeGreaterThanOrEqual(Number(written));
  });
});

// Their processes wait for each other's status lines, one a second: all at once.
describe.concurrent('an interrupted ingest', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'drains and seals on %s, and reports that nothing was lost',
    async (signal) => {
      const cwd = bench.folder();
      const child = bench.start(cwd, ['ingest', 'out.mmdpickle', '--shape', '4', '--into', 'rows']);
      child.stdin?.write('abcdefghij');
      // The JSON line of the first second shows that both frames have arrived.
      await told(child, /"written":2/);
      child.kill(signal);
      const { code, stdout } = await withoutInput(child);
      expect({ code, stdout }).toEqual({ code: 0, stdout: '2 frames, 8 B written; 0 dropped\n' });
      const array = arrayIn(cwd, 'out', 'data');
      expect(array.shape).toEqual([2, 4]);
      expect((await bench.here(['fsck', join(cwd, 'out.mmdpickle')])).code).toBe(0);
    },
  );

  it('waits for a named pipe only until --duration ends or it is interrupted', async () => {
    const cwd = bench.folder();
    spawnSync('mkfifo', [join(cwd, 'pipe')]);
    const silent = bench.start(cwd, ['ingest', 'none.mmdpickle', '--from', 'pipe', '--duration', '300ms']);
    expect((await withoutInput(silent)).stdout).toBe('0 frames, 0 B written; 0 dropped\n');
    const child = bench.start(cwd, ['ingest', 'out.mmdpickle', '--from', 'pipe', '--shape', '4']);
    // Opened for reading too, so that the open does not block; closing it ends the stream.
    const pipe = openSync(join(cwd, 'pipe'), 'r+');
    writeSync(pipe, 'abcdefgh');
    await told(child, /"written":2/);
    child.kill('SIGINT');
    expect(await withoutInput(child)).toMatchObject({ code: 0, stdout: '2 frames, 8 B written; 0 dropped\n' });
  });
});

describe.concurrent('network sources', () => {
  it('read a TCP server until it ends', async () => {
    const cwd = bench.folder();
    const server = createServer((socket) => socket.end(new Uint8Array(12))).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const end = await bench.run(cwd, ['ingest', 'tcp.mmdpickle', '--from', `tcp://127.0.0.1:${port}`, '--shape', '4']);
    server.close();
    expect(end).toMatchObject({ code: 0, stdout: '3 frames, 12 B written; 0 dropped\n' });
  });

  it('listen for one TCP client', async () => {
    const cwd = bench.folder();
    const child = bench.start(cwd, ['ingest', 'tcp.mmdpickle', '--from', 'tcp-listen://127.0.0.1:0', '--shape', '4']);
    const [, port] = await told(child, /tcp-listen:\/\/127\.0\.0\.1:(\d+)/);
    connect(Number(port), '127.0.0.1').end(new Uint8Array(8));
    expect(await withoutInput(child)).toMatchObject({ code: 0, stdout: '2 frames, 8 B written; 0 dropped\n' });
  });

  it('report an interrupt while waiting for a client', async () => {
    const child = bench.start(bench.folder(), ['ingest', 'tcp.mmdpickle', '--from', 'tcp-listen://127.0.0.1:0']);
    await told(child, /tcp-listen:/);
    const ended = Promise.all([withoutInput(child), told(child, /listening on 127\.0\.0\.1:0: interrupted/)]);
    child.kill('SIGINT');
    expect((await ended)[0].code).toBe(130);
  });

  it('receive datagrams, and skip those that are not frames', async () => {
    const cwd = bench.folder();
    const args = ['ingest', 'udp.mmdpickle', '--from', 'udp://127.0.0.1:0', '--shape', '4', '--max-frames', '3'];
    const child = bench.start(cwd, args);
    const [, port] = await told(child, /udp:\/\/127\.0\.0\.1:(\d+)/);
    const socket = createSocket('udp4');
    socket.send('odd', Number(port), '127.0.0.1');
    // Datagrams may get lost: send until the program has enough.
    const timer = setInterval(() => socket.send('abcd', Number(port), '127.0.0.1'), 20);
    const { code, stdout } = await withoutInput(child);
    clearInterval(timer);
    socket.close();
    expect({ code, stdout }).toEqual({ code: 1, stdout: '3 frames, 12 B written; 0 dropped, 1 invalid\n' });
  });

  it.runIf(existsSync(MOSQUITTO))('receive the messages of an MQTT broker', async () => {
    const cwd = bench.folder();
    const port = await freePort();
    writeFileSync(join(cwd, 'broker.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
    const broker = spawn(MOSQUITTO, ['-c', join(cwd, 'broker.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
    try {
      await told(broker, /mosquitto version \S+ running/);
      const { connectAsync } = await import('mqtt');
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
      // Retained messages are kept for new subscribers.
      for (const n of [1, 2, 3]) {
        await client.publishAsync(`plant/${n}/t`, JSON.stringify({ celsius: n }), { retain: true, qos: 1 });
      }
      await client.endAsync();
      const from = `mqtt://me:secret@127.0.0.1:${port}/plant/+/t`;
      const record = ['--format', 'ndjson', '--schema', 'celsius:float32', '--into', 'rows'];
      const end = await bench.run(cwd, ['ingest', 'm.mmdpickle', '--from', from, ...record, '--max-frames', '3']);
      expect(end).toMatchObject({ code: 0, stdout: '3 frames, 12 B written; 0 dropped\n' });
      expect(end.stderr).toContain(`mqtt://127.0.0.1:${port}/plant/+/t`);
      expect(arrayIn(cwd, 'm', 'data').shape).toEqual([3]);
    } finally {
      broker.kill();
    }
  });
});

describe.concurrent('a source or a file that is not available', () => {
  it.each(['mqtt://127.0.0.1:1/x', 'tcp://127.0.0.1:1', 'udp://192.0.2.1:9'])(
    '%s leaves no file behind',
    async (from) => {
      const cwd = bench.folder();
      const { code, stderr } = await bench.run(cwd, ['ingest', 'none.mmdpickle', '--from', from, '--shape', '4']);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/\[IO\]\n$/) });
      expect(existsSync(join(cwd, 'none.mmdpickle'))).toBe(false);
    },
  );

  it('a file that is leased by another writer ends the program, even while its source is open', async () => {
    const cwd = bench.folder();
    using dict = MmapDict.open(join(cwd, 'run.mmdpickle'));
    using _lease = dict.lease();
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    for (const from of [`tcp://127.0.0.1:${port}`, 'udp://127.0.0.1:0'])
      expect((await bench.run(cwd, ['ingest', 'run.mmdpickle', '--from', from, '--shape', '4'])).code).toBe(5);
    server.close();
  });

  it('a file that is removed ends the program with an error', async () => {
    const cwd = bench.folder();
    const child = bench.start(cwd, ['ingest', 'gone.mmdpickle', '--shape', '4']);
    const ended = withoutInput(child);
    const pace = setInterval(() => child.stdin?.write('abcd'), 20);
    await told(child, /"written":[1-9]/);
    rmSync(join(cwd, 'gone.mmdpickle'));
    const complaint = told(child, /^mmdpickle: .*gone.mmdpickle: the file was removed while it was open.*NOT_FOUND/m);
    expect((await ended).code).toBe(3);
    await complaint;
    clearInterval(pace);
  });

  it('an MQTT broker that does not answer is abandoned on the first SIGINT', async () => {
    const cwd = bench.folder();
    const server = createServer();
    const connected = new Promise((resolve) => server.once('connection', resolve));
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const child = bench.start(cwd, ['ingest', 'none.mmdpickle', '--from', `mqtt://127.0.0.1:${port}/x`]);
    await connected;
    child.kill('SIGINT');
    expect((await withoutInput(child)).code).toBe(130);
    server.close();
  });
});

function open(cwd: string, name: string): MmapDict {
  return MmapDict.open(join(cwd, `${name}.mmdpickle`), { mode: 'r' });
}

function keysOf(cwd: string, name: string): string[] {
  using dict = open(cwd, name);
  return [...dict.keys()];
}

function arrayIn(cwd: string, name: string, key: string): NDArray {
  using dict = open(cwd, name);
  return (dict.get(key) as NDArray).copy();
}

/** Waits for a process whose input stays open until it exits. */
async function withoutInput(child: ReturnType<Bench['start']>): Promise<Ended> {
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (stdout += piece));
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, stdout, stderr: '' };
}
