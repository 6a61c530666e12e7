/** Additional processes of a case: each reports `ready`, then does one run per line of input and reports its figures. */

import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));

/** The parent's side. */
export class WriterProcess {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #answers: ((line: string) => void)[] = [];
  readonly #ended: Promise<never>;

  /** Starts `program` (a module beside this one) with its arguments. */
  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(process.execPath, [join(HERE, `${program}.js`), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: this.#child.stdout as NonNullable<ChildProcess['stdout']> });
    lines.on('line', (line) => this.#answers.shift()?.(line));
    this.#ended = new Promise<never>((_, reject) => {
      this.#child.once('close', (code, signal) => reject(new Error(`${program} ended (${code ?? signal})`)));
    });
    this.ready = this.#next().then(() => undefined);
    for (const promise of [this.ready, this.#ended]) promise.catch(() => {});
  }

  /** Does one run; resolves with its figures. */
  async run(argument = ''): Promise<Record<string, number>> {
    const answer = this.#next();
    this.#child.stdin?.write(`${argument}\n`);
    return JSON.parse(await answer) as Record<string, number>;
  }

  /** Kills the process, whatever it is doing. */
  stop(): void {
    this.#child.kill('SIGKILL');
  }

  #next(): Promise<string> {
    return Promise.race([new Promise<string>((resolve) => this.#answers.push(resolve)), this.#ended]);
  }
}

/** The child's side: runs `once` for every input line, until the input ends. */
export async function serve(once: (argument: string) => Promise<Record<string, number>>): Promise<void> {
  process.stdout.write('ready\n');
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await once(line))}\n`);
  }
}
