import { type ChildProcess, spawn } from 'node:child_process';

/** The built node room: child processes and workers cannot read TypeScript. */
export const NODE_ROOM: string = new URL('../../dist/node/index.js', import.meta.url).href;

/** How a child process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running child. */
export interface Child {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when the child has printed the line. */
  saw(line: string): Promise<void>;
}

/** Runs a module in its own Node process; `room` is the node room, `args` the arguments. */
export function startNode(code: string, args: readonly string[] = [], flags: readonly string[] = []): Child {
  const source = `import * as room from ${JSON.stringify(NODE_ROOM)};\nconst args = process.argv.slice(1);\n${code}`;
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', source, '--', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // A failed write to a child that has ended is reported by its exit.
  child.stdin.on('error', () => undefined);
  let stdout = '';
  let stderr = '';
  const watchers = new Set<() => void>();
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (exit, signal) => resolve({ code: exit, signal, stdout, stderr }));
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    for (const watch of watchers) watch();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const saw = (line: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const watch = (): void => {
        if (stdout.split('\n').includes(line)) {
          watchers.delete(watch);
          resolve();
        }
      };
      watchers.add(watch);
      void ended.then((end) => reject(new Error(`ended without '${line}': ${JSON.stringify(end)}`)));
      watch();
    });
  return { process: child, ended, saw };
}

/** Runs a module to its end. */
export function runNode(code: string, args: readonly string[] = [], flags: readonly string[] = []): Promise<Ended> {
  return startNode(code, args, flags).ended;
}
