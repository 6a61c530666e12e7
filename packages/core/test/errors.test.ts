import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ErrorCode, isMmdError, MmdError } from '../src/errors.ts';

describe('MmdError', () => {
  it.each(Object.keys(ERROR_CODES) as ErrorCode[])('%s keeps its code, fields and cause', (code) => {
    const cause = new Error('below');
    const error = new MmdError(code, 'what happened', { offset: 7, path: 'a', cause });
    expect(error).toMatchObject({ code, offset: 7, path: 'a', cause, message: 'what happened' });
    expect(isMmdError(error, code)).toBe(true);
  });

  it('has only the fields that are defined', () => {
    const error = new MmdError('IO', 'what happened', { path: 'a', offset: undefined });
    expect(Object.keys(error)).toEqual(['code', 'name', 'path']);
    expect(error.offset).toBeUndefined();
  });

  it('is recognized by shape, not by class', () => {
    expect(isMmdError({ name: 'MmdError', code: 'IO' })).toBe(true);
    expect(isMmdError({ name: 'MmdError', code: 'toString' })).toBe(false);
    expect(isMmdError(new Error('IO'))).toBe(false);
    expect(isMmdError(new MmdError('IO', ''), 'CLOSED')).toBe(false);
    expect(isMmdError(null)).toBe(false);
  });
});

it('the guide has the table of codes', () => {
  const page = readFileSync(new URL('../../../docs/guide/dict.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (.+) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
  expect(rows).toEqual(Object.entries(ERROR_CODES));
});
