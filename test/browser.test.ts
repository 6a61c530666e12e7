import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { describe, expect, it } from 'vitest';

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

describe('the pure entry points', () => {
  it('bundle for a browser without a trace of node', async () => {
    const code = await bundle();
    expect(code).not.toMatch(/\bnode:|\bBuffer\b\.|\brequire\(|__vite-browser-external/);
  });

  it.runIf(existsSync(CHROMIUM))('open a file from a Blob in a real browser', async () => {
    const code = await bundle();
    const { readFileSync } = await import('node:fs');
    const server = createServer((request, response) => {
      const type = request.url === '/' ? 'text/html' : 'application/octet-stream';
      response.setHeader('content-type', type).end(request.url === '/' ? '<!doctype html>' : readFileSync(FIXTURE));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${port}/`);
      await page.addScriptTag({ content: code });
      const seen = await page.evaluate(async () => {
        const blob = await (await fetch('/file')).blob();
        // biome-ignore lint/suspicious/noExplicitAny: the bundle's global
        return await (globalThis as any).mmdpickle.summarize(blob);
      });
      expect(seen.size).toBe(26);
      expect(seen.float64).toMatchObject({ dtype: 'float64', shape: [2, 3] });
    } finally {
      await browser.close();
      server.close();
    }
  });
});
