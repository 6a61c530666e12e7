import { defineConfig } from 'vitest/config';

const conditions = ['@mmdpickle/source', 'node', 'import', 'module', 'default'];

/** Milliseconds. The long modes take minutes where a machine is slow. */
const TIMEOUT = process.env.MMDPICKLE_LONG === '1' ? 600_000 : 60_000;

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions }, noExternal: [/@mmdpickle\//] },
  test: {
    // A crash inside a foreign function call then kills one worker, not the run.
    pool: 'forks',
    // Vitest leaves one core to itself; with two there, every other second would go to waste.
    maxWorkers: '100%',
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts', 'bench/test/**/*.test.ts'],
    testTimeout: TIMEOUT,
    hookTimeout: TIMEOUT,
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
  },
});
