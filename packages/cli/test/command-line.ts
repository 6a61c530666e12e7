/** Runs the real program, in a process of its own or as a function in this one. @module */

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { run } from '@mmdpickle/cli';
import { TempDir } from '@mmdpickle/test-support';
import { expect } from 'vitest';
import { writeSamples } from './samples.ts';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** How a process ended. */
export interface Ended {
  /** The exit code; -1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Sample files, and the program to run on them. */
export class Bench implements Disposable {
  readonly #root = new TempDir();
  readonly #samples: string = this.#root.file('samples');
  readonly #bin: string = this.#root.file('bin');
  #folders = 0;

  static async open(): Promise<Bench> {
    const bench = new Bench();
    mkdirSync(bench.#samples);
    await writeSamples(bench.#samples);
    mkdirSync(bench.#bin);
    const wrapper = join(bench.#bin, 'mmdpickle');
    writeFileSync(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
    chmodSync(wrapper, 0o755);
    return bench;
  }

  /** A fresh directory with the sample files. */
  folder(): string {
    const path = this.#root.file(`folder-${this.#folders++}`);
    cpSync(this.#samples, path, { recursive: true });
    return path;
  }

  /** A copy of a file without its last 100 bytes. */
  cut(cwd: string, from: string, to: string): void {
    writeFileSync(join(cwd, to), readFileSync(join(cwd, from)).subarray(0, -100));
  }

  /** Runs `mmdpickle` with arguments. */
  async run(cwd: string, args: readonly string[], input?: string | Uint8Array): Promise<Ended> {
    return await ended(this.start(cwd, args), input);
  }

  /** Starts `mmdpickle` and leaves it running. */
  start(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { ...this.#env(), ...env } });
    // Without this listener, a write after the program has ended would end the tests with EPIPE.
    child.stdin.on('error', () => undefined);
    return child;
  }

  /** Runs a line of shell, in which `mmdpickle` is a command. */
  async shell(cwd: string, line: string): Promise<Ended> {
    return await ended(spawn('bash', ['--norc', '-c', line], { cwd, env: this.#env() }));
  }

  /**
   * Runs a line: `mmdpickle` and words without shell syntax in this process, which saves a start of Node; anything else
   * in a shell. Not concurrently: the working directory is that of the process.
   * @param input - what is on standard input; not for a shell
   */
  async line(cwd: string, line: string, input?: string | Uint8Array): Promise<Ended> {
    const words = plainWords(line);
    if (words?.[0] !== 'mmdpickle') return await this.shell(cwd, line);
    const before = process.cwd();
    process.chdir(cwd);
    try {
      return await this.here(words.slice(1), input);
    } finally {
      process.chdir(before);
    }
  }

  /** Runs `mmdpickle` with arguments in this process and its working directory. */
  async here(args: readonly string[], input?: string | Uint8Array): Promise<Ended> {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    stdin.end(input);
    const said = [text(stdout), text(stderr)] as const;
    const { signal } = new AbortController();
    const code = await run([...args], { stdin, stdout, stderr, env: {}, signal });
    stdout.end();
    stderr.end();
    return { code, stdout: await said[0], stderr: await said[1] };
  }

  /** Runs lines one after the other as {@link Bench.line} does; all must succeed. Returns the last one's output. */
  async lines(cwd: string, ...lines: string[]): Promise<string> {
    let stdout = '';
    for (const line of lines) {
      const end = await this.line(cwd, line);
      expect({ line, ...end }).toMatchObject({ line, code: 0, stderr: '' });
      ({ stdout } = end);
    }
    return stdout;
  }

  /**
   * Runs a line of shell on a terminal of its own. The output of both streams is `stdout`, and is also written to the
   * file `screen` at once.
   */
  async terminal(cwd: string, line: string): Promise<Ended> {
    const env = { ...this.#env(), TERM: 'xterm' };
    return await ended(spawn('script', ['-qefc', line, 'screen'], { cwd, env: { ...env, SHELL: '/bin/bash' } }));
  }

  #env(): NodeJS.ProcessEnv {
    const { NO_COLOR: _, FORCE_COLOR: __, NODE_OPTIONS: ___, ...env } = process.env;
    return { ...env, PATH: `${this.#bin}${delimiter}${process.env.PATH ?? ''}` };
  }

  [Symbol.dispose](): void {
    this.#root[Symbol.dispose]();
  }
}

/** The words of a line without shell syntax other than single quotes; otherwise undefined. */
function plainWords(line: string): string[] | undefined {
  const words = line.match(/(?:'[^']*'|[^\s'])+/g)?.map((word) => ({ word, bare: word.replaceAll(/'[^']*'/g, '') }));
  if (words === undefined || words.some(({ bare }) => /[^\w./:,=@%+-]/.test(bare))) return undefined;
  return words.map(({ word }) => word.replaceAll("'", ''));
}

/** Writes `input` to a process, closes its standard input, and waits for the process to end. */
export async function ended(child: ChildProcess, input?: string | Uint8Array): Promise<Ended> {
  const text = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (text.stdout += piece));
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (text.stderr += piece));
  // A program that does not read its input may end before it is written.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? -1));
  });
  return { code, ...text };
}

/** Resolves when a running process has written text that matches the pattern to standard error. */
export async function told(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let text = '';
  return await new Promise((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      const match = pattern.exec(text);
      if (match !== null) resolve(match);
    });
    // Not at `exit`: its last output may still be in the pipe.
    child.once('close', () => reject(new Error(`ended without telling ${pattern}: ${text}`)));
  });
}
