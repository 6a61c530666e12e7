import { defineConfig } from 'vitest/config';

const conditions = ['@mmdpickle/source', 'node', 'import', 'module', 'default'];

/** Milliseconds. The long modes take minutes where a machine is slow. */
const TIMEOUT = process.env.MMDPICKLE_LONG === '1' ? 600_000 : 60_000;

const TESTS = ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts', 'bench/test/**/*.test.ts'];

/** Long proofs, and what starts programs: code that V8 compiled for the objects of other files would make them slower. */
const ISOLATED = [
  'packages/core/test/dict-proof/*.test.ts',
  // A process of its own takes longer than the tests in each of these.
  'packages/core/test/pickle-proof/!(constructors|corners|keys|regress).test.ts',
  'packages/cli/test/!(out-file|pages).test.ts',
  'test/!(api).test.ts',
  'test/docs/!(decisions|throws).test.ts',
];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions }, noExternal: [/@mmdpickle\//] },
  test: {
    // A crash inside a foreign function call then kills one worker, not the run.
    pool: 'forks',
    // Young garbage is most of what tests make: collected a quarter as often, they take an eighth less of the processor.
    execArgv: ['--max-semi-space-size=64'],
    globalSetup: 'test/src/python.ts',
    setupFiles: 'test/src/bytes-equal.ts',
    // Vitest leaves one core to itself; with two there, every other second would go to waste.
    maxWorkers: '100%',
    projects: [
      { extends: true, test: { name: 'proofs', include: ISOLATED } },
      { extends: true, test: { name: 'rooms', include: TESTS, exclude: ISOLATED, isolate: false } },
    ],
    testTimeout: TIMEOUT,
    hookTimeout: TIMEOUT,
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
  },
});
