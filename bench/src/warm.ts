/** Memory that a virtual machine has not touched yet can slow a case tenfold, so it is touched first. */

import { spawnSync } from 'node:child_process';
import { freemem } from 'node:os';

/** Makes the host back `bytes` of memory: a separate process fills them and exits. */
export function warmMemory(bytes: number): void {
  const most = freemem() * 0.7;
  const mib = Math.floor(Math.min(bytes, most) / 2 ** 20);
  const fill = `const held = []; for (let i = 0; i < ${mib}; i += 64) held.push(Buffer.alloc(64 << 20, 1));`;
  spawnSync(process.execPath, ['-e', fill], { stdio: 'ignore' });
}
