import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { MmdError, NDArray } from '@mmdpickle/core';
import {
  type ByteChunks,
  checkRecord,
  cutFrames,
  fromByteStream,
  fromMqtt,
  fromNdjson,
  type PlainRecord,
  parseSchema,
  readNdjson,
} from '@mmdpickle/rx';
import { freePort } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { connectAsync } from 'mqtt';
import { lastValueFrom, map, type Observable, Subscription, take, toArray } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { until } from './blocker.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('fromByteStream', () => {
  const bytes = Uint8Array.from({ length: 24 }, (_, i) => i);

  test('cuts frames of a dtype and shape from a Node stream, a Web stream and an iterable', async () => {
    const options = { dtype: '>u2', shape: [2, 2] } as const;
    const web = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes.subarray(0, 5));
        controller.enqueue(bytes.subarray(5));
        controller.close();
      },
    });
    for (const source of [Readable.from([bytes.subarray(0, 9), bytes.subarray(9)]), web, [bytes]]) {
      const frames = await lastValueFrom(
        fromByteStream(source, options).pipe(
          map((frame) => frame.toNested()),
          toArray(),
        ),
      );
      expect(frames).toHaveLength(3);
      expect(frames[1]).toEqual([
        [0x0809, 0x0a0b],
        [0x0c0d, 0x0e0f],
      ]);
    }
  });

  test('reports a short tail after all whole frames, as an error or to a function', async () => {
    const frames: number[] = [];
    const error = await new Promise((resolve) => {
      fromByteStream([bytes], { dtype: 'uint8', shape: [10] }).subscribe({
        next: () => frames.push(1),
        error: resolve,
      });
    });
    expect(error).toMatchObject({ code: 'TRUNCATED', offset: 20, expected: 10, found: 4 });
    expect(frames.length).toBe(2);
    const tails: object[] = [];
    const options = { dtype: 'uint8', shape: [10], onTail: (tail: object) => tails.push(tail) };
    await lastValueFrom(fromByteStream([bytes], options));
    expect(tails).toEqual([{ bytes: 4, expected: 10, frames: 2 }]);
  });

  test('unsubscribing closes a stream that is silent', async () => {
    const readers: ((source: ByteChunks) => Observable<unknown>)[] = [
      (source) => fromByteStream(source, { dtype: 'uint8', shape: [2] }),
      (source) => fromNdjson(source),
    ];
    for (const read of readers) {
      let closed = 0;
      const close = (): void => void (closed += 1);
      for (const source of [new PassThrough().once('close', close), new ReadableStream({ cancel: close })]) {
        const subscription = read(source).subscribe();
        await new Promise((resolve) => setImmediate(resolve));
        subscription.unsubscribe();
      }
      await until(() => closed === 2);
    }
  });

  test('unsubscribing destroys the stream, and the next piece is read only when the frames are handled', async () => {
    const source = new Readable({ read() {}, highWaterMark: 1 });
    source.push(bytes);
    await lastValueFrom(fromByteStream(source, { dtype: 'uint8', shape: [4] }).pipe(take(2)));
    await until(() => source.destroyed);
    let pulled = 0;
    function* pieces(): Generator<Uint8Array> {
      while (pulled < 10) {
        pulled += 1;
        yield bytes;
      }
    }
    const frames = cutFrames(pieces(), { dtype: 'uint8', shape: [24] });
    await frames.next();
    expect(pulled).toBe(1);
    await frames.return(undefined);
  });
});

test('a source that always has more data lets timers run', async () => {
  let over = false;
  setTimeout(() => {
    over = true;
  }, 1);
  function* endless(): Generator<Uint8Array> {
    for (let i = 0; i < 1e6 && !over; i += 1) yield Uint8Array.of(1);
  }
  const { length } = await lastValueFrom(fromByteStream(endless(), { dtype: 'uint8', shape: [] }).pipe(toArray()));
  expect(length).toBeLessThan(1e6);
});

