import { createReadStream, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Terminal } from './terminal.ts';

/** A stream over a path, or over standard input for `-`. */
export function openInput(path: string, terminal: Terminal): Readable {
  return path === '-' ? terminal.stdin : createReadStream(path);
}

/** All bytes of a path, or of standard input for `-`. The caller owns them. */
export async function readInput(path: string, terminal: Terminal): Promise<Uint8Array> {
  if (path !== '-') return readFileSync(path);
  const pieces: Buffer[] = [];
  for await (const piece of terminal.stdin) pieces.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(pieces);
}
