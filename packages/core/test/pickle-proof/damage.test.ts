import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { check, dis, dump, genops, load, loadEntry } from '../../src/pickle/index.ts';
import { fixtures, optionsOf, regressions } from './fixtures.ts';
import { mutate, seeded, seedOf } from './mutations.ts';

/** Every position, and more mutants: minutes instead of seconds. */
const LONG = process.env.MMDPICKLE_LONG === '1';
const MUTANTS = LONG ? 3000 : 10;
/** Of a long fixture; so many of them are the last. */
const POSITIONS = LONG ? Number.POSITIVE_INFINITY : 28;
const LAST = 20;

/** Codes that a truncated pickle may fail with. */
const CUT: ReadonlySet<string> = new Set(['TRUNCATED', 'CORRUPT', 'NOT_A_PICKLE', 'BAD_OPCODE']);

const FIXTURES = fixtures();

/** Runs something that may fail, but only with a typed error; returns its code. */
function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (isMmdError(error)) return error.code;
    throw error;
  }
}

/** All positions of a short input; of a long one a sample that includes its start and its end. */
function positions(length: number): number[] {
  if (length <= POSITIONS) return Array.from({ length }, (_, i) => i);
  const step = length / (POSITIONS - LAST);
  const sampled = Array.from({ length: POSITIONS - LAST }, (_, i) => Math.floor(i * step));
  return [...sampled, ...Array.from({ length: LAST }, (_, i) => length - LAST + i)];
}

/** Every reader over one input. */
function readAll(bytes: Uint8Array, lossless: boolean): void {
  codeOf(() => dump(load(bytes, { lossless, encoding: 'latin1' })));
  codeOf(() => loadEntry(bytes.subarray(2, -1), { lossless }));
  codeOf(() => check(bytes));
  codeOf(() => dis(bytes));
  codeOf(() => [...genops(bytes)]);
}

describe('every prefix of a fixture', () => {
  it.each(FIXTURES)('$name fails with a typed error wherever it is truncated', (fixture) => {
    for (const end of positions(fixture.bytes.length)) {
      const cut = fixture.bytes.subarray(0, end);
      const code = codeOf(() => load(cut, optionsOf(fixture)));
      if (code === undefined || !CUT.has(code)) expect.fail(`cut at ${end}: ${code ?? 'loaded'}`);
    }
  });
});

describe('damaged fixtures', () => {
  it.each(FIXTURES)('mutants of $name give a value or a typed error', (fixture) => {
    const draw = seeded(seedOf(fixture.name));
    if (fixture.bytes.length > 20_000 && !LONG) return;
    for (let i = 0; i < MUTANTS; i++) {
      const other = FIXTURES[draw(FIXTURES.length)]?.bytes as Uint8Array;
      const mutant = mutate(fixture.bytes, other, draw);
      try {
        readAll(mutant, i % 2 === 0);
      } catch (error) {
        throw new Error(`${error} from the mutant ${Buffer.from(mutant).toString('hex')}`, { cause: error });
      }
    }
  });

  it.each(regressions())('$name, which once broke the machine, gives a value or a typed error', ({ bytes }) => {
    readAll(bytes, true);
    readAll(bytes, false);
  });

  it.each(regressions())('$name, once written, is written identically again, or refused', ({ bytes }) => {
    for (const protocol of [2, 3, 4, 5] as const) {
      const again = (pickle: Uint8Array): Uint8Array =>
        dump(load(pickle, { lossless: true, encoding: 'latin1' }), { protocol });
      try {
        const first = again(bytes);
        expect(again(again(first))).toEqual(again(first));
      } catch (error) {
        if (!isMmdError(error)) throw error;
      }
    }
  });
});
