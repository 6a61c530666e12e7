/** Selects the Python on this machine in which a peer runs. */

import { spawnSync } from 'node:child_process';
import { pythons } from '../../test/src/python.ts';

const found = new Map<string, string | undefined>();

/** The first interpreter that can import all the modules. */
export function pythonFor(modules: readonly string[]): string | undefined {
  const key = modules.join(', ');
  if (!found.has(key)) {
    const fits = pythons().find(({ executable }) => spawnSync(executable, ['-c', `import ${key}`]).status === 0);
    found.set(key, fits?.executable);
  }
  return found.get(key);
}
