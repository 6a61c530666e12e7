import { createWriteStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FileReplacement } from '@mmdpickle/npy-interop';

/** Bytes that are written at once. */
const AT_ONCE = 262_144;

/** Writes a file that appears whole or not at all. A pipe or a device takes the pieces as they come. */
export async function writeOut(
  path: string,
  pieces: Iterable<string | Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const old = statSync(path, { throwIfNoEntry: false });
  if (old !== undefined && !old.isFile() && !old.isDirectory()) {
    await pipeline(Readable.from(pieces), createWriteStream(path), { signal });
    return;
  }
  using out = new FileReplacement(path);
  let at = 0;
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  const flush = (): void => {
    const [first = new Uint8Array(0)] = waiting;
    out.file.write(at, waiting.length === 1 ? first : Buffer.concat(waiting));
    at += bytes;
    waiting = [];
    bytes = 0;
  };
  for (const piece of pieces) {
    signal?.throwIfAborted();
    const given = typeof piece === 'string' ? Buffer.from(piece) : piece;
    waiting.push(given);
    bytes += given.length;
    if (bytes >= AT_ONCE) flush();
  }
  if (bytes > 0) flush();
  out.finish();
}
