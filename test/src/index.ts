export { freePort } from './free-port.ts';
export { Python, type PythonInfo, pythons, type Wire } from './python.ts';
export { TempDir } from './temp-dir.ts';
