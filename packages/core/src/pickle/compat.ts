/**
 * The Python 2 names of what Python 3 renamed. They apply to protocols below 3.
 *
 * Source of the definition: CPython's `Lib/_compat_pickle.py`.
 *
 * @module
 */

// biome-ignore format: a table
/** `old new`: modules that map both ways. */
const MODULES: readonly string[] = [
  '__builtin__ builtins', 'copy_reg copyreg', 'Queue queue', 'SocketServer socketserver',
  'ConfigParser configparser', 'repr reprlib', 'tkFileDialog tkinter.filedialog',
  'tkSimpleDialog tkinter.simpledialog', 'tkColorChooser tkinter.colorchooser',
  'tkCommonDialog tkinter.commondialog', 'Dialog tkinter.dialog', 'Tkdnd tkinter.dnd', 'tkFont tkinter.font',
  'tkMessageBox tkinter.messagebox', 'ScrolledText tkinter.scrolledtext', 'Tkconstants tkinter.constants',
  'Tix tkinter.tix', 'ttk tkinter.ttk', 'Tkinter tkinter', 'markupbase _markupbase', '_winreg winreg',
  'thread _thread', 'dummy_thread _dummy_thread', 'dbhash dbm.bsd', 'dumbdbm dbm.dumb', 'dbm dbm.ndbm',
  'gdbm dbm.gnu', 'xmlrpclib xmlrpc.client', 'SimpleXMLRPCServer xmlrpc.server', 'httplib http.client',
  'htmlentitydefs html.entities', 'HTMLParser html.parser', 'Cookie http.cookies', 'cookielib http.cookiejar',
  'BaseHTTPServer http.server', 'test.test_support test.support', 'commands subprocess', 'urlparse urllib.parse',
  'robotparser urllib.robotparser', 'urllib2 urllib.request', 'anydbm dbm', '_abcoll collections.abc',
];

// biome-ignore format: a table
/** `old new`: modules that map to Python 3 only. */
const MODULES_FORWARD: readonly string[] = [
  'cPickle pickle', '_elementtree xml.etree.ElementTree', 'FileDialog tkinter.filedialog',
  'SimpleDialog tkinter.simpledialog', 'DocXMLRPCServer xmlrpc.server', 'SimpleHTTPServer http.server',
  'CGIHTTPServer http.server', 'UserDict collections', 'UserList collections', 'UserString collections',
  'whichdb dbm', 'StringIO io', 'cStringIO io',
];

/**
 * `old new`: modules of Python 3 that only map back. CPython's rows are left out where they would change what Python 3
 * reads back (an OSError for a FileNotFoundError, for example), or where Python 2 has the name as well.
 */
const MODULES_BACKWARD: readonly string[] = ['bz2 _bz2', 'dbm _dbm', 'gdbm _gdbm'];

// biome-ignore format: a table
/** `old-module old-name new-module new-name`: attributes that map both ways. */
const NAMES: readonly string[] = [
  '__builtin__ xrange builtins range', '__builtin__ reduce functools reduce', '__builtin__ intern sys intern',
  '__builtin__ unichr builtins chr', '__builtin__ unicode builtins str', '__builtin__ long builtins int',
  'itertools izip builtins zip', 'itertools imap builtins map', 'itertools ifilter builtins filter',
  'itertools ifilterfalse itertools filterfalse', 'itertools izip_longest itertools zip_longest',
  'UserDict IterableUserDict collections UserDict', 'UserList UserList collections UserList',
  'UserString UserString collections UserString', 'whichdb whichdb dbm whichdb', '_socket fromfd socket fromfd',
  '_multiprocessing Connection multiprocessing.connection Connection',
  'multiprocessing.process Process multiprocessing.context Process',
  'multiprocessing.forking Popen multiprocessing.popen_fork Popen',
  'urllib ContentTooShortError urllib.error ContentTooShortError', 'urllib getproxies urllib.request getproxies',
  'urllib pathname2url urllib.request pathname2url', 'urllib quote_plus urllib.parse quote_plus',
  'urllib quote urllib.parse quote', 'urllib unquote_plus urllib.parse unquote_plus',
  'urllib unquote urllib.parse unquote', 'urllib url2pathname urllib.request url2pathname',
  'urllib urlcleanup urllib.request urlcleanup', 'urllib urlencode urllib.parse urlencode',
  'urllib urlopen urllib.request urlopen', 'urllib urlretrieve urllib.request urlretrieve',
  'urllib2 HTTPError urllib.error HTTPError', 'urllib2 URLError urllib.error URLError',
  'multiprocessing AuthenticationError multiprocessing.context AuthenticationError',
  'multiprocessing BufferTooShort multiprocessing.context BufferTooShort',
  'multiprocessing ProcessError multiprocessing.context ProcessError',
  'multiprocessing TimeoutError multiprocessing.context TimeoutError',
];

// biome-ignore format: a table
/** The same, to Python 3 only. */
const NAMES_FORWARD: readonly string[] = [
  '__builtin__ basestring builtins str', 'exceptions StandardError builtins Exception',
  'UserDict UserDict collections UserDict', 'socket _socketobject socket SocketType',
];

