import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Python, pythons, type Wire } from '@mmdpickle/test-support';
import { beforeAll, describe, expect, it } from 'vitest';
import { dump, load } from '../../src/pickle/index.ts';
import { FIXTURES, type Fixture, fixtures, optionsOf } from './fixtures.ts';

const SCRIPT = readFileSync(fileURLToPath(new URL('./python-fixtures.py', import.meta.url)), 'utf8');
const ALL = fixtures();
const PER_MESSAGE = 100;

/** What Python reports about one fixture: that it cannot load it, or one answer per pickle of ours, null for equal. */
interface Verdict {
  readonly unloadable?: string;
  readonly answers?: readonly (string | null)[];
}

/** The pickles written for a fixture: at the default protocol, and at one of the others in turn. */
function rewritten(fixture: Fixture, index: number): Uint8Array[] {
  const value = load(fixture.bytes, { ...optionsOf(fixture), lossless: true });
  return [dump(value), dump(value, { protocol: ([2, 3, 5] as const)[index % 3] as 2 | 3 | 5 })];
}

describe.each(pythons())('Python $version with numpy $numpy', (info) => {
  const verdicts = new Map<string, Verdict>();
  beforeAll(async () => {
    await using python = new Python(info);
    const rows: { fixture: Fixture; row: Wire }[] = [];
    for (const [index, fixture] of ALL.entries()) {
      let ours: Uint8Array[];
      try {
        ours = rewritten(fixture, index);
      } catch (error) {
        verdicts.set(fixture.name, { answers: [String(error)] });
        continue;
      }
      const { name, bytes, extensions } = fixture;
      const buffers = fixture.buffers.map((b) => ({ ...b, data: new Uint8Array(Buffer.from(b.data, 'base64')) }));
      const encoding = fixture.loads[0]?.encoding ?? 'ascii';
      // Opaque values are written under their original names, and some of numpy's old names warn today.
      const strict = !JSON.stringify(fixture.loads).includes('"numpy.core');
      rows.push({ fixture, row: { name, theirs: bytes, ours, encoding, buffers, extensions, strict } });
    }
    for (let i = 0; i < rows.length; i += PER_MESSAGE) {
      const some = rows.slice(i, i + PER_MESSAGE);
      const answers = await python.run<Verdict[]>(SCRIPT, { directory: FIXTURES, rows: some.map(({ row }) => row) });
      for (const [at, { fixture }] of some.entries()) verdicts.set(fixture.name, answers[at] as Verdict);
    }
  });

  it.each(ALL)('loads what we write for $name as an equal value', ({ name }) => {
    const verdict = verdicts.get(name) as Verdict;
    const wrong = verdict.answers?.filter((answer) => answer !== null) ?? [];
    expect(wrong.join('\n')).toBe('');
  });

  it('loads nearly all fixtures itself', () => {
    const unloadable = [...verdicts].filter(([, verdict]) => verdict.unloadable !== undefined);
    expect(unloadable.length, JSON.stringify(unloadable, null, 1)).toBeLessThan(ALL.length * 0.2);
  });
});
