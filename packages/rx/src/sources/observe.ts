import { Observable } from 'rxjs';
import type { ByteChunks } from './byte-chunks.ts';

/**
 * An Observable of what an async generator reads from a source of bytes. Unsubscribing ends the generator, and closes a
 * stream even while it is silent: an open socket would keep the process alive. Other sources end after their current wait.
 */
export function observe<T>(source: ByteChunks, read: (chunks: ByteChunks) => AsyncGenerator<T>): Observable<T> {
  return new Observable<T>((subscriber) => {
    const { chunks, leave } = held(source);
    const items = read(chunks);
    let over = false;
    async function pump(): Promise<void> {
      for await (const item of items) {
        subscriber.next(item);
        if (subscriber.closed) return;
      }
      over = true;
      subscriber.complete();
    }
    pump().catch((error: unknown) => {
      over = true;
      subscriber.error(error);
    });
    return () => {
      // Errors of the generator no longer matter.
      items.return(undefined).catch(() => {});
      if (!over) leave();
    };
  });
}

interface Held {
  readonly chunks: ByteChunks;
  /** Closes the source, even while a read is pending. */
  leave(): void;
}

function held(source: ByteChunks): Held {
  if (typeof source !== 'object' || source === null) return { chunks: source, leave() {} };
  if ('getReader' in source) {
    // Only the reader can cancel a stream that it has locked.
    const reader = source.getReader();
    return { chunks: { getReader: () => reader }, leave: () => void reader.cancel().catch(() => {}) };
  }
  return {
    chunks: source,
    leave() {
      if ('destroy' in source && typeof source.destroy === 'function') source.destroy();
    },
  };
}
