/**
 * Live Pythons for tests: finds the interpreters that have numpy, starts one if none is idle, and talks to it over pipes,
 * so that a case costs a message, not an interpreter start.
 *
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** An interpreter that imports numpy. */
export interface PythonInfo {
  /** The interpreter itself, not a shim. */
  readonly executable: string;
  /** Such as `'3.11.7'`. */
  readonly version: string;
  /** Such as `'2.4.6'`. */
  readonly numpy: string;
}

const PROBE =
  'import sys, numpy; print(sys.executable); print("%d.%d.%d" % sys.version_info[:3]); print(numpy.__version__)';

/** Environment variable with the result of {@link findPythons} as JSON: the search takes a quarter of a second. */
const FOUND = 'MMDPICKLE_FOUND_PYTHONS';

/**
 * The interpreters with numpy 1.24 or newer, one per numpy version: those named by `MMDPICKLE_PYTHON`
 * (separated by `:`) if it is set, else the ones on this machine.
 */
export function pythons(): readonly PythonInfo[] {
  const found = process.env[FOUND];
  return found === undefined ? findPythons() : (JSON.parse(found) as PythonInfo[]);
}

/** Finds the interpreters once for all test files: Vitest calls it before the first file of each project. */
export function setup(): void {
  process.env[FOUND] ??= JSON.stringify(findPythons());
}

function findPythons(): readonly PythonInfo[] {
  const named = process.env.MMDPICKLE_PYTHON;
  const candidates = named ? named.split(':').filter(Boolean) : ['python3', '/usr/bin/python3', 'python'];
  const found: PythonInfo[] = [];
  for (const candidate of candidates) {
    const probe = spawnSync(candidate, ['-c', PROBE], { encoding: 'utf8' });
    if (probe.status !== 0) continue;
    const [executable, version, numpy] = probe.stdout.trim().split('\n') as [string, string, string];
    const [major, minor] = numpy.split('.').map(Number) as [number, number];
    const recent = major > 1 || (major === 1 && minor >= 24);
    if (recent && !found.some((other) => other.numpy === numpy)) found.push({ executable, version, numpy });
  }
  if (found.length === 0 && process.env.CI)
    throw new Error('no Python with numpy >= 1.24 was found, and CI requires one');
  return found;
}

/** Values that cross the pipe. */
export type Wire = null | boolean | number | string | Uint8Array | readonly Wire[] | { readonly [key: string]: Wire };

/**
 * One running interpreter, in which warnings are errors. When disposed of, it is kept for the next test file of the same
 * worker process: importing numpy costs a quarter of a second.
 */
export class Python implements AsyncDisposable {
  readonly info: PythonInfo;
  #interpreter: Interpreter | undefined;

  constructor(info: PythonInfo) {
    this.info = info;
    this.#interpreter = IDLE.get(info.executable)?.pop() ?? new Interpreter(info.executable);
  }

  /**
   * Executes `code`, which reads `args` and binds `result`; `shared` is a dict that persists between calls.
   * @throws Error with Python's traceback
   */
  run<T = unknown>(code: string, args: { readonly [key: string]: Wire } = {}): Promise<T> {
    if (this.#interpreter === undefined) return Promise.reject(new Error('the interpreter was disposed of'));
    return this.#interpreter.run<T>(code, args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const interpreter = this.#interpreter;
    this.#interpreter = undefined;
    if (interpreter === undefined || interpreter.ended) return;
    await interpreter.run('import gc; shared.clear(); gc.collect()', {});
    const { executable } = this.info;
    IDLE.set(executable, [...(IDLE.get(executable) ?? []), interpreter]);
  }
}

/** Interpreters that wait for the next test file. They end with this process, which closes their input. */
const IDLE = new Map<string, Interpreter[]>();

class Interpreter {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve: (value: unknown) => void; reject: (reason: Error) => void }[] = [];
  #rest = '';
  #stderr = '';

  constructor(executable: string) {
    const script = fileURLToPath(new URL('./python-worker.py', import.meta.url));
    this.#child = spawn(executable, ['-u', script], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#receive(text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4000);
    });
    // A failed write is reported by the `exit` listener, which knows the reason.
    this.#child.stdin?.on('error', () => undefined);
    this.#child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.splice(0)) {
        reject(new Error(`Python ended (${code ?? signal}): ${this.#stderr}`));
      }
    });
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  run<T>(code: string, args: { readonly [key: string]: Wire }): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve: resolve as (value: unknown) => void, reject });
      this.#child.stdin?.write(`${JSON.stringify({ code, args: encode(args) })}\n`);
    });
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const answer = JSON.parse(line) as { result?: unknown; error?: string };
      const waiter = this.#waiting.shift();
      if (answer.error === undefined) waiter?.resolve(decode(answer.result));
      else waiter?.reject(new Error(answer.error));
    }
  }
}

function encode(value: Wire): unknown {
  if (value instanceof Uint8Array) {
    return { $b64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
  }
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item as Wire)]));
  }
  return value;
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value === 'object' && value !== null) {
    if ('$b64' in value) return new Uint8Array(Buffer.from(String(value.$b64), 'base64'));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]));
  }
  return value;
}
