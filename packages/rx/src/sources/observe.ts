import { Observable } from 'rxjs';

/** An Observable of what an async generator gives; unsubscribing ends the generator, and so its source. */
export function observe<T>(open: () => AsyncGenerator<T>): Observable<T> {
  return new Observable<T>((subscriber) => {
    const items = open();
    async function pump(): Promise<void> {
      for await (const item of items) {
        subscriber.next(item);
        if (subscriber.closed) return;
      }
      subscriber.complete();
    }
    pump().catch((error: unknown) => subscriber.error(error));
    return () => {
      // A generator that waits for its source ends after that wait; what it says then concerns nobody any more.
      items.return(undefined).catch(() => {});
    };
  });
}
