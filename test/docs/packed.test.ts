import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const PACKAGES = join(import.meta.dirname, '../../packages');
const LINK = /\]\(([^)]+)\)/g;

it.each(readdirSync(PACKAGES))('the README of %s is packed, and links only to what is packed with it', (name) => {
  const cwd = join(PACKAGES, name);
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd, encoding: 'utf8', stdio: 'pipe' }),
  ) as [{ files: { path: string }[] }];
  const files = packed.files.map(({ path }) => path);
  expect(files).toContain('README.md');
  const links = [...readFileSync(join(cwd, 'README.md'), 'utf8').matchAll(LINK)].map(([, target]) => target as string);
  const dangling = links.filter((target) => !/^https?:|^#/.test(target) && !files.includes(target));
  expect(dangling).toEqual([]);
});
