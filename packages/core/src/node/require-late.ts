/**
 * Loads packages on first use: importing mmdpickle must load no native code, and patch nothing.
 *
 * @module
 */

import { MmdError } from '../errors.ts';

/**
 * Loads a package that is kept out of bundles: neither the name nor `createRequire` is where bundlers look for them.
 * @throws MmdError IO if it cannot be loaded
 */
export function requireLate<T>(name: string): T {
  const { createRequire } = process.getBuiltinModule('node:module');
  // In a bundle the first may be missing, or a path on the machine that built it; the second is for CommonJS.
  const places = [import.meta.url as string | undefined, typeof __filename === 'string' ? __filename : process.argv[1]];
  let failed: unknown;
  for (const place of places) {
    if (place === undefined) continue;
    try {
      return createRequire(place)(name) as T;
    } catch (cause) {
      failed ??= cause;
    }
  }
  const reason = failed instanceof Error ? failed.message.split('\n')[0] : String(failed);
  throw new MmdError(
    'IO',
    `the package ${name} cannot be loaded; if this is a bundle, install it next to it: ${reason}`,
    {
      found: name,
      cause: failed,
    },
  );
}
