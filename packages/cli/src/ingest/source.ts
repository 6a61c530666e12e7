/**
 * Where frames come from: standard input, files, pipes, sockets, a broker. Sources that can wait provide a stream
 * of bytes; those that cannot (datagrams, messages) provide an Observable of whole messages. All are open when they
 * are returned, so that one that cannot be reached leaves no output file behind.
 *
 * @module
 */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { constants, createReadStream, fstatSync, openSync, ReadStream, statSync } from 'node:fs';
import { connect, createServer, type Server, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { MmdError } from '@mmdpickle/core';
import { fromMqtt } from '@mmdpickle/rx';
import { Observable } from 'rxjs';
import type { Invocation } from '../command.ts';
import { usageError } from '../errors.ts';
import { jsonText } from '../json.ts';
import { tell } from '../terminal.ts';
import { OpenMessages } from './messages.ts';

/** An open source of bytes; a socket that is not closed keeps the process alive. */
export type ByteInput = (
  | { readonly waits: true; readonly stream: Readable; readonly isFile: boolean }
  | { readonly waits: false; readonly messages$: Observable<Uint8Array> }
) &
  Disposable;

/** The kinds of source, by what the name begins with; the first row that matches is used, the last for paths. */
export const SOURCES: readonly {
  readonly form: string;
  readonly doc: string;
  readonly matches: RegExp;
  open(spec: string, invocation: Invocation): ByteInput | Promise<ByteInput>;
}[] = [
  {
    form: '-',
    doc: 'standard input',
    matches: /^-$/,
    open: (_spec, { terminal }) => waiting(terminal.stdin),
  },
  {
    form: 'tcp://HOST:PORT',
    doc: 'connects to a server and reads what it sends',
    matches: /^tcp:\/\//,
    open: async (spec, { terminal }) => waiting(await connectTcp(addressOf(spec), terminal.signal)),
  },
  {
    form: 'tcp-listen://HOST:PORT',
    doc: 'waits for one client and reads what it sends',
    matches: /^tcp-listen:\/\//,
    open: async (spec, invocation) => waiting(await acceptTcp(addressOf(spec), invocation)),
  },
  {
    form: 'udp://HOST:PORT',
    doc: 'datagrams that arrive at this address; each holds whole frames or lines',
    matches: /^udp:\/\//,
    open: (spec, invocation) => {
      const address = addressOf(spec);
      return messages(invocation, (ready) => datagrams(address, invocation, ready));
    },
  },
  {
    form: 'mqtt://HOST:PORT/TOPIC',
    doc: 'messages from a broker; the topic may contain + and #',
    matches: /^mqtts?:\/\//,
    open: (spec, invocation) => messages(invocation, (ready) => mqttMessages(spec, invocation, ready)),
  },
  {
    form: 'PATH',
    doc: 'a file or a named pipe',
    matches: /^/,
    open: async (spec, { terminal }) => waiting(await openPath(spec, terminal.signal)),
  },
];

/** Opens what `spec` names. */
export async function openSource(spec: string, invocation: Invocation): Promise<ByteInput> {
  const source = SOURCES.find(({ matches }) => matches.test(spec));
  if (source === undefined) throw usageError(`--from: unknown source ${spec}`, spec);
  return await source.open(spec, invocation);
}

function waiting(stream: Readable): ByteInput {
  // Node uses a ReadStream for a path, and for standard input that the shell redirected from one.
  const { fd } = stream as { readonly fd?: unknown };
  const isFile = stream instanceof ReadStream && typeof fd === 'number' && fstatSync(fd).isFile();
  return { waits: true, stream, isFile, [Symbol.dispose]: () => void stream.destroy() };
}

async function messages(
  { terminal }: Invocation,
  start: (ready: () => void) => Observable<Uint8Array>,
): Promise<ByteInput> {
  const open = await OpenMessages.open(start, terminal.signal);
  return { waits: false, messages$: open.messages$, [Symbol.dispose]: () => open[Symbol.dispose]() };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function addressOf(spec: string): Address {
  const match = /^[a-z-]+:\/\/(\[[^\]]+\]|[^:/]*):(\d+)\/?$/.exec(spec);
  const port = Number(match?.[2]);
  if (match === null || port > 65535) throw usageError(`--from: expected HOST:PORT, found ${spec}`, spec);
  return { host: match[1]?.replaceAll(/[[\]]/g, '') || '127.0.0.1', port };
}

async function connectTcp(address: Address, signal: AbortSignal): Promise<Readable> {
  const socket = connect(address);
  try {
    await once(socket, 'connect', { signal });
  } catch (cause) {
    socket.destroy();
    throw ioError(`connecting to ${address.host}:${address.port}`, cause);
  }
  return socket;
}

async function acceptTcp({ host, port }: Address, invocation: Invocation): Promise<Readable> {
  const server = createServer();
  const { signal } = invocation.terminal;
  try {
    server.listen(port, host);
    await once(server, 'listening', { signal });
    tellListening(invocation, 'tcp-listen', server.address());
    const [socket] = (await once(server, 'connection', { signal })) as [Socket];
    return socket;
  } catch (cause) {
    throw ioError(`listening on ${host}:${port}`, cause);
  } finally {
    // One client is one capture; its socket stays open.
    server.close();
  }
}

function datagrams({ host, port }: Address, invocation: Invocation, ready: () => void): Observable<Uint8Array> {
  return new Observable((subscriber) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.on('message', (message) => subscriber.next(message));
    socket.on('error', (cause) => subscriber.error(ioError(`receiving on ${host}:${port}`, cause)));
    socket.on('listening', () => {
      tellListening(invocation, 'udp', socket.address());
      ready();
    });
    socket.bind(port, host);
    return () => socket.close();
  });
}

