/**
 * A {@link ByteSource} over HTTP: byte ranges (RFC 9110, section 14) through fetch.
 *
 * @module
 */

import { newBytes } from '../bytes/index.ts';
import { MmdError } from '../errors.ts';
import { checkOptions, isFunction, isObject, type OptionTable, wrongArgument } from '../options.ts';
import type { ByteSource } from './byte-source.ts';
import { checkRange } from './range.ts';
import { endsBefore } from './source-errors.ts';

/** Options of {@link httpSource}. */
export interface HttpSourceOptions {
  /** Headers sent with every request, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The fetch to use; the global one by default. */
  readonly fetch?: typeof fetch;
}

/**
 * Reads byte ranges of a URL. The server must support range requests; a response with the whole file
 * is rejected without reading its body. It is an error if the file is replaced or grows while it is read, which is detected by
 * ETag or Last-Modified and by the length. The browser's cache is not used.
 * @throws (rejecting) NOT_FOUND (404, 410); TRUNCATED; IO for every other response and for network failures
 *
 * @example
 * ```ts
 * import { httpSource } from '@mmdpickle/core/storage';
 *
 * const served = new Uint8Array([1, 2, 3]);
 * const source = httpSource('https://data.example/run.mmdpickle', {
 *   fetch: async () =>
 *     new Response(served.slice(1, 3), { status: 206, headers: { 'content-range': 'bytes 1-2/3' } }),
 * });
 * await source.read(1, 2); // Uint8Array [2, 3]
 * ```
 */
export function httpSource(url: string | URL, options: HttpSourceOptions = {}): ByteSource {
  if (typeof url !== 'string' && !(url instanceof URL))
    throw wrongArgument('the address of a file', 'a string or a URL', url);
  return new HttpSource(String(url), checkOptions(options, HTTP_OPTIONS));
}

const HTTP_OPTIONS: OptionTable = { headers: isObject, fetch: isFunction };

class HttpSource implements ByteSource {
  readonly name: string;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;
  /** Length and version of the file, from the first responses that state them. */
  #size: number | undefined;
  #version: string | undefined;

  constructor(url: string, options: HttpSourceOptions) {
    this.name = url;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    // Ranges count bytes of the file itself, so it must not be compressed in transit.
    this.#headers = { 'accept-encoding': 'identity', ...options.headers };
  }

  async size(signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    if (this.#size !== undefined) return this.#size;
    const head = await this.#ask('HEAD', {}, signal);
    const length = head.ok && isPlain(head) ? number(head.headers.get('content-length')) : undefined;
    if (length !== undefined && length > 0) {
      this.#check(head, length);
      return length;
    }
    // Some servers answer HEAD with an error, omit the length, or report 0 for any file because they send no body.
    const response = await this.#ask('GET', { range: 'bytes=0-0' }, signal);
    await leave(response);
    const empty = response.status === 200 && response.headers.get('content-length') === '0';
    const total = empty ? 0 : totalOf(response);
    if ((empty || response.status === 416) && total !== undefined) this.#check(response, total);
    else this.#refuseUnless206(response, 0);
    if (total === undefined) throw this.#error('IO', 'the server does not report the size of the file');
    return total;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    checkRange(this.name, offset, length);
    if (length === 0) return new Uint8Array(0);
    const response = await this.#ask('GET', { range: `bytes=${offset}-${offset + length - 1}` }, signal);
    try {
      if (response.status === 416) {
        const total = totalOf(response);
        this.#check(response, total);
        throw endsBefore(this.name, offset, length, total ?? offset);
      }
      this.#refuseUnless206(response, offset);
      const into = newBytes(length, 'a range');
      const got = await this.#fill(into, response, signal);
      if (got < length) throw this.#tooShort(offset, length, got, totalOf(response));
      return into;
    } catch (error) {
      await leave(response);
      throw error;
    }
  }

  async #ask(method: string, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
    try {
      return await this.#fetch(this.name, {
        method,
        // A browser's cache combines ranges of two versions, and serves files that have changed since.
        cache: 'no-store',
        headers: { ...this.#headers, ...headers },
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw this.#error('IO', `${method} failed${reasonOf(cause)}`, cause);
    }
  }

  /** Reads the body into `into`; the rest of a longer body is discarded. */
  async #fill(into: Uint8Array, response: Response, signal: AbortSignal | undefined): Promise<number> {
    const reader = response.body?.getReader();
    let at = 0;
    try {
      while (reader !== undefined && at < into.length) {
        const { done, value } = await reader.read();
        if (done) break;
        const piece = value.subarray(0, into.length - at);
        into.set(piece, at);
        at += piece.length;
      }
    } catch (cause) {
      signal?.throwIfAborted();
      throw this.#error('IO', 'the connection was lost', cause);
    } finally {
      reader?.releaseLock();
    }
    if (at === into.length) await leave(response);
    return at;
  }

  /** A server may send only part of the requested range; that does not mean that the file ends there. */
  #tooShort(offset: number, length: number, got: number, total: number | undefined): MmdError {
    if (total === undefined || total <= offset + got) return endsBefore(this.name, offset, length, offset + got);
    return this.#error(
      'IO',
      `asked for ${length} bytes from ${offset}, but the server sent ${got}, though the file has ${total}`,
    );
  }

  #refuseUnless206(response: Response, offset: number): void {
    const { status } = response;
    if (status === 404 || status === 410) throw this.#error('NOT_FOUND', `HTTP ${status}`);
    if (status === 200) throw this.#error('IO', 'the server sends only whole files; it must support range requests');
    if (status !== 206) throw this.#error('IO', `HTTP ${status} ${response.statusText}`.trim());
    if (!isPlain(response)) throw this.#error('IO', 'the server sends compressed ranges');
    if (/^multipart\//i.test(response.headers.get('content-type') ?? ''))
      throw this.#error('IO', 'the server sends ranges as a multipart response');
    // Hidden from pages of other origins unless the server exposes the header.
    const range = response.headers.get('content-range');
    const start = range === null ? offset : number(/^bytes (\d+)-/.exec(range)?.[1] ?? null);
    if (start !== offset) throw this.#error('IO', `asked for bytes from ${offset}, but the server sent ${range}`);
    this.#check(response, totalOf(response));
  }

  /** Many servers send no version, or only the time of the last change in whole seconds; the length catches what these miss. */
  #check(response: Response, size: number | undefined): void {
    const version = response.headers.get('etag') ?? response.headers.get('last-modified') ?? undefined;
    this.#version ??= version;
    this.#size ??= size;
    if ((version ?? this.#version) !== this.#version || (size ?? this.#size) !== this.#size) {
      throw this.#error('IO', 'the file was replaced while being read; open it again');
    }
  }

  #error(code: 'IO' | 'NOT_FOUND', message: string, cause?: unknown): MmdError {
    return new MmdError(code, `${this.name}: ${message}`, { path: this.name, cause });
  }
}

/** The messages of fetch's error and of its causes: Node's own message only says that it failed. */
function reasonOf(thrown: unknown): string {
  let reason = '';
  for (let error = thrown, depth = 0; error instanceof Error && depth < 3; error = error.cause, depth++)
    if (error.message !== '') reason += `: ${error.message}`;
  return reason;
}

/** Discards the rest of a response, and any error in doing so. */
async function leave(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

function isPlain(response: Response): boolean {
  const encoding = response.headers.get('content-encoding');
  return encoding === null || encoding === 'identity';
}

/** The length after the slash of `Content-Range: bytes 0-0/1234`. */
function totalOf(response: Response): number | undefined {
  return number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? null);
}

function number(text: string | null): number | undefined {
  if (text === null || !/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}
