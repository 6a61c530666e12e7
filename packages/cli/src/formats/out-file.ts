import { createWriteStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FileReplacement } from '@mmdpickle/npy-interop';

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
  for (const piece of pieces) {
    signal?.throwIfAborted();
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    out.file.write(at, bytes);
    at += bytes.length;
  }
  out.finish();
}
