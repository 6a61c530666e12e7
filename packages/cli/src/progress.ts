import { SingleBar } from 'cli-progress';
import type { Invocation } from './command.ts';
import { bytesText } from './text.ts';

/** The progress of a long operation, in units of its own, mostly bytes. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

const QUIET_MS = 1000;

/**
 * A progress bar with rate and time left on standard error, shown when the operation takes over a second,
 * and never when standard error is not a terminal.
 */
export class ProgressBar implements Disposable {
  readonly #bar: SingleBar | undefined;
  readonly #start: number = performance.now();
  #shown = false;

  readonly #text: (count: number) => string;

  /** @param unit - what the operation counts */
  constructor({ terminal, quiet }: Invocation, label: string, unit: 'bytes' | 'count' = 'bytes') {
    this.#text = unit === 'bytes' ? bytesText : String;
    if (quiet || terminal.stderr.isTTY !== true) return;
    this.#bar = new SingleBar({
      stream: terminal.stderr as NodeJS.WriteStream,
      format: `${label} {bar} {percentage} %  {done} of {whole}  {rate}/s  {eta_formatted} left`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
    });
  }

  /** Pass this to an operation as `onProgress`. */
  readonly update = ({ done, total }: Progress): void => {
    const elapsed = performance.now() - this.#start;
    if (this.#bar === undefined || elapsed < QUIET_MS) return;
    const payload = {
      done: this.#text(done),
      whole: this.#text(total),
      rate: this.#text(Math.round((done * 1000) / elapsed)),
    };
    if (this.#shown) this.#bar.update(done, payload);
    else this.#bar.start(total, done, payload);
    this.#shown = true;
  };

  [Symbol.dispose](): void {
    if (this.#shown) this.#bar?.stop();
    this.#shown = false;
  }
}
