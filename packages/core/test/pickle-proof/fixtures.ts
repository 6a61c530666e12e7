/**
 * The triples of fixtures/pickle and the inputs of fixtures/regress: adding a file there adds tests.
 *
 * @module
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Encoding, LoadOptions } from '../../src/pickle/index.ts';

/** The directory of the fixtures, as a path. */
export const FIXTURES: string = fileURLToPath(new URL('../../../../fixtures/', import.meta.url));

/** One way to load a fixture, and the result. */
export interface FixtureLoad {
  readonly encoding: Encoding;
  /** The canonical rendering; absent where Python itself fails (`unrendered` says how). */
  readonly value?: unknown;
  readonly unrendered?: string;
}

/** One triple. */
export interface Fixture {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What pickletools.dis prints; null where it gives up. */
  readonly dis: string | null;
  readonly protocol: number;
  readonly numpy: string | null;
  /** `module name`, in the order of first appearance. */
  readonly globals: readonly string[];
  readonly loads: readonly FixtureLoad[];
  readonly buffers: readonly { readonly data: string; readonly readonly: boolean }[];
  readonly extensions: Readonly<Record<string, number>>;
}

/** The JSON file; some properties are omitted when empty. */
type Description = Omit<Fixture, 'name' | 'bytes' | 'dis' | 'buffers' | 'extensions'> &
  Partial<Pick<Fixture, 'buffers' | 'extensions'>> & { readonly disRefused?: string };

function read(name: string): Fixture {
  const at = `${FIXTURES}pickle/${name}`;
  const made = JSON.parse(readFileSync(`${at}.json`, 'utf8')) as Description;
  return {
    buffers: [],
    extensions: {},
    ...made,
    name,
    bytes: new Uint8Array(readFileSync(`${at}.bin`)),
    dis: made.disRefused === undefined ? readFileSync(`${at}.dis.txt`, 'utf8') : null,
  };
}

const named = (directory: string): string[] =>
  readdirSync(`${FIXTURES}${directory}`)
    .filter((file) => file.endsWith('.bin'))
    .map((file) => file.slice(0, -4))
    .sort();

/** All triples, in the order of their names. */
export function fixtures(): Fixture[] {
  return named('pickle').map(read);
}

/** What the fuzzer found: bytes by name. */
export function regressions(): { readonly name: string; readonly bytes: Uint8Array }[] {
  return named('regress').map((name) => ({
    name,
    bytes: new Uint8Array(readFileSync(`${FIXTURES}regress/${name}.bin`)),
  }));
}

/** The options with which a fixture is to be loaded. */
export function optionsOf(fixture: Fixture, load: FixtureLoad | undefined = fixture.loads[0]): LoadOptions {
  return {
    encoding: load?.encoding ?? 'ascii',
    buffers: fixture.buffers.map(({ data }) => new Uint8Array(Buffer.from(data, 'base64'))),
  };
}
