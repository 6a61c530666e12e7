import { MmdError, parseJson } from '@mmdpickle/core';
import { checkOptions, has, wrongArgument } from '@mmdpickle/core/options';
import type { MqttClient } from 'mqtt';
import { Observable } from 'rxjs';
import { MQTT_OPTIONS } from '../options.ts';
import { type Column, checkRecord, type PlainRecord, parseSchema, type RecordSchema } from './schema.ts';

/** How long to wait for the broker when disconnecting, in milliseconds. */
const GOODBYE_MS = 1000;

/** MQTT stores the length of a string in 16 bits. */
const MOST_TOPIC_BYTES = 65_535;

/** Property of a listener: the topic filters of its stream. */
const FILTERS = Symbol('topic filters');

/** The part of an MQTT client that is needed here; the client of the package `mqtt` (an optional peer dependency) has it. */
export interface MqttClientLike {
  readonly options?: { readonly reconnectPeriod?: number | undefined };
  on(event: 'message', listener: (topic: string, payload: Uint8Array) => void): unknown;
  on(event: 'error' | 'close', listener: (error?: Error) => void): unknown;
  off(event: 'message', listener: (topic: string, payload: Uint8Array) => void): unknown;
  off(event: 'error' | 'close', listener: (error?: Error) => void): unknown;
  /** Used to find other streams of this client, so that their topics stay subscribed. */
  listeners?(event: 'message'): readonly unknown[];
  subscribeAsync(topics: string[], options: { qos: 0 | 1 | 2 }): Promise<unknown>;
  unsubscribeAsync(topics: string[]): Promise<unknown>;
  endAsync(): Promise<void>;
}

/** How messages are read. */
export interface MqttOptions<T> {
  /** Quality of service of the subscription. Default 1: the broker delivers at least once. */
  readonly qos?: 0 | 1 | 2;
  /** The columns that each message, a JSON object, must have. Default: any object. */
  readonly schema?: RecordSchema;
  /** Decodes a message, in place of JSON. The payload is borrowed for the call. */
  readonly decode?: (payload: Uint8Array, topic: string) => T;
  /**
   * Called for each message that is not JSON or does not match the schema, or for which `decode` throws an MmdError; the
   * message is skipped. Without it the first one ends the stream.
   */
  readonly onInvalid?: (error: MmdError, topic: string) => void;
  /** Called once the broker has confirmed the subscription: messages published from then on are received. */
  readonly onReady?: () => void;
}

/**
 * The messages of an MQTT broker: JSON records by default, anything with `decode`.
 *
 * Given a URL, connects and disconnects itself (this needs the package `mqtt`), and ends with IO when the connection is
 * lost: `retry` of RxJS then connects again. Given a client, only subscribes and unsubscribes, takes only messages of its
 * own topics, and leaves reconnecting to the client: the stream ends with IO only if the client does not reconnect.
 * Retained messages come when a filter is new to the client, and go to all streams of that client with a matching topic.
 *
 * @param broker - such as `'mqtt://localhost:1883'`, or a connected client
 * @param topics - topic filters, such as `'plant/+/temperature'`
 *
 * Errors: CORRUPT for a message that is not JSON, INVALID_ARGUMENT for one that does not match the schema, IO if the
 * connection fails or the broker refuses the subscription; and whatever a callback throws.
 *
 * @throws MmdError INVALID_ARGUMENT for an invalid topic filter
 */
