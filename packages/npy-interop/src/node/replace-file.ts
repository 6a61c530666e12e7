/**
 * Files that appear whole or not at all: written under a temporary name, then renamed into place.
 *
 * @module
 */

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { isMmdError, MmdError } from '@mmdpickle/core';
import { absolutePath, NodeFile } from '@mmdpickle/core/node';

/** Suffix of a temporary file; its hidden name holds the target's name, and the host and process that write it. */
const SUFFIX = '.mmdpickle-tmp';

/**
 * A new file that replaces `path` when it is committed or finished. Disposing it before that leaves nothing behind.
 *
 * @example
 * ```ts
 * import { FileReplacement } from '@mmdpickle/npy-interop';
 *
 * using report = new FileReplacement('report.txt');
 * report.file.write(0, new TextEncoder().encode('whole or not at all'));
 * report.finish();
 * ```
 */
export class FileReplacement implements Disposable {
  readonly path: string;
  /** The temporary file to write to, in the target's directory. */
  readonly file: NodeFile;
  /** The path, or what it links to. */
  readonly target: string;
  readonly #temporary: string;
  #open = true;

  /**
   * @param leftovers - of directories already listed; share one among many files, as listing a large directory is slow
   * @throws INVALID_ARGUMENT for a directory, a path that ends like one, a pipe or a device, which must not be replaced; IO
   */
  constructor(path: string | URL, leftovers: Leftovers = new Map()) {
    this.path = absolutePath(path);
    // absolutePath has dropped the slash: it would be taken for the path of a file.
    if (['/', sep].includes(String(path).slice(-1))) {
      throw new MmdError('INVALID_ARGUMENT', `${String(path)}: the path of a directory, but a file is to be written`, {
        path: this.path,
      });
    }
    using old = openIfThere(this.path);
    this.target = old?.name ?? this.path;
    sweep(this.target, leftovers);
    const name = `${temporaryPrefix(this.target)}${process.pid}.${randomUUID()}${SUFFIX}`;
    this.#temporary = join(dirname(this.target), name);
    // Opened through the old file, it gets that file's owner and permissions. Errors name the path that the caller gave.
    const calledAs = this.path;
    try {
      this.file =
        old?.open(this.#temporary, 'create-new', calledAs) ??
        NodeFile.open(this.#temporary, 'create-new', { calledAs });
    } catch (cause) {
      if (!isMmdError(cause, 'NOT_FOUND')) throw cause;
      const { errno } = cause;
      throw new MmdError('NOT_FOUND', `${this.path}: its directory does not exist`, { path: this.path, errno, cause });
    }
  }

  /** Renames the file into place and leaves it open. */
  commit(): NodeFile {
    this.file.renameOver(this.path);
    this.#open = false;
    return this.file;
  }

  /** Closes the complete file without renaming it into place, so that many can be renamed together. */
  seal(): void {
    this.file.close();
  }

  /** Closes the file if it is open and renames it into place. @throws IO */
  finish(): void {
    this.seal();
    try {
      renameSync(this.#temporary, this.target);
    } catch (cause) {
      throw systemError('renaming into place', this.path, cause);
    }
    this.#open = false;
  }

  /** Removes the file, unless it has its name. Does not throw: whatever kept it from being finished is the error to report. */
  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    for (const undo of [() => this.file.close(), () => rmSync(this.#temporary, { force: true })]) {
      try {
        undo();
      } catch {
        // It is left behind.
      }
    }
  }
}

function openIfThere(path: string): NodeFile | undefined {
  try {
    return NodeFile.open(path, 'r');
  } catch (error) {
    if (isMmdError(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

/** Creates a directory and its parents. Returns the first one created, if any. @throws NO_SPACE, IO */
export function makeDirectory(path: string): string | undefined {
  try {
    return mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw systemError('creating the directory', path, cause);
  }
}

/** Removes directories that were created in vain, from `path` up to the first one created; those that are not empty stay. */
export function removeEmptyDirectories(path: string, first: string): void {
  for (let directory = path; directory.length >= first.length; directory = dirname(directory)) {
    try {
      rmdirSync(directory);
    } catch {
      // It is in use or cannot be removed: the earlier error is the one to report.
      return;
    }
  }
}

function systemError(what: string, path: string, cause: unknown): MmdError {
  const errno = (cause as NodeJS.ErrnoException).code;
  const code = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'NO_SPACE' : 'IO';
  return new MmdError(code, `${path}: ${what} failed: ${errno}`, { path, errno, cause });
}

/** Start of a temporary file's name. File names have at most 255 bytes, so a long target's name is cut. */
function temporaryPrefix(path: string): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9-]/g, '_')
    .slice(0, 32);
  return `.${Buffer.from(basename(path)).subarray(0, 60).toString('base64url')}.${host}.`;
}

/** The part of a name that {@link temporaryPrefix} makes: neither the target's name nor the host's has a dot in it. */
const PREFIX = /^\.[^.]*\.[^.]*\./;

/** The names of temporary files, by the directory in which they were found and by their {@link temporaryPrefix}. */
export type Leftovers = Map<string, ReadonlyMap<string, readonly string[]>>;

/** Removes the temporary files that killed processes of this machine left behind for this target. */
function sweep(path: string, leftovers: Leftovers): void {
  const directory = dirname(path);
  const prefix = temporaryPrefix(path);
  const found = leftovers.get(directory) ?? temporaryFiles(directory);
  leftovers.set(directory, found);
  for (const name of found.get(prefix) ?? []) {
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    if (!Number.isSafeInteger(pid) || isRunning(pid)) continue;
    rmSync(join(directory, name), { force: true });
  }
}

/** By prefix: an export of n arrays may find the n files that a killed one left, and must not look through all of them n times. */
function temporaryFiles(directory: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch {
    // Creating the file will report what is wrong with the directory.
  }
  for (const name of names) {
    const [prefix] = (name.endsWith(SUFFIX) && PREFIX.exec(name)) || [];
    if (prefix === undefined) continue;
    const same = found.get(prefix);
    if (same === undefined) found.set(prefix, [name]);
    else same.push(name);
  }
  return found;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
