/**
 * The one error class of mmdpickle, and the table of its codes.
 *
 * Branch on `error.code`; the typed fields say what was being read, where, and
 * what was found. Messages are for humans and may change; codes do not.
 *
 * @module
 */

/** Every error code and its meaning. Readers, docs and tests loop over this table. */
export const ERROR_CODES = {
  NOT_FOUND: 'no such file, key or member',
  ALREADY_EXISTS: 'the file to be created already exists',
  NOT_A_PICKLE: 'the bytes are not a pickle',
  NOT_A_DICT: 'a pickle, but its value is not a dict',
  NOT_MMDPICKLE: 'a pickle, but not in the mmdpickle layout; convert it',
  BAD_FORMAT: 'not in the expected file format (npy, npz, safetensors, ...)',
  TRUNCATED: 'the input ends too early',
  CORRUPT: 'the input contradicts itself',
  BAD_OPCODE: 'an opcode that does not exist, or is invalid at its position',
  FORBIDDEN_GLOBAL: 'a pickle asks to call something that is not on the allow-list',
  LIMIT_EXCEEDED: 'a budget for hostile or unbounded input is exhausted',
  UNSUPPORTED_DTYPE: 'a dtype that is unknown or cannot be stored here',
  UNSUPPORTED_VALUE: 'a value that cannot be written or represented',
  INVALID_ARGUMENT: 'an invalid argument, option, index or shape',
  KEY_TOO_LONG: "a key longer than the format's maximum of 255 bytes in UTF-8",
  BAD_KEY: 'a key that is not a string, cannot be encoded, or is reserved for the file itself',
  READ_ONLY: 'a change to something opened read-only',
  LOCKED: 'another process or handle holds the lock or the lease',
  CLOSED: 'the handle is closed',
  NO_SPACE: 'the disk is full, or the quota is exhausted',
  IO: 'the operating system reported an error',
} as const;

/** A key of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** The typed fields an error may have besides its code. All offsets are absolute in the input. */
export interface ErrorFields {
  /** Absolute byte offset of the problem in the file or input. */
  readonly offset?: number | undefined;
  /** What the reader needed, for example a byte count or an opcode. */
  readonly expected?: unknown;
  /** What was found instead. */
  readonly found?: unknown;
  /** `module name` of the global that was rejected. */
  readonly global?: string | undefined;
  /** The name of the budget that was exhausted. */
  readonly limit?: string | undefined;
  /** The budget's value. */
  readonly maximum?: number | undefined;
  /** The dict key concerned. */
  readonly key?: string | undefined;
  /** The file concerned. */
  readonly path?: string | undefined;
  /** The process that holds the lock, if known. */
  readonly pid?: number | undefined;
  /** The POSIX error name, such as `'ENOSPC'`. */
  readonly errno?: string | undefined;
  /** The underlying error. */
  readonly cause?: unknown;
}

/**
 * The only error that functions of mmdpickle throw. Each documents its codes after `@throws`, except two that may come from any:
 * `INVALID_ARGUMENT` for invalid arguments and options, and `CLOSED` from anything that was closed.
 *
 * @example
 * ```ts
 * import { MmdError } from '@mmdpickle/core';
 *
 * try {
 *   throw new MmdError('TRUNCATED', 'entry head: expected 9 bytes, found 3', { offset: 24, expected: 9, found: 3 });
 * } catch (error) {
 *   if (error instanceof MmdError && error.code === 'TRUNCATED') error.offset; // 24
 * }
 * ```
 */
export class MmdError extends Error implements ErrorFields {
  readonly code: ErrorCode;
  // Declared only, so that a printed error shows just the fields that are set.
  declare readonly offset?: number | undefined;
  declare readonly expected?: unknown;
  declare readonly found?: unknown;
  declare readonly global?: string | undefined;
  declare readonly limit?: string | undefined;
  declare readonly maximum?: number | undefined;
  declare readonly key?: string | undefined;
  declare readonly path?: string | undefined;
  declare readonly pid?: number | undefined;
  declare readonly errno?: string | undefined;

  /**
   * @param code - a key of {@link ERROR_CODES}
   * @param message - what was being done, what was found, and what to do about it
   * @param fields - see {@link ErrorFields}; `cause` goes to `Error.cause`
   */
  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}) {
    const { cause, ...rest } = fields;
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'MmdError';
    this.code = code;
    for (const [field, value] of Object.entries(rest)) {
      if (value !== undefined) Object.assign(this, { [field]: value });
    }
  }
}

/**
 * Recognizes an {@link MmdError} by its shape, so that it also works across realms,
 * workers and two copies of this package.
 *
 * @param error - any caught value
 * @param code - if given, the code it must have
 *
 * @example
 * ```ts
 * import { isMmdError, MmdError } from '@mmdpickle/core';
 *
 * isMmdError(new MmdError('CLOSED', 'the dict is closed'), 'CLOSED'); // true
 * ```
 */
export function isMmdError(error: unknown, code?: ErrorCode): error is MmdError {
  if (!(typeof error === 'object' && error !== null)) return false;
  const { name, code: found } = error as { name?: unknown; code?: unknown };
  return (
    name === 'MmdError' &&
    typeof found === 'string' &&
    Object.hasOwn(ERROR_CODES, found) &&
    (code === undefined || found === code)
  );
}

/** Whether reading failed, by a system call or because the file is closed: that says nothing about the bytes. */
export function failedToRead(error: unknown): boolean {
  return isMmdError(error) && (error.errno !== undefined || error.code === 'CLOSED');
}
