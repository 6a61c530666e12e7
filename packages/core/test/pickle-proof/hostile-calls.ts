/**
 * Hostile rows: callables that a pickle asks to import and call, through every opcode that can carry them.
 *
 * @module
 */

import { call, dict, global, int, list, type Part, pickle, str, tuple } from './assembler.ts';
import type { HostileCase } from './hostile-case.ts';

/** Every way to make a pickle call `target` with one text argument. */
const CARRIERS: Readonly<Record<string, (target: string) => readonly Part[]>> = {
  'GLOBAL and REDUCE': (target) => [call(target, str('touch pwned'))],
  'STACK_GLOBAL and REDUCE': (target) => [
    ...target.split(' ').map(str),
    'STACK_GLOBAL',
    tuple(str('touch pwned')),
    'REDUCE',
  ],
  INST: (target) => ['MARK', str('touch pwned'), ['INST', target]],
  OBJ: (target) => ['MARK', global(target), str('touch pwned'), 'OBJ'],
  NEWOBJ: (target) => [global(target), tuple(str('touch pwned')), 'NEWOBJ'],
  NEWOBJ_EX: (target) => [global(target), tuple(), dict([str('shell'), str('touch pwned')]), 'NEWOBJ_EX'],
  'a call whose result is popped': (target) => [call(target, str('touch pwned')), 'POP', 'NONE'],
  'a call below a mark that is popped': (target) => ['MARK', call(target, str('touch pwned')), 'POP_MARK', 'NONE'],
  'a call on a memoized global': (target) => [
    global(target),
    ['BINPUT', 0],
    'POP',
    ['BINGET', 0],
    tuple(str('touch pwned')),
    'REDUCE',
  ],
  'BUILD on the callable itself': (target) => [global(target), dict([str('__call__'), str('touch pwned')]), 'BUILD'],
  'BUILD with slot state that holds the callable': (target) => [
    call('fixture_classes Plain'),
    'NONE',
    dict([str('__setstate__'), global(target)]),
    'TUPLE2',
    'BUILD',
    str('touch pwned'),
    'BUILD',
  ],
  'BUILD with __reduce__ in the state': (target) => [
    call('fixture_classes Plain'),
    dict([str('__reduce__'), global(target)], [str('__class__'), global(target)]),
    'BUILD',
  ],
  'a state setter whose result is popped': (target) => [
    call('fixture_classes Plain'),
    ['BINPUT', 0],
    global(target),
    ['BINGET', 0],
    str('touch pwned'),
    'TUPLE2',
    'REDUCE',
    'POP',
  ],
  'the factory of a defaultdict': (target) => [
    call('collections defaultdict', global(target)),
    str('k'),
    int(1),
    'SETITEM',
  ],
  'APPENDS on the callable': (target) => [global(target), 'MARK', str('touch pwned'), 'APPENDS'],
  'SETITEM on what it made': (target) => [call(target), str('k'), str('touch pwned'), 'SETITEM'],
  'ADDITEMS on what it made': (target) => [call(target), 'MARK', str('touch pwned'), 'ADDITEMS'],
  'copyreg._reconstructor': (target) => [
    call('copyreg _reconstructor', global(target), global('builtins object'), 'NONE'),
  ],
  'functools.partial': (target) => [
    call('functools partial', global(target)),
    tuple(global(target), tuple(str('touch pwned')), 'EMPTY_DICT', 'NONE'),
    'BUILD',
    tuple(),
    'REDUCE',
  ],
  'builtins.getattr': (target) => [
    call('builtins getattr', global('os'.concat(' path')), str('os')),
    tuple(str(target)),
    'REDUCE',
  ],
  'builtins.map': (target) => [call('builtins list', call('builtins map', global(target), list(str('touch pwned'))))],
  'a persistent id that holds the call': (target) => [call(target, str('touch pwned')), 'BINPERSID'],
  'a call on a persistent id': (target) => [['PERSID', target], tuple(str('touch pwned')), 'REDUCE'],
  'a call on an extension': () => [['EXT1', 1], tuple(str('touch pwned')), 'REDUCE'],
  'a key of a dict': (target) => [dict([call(target, str('touch pwned')), int(1)])],
  'an item of a set': (target) => ['EMPTY_SET', 'MARK', call(target, str('touch pwned')), 'ADDITEMS'],
  'the tzinfo of a datetime': (target) => [
    call('datetime datetime', ['SHORT_BINBYTES', '\x07\xe8\x01\x01\0\0\0\0\0\0'], call(target, str('touch pwned'))),
  ],
  'the dtype of an array': (target) => [
    call('numpy ndarray', tuple(int(1)), call(target, str('touch pwned')), ['BINBYTES', '12345678']),
  ],
  'an element of an object array': (target) => [
    call('numpy.core.multiarray _reconstruct', global('numpy ndarray'), tuple(int(0)), ['SHORT_BINBYTES', 'b']),
    tuple(
      int(1),
      tuple(int(1)),
      [
        call('numpy dtype', str('O8'), 'NEWFALSE', 'NEWTRUE'),
        tuple(int(3), str('|'), 'NONE', 'NONE', 'NONE', int(-1), int(-1), int(63)),
        'BUILD',
      ],
      'NEWFALSE',
      list(call(target, str('touch pwned'))),
    ),
    'BUILD',
  ],
  'the subtype of an array': (target) => [
    call('numpy.core.multiarray _reconstruct', global(target), tuple(int(0)), ['SHORT_BINBYTES', 'b']),
  ],
};

/** Names that run code, or reach it, in Python or in JavaScript. */
const CALLABLES: readonly string[] = [
  'os system',
  'posix system',
  'nt system',
  'subprocess Popen',
  'builtins eval',
  'builtins exec',
  '__builtin__ eval',
  '__builtin__ file',
  'builtins __import__',
  'builtins compile',
  'builtins open',
  'builtins type',
  'importlib import_module',
  'ctypes CDLL',
  'pickle loads',
  '_pickle loads',
  'shutil rmtree',
  'webbrowser open',
  'runpy _run_code',
  'operator attrgetter',
  'types FunctionType',
  'types CodeType',
  'numpy load',
  'numpy fromfile',
  'numpy memmap',
  'numpy.testing._private.utils runstring',
  'logging.config _resolve',
  'globalThis eval',
  'globalThis Function',
  'Function constructor',
  'child_process execSync',
  'node:fs rmSync',
  'process exit',
  'constructor constructor',
  '__proto__ constructor',
  '__proto__ __proto__',
  'toString call',
  'builtins __class__.__base__.__subclasses__',
  'os path.os.system',
];

export const CALL_CASES: readonly HostileCase[] = [
  ...Object.entries(CARRIERS).flatMap(([carrier, program]) =>
    ['os system', 'constructor constructor'].map((target) => ({
      name: `${target.replace(' ', '.')} through ${carrier}`,
      bytes: () => pickle(...program(target)),
    })),
  ),
  ...CALLABLES.map((target) => ({
    name: `a call of ${target.replace(' ', '.')}`,
    bytes: () => pickle(...(CARRIERS['GLOBAL and REDUCE'] as (target: string) => readonly Part[])(target)),
    gives: 'inert' as const,
    shows: target,
  })),
  ...['GLOBAL and REDUCE', 'STACK_GLOBAL and REDUCE', 'INST', 'a call whose result is popped'].map((carrier) => ({
    name: `check finds os.system through ${carrier}`,
    bytes: () => pickle(...(CARRIERS[carrier] as (target: string) => readonly Part[])('os system')),
    door: 'check' as const,
    gives: 'inert' as const,
    shows: 'system',
  })),
];