// biome-ignore format: a table
/** The same, from Python 3 only. */
const NAMES_BACKWARD: readonly string[] = [
  ...['FileDialog', 'LoadFileDialog', 'SaveFileDialog'].map((name) => `FileDialog ${name} tkinter.filedialog ${name}`),
  'SimpleDialog SimpleDialog tkinter.simpledialog SimpleDialog',
  ...['ServerHTMLDoc', 'XMLRPCDocGenerator', 'DocXMLRPCRequestHandler', 'DocXMLRPCServer', 'DocCGIXMLRPCRequestHandler'].map(
    (name) => `DocXMLRPCServer ${name} xmlrpc.server ${name}`,
  ),
  'SimpleHTTPServer SimpleHTTPRequestHandler http.server SimpleHTTPRequestHandler',
  'CGIHTTPServer CGIHTTPRequestHandler http.server CGIHTTPRequestHandler',
];

// biome-ignore format: a table
/** Exceptions that moved from `exceptions` to `builtins`. */
const EXCEPTIONS: readonly string[] = [
  'ArithmeticError', 'AssertionError', 'AttributeError', 'BaseException', 'BufferError', 'BytesWarning',
  'DeprecationWarning', 'EOFError', 'EnvironmentError', 'Exception', 'FloatingPointError', 'FutureWarning',
  'GeneratorExit', 'IOError', 'ImportError', 'ImportWarning', 'IndentationError', 'IndexError', 'KeyError',
  'KeyboardInterrupt', 'LookupError', 'MemoryError', 'NameError', 'NotImplementedError', 'OSError', 'OverflowError',
  'PendingDeprecationWarning', 'ReferenceError', 'RuntimeError', 'RuntimeWarning', 'StopIteration', 'SyntaxError',
  'SyntaxWarning', 'SystemError', 'SystemExit', 'TabError', 'TypeError', 'UnboundLocalError', 'UnicodeDecodeError',
  'UnicodeEncodeError', 'UnicodeError', 'UnicodeTranslateError', 'UnicodeWarning', 'UserWarning', 'ValueError',
  'Warning', 'ZeroDivisionError',
];

/** A module and a name in it. */
export type GlobalName = readonly [module: string, name: string];

interface Renames {
  readonly modules: ReadonlyMap<string, string>;
  /** By module, then by name. */
  readonly names: ReadonlyMap<string, ReadonlyMap<string, GlobalName>>;
}

type Rename = readonly [from: GlobalName, to: GlobalName];

function renames(modules: readonly (readonly [string, string])[], names: readonly Rename[]): Renames {
  const byModule = new Map<string, Map<string, GlobalName>>();
  for (const [[module, name], to] of names) {
    const inModule = byModule.get(module) ?? new Map<string, GlobalName>();
    byModule.set(module, inModule.set(name, to));
  }
  return { modules: new Map(modules), names: byModule };
}

const split = (rows: readonly string[]): string[][] => rows.map((row) => row.split(' '));
const modulePairs = (rows: readonly string[]): [string, string][] => split(rows) as [string, string][];
const namePairs = (rows: readonly string[]): Rename[] =>
  split(rows).map(([m, n, m2, n2]) => [
    [m!, n!],
    [m2!, n2!],
  ]);
const exceptionPairs: readonly Rename[] = EXCEPTIONS.map((name) => [
  ['exceptions', name],
  ['builtins', name],
]);

/** Python 2 names to Python 3 names. */
const TO_PYTHON_3: Renames = renames(
  [...modulePairs(MODULES), ...modulePairs(MODULES_FORWARD)],
  [...namePairs(NAMES), ...namePairs(NAMES_FORWARD), ...exceptionPairs],
);

/** Python 3 names to the Python 2 names that map back to them. */
const TO_PYTHON_2: Renames = renames(
  [...modulePairs(MODULES), ...modulePairs(MODULES_BACKWARD)].map(([a, b]) => [b, a]),
  [...namePairs(NAMES), ...namePairs(NAMES_BACKWARD), ...exceptionPairs].map(([a, b]) => [b, a]),
);

function rename(table: Renames, module: string, name: string): GlobalName {
  return table.names.get(module)?.get(name) ?? [table.modules.get(module) ?? module, name];
}

/** The Python 3 name of a global that is read under protocols 0 to 2. */
export function toPython3(module: string, name: string): GlobalName {
  return rename(TO_PYTHON_3, module, name);
}

/**
 * Names of numpy, and the names under which both generations find the same without a warning; the rest of `numpy._core`
 * is only in numpy 2. As numpy 2 writes it, `numpy.bool` is the scalar type; numpy 1 has no such name, or means Python's
 * own type.
 */
const NUMPY: ReadonlyMap<string, GlobalName> = new Map<string, GlobalName>([
  ['numpy._core.multiarray _reconstruct', ['numpy.core.multiarray', '_reconstruct']],
  ['numpy._core.multiarray scalar', ['numpy.core.multiarray', 'scalar']],
  ['numpy._core.records recarray', ['numpy', 'recarray']],
  ['numpy.core.records recarray', ['numpy', 'recarray']],
  ['numpy.rec recarray', ['numpy', 'recarray']],
  ['numpy.rec record', ['numpy', 'record']],
  ['numpy bool', ['numpy', 'bool_']],
]);

/** How a global is written so that both generations of numpy find it. */
export function toBothNumpys(module: string, name: string): GlobalName {
  return (module.startsWith('numpy') && NUMPY.get(`${module} ${name}`)) || [module, name];
}

/** How a global is written under protocol 2, so that Python 2 finds it, and Python 3 maps it back. */
export function toPython2(module: string, name: string): GlobalName {
  return rename(TO_PYTHON_2, module, name);
}
