import { NodeFile } from '@mmdpickle/core/node';

/** Holds a file's lock, like a slow writer in another process, to slow down a sink on purpose. */
export class Blocker implements Disposable {
  readonly #file: NodeFile;
  #held = false;

  constructor(path: string) {
    this.#file = NodeFile.open(path, 'r+');
  }

  block(): this {
    this.#file.lock(1000);
    this.#held = true;
    return this;
  }

  release(): void {
    if (this.#held) this.#file.unlock();
    this.#held = false;
  }

  [Symbol.dispose](): void {
    this.release();
    this.#file.close();
  }
}

/** Waits until `ready` holds, off the event loop; fails after some seconds. */
export async function until(ready: () => boolean, what = 'the condition'): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!ready()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
