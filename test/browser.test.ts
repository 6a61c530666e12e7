import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { MmapDict } from '@mmdpickle/core';
import { MemoryFile } from '@mmdpickle/core/storage';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-swiftshader',
];
const FIXTURE = join(import.meta.dirname, '../fixtures/mmappickle-1.0.1/arrays.mmdpickle');

/** Bundles the pure entry points the way an application would, as one script that sets `globalThis.mmdpickle`. */
async function bundle(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    root: import.meta.dirname,
    resolve: { conditions: ['@mmdpickle/source', 'browser', 'import', 'default'] },
    build: {
      write: false,
      minify: false,
      lib: { entry: join(import.meta.dirname, 'browser-entry.ts'), formats: ['iife'], name: 'mmdpickle' },
    },
  });
  const [output] = Array.isArray(result) ? result : [result];
  if (output === undefined || !('output' in output)) throw new Error('the bundle has no output');
  return output.output[0].code;
}

/** Runs `work` on a page of its own, with a cache of its own, in a real browser that has loaded the bundle; `answer` serves all its other requests. */
async function inBrowser(answer: RequestListener, work: (page: Page) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    if (request.url === '/') response.setHeader('content-type', 'text/html').end('<!doctype html>');
    else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  if (browser === undefined) throw new Error('the browser was not started');
  const page = await browser.newPage();
  try {
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.addScriptTag({ content: code });
    await work(page);
  } finally {
    await page.close();
    server.close();
  }
}

let code = '';
let browser: Browser | undefined;
beforeAll(async () => {
  code = await bundle();
  if (existsSync(CHROMIUM)) browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});
afterAll(() => browser?.close());

describe('the pure entry points', () => {
  it('bundle for a browser without any trace of Node', () => {
    expect(code).not.toMatch(/\bnode:|\bBuffer\b\.|\brequire\(|__vite-browser-external/);
  });

  it.runIf(existsSync(CHROMIUM))('open a file from a Blob in a real browser', async () => {
    const answer = (_request: IncomingMessage, response: ServerResponse): void => {
      response.setHeader('content-type', 'application/octet-stream').end(readFileSync(FIXTURE));
    };
    await inBrowser(answer, async (page) => {
      const seen = await page.evaluate(async () => {
        const blob = await (await fetch('/file')).blob();
        // biome-ignore lint/suspicious/noExplicitAny: the bundle's global
        return await (globalThis as any).mmdpickle.summarize(blob);
      });
      expect(seen.size).toBe(26);
      expect(seen.float64).toMatchObject({ dtype: 'float64', shape: [2, 3] });
    });
  });

  it.runIf(existsSync(CHROMIUM))("read one current version over HTTP, past the browser's cache", async () => {
    let file = new Uint8Array();
    let lastModified = Date.now() - 1e9;
    const serve = (value: number): void => {
      const memory = MemoryFile.of();
      const dict = MmapDict.over(memory);
      for (let i = 0; i < 70; i++) dict.set(`k${i}`, new Float64Array(3000).fill(value));
      dict.close();
      file = memory.toBytes();
      lastModified += 5000;
    };
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      const headers = { 'last-modified': new Date(lastModified).toUTCString(), etag: `"${lastModified}"` };
      if (request.method === 'HEAD') {
        response.writeHead(200, { ...headers, 'content-length': file.length }).end();
        return;
      }
      const [start = 0, last = 0] = (request.headers.range?.match(/\d+/g) ?? []).map(Number);
      const part = file.subarray(start, last + 1);
      const range = `bytes ${start}-${start + part.length - 1}/${file.length}`;
      response.writeHead(206, { ...headers, 'content-range': range, 'content-length': part.length }).end(part);
    };
    await inBrowser(answer, async (page) => {
      for (const value of [1, 2]) {
        serve(value);
        // biome-ignore lint/suspicious/noExplicitAny: the bundle's global
        expect(await page.evaluate(() => (globalThis as any).mmdpickle.elements('/file'))).toEqual([value]);
      }
    });
  });
});