export function fromMqtt<T = PlainRecord>(
  broker: string | URL | MqttClientLike,
  topics: string | readonly string[],
  options: MqttOptions<T> = {},
): Observable<T> {
  checkOptions(options, MQTT_OPTIONS);
  const filters = Array.isArray(topics) ? topics.map(String) : [String(topics)];
  if (filters.length === 0 || ![topics].flat().every(isFilter))
    throw wrongArgument('topics', 'a topic filter or a list of them', topics);
  if (typeof broker !== 'string' && !has(broker, 'subscribeAsync', 'function') && !(broker instanceof URL))
    throw wrongArgument('the broker', 'a URL or a client', broker);
  const columns = options.schema === undefined ? [] : parseSchema(options.schema);
  const decode = options.decode ?? ((payload: Uint8Array, topic: string) => decodeJson(payload, topic, columns) as T);

  return new Observable<T>((subscriber) => {
    let client: MqttClientLike | undefined;
    /** The client, if it was created here. */
    let own: MqttClient | undefined;
    let subscribed = false;
    const owned = typeof broker === 'string' || broker instanceof URL;

    function receive(topic: string, payload: Uint8Array): void {
      // A client delivers the messages of all its subscriptions.
      if (!owned && !filters.some((filter) => matches(filter, topic))) return;
      let item: T;
      try {
        item = decode(payload, topic);
      } catch (error) {
        if (options.onInvalid !== undefined && error instanceof MmdError) told(() => options.onInvalid?.(error, topic));
        else subscriber.error(error);
        return;
      }
      subscriber.next(item);
    }
    receive[FILTERS] = filters;

    /** Ends the stream if a callback throws: the client would not catch it, and it is no error of the connection. */
    function told(tell: () => void): void {
      try {
        tell();
      } catch (error) {
        subscriber.error(error);
      }
    }

    function fail(cause?: Error): void {
      subscriber.error(new MmdError('IO', `the MQTT connection failed: ${cause?.message ?? 'closed'}`, { cause }));
    }

    /** Fails, unless the client reconnects, which also renews its subscriptions. */
    function lost(cause?: Error): void {
      if (!((client?.options?.reconnectPeriod ?? 0) > 0)) fail(cause);
    }

    async function start(): Promise<void> {
      const mqtt = owned ? await import('mqtt') : undefined;
      if (subscriber.closed) return;
      own = mqtt?.connect(String(broker), { reconnectPeriod: 0 });
      client = (own as MqttClientLike | undefined) ?? (broker as MqttClientLike);
      client.on('message', receive);
      client.on('error', lost);
      if (owned || client.options?.reconnectPeriod === 0) client.on('close', lost);
      if (own !== undefined) {
        const connecting = own;
        // A failed connection is reported by the `error` or `close` listener.
        await new Promise<void>((resolve) => connecting.once('connect', () => resolve()));
      }
      await client.subscribeAsync(filters, { qos: options.qos ?? 1 });
      subscribed = true;
      told(() => options.onReady?.());
    }
    async function stop(): Promise<void> {
      if (client === undefined) return;
      client.off('message', receive);
      client.off('close', lost);
      if (own !== undefined) await leave(own, subscribed);
      else {
        const left = unused(filters, client);
        if (left.length > 0) await client.unsubscribeAsync(left);
      }
      client.off('error', lost);
    }

    start().catch(fail);
    return () => {
      // After unsubscribing there is nobody to report a failed disconnect to.
      stop().catch(() => {});
    };
  });
}

/** Disconnects, gracefully if the broker has answered, but waits only a moment: an open socket would keep the process alive. */
async function leave(client: MqttClient, answers: boolean): Promise<void> {
  const late = setTimeout(() => client.stream.destroy(), GOODBYE_MS);
  try {
    await client.endAsync(!answers);
  } finally {
    clearTimeout(late);
  }
}

/** The filters that no other stream of the client uses. */
function unused(filters: readonly string[], client: MqttClientLike): string[] {
  const listeners = (client.listeners?.('message') ?? []) as { readonly [FILTERS]?: readonly string[] }[];
  const used = new Set(listeners.flatMap((listener) => listener[FILTERS] ?? []));
  return filters.filter((filter) => !used.has(filter));
}

/** Whether a topic filter is valid: a broker answers an invalid one by closing the connection. */
function isFilter(filter: unknown): boolean {
  if (typeof filter !== 'string' || filter === '' || Buffer.byteLength(filter) > MOST_TOPIC_BYTES) return false;
  const levels = filter.split('/');
  return levels.every(
    (level, i) => level === '+' || (level === '#' && i === levels.length - 1) || !/[+#\0]/.test(level),
  );
}

/** Whether a topic matches a filter, as MQTT defines it. */
function matches(filter: string, topic: string): boolean {
  const names = filter.replace(/^\$share\/[^/]*\//, '').split('/');
  const levels = topic.split('/');
  // A wildcard at the start does not match the broker's own topics.
  if (topic.startsWith('$') && (names[0] === '#' || names[0] === '+')) return false;
  const many = names.at(-1) === '#';
  const fixed = many ? names.slice(0, -1) : names;
  if (many ? levels.length < fixed.length : levels.length !== fixed.length) return false;
  return fixed.every((name, i) => name === '+' || name === levels[i]);
}

function decodeJson(payload: Uint8Array, topic: string, columns: readonly Column[]): PlainRecord {
  let record: unknown;
  try {
    record = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch (cause) {
    throw new MmdError('CORRUPT', `a message on topic '${topic}' is not JSON in UTF-8`, { key: topic, cause });
  }
  checkRecord(columns, record);
  return record;
}