describe('fromNdjson', () => {
  test('keeps integers that no JavaScript number can represent', async () => {
    const source = [text('{"t": 1732246372123456789, "x": 12345678901234567890}')];
    const schema = { t: 'int64', x: 'float64' } as const;
    expect(await lastValueFrom(fromNdjson(source, { schema }))).toEqual({
      t: 1732246372123456789n,
      x: 12345678901234567890n,
    });
  });

  test('gives one record per line, checked against the schema', async () => {
    const source = [text('{"t": 1.5, "name"'), text(': "é"}\n\n{"t": 2, "name": "b"}')];
    const schema = { t: 'float64', name: '<U8' };
    expect(await lastValueFrom(fromNdjson(source, { schema }).pipe(toArray()))).toEqual([
      { t: 1.5, name: 'é' },
      { t: 2, name: 'b' },
    ]);
  });

  test.each([
    ['not JSON', '{"t": 1}\n{t: 2}\n', 'CORRUPT'],
    [
      'not in the schema',
      '{"t": 1}\n{"t": "two"}\n',
      'INVALID_ARGUMENT',
      "line 2: column 't': expected int32, found string",
    ],
    ['not an object', '{"t": 1}\n[2]\n', 'INVALID_ARGUMENT'],
    ['not UTF-8', '{"t": 1}\n\xff\n', 'CORRUPT'],
    ['beyond the range of its column', `{"t": 1}\n{"t": ${2 ** 31}}\n`, 'INVALID_ARGUMENT'],
    ['of endless lists', `{"t": 1}\n{"t": ${'['.repeat(1e5)}${']'.repeat(1e5)}}\n`, 'INVALID_ARGUMENT'],
  ])(
    'a line that is %s ends the stream, or is skipped and reported',
    async (_what, lines, code, message = 'line 2') => {
      const options = { schema: { t: 'int32' } };
      const bytes = Buffer.from(lines, 'latin1');
      await expect(lastValueFrom(fromNdjson([bytes], options))).rejects.toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
      const told: string[] = [];
      const records: PlainRecord[] = [];
      const onInvalid = (error: MmdError): unknown => told.push(error.code);
      for await (const record of readNdjson([bytes, text('{"t": 3}')], { ...options, onInvalid })) records.push(record);
      expect(records).toEqual([{ t: 1 }, { t: 3 }]);
      expect(told).toEqual([code]);
    },
  );

  test('a byte order mark before the first line is not part of it', async () => {
    expect(await lastValueFrom(fromNdjson([text('\uFEFF{"t": 1}\r\n')]))).toEqual({ t: 1 });
    await expect(lastValueFrom(fromNdjson([text('{"t": 1}\n\uFEFF{"t": 2}')]))).rejects.toMatchObject({
      message: 'line 2 is not JSON',
    });
  });

  test('a line without an end is refused before it fills the memory', async () => {
    function* endless(): Generator<Uint8Array> {
      for (;;) yield new Uint8Array(1000).fill(65);
    }
    await expect(lastValueFrom(fromNdjson(endless(), { maxLineBytes: 5000 }))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
  });
});

test.each([
  ['nothing', undefined, /the source must be/],
  ['a text', 'abc', /the source must be/],
  ['bytes outside a list', Buffer.from('ab'), /must yield Uint8Arrays; found number/],
  ['text', ['ab'], /must yield Uint8Arrays; found string: do not set an encoding/],
  ['arrays of wider elements', [Uint16Array.of(1, 2)], /must yield Uint8Arrays; found object/],
])('a source that is or yields %s is refused', async (_what, source, message) => {
  const refused = { code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) as string };
  const frame$ = fromByteStream(source as never, { dtype: 'uint8', shape: [2] });
  await expect(lastValueFrom(frame$)).rejects.toMatchObject(refused);
  await expect(lastValueFrom(fromNdjson(source as never))).rejects.toMatchObject(refused);
});

