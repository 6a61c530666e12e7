import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { TempDir } from '@mmdpickle/test-support';
import { afterAll, describe, expect, it } from 'vitest';
import { docCommentSnippets, markdownSnippets, type Snippet, withChecks } from './snippets.ts';

const ROOT = join(import.meta.dirname, '../..');
// Inside the repository, so that `@mmdpickle/...` resolves as it does for a reader.
const GENERATED = join(import.meta.dirname, '.snippets');

rmSync(GENERATED, { recursive: true, force: true });
mkdirSync(GENERATED, { recursive: true });
afterAll(() => rmSync(GENERATED, { recursive: true, force: true }));

describe('every example in the markdown pages runs and yields the values in its comments', () => {
  run(markdownSnippets(ROOT, ['README.md', 'docs', 'packages']));
});

describe('every example in the doc comments runs and yields the values in its comments', () => {
  run(docCommentSnippets(ROOT, ['packages']));
});

function run(snippets: readonly Snippet[]): void {
  it.each(snippets.map((snippet) => [snippet.where, snippet.code] as const))('%s', async (where, code) => {
    const file = join(GENERATED, `${where.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.ts`);
    writeFileSync(file, `const __check = (globalThis as any).__check;\n${withChecks(code)}\nexport {};\n`);
    const failures: string[] = [];
    Object.assign(globalThis, {
      __check: (found: unknown, promised: unknown, line: string) => {
        const plain = ArrayBuffer.isView(found) && Array.isArray(promised) ? Array.from(found as never) : found;
        const list = Array.isArray(plain) && Array.isArray(promised) ? [...plain] : plain;
        if (!isDeepStrictEqual(list, promised)) failures.push(`${line}   found: ${String(found)}`);
      },
    });
    using directory = new TempDir();
    const home = process.cwd();
    process.chdir(directory.path);
    try {
      await import(pathToFileURL(file).href);
    } finally {
      process.chdir(home);
    }
    expect(failures).toEqual([]);
  });
}
