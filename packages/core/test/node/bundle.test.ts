import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';
import { afterAll, expect, test } from 'vitest';
import { requireLate } from '../../src/node/require-late.ts';

const BUILT = fileURLToPath(new URL('../../dist/node.js', import.meta.url));
/** Inside the package, so that koffi is found from the bundle. */
const OUT = fileURLToPath(new URL('../../.reports/bundle', import.meta.url));

const PROGRAM = `
import { MmapDict } from ${JSON.stringify(BUILT)};
const dict = MmapDict.open(process.argv[2]);
dict.lease().release();
console.log(dict.set('a', [1, 'x']).get('a'));
dict.close();
`;

/** As one script in a directory; without `import.meta.url` if the bundler has none. */
async function bundle(name: string, format: 'es' | 'cjs', url: boolean): Promise<string> {
  mkdirSync(OUT, { recursive: true });
  const entry = join(OUT, `${name}-entry.mjs`);
  writeFileSync(entry, PROGRAM);
  const built = await build({
    configFile: false,
    logLevel: 'error',
    ...(url ? {} : { define: { 'import.meta.url': 'undefined' } }),
    ssr: { noExternal: true },
    build: { write: false, ssr: entry, rolldownOptions: { output: { format, codeSplitting: false } } },
  });
  if (!('output' in built)) throw new Error('the bundle has no output');
  const script = join(OUT, `${name}.${format === 'es' ? 'mjs' : 'cjs'}`);
  writeFileSync(script, built.output[0].code);
  return script;
}

afterAll(() => rmSync(OUT, { recursive: true, force: true }));

test.each([
  ['es', true],
  ['cjs', true],
  ['cjs', false],
] as const)('a bundled program works (%s, import.meta.url: %s)', async (format, url) => {
  const script = await bundle(`${format}-${url}`, format, url);
  const { stdout } = await promisify(execFile)(process.execPath, [script, join(OUT, `${format}-${url}.mmdpickle`)]);
  expect(stdout).toBe("[ 1, 'x' ]\n");
});

test('a missing package is named', () => {
  expect(() => requireLate('no-such-package')).toThrow(
    expect.objectContaining({ code: 'IO', found: 'no-such-package', cause: expect.any(Error) }),
  );
});