test('a frame that no memory can hold is a typed error', async () => {
  const frame$ = fromByteStream([Uint8Array.of(1)], { dtype: 'uint8', shape: [2 ** 45] });
  await expect(lastValueFrom(frame$)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', found: 2 ** 45 });
});

function succeeds(work: () => unknown): boolean {
  try {
    work();
  } catch (error) {
    if (error instanceof MmdError) return false;
    throw error;
  }
  return true;
}

describe('a schema', () => {
  test.each([
    ['without columns', {}, 'INVALID_ARGUMENT'],
    ['with an unknown dtype', { x: 'float65' }, 'UNSUPPORTED_DTYPE'],
    ['with Python objects', { x: 'O' }, 'UNSUPPORTED_DTYPE'],
    ['with a bad shape', { x: { dtype: 'int8', shape: [-1] } }, 'INVALID_ARGUMENT'],
    ['with a shape in its dtype', { x: ['int8', [2]] }, 'UNSUPPORTED_DTYPE'],
    ['that is a list', ['int8'], 'INVALID_ARGUMENT'],
  ])('%s is refused', (_what, schema, code) => {
    expect(() => parseSchema(schema as never)).toThrow(expect.objectContaining({ code }));
  });

  test('accepts nothing that the array would not accept, alone or in a typed array', () => {
    const dtype = fc.constantFrom('bool', 'int8', 'uint8', '>i2', 'uint32', 'int64', 'uint64', 'float32', 'M8[s]');
    const edge = fc.constantFrom(7, 8, 15, 16, 31, 32, 53, 63, 64).map((bits) => 2 ** bits);
    const value = fc
      .tuple(
        fc.oneof(edge, fc.constantFrom(0, 1, Number.NaN, Infinity, 0.5)),
        fc.constantFrom(1, -1),
        fc.constantFrom(0, 1),
      )
      .map(([size, sign, less]) => sign * size - less);
    fc.assert(
      fc.property(dtype, value, fc.boolean(), (type, number, alone) => {
        const columns = parseSchema({ x: alone ? type : { dtype: type, shape: [2] } });
        const x = alone ? number : Float64Array.of(0, number);
        const array = NDArray.zeros(alone ? [1] : [1, 2], type);
        const passes = succeeds(() => checkRecord(columns, { x }));
        const stored = succeeds(() => (alone ? array.set(0, x) : (array.row(0) as NDArray).set(x)));
        // On its own, no number is a bool.
        expect(passes).toBe(stored && !(alone && type === 'bool'));
      }),
    );
  });

  test('takes arrays, nested arrays and typed arrays for a column with a shape', () => {
    const columns = parseSchema({ x: { dtype: 'float32', shape: [2, 2] } });
    for (const x of [
      [1, 2, 3, 4],
      [
        [1, 2],
        [3, 4],
      ],
      Float32Array.of(1, 2, 3, 4),
    ])
      checkRecord(columns, { x });
    for (const x of [
      [1, 2, 3],
      Float32Array.of(1),
      [
        [1, 2],
        [3, 'x'],
      ],
      [[1, 2, 3], [4]],
      [[1, 2, 3, 4]],
      5,
    ]) {
      expect(() => checkRecord(columns, { x })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', key: 'x' }),
      );
    }
  });
});

test.each(['', 'a/#/b', '#a', 'a+', 'a\0', 'é'.repeat(2 ** 15), 5])('the topic filter %j is refused', (filter) => {
  expect(() => fromMqtt('mqtt://127.0.0.1:1', ['a/+/#', filter as string])).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
  );
});

const BROKER = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto'].find(existsSync);

