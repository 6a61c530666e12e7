import { createServer, type RequestListener, type Server } from 'node:http';
import { freePort } from '@mmdpickle/test-support';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DictReader } from '../../src/dict/dict-reader.ts';
import { blobSource } from '../../src/storage/blob-source.ts';
import type { ByteSource } from '../../src/storage/byte-source.ts';
import { bytesSource } from '../../src/storage/bytes-source.ts';
import { httpSource } from '../../src/storage/http-source.ts';

const DATA = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255);

/** What the server does with a request, chosen by the path. */
const behaviours: Record<string, RequestListener> = {
  '/ranges': (request, response) => {
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'content-length': DATA.length, 'accept-ranges': 'bytes', etag: '"1"' }).end();
      return;
    }
    sendRange(request.headers.range, response, { etag: '"1"' });
  },
  '/no-head': (request, response) => {
    if (request.method === 'HEAD') response.writeHead(405).end();
    else sendRange(request.headers.range, response, {});
  },
  '/ignores-ranges': (_request, response) => {
    response.writeHead(200, { 'content-length': DATA.length }).end(DATA);
  },
  '/endless': (request, response) => {
    if (request.method === 'HEAD') {
      response.writeHead(405).end();
      return;
    }
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(DATA));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  },
  '/missing': (_request, response) => void response.writeHead(404).end('no'),
  '/broken': (_request, response) => void response.writeHead(503).end('later'),
  '/hangs-up': (request, response) => {
    if (request.method === 'HEAD') response.writeHead(200, { 'content-length': DATA.length }).end();
    else {
      response.writeHead(206, { 'content-range': `bytes 0-999/${DATA.length}`, 'content-length': 1000 });
      response.write(DATA.subarray(0, 10));
      setTimeout(() => response.destroy(), 10);
    }
  },
  '/short': (_request, response) => {
    response.writeHead(206, { 'content-range': `bytes 0-9/${DATA.length}` }).end(DATA.subarray(0, 10));
  },
  '/long': (_request, response) => {
    response.writeHead(206, { 'content-range': `bytes 0-99999/${DATA.length}` }).end(DATA);
  },
  '/wrapped': (_request, response) => {
    response.writeHead(206, { 'content-type': 'multipart/byteranges; boundary=b' }).end(DATA);
  },
  '/head-says-0': (request, response) => {
    if (request.method === 'HEAD') response.writeHead(200, { 'content-length': 0 }).end();
    else sendRange(request.headers.range, response, {});
  },
  '/empty-whole': (_request, response) => void response.writeHead(200, { 'content-length': 0 }).end(),
  '/elsewhere': (_request, response) => {
    response.writeHead(206, { 'content-range': `bytes 50-59/${DATA.length}` }).end(DATA.subarray(50, 60));
  },
  '/compressed': (_request, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-9/100', 'content-encoding': 'br' }).end(DATA.subarray(0, 10));
  },
  '/changes': (() => {
    let version = 0;
    return (request, response) => sendRange(request.headers.range, response, { etag: `"${version++ >> 1}"` });
  })(),
  ...Object.fromEntries(['grows', 'shrinks'].map((name) => [`/${name}`, ofTwoLengths(name === 'grows' ? 1 : -1)])),
  '/empty': (request, response) => {
    if (request.method === 'HEAD') response.writeHead(405).end();
    else response.writeHead(416, { 'content-range': 'bytes */0' }).end();
  },
  '/unknown-length': (request, response) => {
    if (request.method === 'HEAD') response.writeHead(200, { 'transfer-encoding': 'chunked' }).end();
    else response.writeHead(206, { 'content-range': 'bytes 0-0/*' }).end('x');
  },
  '/secret': (request, response) => {
    if (request.headers.authorization !== 'Bearer key') response.writeHead(401).end();
    else sendRange(request.headers.range, response, {});
  },
  '/slow': () => undefined,
};

