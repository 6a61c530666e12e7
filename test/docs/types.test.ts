import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { docCommentSnippets, markdownSnippets, shownSnippets } from './snippets.ts';

const ROOT = join(import.meta.dirname, '../..');
// Inside the repository, so that `@mmdpickle/...` resolves as it does for a reader.
const GENERATED = join(import.meta.dirname, '.typed-snippets');

rmSync(GENERATED, { recursive: true, force: true });
mkdirSync(GENERATED, { recursive: true });
afterAll(() => rmSync(GENERATED, { recursive: true, force: true }));

/** The compiler options of a reader's strict program. */
const TSCONFIG = {
  compilerOptions: {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    target: 'es2022',
    lib: ['es2023', 'dom', 'dom.iterable', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    noEmit: true,
  },
  include: ['*.ts'],
};

it('declarations compile under the newest lib, and without skipLibCheck', { timeout: 120_000 }, () => {
  writeFileSync(
    join(GENERATED, 'newest.mts'),
    "export * from '@mmdpickle/core/node';\nexport * from '@mmdpickle/rx';\n",
  );
  const options = ['--strict', '--module', 'nodenext', '--target', 'esnext', '--types', 'node', '--noEmit'];
  const tsc = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), [...options, '--ignoreConfig', 'newest.mts'], {
    cwd: GENERATED,
    encoding: 'utf8',
  });
  rmSync(join(GENERATED, 'newest.mts'));
  expect(tsc.stdout).toBe('');
});

it('every example compiles under strict TypeScript', { timeout: 120_000 }, () => {
  const snippets = [
    ...markdownSnippets(ROOT, ['README.md', 'docs', 'packages']),
    ...shownSnippets(ROOT, ['README.md', 'docs', 'packages']),
    ...docCommentSnippets(ROOT, ['packages']),
  ];
  for (const { where, code } of snippets) {
    writeFileSync(join(GENERATED, `${where.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.ts`), `${code}\nexport {};\n`);
  }
  writeFileSync(join(GENERATED, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  expect(spawnSync(tsc, ['-p', GENERATED, '--pretty', 'false'], { encoding: 'utf8' }).stdout).toBe('');
});