describe.skipIf(BROKER === undefined)('fromMqtt, with a real broker', () => {
  async function withBroker(work: (url: string, broker: ChildProcess) => Promise<void>, given?: number): Promise<void> {
    const port = given ?? (await freePort());
    const broker = spawn(BROKER!, ['-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    broker.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      log += chunk;
    });
    // An earlier line tells where clients may be running.
    await until(() => /^\d+: mosquitto version \S+ running$/m.test(log), 'the broker');
    try {
      await work(`mqtt://127.0.0.1:${port}`, broker);
    } finally {
      if (broker.exitCode === null && broker.signalCode === null) {
        broker.kill();
        await once(broker, 'exit');
      }
    }
  }

  test('gives records of a schema, skips others if told to, and subscribes through a client of the user', async () => {
    await withBroker(async (url) => {
      const records: PlainRecord[] = [];
      const invalid: string[] = [];
      let ready = 0;
      const schema = { celsius: 'float32' };
      const onInvalid = (error: MmdError, topic: string): unknown => invalid.push(`${error.code} ${topic}`);
      const options = { schema, onInvalid, onReady: () => (ready += 1) };
      const client = await connectAsync(url);
      const subscriptions = [
        fromMqtt(url, 'plant/+/temperature', options).subscribe((record) => records.push(record)),
        fromMqtt(client, ['raw'], {
          decode: (payload, topic) => ({ topic, bytes: [...payload] }),
          onReady: () => (ready += 1),
        }).subscribe((record) => records.push(record)),
      ];
      await until(() => ready === 2);
      await client.publishAsync('plant/oven/temperature', '{"celsius": 21.5}');
      await client.publishAsync('plant/oven/temperature', '{"kelvin": 1}');
      await client.publishAsync('plant/oven/temperature', 'not json');
      await client.publishAsync('raw', Buffer.from([1, 2]));
      await until(() => records.length === 2 && invalid.length === 2);
      expect(records).toContainEqual({ celsius: 21.5 });
      expect(records).toContainEqual({ topic: 'raw', bytes: [1, 2] });
      expect(invalid).toEqual(['INVALID_ARGUMENT plant/oven/temperature', 'CORRUPT plant/oven/temperature']);
      for (const subscription of subscriptions) subscription.unsubscribe();
      await client.endAsync();
    });
  });

  test('an error thrown by a callback ends the stream', async () => {
    await withBroker(async (url) => {
      const client = await connectAsync(url);
      const mine = new TypeError('mine');
      const throws = (): never => {
        throw mine;
      };
      for (const options of [{ onInvalid: throws }, { onReady: throws }]) {
        const publish = (): unknown => client.publish('x', 'no JSON');
        await expect(lastValueFrom(fromMqtt(url, 'x', { onReady: publish, ...options }))).rejects.toBe(mine);
      }
      await client.endAsync();
    });
  });

  test('a client that reconnects continues, and one that does not ends the stream', async () => {
    await withBroker(async (url, broker) => {
      const received: string[] = [];
      const decode = (payload: Uint8Array): string => new TextDecoder().decode(payload);
      const client = await connectAsync(url, { reconnectPeriod: 20 });
      const brief = await connectAsync(url, { reconnectPeriod: 0 });
      let ready = 0;
      const options = { decode, onReady: () => (ready += 1) };
      fromMqtt(client, 'x', options).subscribe((item) => received.push(item));
      const ended = lastValueFrom(fromMqtt(brief, 'x', options));
      await until(() => ready === 2);
      broker.kill('SIGKILL');
      await expect(ended).rejects.toMatchObject({ code: 'IO' });
      // It fails to connect at least once.
      await new Promise((resolve) => client.once('error', resolve));
      await withBroker(
        async () => {
          await until(() => client.connected);
          await until(() => {
            client.publish('x', 'again');
            return received.length > 0;
          });
          await client.endAsync();
        },
        Number(new URL(url).port),
      );
      expect(received[0]).toBe('again');
    });
  });

  test('each stream of a client gets the messages of its own topics', async () => {
    await withBroker(async (url) => {
      const client = await connectAsync(url);
      const filters = ['a/+/c', 'a/#', '+/b', '#', '$share/group/a/b', '$SYS/broker/version', 'a'];
      const received = filters.map(() => [] as string[]);
      let ready = 0;
      filters.forEach((filter, i) => {
        const options = { decode: (_payload: Uint8Array, topic: string) => topic, onReady: () => (ready += 1) };
        fromMqtt(client, filter, options).subscribe((topic) => received[i]?.push(topic));
      });
      await until(() => ready === filters.length);
      for (const topic of ['a', 'a/b', 'a/b/c', 'a//c', 'b/b', 'end']) await client.publishAsync(topic, '', { qos: 1 });
      await until(() => received[3]!.includes('end'));
      const own = received.map((topics) => [...new Set(topics)].join(' '));
      const version = '$SYS/broker/version';
      expect(own).toEqual([
        'a/b/c a//c',
        'a a/b a/b/c a//c',
        'a/b b/b',
        'a a/b a/b/c a//c b/b end',
        'a/b',
        version,
        'a',
      ]);
      await client.endAsync();
    });
  });

  test('messages retained by a broker arrive when a filter is new to the client', async () => {
    await withBroker(async (url) => {
      const client = await connectAsync(url);
      await client.publishAsync('a/b', 'kept', { retain: true, qos: 1 });
      const received: number[] = [];
      const streams = new Subscription();
      for (const [i, from] of [client, client, url].entries()) {
        const end = `end/${i}`;
        await new Promise<void>((resolve) => {
          const decode = (_payload: Uint8Array, topic: string): string => topic;
          const onReady = (): void => void client.publish(end, '', { qos: 1 });
          const stream = fromMqtt(from, ['a/b', end], { decode, onReady }).subscribe((topic) => {
            if (topic === end) resolve();
            else received.push(i);
          });
          streams.add(stream);
        });
      }
      streams.unsubscribe();
      expect(received).toEqual([0, 2]);
      await client.endAsync();
    });
  });

  test('a filter shared by streams of one client stays until the last of them ends', async () => {
    await withBroker(async (url) => {
      const client = await connectAsync(url);
      const received: string[][] = [[], []];
      let ready = 0;
      const [first, second] = [['both', 'one'], 'both'].map((filters, i) => {
        const options = { decode: (_payload: Uint8Array, topic: string) => topic, onReady: () => (ready += 1) };
        return fromMqtt(client, filters, options).subscribe((topic) => received[i]!.push(topic));
      });
      await until(() => ready === 2);
      const unsubscribed: unknown[] = [];
      client.on('packetsend', (packet) => {
        if (packet.cmd === 'unsubscribe') unsubscribed.push(...packet.unsubscriptions);
      });
      first!.unsubscribe();
      await until(() => unsubscribed.length === 1);
      await client.publishAsync('both', '', { qos: 1 });
      await until(() => received[1]!.length === 1);
      second!.unsubscribe();
      await until(() => unsubscribed.length === 2);
      expect({ received, unsubscribed }).toEqual({ received: [[], ['both']], unsubscribed: ['one', 'both'] });
      await client.endAsync();
    });
  });

  test('a lost or refused connection ends the stream with IO', async () => {
    await withBroker(async (url, broker) => {
      let ready = false;
      const lost = lastValueFrom(fromMqtt(url, 'x', { onReady: () => (ready = true) }));
      await until(() => ready);
      broker.kill('SIGKILL');
      await expect(lost).rejects.toMatchObject({ code: 'IO' });
      // Not the broker's port, which another test may have taken by now.
      await expect(lastValueFrom(fromMqtt('mqtt://127.0.0.1:1', 'x'))).rejects.toMatchObject({ code: 'IO' });
    });
  });
});

