/**
 * Instruments the built package for the fuzzer: istanbul finds the branches; its counters, which are nested objects,
 * are replaced by one byte each, set on the first hit, so that known branches cost a load and a test.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInstrumenter } from 'istanbul-lib-instrument';

/** Rooms whose branches guide the fuzzer; the others are copied unchanged. */
const GUIDING = /^(pickle|bytes|ndarray)\//;
const COUNTER = /cov_\w+\(\)\.(s|f|b)\[(\d+)\](?:\[(\d+)\])?\+\+/g;

/** Writes an instrumented copy of the modules under `from` to `to`; returns the number of branches. */
export function instrumentTree(from, to) {
  let branches = 0;
  for (const entry of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.js') || entry.startsWith('node')) continue;
    let code = readFileSync(join(from, entry), 'utf8');
    if (GUIDING.test(entry)) {
      const instrumenter = createInstrumenter({ esModules: true, compact: false, produceSourceMap: false });
      code = instrumenter.instrumentSync(code, entry).replaceAll(COUNTER, (_, kind) => {
        if (kind === 's') return '0';
        return `(seen__[${branches}]||hit__(${branches++}))`;
      });
      code = `const seen__=globalThis.fuzzSeen,hit__=globalThis.fuzzHit;\n${code}`;
    }
    mkdirSync(dirname(join(to, entry)), { recursive: true });
    writeFileSync(join(to, entry), code);
  }
  writeFileSync(join(to, 'package.json'), '{"type":"module"}\n');
  return branches;
}
