import { describe, expect, it } from 'vitest';
import { isMmdError } from '../../src/errors.ts';
import { opcodesOf } from '../../src/pickle/genops.ts';
import { check, dis, dump, emit, type GenOp, genops, load } from '../../src/pickle/index.ts';
import { fixtures, optionsOf } from './fixtures.ts';
import { plainly, render } from './render.ts';

const ALL = fixtures();
const LOADS = ALL.flatMap((fixture) => fixture.loads.map((row) => ({ fixture, row, name: fixture.name, ...row })));
const RENDERED = LOADS.filter(({ row }) => row.value !== undefined);

/** Written pickles name numpy's modules so that both generations find them; StringDType exists in the newer one only. */
function asWritten(rendered: unknown): unknown {
  const text = JSON.stringify(rendered).replaceAll(
    /"numpy\._core\.(?!_internal _convert_to_stringdtype)/g,
    '"numpy.core.',
  );
  return JSON.parse(text);
}

describe('the fixtures', () => {
  it('are at least 300, over all protocols and both generations of numpy', () => {
    expect(ALL.length).toBeGreaterThanOrEqual(300);
    expect(new Set(ALL.map(({ protocol }) => protocol))).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    const generations = ALL.map(({ numpy }) => numpy?.split('.')[0]);
    expect(generations.filter((major) => major === '1').length).toBeGreaterThan(50);
    expect(generations.filter((major) => major === '2').length).toBeGreaterThan(50);
    expect(LOADS.length - RENDERED.length).toBeLessThan(10);
  });

  it.each(RENDERED)('$name loads with encoding $encoding as in Python', ({ fixture, row }) => {
    expect(render(load(fixture.bytes, { ...optionsOf(fixture, row), lossless: true }))).toEqual(row.value);
  });

  it.each(RENDERED)('$name loads in plain mode with encoding $encoding as in Python', ({ fixture, row }) => {
    expect(render(load(fixture.bytes, { ...optionsOf(fixture, row), borrow: false }))).toEqual(plainly(row.value));
  });

  it.each(RENDERED)('$name is the same after writing and reading again, encoding $encoding', ({ fixture, row }) => {
    const value = load(fixture.bytes, { ...optionsOf(fixture, row), lossless: true });
    const wanted = asWritten(render(value));
    for (const protocol of [2, 4, 5] as const) {
      const bytes = dump(value, { protocol });
      const again = load(bytes, { lossless: true });
      expect(render(again)).toEqual(wanted);
      expect(dump(again, { protocol })).toEqual(bytes);
    }
  });

  it.each(ALL.filter(({ dis: text }) => text !== null))('$name is disassembled as by pickletools', (fixture) => {
    expect(dis(fixture.bytes)).toBe(fixture.dis);
  });

  it('are refused by genops where pickletools refuses them: strings of Python 2 beyond ASCII', () => {
    const refused = ALL.filter(({ bytes }) => {
      try {
        return [...genops(bytes)].length === 0;
      } catch (error) {
        return isMmdError(error, 'CORRUPT') && /^'ascii' codec/.test(error.message);
      }
    });
    expect(refused.length).toBeGreaterThan(5);
    expect(refused).toEqual(ALL.filter(({ dis: text }) => text === null));
  });

  it.each(ALL)('$name equals the sequence of its opcodes, and emit writes them again', ({ bytes, protocol }) => {
    const ops = [...opcodesOf(bytes, 0, false)];
    let pos = 0;
    for (const op of ops) {
      expect(op.pos).toBe(pos);
      expect(bytes[pos]).toBe(op.opcode.code);
      pos = op.end;
    }
    expect(pos).toBe(bytes.length);
    expect(ops.at(-1)?.name).toBe('STOP');
    const again = emit(ops.map(({ name, arg }) => (arg === null ? name : [name, arg])));
    // The text arguments of protocol 0 have many spellings; the others have one.
    if (protocol > 0) expect(again).toEqual(bytes);
    const argumentsOf = (list: Iterable<GenOp>) => Array.from(list, ({ name, arg }) => [name, arg]);
    expect(argumentsOf(opcodesOf(again, 0, false))).toEqual(argumentsOf(ops));
  });

  it.each(ALL)('check finds the globals that $name names', ({ bytes, globals }) => {
    expect(check(bytes).globals.map(({ module, name }) => `${module} ${name}`)).toEqual(globals);
  });
});
