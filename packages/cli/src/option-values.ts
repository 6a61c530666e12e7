/** Parsers of option values. The program puts the option's name before the message of an error. @module */

import { parseDType } from '@mmdpickle/core';
import type { OptionSpec } from './command.ts';
import { usageError } from './errors.ts';
import { parseBytes, parseDuration } from './text.ts';

/** The option for arrays of objects in numpy's files. */
export const ALLOW_PICKLE: OptionSpec = {
  flags: '--allow-pickle',
  doc: 'npy, npz: accept object arrays too; nothing is executed here, but what Python would execute stays in the file',
};

/** The option for the 8-bit strings of Python 2, whose encoding the file does not say. */
export const ENCODING: OptionSpec = {
  flags: '--encoding <encoding>',
  doc: 'pickles of Python 2: how to decode their 8-bit strings; numpy and datetime need latin1',
  choices: ['ascii', 'latin1', 'utf-8', 'bytes'],
  default: 'ascii',
};

/** Parses a whole number from 0. */
export function parseNatural(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw usageError(`expected a whole number, found ${text}`, text);
  return value;
}

/** Parses a whole number from 1. */
export function parsePositive(text: string): number {
  const value = parseNatural(text);
  if (value === 0) throw usageError('expected at least 1, found 0', text);
  return value;
}

/** Parses a time such as `500ms`, `10s`, `5m`, to milliseconds. */
export function parseTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw usageError(`expected a time such as 500ms, 10s, 5m or 2h, found ${text}`, text);
  return ms;
}

/** Parses a byte count such as `64MiB`. */
export function parseByteCount(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes < 1) throw usageError(`expected bytes such as 64MiB, found ${text}`, text);
  return bytes;
}

/** Checks the name of an element type, as numpy writes it. */
export function parseDTypeName(text: string): string {
  parseDType(text);
  return text;
}

/** Parses `--shape`: `512,1024`; the empty text means one number per frame. */
export function parseShapeOption(text: string): number[] {
  if (text.trim() === '') return [];
  const parts = text.split(/[,x]/).map((part) => part.trim());
  const shape = parts.map(Number);
  if (!parts.every((part) => /^\d+$/.test(part)) || !shape.every(Number.isSafeInteger))
    throw usageError(`expected dimensions such as 512,1024, found ${text}`, text);
  return shape;
}
