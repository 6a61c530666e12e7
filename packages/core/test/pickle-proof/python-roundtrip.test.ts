import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Python, pythons } from '@mmdpickle/test-support';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dump, dumpEntry, load, loadEntry } from '../../src/pickle/index.ts';
import { pickleValues } from '../../src/testing/arbitraries.ts';
import { FIXTURES } from './fixtures.ts';
import { render } from './render.ts';

const SCRIPT = readFileSync(fileURLToPath(new URL('./python-roundtrip.py', import.meta.url)), 'utf8');
const LONG = process.env.MMDPICKLE_LONG === '1';
/** Cases per Python; MMDPICKLE_RUNS asks for more. */
const RUNS = Number(process.env.MMDPICKLE_RUNS ?? (LONG ? 50_000 : 500));
const PROTOCOLS = [2, 3, 4, 5] as const;

/** What Python gives back for one value. */
interface Answer {
  readonly tree: unknown;
  readonly again: readonly Uint8Array[];
}

/** Python itself writes `fold` from protocol 4 on only. */
function withoutFold(tree: unknown): unknown {
  if (Array.isArray(tree)) return tree.map(withoutFold);
  if (typeof tree !== 'object' || tree === null) return tree;
  const entries = Object.entries(tree).filter(([key]) => key !== 'fold');
  return Object.fromEntries(entries.map(([key, item]) => [key, withoutFold(item)]));
}

describe('random values', () => {
  it('are the same after writing and reading, in every protocol and as an entry', () => {
    fc.assert(
      fc.property(pickleValues(), fc.integer({ min: 0, max: 300 }), (value, memoBase) => {
        const wanted = render(value);
        for (const protocol of PROTOCOLS) {
          expect(render(load(dump(value, { protocol }), { lossless: true }))).toEqual(wanted);
        }
        expect(render(loadEntry(dumpEntry(value, { memoBase }), { lossless: true }))).toEqual(wanted);
      }),
      { numRuns: RUNS / 4 },
    );
  });

  it('are written as the same bytes every time, and again after reading', () => {
    fc.assert(
      fc.property(pickleValues(), (value) => {
        for (const protocol of PROTOCOLS) {
          const bytes = dump(value, { protocol });
          expect(dump(value, { protocol })).toEqual(bytes);
          expect(dump(load(bytes, { lossless: true }), { protocol })).toEqual(bytes);
        }
      }),
      { numRuns: RUNS / 4 },
    );
  });
});

describe.each(pythons())('random values in Python $version with numpy $numpy', (info) => {
  let python: Python;
  beforeAll(() => {
    python = new Python(info);
  });
  afterAll(() => python[Symbol.asyncDispose]());

  it('load as equal values in Python, and are read back as equal after Python writes them', async () => {
    await fc.assert(
      fc.asyncProperty(pickleValues(), async (value) => {
        const wanted = render(value);
        const { tree, again } = await python.run<Answer>(SCRIPT, {
          directory: FIXTURES,
          pickles: PROTOCOLS.map((protocol) => dump(value, { protocol })),
          entries: [dumpEntry(value), dumpEntry(value, { memoBase: 300 })],
        });
        expect(tree).toEqual(wanted);
        for (const [protocol, bytes] of again.entries()) {
          const read = render(load(bytes, { lossless: true }));
          if (protocol > 3) expect(read).toEqual(wanted);
          else expect(withoutFold(read)).toEqual(withoutFold(wanted));
        }
      }),
      { numRuns: RUNS },
    );
  });
});
