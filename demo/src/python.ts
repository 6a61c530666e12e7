import { spawnSync } from 'node:child_process';

const CANDIDATES = ['python3', '/usr/bin/python3', 'python'];

/** Prints the line of stock Python that opens the file, and runs it if there is a Python with numpy. */
export function openInPython(path: string): void {
  const code = `import pickle; d = pickle.load(open(${pythonText(path)}, 'rb')); print({k: getattr(v, 'shape', v) for k, v in d.items() if '/' not in k})`;
  console.log(`Stock Python opens it:\n  python3 -c ${shellQuoted(code)}`);
  const python = CANDIDATES.find((name) => spawnSync(name, ['-c', 'import numpy']).status === 0);
  if (python === undefined) console.log('  (no Python with numpy is here to run it)');
  else
    process.exitCode =
      spawnSync(python, ['-W', 'error::DeprecationWarning', '-c', code], { stdio: 'inherit' }).status ?? 1;
}

/** A Python string literal: JSON's escapes are valid in Python too. */
function pythonText(text: string): string {
  return /^[\w./-]+$/.test(text) ? `'${text}'` : JSON.stringify(text);
}

function shellQuoted(text: string): string {
  return `"${text.replaceAll(/["\\$`]/g, '\\$&')}"`;
}