describe('fromMqtt, with a broker that falls silent', () => {
  const CONNACK = Uint8Array.of(0x20, 2, 0, 0);
  const PINGRESP = Uint8Array.of(0xd0, 0);
  const SUBACK = (subscribe: Uint8Array): Uint8Array => Uint8Array.of(0x90, 3, subscribe[2]!, subscribe[3]!, 1);

  test.each([0, 1, 2])('after %s answers, a stream that is unsubscribed closes its connection', async (answers) => {
    let left = answers;
    let heard = 0;
    const server = createServer({ allowHalfOpen: true });
    const closed = new Promise<void>((resolve) => {
      server.on('connection', (socket) => {
        socket.on('data', (packet) => {
          heard += 1;
          if (left-- > 0) socket.write(heard === 1 ? CONNACK : SUBACK(packet));
        });
        // This half stays open; a write to a peer that has closed, not only ended, comes back as an error.
        let timer: NodeJS.Timeout | undefined;
        socket.on('end', () => (timer = setInterval(() => socket.write(PINGRESP), 20)));
        socket
          .on('error', () => undefined)
          .on('close', () => {
            clearInterval(timer);
            resolve();
          });
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    let ready = false;
    const errors: unknown[] = [];
    const subscription = fromMqtt(`mqtt://127.0.0.1:${port}`, 'x', { onReady: () => (ready = true) }).subscribe({
      error: (error) => errors.push(error),
    });
    await until(() => heard === Math.min(answers + 1, 2) && ready === (answers === 2));
    subscription.unsubscribe();
    await closed;
    server.close();
    expect(errors).toEqual([]);
  });
});
