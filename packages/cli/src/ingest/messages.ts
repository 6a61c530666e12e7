/** Sources of messages that are subscribed to before anything consumes the messages. @module */

import { Observable, type Subscriber, Subscription } from 'rxjs';

/** An open source of messages. Those that arrive before the subscriber are queued for it; there is at most one subscriber. */
export class OpenMessages implements Disposable {
  readonly messages$: Observable<Uint8Array> = new Observable((subscriber) => {
    this.#subscriber = subscriber;
    for (const message of this.#early.splice(0)) subscriber.next(message);
    this.#end?.(subscriber);
    return () => this[Symbol.dispose]();
  });
  readonly #source = new Subscription();
  readonly #early: Uint8Array[] = [];
  #subscriber: Subscriber<Uint8Array> | undefined;
  #end: ((subscriber: Subscriber<Uint8Array>) => void) | undefined;

  /**
   * Opens a source and waits until it is ready.
   *
   * @param start - makes the source, which calls `ready` once
   * @throws the error of the source before it is ready; the signal's reason
   */
  static async open(start: (ready: () => void) => Observable<Uint8Array>, signal: AbortSignal): Promise<OpenMessages> {
    const open = new OpenMessages();
    try {
      await new Promise<void>((resolve, reject) => {
        const stop = (): void => reject(signal.reason);
        signal.addEventListener('abort', stop, { once: true });
        open.#source.add(() => signal.removeEventListener('abort', stop));
        if (signal.aborted) return stop();
        open.#source.add(
          start(resolve).subscribe({
            next: (message) => open.#take(message),
            error(error) {
              reject(error);
              open.#finish((subscriber) => subscriber.error(error));
            },
            complete() {
              resolve();
              open.#finish((subscriber) => subscriber.complete());
            },
          }),
        );
      });
    } catch (error) {
      open[Symbol.dispose]();
      throw error;
    }
    return open;
  }

  #take(message: Uint8Array): void {
    if (this.#subscriber === undefined) this.#early.push(message);
    else this.#subscriber.next(message);
  }

  #finish(end: (subscriber: Subscriber<Uint8Array>) => void): void {
    if (this.#subscriber === undefined) this.#end = end;
    else end(this.#subscriber);
  }

  /** Closes the source. */
  [Symbol.dispose](): void {
    this.#source.unsubscribe();
  }
}
