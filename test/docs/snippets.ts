/**
 * Finds the runnable examples of the documentation: fenced `ts` blocks of markdown pages, and
 * `@example` blocks of doc comments.
 *
 * @module
 */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** One example as written in its file. */
export interface Snippet {
  /** Path from the repository's root, and the line of the block's first line. */
  readonly where: string;
  readonly code: string;
}

const FENCE = /^([ \t]*)```ts[ \t]*\n([\s\S]*?)^\1```/gm;
/** Blocks that are shown, not run: they need hardware or a server. */
const SHOWN = /^([ \t]*)```ts no-run[ \t]*\n([\s\S]*?)^\1```/gm;

/** The snippets of every markdown page in `paths` (files or directories). */
export function markdownSnippets(root: string, paths: readonly string[], fence = FENCE): Snippet[] {
  return paths.flatMap((path) => filesBelow(join(root, path), '.md')).flatMap((file) => fenced(root, file, fence));
}

/** The snippets that are shown but not run; they must compile. */
export function shownSnippets(root: string, paths: readonly string[]): Snippet[] {
  return markdownSnippets(root, paths, SHOWN);
}

/** The snippets in the doc comments of every TypeScript file below `paths`. */
export function docCommentSnippets(root: string, paths: readonly string[]): Snippet[] {
  return paths.flatMap((path) => filesBelow(join(root, path), '.ts')).flatMap((file) => inComments(root, file));
}

/**
 * Turns `expression; // value` lines into checks if the value parses as a literal, so that the values a page gives are
 * asserted and cannot go stale.
 */
export function withChecks(code: string): string {
  return code
    .split('\n')
    .map((line) => {
      const match =
        /^(\s*)(?!\s|const |let |var |using |import |export |return |if |for |while |throw |\/\/|\*|[})\]])(.+?);\s*\/\/ (.+)$/.exec(
          line,
        );
      const [, indent, expression, promised] = match ?? [];
      if (expression === undefined || promised === undefined) return line;
      const literal =
        /^(-?\d[\d_.]*(?:e[+-]?\d+)?n?|'[^']*'|true|false|null|undefined|NaN)(?=$|[,;:(.]|\s*\()/.exec(promised)?.[1] ??
        /^(?:\[.*\]|\{.*\})/.exec(promised)?.[0];
      return literal === undefined
        ? line
        : `${indent}__check(${expression}, ${literal}, ${JSON.stringify(line.trim())});`;
    })
    .join('\n');
}

function fenced(root: string, file: string, fence: RegExp): Snippet[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(fence)].map((match) => ({
    where: `${relative(root, file)}:${lineOf(text, match.index) + 1}`,
    code: dedent(match[2] ?? '', match[1] ?? ''),
  }));
}

function inComments(root: string, file: string): Snippet[] {
  const text = readFileSync(file, 'utf8');
  const snippets: Snippet[] = [];
  for (const comment of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const plain = comment[0].replace(/^[ \t]*\*(?!\/) ?/gm, '');
    for (const match of plain.matchAll(/@example[^\n]*\n+```ts[ \t]*\n([\s\S]*?)^```/gm)) {
      snippets.push({
        where: `${relative(root, file)}:${lineOf(text, comment.index) + lineOf(plain, match.index) + 2}`,
        code: match[1] ?? '',
      });
    }
  }
  return snippets;
}

/** All files below a folder with this ending, or the file itself; build output and installed packages are left out. */
export function filesBelow(path: string, extension: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === 'node_modules' || entry.name === 'dist') return [];
    const child = join(path, entry.name);
    if (entry.isDirectory()) return filesBelow(child, extension);
    return entry.name.endsWith(extension) ? [child] : [];
  });
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

function dedent(code: string, indent: string): string {
  return code.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
}
