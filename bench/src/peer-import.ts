/** Thrown when a side cannot run because something is not installed; the table says so. */
export class MissingPeer extends Error {}

/** Imports a peer; if it cannot be loaded (not installed, no binary for this machine), the error says why. */
export async function importPeer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    throw new MissingPeer(`${name}: ${firstLine(error)}`);
  }
}

/** Turns a failure on first use (of a binary that is loaded lazily) into a missing peer. */
export function orMissing<T>(name: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    throw new MissingPeer(`${name}: ${firstLine(error)}`);
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
