import { createWriteStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { FileReplacement } from '@mmdpickle/npy-interop';
import { encoded } from '../text.ts';
import type { Transfer } from './formats.ts';

/** How often to yield to the event loop: signals are only handled between its turns. */
const TURN_MS = 50;
/** Lines are gathered to this many bytes: a system call for each would take longer than everything else. */
const GATHERED = 2 ** 16;

/** Writes a file atomically: it appears whole or not at all. Pipes and devices get the pieces as they come. */
export async function writeOut(
  path: string,
  pieces: Iterable<string | Uint8Array>,
  transfer: Pick<Transfer, 'signal'>,
): Promise<void> {
  const old = statSync(path, { throwIfNoEntry: false });
  if (old !== undefined && !old.isFile() && !old.isDirectory()) {
    // The signal must not be read: a pipe that nobody reads is opened by a thread that only the end of the process stops.
    try {
      await pipeline(Readable.from(encodedPieces(pieces)), createWriteStream(path));
    } catch (error) {
      throw writeErrorOf(path, error);
    }
    return;
  }
  const { signal } = transfer;
  using out = new FileReplacement(path);
  let at = 0;
  let turned = performance.now();
  for (const bytes of gathered(pieces)) {
    if (performance.now() - turned > TURN_MS) {
      await turn();
      turned = performance.now();
    }
    signal.throwIfAborted();
    out.file.write(at, bytes);
    at += bytes.length;
  }
  out.finish();
}

/** Adds the path to an error: Node names the file if opening failed, but not if writing did. */
export function writeErrorOf(path: string, error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).syscall === 'write') (error as NodeJS.ErrnoException).path ??= path;
  return error;
}

function* encodedPieces(pieces: Iterable<string | Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces) yield encoded(piece);
}

/** The pieces, with small ones joined; borrowed until the next one is requested. */
function* gathered(pieces: Iterable<string | Uint8Array>): Generator<Uint8Array> {
  const buffer = new Uint8Array(GATHERED);
  let length = 0;
  for (const bytes of encodedPieces(pieces)) {
    if (length + bytes.length > GATHERED) {
      if (length > 0) yield buffer.subarray(0, length);
      length = 0;
    }
    if (bytes.length > GATHERED) yield bytes;
    else {
      buffer.set(bytes, length);
      length += bytes.length;
    }
  }
  if (length > 0) yield buffer.subarray(0, length);
}
