/**
 * The pages generated from the command table. `pnpm --filter @mmdpickle/cli run pages` (or MMDPICKLE_PAGES=write with
 * this test) regenerates them; otherwise they must not have changed.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { COMMANDS, loadCommands, run } from '@mmdpickle/cli';
import { describe, expect, it } from 'vitest';
import { guidePage } from '../src/pages/guide.ts';
import { manPage } from '../src/pages/man.ts';

const PACKAGE = join(import.meta.dirname, '..');
const GOLDEN = join(PACKAGE, 'test/golden');

const commands = await loadCommands(COMMANDS);
const pages = new Map<string, string>([
  [join(PACKAGE, 'man/mmdpickle.1'), manPage(commands)],
  [join(PACKAGE, '../../docs/guide/cli.md'), guidePage(commands)],
  [join(GOLDEN, 'mmdpickle.txt'), await helpOf([])],
]);
for (const { name } of COMMANDS) pages.set(join(GOLDEN, `${name}.txt`), await helpOf([name]));

if (process.env.MMDPICKLE_PAGES === 'write') {
  for (const [path, page] of pages) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, page);
  }
}

describe('the published pages match those generated from the command table', () => {
  it.each([...pages].map(([path, page]) => ({ name: basename(path), path, page })))('$name', ({ path, page }) => {
    expect(readFileSync(path, 'utf8')).toBe(page);
  });

  it('include no help text of a removed command', () => {
    const names = [...COMMANDS.map(({ name }) => `${name}.txt`), 'mmdpickle.txt'];
    expect(readdirSync(GOLDEN).toSorted()).toEqual(names.toSorted());
  });
});

async function helpOf(argv: readonly string[]): Promise<string> {
  const stdout = new PassThrough();
  const streams = { stdin: new PassThrough(), stderr: new PassThrough() };
  const code = await run([...argv, '--help'], { ...streams, stdout, env: {}, signal: new AbortController().signal });
  expect(code).toBe(0);
  stdout.end();
  return await text(stdout);
}
