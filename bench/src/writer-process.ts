/** Processes that a case starts beside its own: they say `ready`, wait for `go`, and say how it went. */

import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));

/** The parent's end. */
export class WriterProcess {
  readonly ready: Promise<void>;
  readonly done: Promise<Record<string, number>>;
  readonly #child: ChildProcess;

  /** Starts `program` (a module beside this one) with its arguments. */
  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(process.execPath, [join(HERE, `${program}.js`), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: this.#child.stdout as NonNullable<ChildProcess['stdout']> });
    const answers: ((line: string) => void)[] = [];
    lines.on('line', (line) => answers.shift()?.(line));
    const ended = new Promise<never>((_, reject) => {
      this.#child.once('close', (code, signal) => reject(new Error(`${program} ended (${code ?? signal})`)));
    });
    const next = (): Promise<string> => Promise.race([new Promise<string>((resolve) => answers.push(resolve)), ended]);
    this.ready = next().then(() => undefined);
    this.done = next().then((line) => JSON.parse(line) as Record<string, number>);
    for (const promise of [this.ready, this.done, ended]) promise.catch(() => {});
  }

  go(): void {
    this.#child.stdin?.write('go\n');
  }

  /** Ends it, whatever it is doing. */
  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

/** The child's end: says that it is ready and waits for `go`. */
export async function readyThenGo(): Promise<void> {
  process.stdout.write('ready\n');
  await new Promise((resolve) => process.stdin.once('data', resolve));
}

/** The child's end: says how it went, and ends. */
export function report(figures: Record<string, number>): void {
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
}