/** Every answer but the first is about a file of another length; none names a version. */
function ofTwoLengths(more: 1 | -1): RequestListener {
  let total = DATA.length / 2;
  return (request, response) => {
    const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0]);
    const headers = { 'content-length': request.method === 'HEAD' ? total : 1 };
    if (request.method === 'HEAD') response.writeHead(200, headers).end();
    else if (start >= total) response.writeHead(416, { 'content-range': `bytes */${total}` }).end();
    else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${start}/${total}` }).end('x');
    total = DATA.length / 2 + more * 1000;
  };
}

function sendRange(range: string | undefined, response: Parameters<RequestListener>[1], headers: object): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  const start = Number(first);
  const end = Math.min(Number(last), DATA.length - 1);
  if (start >= DATA.length) response.writeHead(416, { 'content-range': `bytes */${DATA.length}` }).end();
  else {
    response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${DATA.length}` });
    response.end(DATA.subarray(start, end + 1));
  }
}

let server: Server;
let base = '';
beforeAll(async () => {
  server = createServer((request, response) => behaviours[request.url ?? '']?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

it('httpSource refuses an invalid address and unknown options', () => {
  const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
  for (const wrong of [undefined, null, 5, {}]) expect(() => httpSource(wrong as never)).toThrow(refused);
  for (const wrong of [null, 5, { header: {} }, { fetch: 5 }])
    expect(() => httpSource('http://127.0.0.1:1/', wrong as never)).toThrow(refused);
});

const http = (path: string): ByteSource => httpSource(`${base}${path}`);

const sources: Record<string, () => ByteSource> = {
  bytesSource: () => bytesSource(DATA),
  blobSource: () => blobSource(new Blob([DATA.subarray(0, 33_333), DATA.subarray(33_333)])),
  httpSource: () => http('/ranges'),
  'httpSource without HEAD': () => http('/no-head'),
};

describe.each(Object.entries(sources))('%s', (_name, make) => {
  it('returns exactly the range, in bytes that belong to the caller', async () => {
    const source = make();
    expect(await source.size()).toBe(DATA.length);
    expect(await source.size()).toBe(DATA.length);
    await fc.assert(
      fc.asyncProperty(fc.nat(DATA.length), fc.nat(5000), async (offset, length) => {
        const count = Math.min(length, DATA.length - offset);
        const bytes = await source.read(offset, count);
        expect(Buffer.compare(bytes, DATA.subarray(offset, offset + count))).toBe(0);
        bytes.fill(1);
      }),
      { numRuns: 30 },
    );
    expect(Buffer.compare(await source.read(0, DATA.length), DATA)).toBe(0);
  });

  it('says TRUNCATED past the end, and where the end is', async () => {
    const source = make();
    await expect(source.read(DATA.length - 5, 6)).rejects.toMatchObject({
      code: 'TRUNCATED',
      offset: DATA.length - 5,
      expected: 6,
      found: 5,
    });
    await expect(source.read(DATA.length, 1)).rejects.toMatchObject({ code: 'TRUNCATED', found: 0 });
    await expect(source.read(DATA.length + 10, 1)).rejects.toMatchObject({ code: 'TRUNCATED' });
    expect(await source.read(DATA.length, 0)).toHaveLength(0);
  });

  it('refuses impossible ranges, and stops when it is aborted', async () => {
    const source = make();
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 53, 1],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    const reason = new Error('enough');
    await expect(source.read(0, 1, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('httpSource', () => {
  it.each([
    ['/ignores-ranges', 'IO', 'range requests'],
    ['/endless', 'IO', 'range requests'],
    ['/missing', 'NOT_FOUND', '404'],
    ['/broken', 'IO', '503'],
    ['/hangs-up', 'IO', 'lost'],
    ['/short', 'IO', `sent 10, though the file has ${DATA.length}`],
    ['/wrapped', 'IO', 'multipart'],
    ['/elsewhere', 'IO', 'bytes 50-59'],
    ['/secret', 'IO', '401'],
  ])('%s gives %s', async (path, code, text) => {
    const source = http(path);
    await expect(source.read(0, 1000)).rejects.toMatchObject({ code, path: `${base}${path}` });
    await expect(source.read(0, 1000)).rejects.toThrow(text);
  });

  it('truncates a response that is longer than requested', async () => {
    expect(Buffer.compare(await http('/long').read(0, 10), DATA.subarray(0, 10))).toBe(0);
  });

  it('refuses ranges that were compressed in transit', async () => {
    await expect(http('/compressed').read(0, 10)).rejects.toMatchObject({ code: 'IO' });
  });

  it('detects that the file was replaced between two reads', async () => {
    const source = http('/changes');
    await source.read(0, 10);
    await source.read(0, 10);
    await expect(source.read(0, 10)).rejects.toThrow('replaced');
  });

  it.each(['/grows', '/shrinks'])('detects by the length alone that the file changed: %s', async (path) => {
    const source = http(path);
    const last = (await source.size()) - 1;
    for (const offset of [0, last])
      await expect(source.read(offset, 1)).rejects.toMatchObject({ code: 'IO', message: /replaced/ });
  });

  it('does not report errors in the rest of a response', async () => {
    const wrong = (): Promise<never> => Promise.reject(new TypeError('terminated'));
    const body = (): ReadableStream =>
      new ReadableStream({ start: (stream) => stream.enqueue(DATA.slice(0, 1)), cancel: wrong });
    const source = httpSource(base, {
      fetch: async (_url, init) =>
        init?.method === 'HEAD'
          ? new Response(null, { status: 405 })
          : new Response(body(), { status: 206, headers: { 'content-range': 'bytes 0-0/1' } }),
    });
    expect(await source.size()).toBe(1);
    expect(await source.read(0, 1)).toEqual(DATA.slice(0, 1));
  });

  it('finds the size of an empty file, and reports a server that does not tell it', async () => {
    expect(await http('/empty').size()).toBe(0);
    expect(await http('/empty-whole').size()).toBe(0);
    expect(await http('/head-says-0').size()).toBe(DATA.length);
    await expect(http('/unknown-length').size()).rejects.toMatchObject({ code: 'IO' });
    await expect(http('/missing').size()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(http('/broken').size()).rejects.toMatchObject({ code: 'IO' });
  });

  it('sends the given headers', async () => {
    const source = httpSource(new URL(`${base}/secret`), { headers: { authorization: 'Bearer key' } });
    expect(await source.read(3, 2)).toEqual(DATA.subarray(3, 5));
  });

  it('stops a request in progress', async () => {
    const slow = http('/slow');
    const asks: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => slow.read(0, 10, signal),
      (signal) => slow.size(signal),
      (signal) => DictReader.open(slow, { signal }),
    ];
    for (const ask of asks) {
      const abort = new AbortController();
      const reason = new Error('no time');
      setTimeout(() => abort.abort(reason), 10);
      await expect(ask(abort.signal)).rejects.toBe(reason);
    }
  });

  it('says IO if nobody answers', async () => {
    const port = await freePort();
    await expect(httpSource(`http://127.0.0.1:${port}/x`).read(0, 1)).rejects.toMatchObject({ code: 'IO' });
    await expect(httpSource('http://127.0.0.1:1/x').size()).rejects.toMatchObject({ code: 'IO' });
    const relative = { code: 'IO', message: expect.stringContaining('Failed to parse URL from not a url') };
    await expect(httpSource('not a url').read(0, 1)).rejects.toMatchObject(relative);
  });
});

it.each<[string, unknown]>([
  ['bytes', DATA],
  ['a buffer', DATA.buffer],
  ['a list', [1, 2, 3]],
  ['text', 'mmdpickle'],
  ['a record', { size: 3 }],
  ['nothing', undefined],
  ['null', null],
])('a blob source of %s is refused before it is read, although many types have slice', (_what, bytes) => {
  const refused = expect.objectContaining({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('bytesSource'),
  });
  expect(() => blobSource(bytes as unknown as Blob)).toThrow(refused);
});

it('an error that is its own cause is printed only a few times', async () => {
  const error = new Error('round');
  error.cause = error;
  const fetch = () => Promise.reject(error);
  const told = { code: 'IO', message: expect.stringMatching(/failed: round: round: round$/) };
  await expect(httpSource('http://localhost/x', { fetch }).size()).rejects.toMatchObject(told);
});

it('names a blob by its file name, and reports one that cannot be read', async () => {
  expect(blobSource(new File([DATA], 'run.mmdpickle')).name).toBe('run.mmdpickle');
  expect(blobSource(new Blob([]), 'label').name).toBe('label');
  const broken = { size: 10, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) };
  await expect(blobSource(broken as unknown as Blob).read(0, 5)).rejects.toMatchObject({ code: 'IO' });
});
