/** Child processes that write and read a dict while the test runs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Python, type PythonInfo } from '@mmdpickle/test-support';

/** The built node entry: child processes cannot read TypeScript. */
export const ENTRY: string = new URL('../../dist/node.js', import.meta.url).href;

/** A file beside this one. */
export const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** A running child. */
export interface Running {
  readonly child: ChildProcess;
  /** Resolves with the child's output; rejects if it fails. */
  readonly ended: Promise<string>;
  /** Resolves when the child has printed the word. */
  saw(word: string): Promise<void>;
}

/** Starts a program. */
export function start(command: string, args: readonly string[]): Running {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  // A failed write to a child that has ended is reported by its exit.
  child.stdin.on('error', () => undefined);
  let output = '';
  let errors = '';
  const watchers = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    for (const watch of watchers) watch();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}: ${errors}`));
    });
  });
  const saw = (word: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const watch = (): void => {
        if (!output.includes(word)) return;
        watchers.delete(watch);
        resolve();
      };
      watchers.add(watch);
      ended.catch(reject);
      watch();
    });
  return { child, ended, saw };
}

/** The last line that a child printed, as JSON. */
export function report<T>(output: string): T {
  return JSON.parse(output.trimEnd().split('\n').at(-1)!) as T;
}

/** Runs a line of Python that binds `result`, in an interpreter of its own. */
export async function runPython(info: PythonInfo, line: string, path: string): Promise<unknown> {
  const python = new Python(info);
  try {
    return await python.run(`import pickle\n${line}`, { path });
  } finally {
    await python[Symbol.asyncDispose]();
  }
}
