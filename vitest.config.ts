import { defineConfig } from 'vitest/config';

const conditions = ['@mmdpickle/source', 'node', 'import', 'module', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions }, noExternal: [/@mmdpickle\//] },
  test: {
    // A crash inside a foreign function call then kills one worker, not the run.
    pool: 'forks',
    // Vitest leaves one core to itself; with two there, every other second would go to waste.
    maxWorkers: '100%',
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts', 'bench/test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
  },
});
