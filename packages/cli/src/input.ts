import { readFileSync, statSync } from 'node:fs';
import { NodeFile } from '@mmdpickle/core/node';
import { type Noted, type Terminal, tellNote } from './terminal.ts';

/** All bytes of a path, or of standard input for `-`. The caller owns them. */
export async function readInput(path: string, terminal: Terminal): Promise<Uint8Array> {
  if (path !== '-') return readPath(path);
  const pieces: Buffer[] = [];
  for await (const piece of terminal.stdin) pieces.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(pieces);
}

function readPath(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    // Node names the file if opening failed, but not if reading did, as for a directory.
    (error as NodeJS.ErrnoException).path ??= path;
    throw error;
  }
}

/** Where notes on unread bytes are printed, and the names of files there, if not their paths. */
export interface FromFiles extends Noted {
  readonly nameOf?: (path: string) => string;
}

/** Notes the bytes of a file after its pickle: a user who dumped several pickles into it may expect all of them. */
export function tellRest(
  invocation: FromFiles,
  path: string,
  end: number,
  size: number = Number(statSync(path, { bigint: true }).size),
): void {
  const rest = size - end;
  const name = invocation.nameOf?.(path) ?? path;
  if (rest > 0) tellNote(invocation, `${name}: the pickle ends at ${end}, and ${rest} more bytes were ignored`);
}

/** Notes the bytes after an array: a user who saved several arrays into the file, or gave a wrong shape, may expect all of them. */
export function tellBehind(
  invocation: FromFiles,
  { name, bytes }: { readonly name: string; readonly bytes: number },
): void {
  tellNote(invocation, `${invocation.nameOf?.(name) ?? name}: the ${bytes} bytes after the first array were ignored`);
}

/** Bytes that are valid until the holder is disposed. */
export interface HeldBytes extends Disposable {
  readonly bytes: Uint8Array;
}

/** The bytes of a path, mapped instead of read if it is a regular file: bytes that are not accessed cost nothing. */
export async function mapInput(path: string, terminal: Terminal): Promise<HeldBytes> {
  // With bigints: after a plain stat of a pipe, Node's realpathSync stops short, and modules are no longer found.
  const size = path === '-' ? 0 : Number(statSync(path, { bigint: true }).size);
  if (size === 0) return { bytes: await readInput(path, terminal), [Symbol.dispose]: () => undefined };
  const file = NodeFile.open(path, 'r');
  return { bytes: file.map(0, size, 'read').bytes(0, size), [Symbol.dispose]: () => file.close() };
}
