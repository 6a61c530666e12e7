/** The parent's end of one side's process. */

import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { PEERS } from './peers.ts';
import { ANSWER_FD, type Answer, type Command } from './protocol.ts';
import { pythonFor } from './python.ts';

const HERE = dirname(fileURLToPath(import.meta.url));

export class SideProcess {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  #noise = '';
  #ended: string | undefined;

  /**
   * Starts the process of a side.
   * @param nodeArguments - additional arguments for Node, for example to write a profile
   */
  constructor(side: string, nodeArguments: readonly string[] = []) {
    const peer = PEERS[side];
    const python = peer?.runtime === 'python' ? pythonFor(peer.needs) : undefined;
    if (peer?.runtime === 'python' && python === undefined) {
      this.#ended = `no Python here imports ${peer.needs.join(', ')}`;
    }
    const [command, argv] =
      peer?.runtime === 'python'
        ? [python ?? 'false', ['-u', join(HERE, '..', '..', '..', 'python', 'worker.py')]]
        : [process.execPath, ['--expose-gc', ...nodeArguments, join(HERE, 'worker.js')]];
    this.#child = spawn(command, argv, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    const keepNoise = (text: string): void => {
      this.#noise = (this.#noise + text).slice(-2000);
    };
    this.#child.stdout?.setEncoding('utf8').on('data', keepNoise);
    this.#child.stderr?.setEncoding('utf8').on('data', keepNoise);
    this.#child.stdin?.on('error', () => {});
    createInterface({ input: this.#child.stdio[ANSWER_FD] as Readable }).on('line', (line) => {
      this.#waiting.shift()?.(JSON.parse(line) as Answer);
    });
    this.#child.on('close', (code, signal) => {
      const missing = this.#ended;
      this.#ended ??= `the process ended (${code ?? signal}): ${this.#noise}`;
      const answer: Answer = missing === undefined ? { failed: this.#ended } : { missing };
      for (const resolve of this.#waiting.splice(0)) resolve(answer);
    });
  }

  ask(command: Command): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null) {
        resolve({ failed: this.#ended ?? `the process ended (${this.#child.exitCode})` });
        return;
      }
      this.#waiting.push(resolve);
      this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    });
  }

  /** Lets the side close what it has open, then waits for its process to exit. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    await this.ask({ do: 'close' });
    this.#child.stdin?.end();
    await ended;
  }
}
