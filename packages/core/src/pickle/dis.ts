/**
 * Symbolic disassembly, as Python's `pickletools.dis` prints it.
 *
 * @module
 */

import { type ErrorCode, MmdError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import type { Argument } from './arguments.ts';
import { namingForeign } from './foreign.ts';
import { genops } from './genops.ts';
import { DEFAULT_LIMITS, type LoadLimits, limitExceeded } from './limits.ts';
import type { StackItem } from './opcodes.ts';
import { DIS_OPTIONS } from './options.ts';
import { reprByteArray, reprBytes, reprFloat, reprText } from './python-repr.ts';
import { ByteArray, PyFloat, PyString } from './values/scalars.ts';

/** Options of {@link dis}. */
export interface DisOptions {
  /** Where the pickle starts. Default 0. */
  readonly start?: number | undefined;
  /** Spaces per level of marks. Default 4. */
  readonly indent?: number | undefined;
  /** The memo to start with, for a pickle that refers to slots of an earlier one. Modified. */
  readonly memo?: Map<number, StackItem> | undefined;
  /** `limits.text` bounds the length of the text. */
  readonly limits?: Partial<Pick<LoadLimits, 'text'>> | undefined;
  /** Called with every line, without its newline, as soon as it is complete: shows what was printed before an error. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/**
 * Disassembles a pickle up to its STOP, and checks stack, marks and memo as pickletools does.
 *
 * @param bytes - borrowed
 * @returns the text of `pickletools.dis`, with its last newline
 * @throws MmdError TRUNCATED, CORRUPT, BAD_OPCODE, with the text of pickletools' ValueError; INVALID_ARGUMENT
 *
 * @example
 * ```ts
 * import { dis, dump } from '@mmdpickle/core/pickle';
 *
 * dis(dump([1], { protocol: 2 })).split('\n')[2]; // '    3: K    BININT1    1'
 * ```
 */
export function dis(bytes: Uint8Array, options: DisOptions = {}): string {
  checkOptions(options, DIS_OPTIONS);
  try {
    return disassembled(bytes, options);
  } catch (error) {
    const { start = 0 } = options;
    throw namingForeign(error, bytes, start, start);
  }
}

function disassembled(bytes: Uint8Array, options: DisOptions): string {
  const { start = 0, indent = 4, memo = new Map<number, StackItem>(), onLine } = options;
  const lines: string[] = [];
  const maximum = options.limits?.text ?? DEFAULT_LIMITS.text;
  let length = 0;
  const print = (line: string): void => {
    length += line.length + 1;
    if (length > maximum) throw limitExceeded('text', maximum, offset);
    lines.push(line);
    onLine?.(line);
  };
  const chunk = ' '.repeat(indent);
  const stack: StackItem[] = [];
  const marks: number[] = [];
  let highest = -1;
  let offset = start;
  const fail = (code: ErrorCode, message: string): MmdError => new MmdError(code, message, { offset });

  for (const { opcode, arg, pos } of genops(bytes, start)) {
    offset = pos;
    const { name, before } = opcode;
    let { after } = opcode;
    let line = `${String(pos).padStart(5)}: ${reprCode(opcode.code).padEnd(4)} ${chunk.repeat(marks.length)}${name}`;
    highest = Math.max(highest, opcode.proto);
    let pops: number = before.length;
    let note = '';
    let problem = '';

    if (before.includes('mark') || (name === 'POP' && stack.at(-1) === 'mark')) {
      const mark = marks.pop();
      if (mark === undefined) problem = note = 'no MARK exists on stack';
      else {
        note = `(MARK at ${mark})`;
        const at = stack.lastIndexOf('mark');
        // The mark was already popped as an item: Python's list of items is empty before it finds one.
        if (at === -1) throw fail('BAD_OPCODE', 'list index out of range');
        stack.length = at;
        pops = Math.max(0, before.indexOf('mark'));
      }
    }

    if (name === 'PUT' || name === 'BINPUT' || name === 'LONG_BINPUT' || name === 'MEMOIZE') {
      const index = name === 'MEMOIZE' ? memo.size : Number(arg);
      if (name === 'MEMOIZE') note = `(as ${index})`;
      const top = stack.at(-1);
      if (memo.has(index)) problem = `memo key ${reprArgument(arg)} already defined`;
      else if (top === undefined) problem = "stack is empty -- can't store into memo";
      else if (top === 'mark') problem = "can't store markobject in the memo";
      else memo.set(index, top);
    } else if (name === 'GET' || name === 'BINGET' || name === 'LONG_BINGET') {
      const known = memo.get(Number(arg));
      if (known === undefined) problem = `memo key ${reprArgument(arg)} has never been stored into`;
      else after = [known];
    }

    if (arg !== null || note !== '') {
      line += ' '.repeat(Math.max(0, 10 - name.length));
      if (arg !== null) line += ` ${reprArgument(arg)}`;
      if (note !== '') line += ` ${note}`;
    }
    print(line);
    if (problem !== '') throw fail('BAD_OPCODE', problem);

    if (stack.length < pops) {
      throw fail('BAD_OPCODE', `tries to pop ${pops} items from stack with only ${stack.length} items`);
    }
    stack.length -= pops;
    if (after.includes('mark')) marks.push(pos);
    for (const item of after) stack.push(item);
  }
  print(`highest protocol among opcodes = ${highest}`);
  if (stack.length > 0) throw fail('CORRUPT', `stack not empty after STOP: [${stack.join(', ')}]`);
  return `${lines.join('\n')}\n`;
}

/** The opcode's byte as `repr(chr(code))` prints it, without quotes. */
function reprCode(code: number): string {
  return code < 0x7f ? String.fromCharCode(code) : `\\x${code.toString(16)}`;
}

function reprArgument(arg: Argument | null): string {
  if (arg === null) return 'None';
  if (typeof arg === 'string' || arg instanceof PyString) return reprText(arg);
  if (typeof arg === 'boolean') return arg ? 'True' : 'False';
  if (arg instanceof PyFloat) return reprFloat(arg.value);
  if (arg instanceof ByteArray) return reprByteArray(arg);
  return arg instanceof Uint8Array ? reprBytes(arg) : String(arg);
}
