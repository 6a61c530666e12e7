import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow } from './snippets.ts';

const ROOT = join(import.meta.dirname, '../..');
const TEXT = readFileSync(join(ROOT, 'docs/decisions.md'), 'utf8');
const RECORDS = TEXT.split(/^### /m).slice(1);
const IDS = RECORDS.map((record) => record.slice(0, 5));

/** Where decisions may be referred to. */
const PLACES = [
  'README.md',
  'AGENTS.md',
  'docs',
  'bench',
  'demo',
  'examples',
  'fixtures',
  'scripts',
  'test',
  'packages',
];
const EXTENSIONS = ['.md', '.ts', '.mjs', '.py'];

/** The parts of a record, in their order. */
const PARTS = ['Status', 'Decision', 'Reason', 'Rejected', 'Consequence'];

describe('the record of decisions', () => {
  it('has unique numbers, in ascending order within each section', () => {
    expect(IDS.filter((id) => !/^D-\d{3}$/.test(id))).toEqual([]);
    expect(IDS.filter((id, i) => IDS.indexOf(id) !== i)).toEqual([]);
    for (const section of TEXT.split(/^## /m).slice(1)) {
      const ids = [...section.matchAll(/^### (D-\d+)/gm)].map((match) => match[1]);
      expect(ids).toEqual(ids.toSorted());
    }
  });

  it('has status, decision, reason and consequence in each record, each once and in this order', () => {
    const odd = RECORDS.filter((record) => {
      const found = [...record.matchAll(/^([A-Z][a-z]+): (?=\S)/gm)].map((match) => match[1]!);
      const asked = PARTS.filter((part) => part !== 'Rejected' || found.includes(part));
      return found.filter((part) => PARTS.includes(part)).join() !== asked.join();
    });
    expect(odd.map((record) => record.split('\n', 1)[0])).toEqual([]);
  });

  it('lists every section at the top', () => {
    const sections = [...TEXT.matchAll(/^## (.*)/gm)].map((match) => match[1]);
    const named = [...TEXT.matchAll(/^- \[(.*?)\]\(#/gm)].map((match) => match[1]);
    expect(named).toEqual(sections);
  });

  it('has every decision that a page or a source refers to', () => {
    const files = PLACES.flatMap((place) =>
      EXTENSIONS.flatMap((extension) => filesBelow(join(ROOT, place), extension)),
    );
    expect(files).toContain(join(ROOT, 'bench/README.md'));
    const lost = files.flatMap((file) => {
      const numbers = readFileSync(file, 'utf8').match(/\bD-\d{3}\b/g) ?? [];
      return numbers.filter((id) => !IDS.includes(id)).map((id) => `${relative(ROOT, file)}: ${id}`);
    });
    expect(lost).toEqual([]);
  });
});