function mqttMessages(spec: string, invocation: Invocation, ready: () => void): Observable<Uint8Array> {
  const match = /^(mqtts?:\/\/[^/]+)\/(.+)$/.exec(spec);
  if (match === null) throw usageError(`--from: expected mqtt://HOST:PORT/TOPIC, found ${spec}`, spec);
  const [, broker = '', topic = ''] = match;
  return fromMqtt<Uint8Array>(broker, decoded(topic, spec), {
    decode: (payload) => payload.slice(),
    // Status lines end up in log files, which should not contain passwords.
    onReady: () => {
      tellReady(invocation, spec.replace(/\/\/[^/@]*@/, '//'));
      ready();
    },
  });
}

function decoded(topic: string, spec: string): string {
  try {
    return decodeURIComponent(topic);
  } catch {
    throw usageError(`--from: a % in a topic must be written as %25, found ${spec}`, spec);
  }
}

/** Opens a path at once, so that a missing one is reported before the output file is created. */
async function openPath(path: string, signal: AbortSignal): Promise<Readable> {
  // With bigints: after a plain stat of a pipe, Node's realpathSync stops short, and modules are no longer found.
  const status = statSync(path, { bigint: true });
  if (status.isDirectory()) throw usageError(`--from: ${path} is a directory`, path);
  if (status.isFIFO()) {
    // A file stream would wait for the writer in a thread that nothing can interrupt; a socket is polled.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return new Socket({ fd, readable: true, writable: false });
  }
  const stream = createReadStream(path);
  await once(stream, 'open', { signal });
  return stream;
}

/** Prints the address for senders, with the actual port if port 0 was given. */
function tellListening(invocation: Invocation, scheme: string, bound: ReturnType<Server['address']>): void {
  if (bound === null || typeof bound === 'string') return;
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  tellReady(invocation, `${scheme}://${host}:${bound.port}`);
}

function tellReady({ terminal, quiet }: Invocation, source: string): void {
  if (quiet) return;
  tell(terminal, terminal.stderr.isTTY === true ? `receiving on ${source}` : jsonText({ receiving: source }));
}

function ioError(what: string, cause: unknown): MmdError {
  const { code, message, name } = cause as NodeJS.ErrnoException;
  if (name === 'AbortError') return new MmdError('IO', `${what}: interrupted`, { cause });
  return new MmdError('IO', `${what}: ${message}`, { errno: code, cause });
}
