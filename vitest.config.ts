import { defineConfig } from 'vitest/config';

const conditions = ['@mmdpickle/source', 'node', 'import', 'module', 'default'];

// Node parses these certificates whenever a process starts, for 0.04 s each time. No test speaks TLS.
delete process.env.NODE_EXTRA_CA_CERTS;

/** Milliseconds. The long modes take minutes where a machine is slow. */
const TIMEOUT = process.env.MMDPICKLE_LONG === '1' ? 600_000 : 60_000;

const TESTS = ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts', 'bench/test/**/*.test.ts'];

/**
 * The files that take longest, in processes of their own: what they leave in memory, and the code that V8 compiled for their objects, would
 * make all later files slower. They come first: the last one to begin would run alone for as long as it takes.
 */
const ALONE = [
  'packages/core/test/dict-proof/{crash,faults,interleaved}.test.ts',
  'packages/core/test/pickle-proof/hostile.test.ts',
  'packages/cli/test/{ingest,terminal}.test.ts',
  'test/{browser,demo}.test.ts',
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
      { extends: true, test: { name: 'alone', include: ALONE } },
      { extends: true, test: { name: 'together', include: TESTS, exclude: ALONE, isolate: false } },
    ],
    testTimeout: TIMEOUT,
    hookTimeout: TIMEOUT,
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
  },
});
