import { MmdError, parseJson } from '@mmdpickle/core';
import { Observable } from 'rxjs';
import { type Column, checkRecord, type PlainRecord, parseSchema, type RecordSchema } from './schema.ts';

/** What is needed of an MQTT client; that of the package `mqtt` (an optional peer dependency) has it. */
export interface MqttClientLike {
  on(event: 'message', listener: (topic: string, payload: Uint8Array) => void): unknown;
  on(event: 'error' | 'close', listener: (error?: Error) => void): unknown;
  off(event: 'message', listener: (topic: string, payload: Uint8Array) => void): unknown;
  off(event: 'error' | 'close', listener: (error?: Error) => void): unknown;
  subscribeAsync(topics: string[], options: { qos: 0 | 1 | 2 }): Promise<unknown>;
  unsubscribeAsync(topics: string[]): Promise<unknown>;
  endAsync(): Promise<void>;
}

/** How messages are read. */
export interface MqttOptions<T> {
  /** Quality of service of the subscription. Default 1: the broker delivers at least once. */
  readonly qos?: 0 | 1 | 2;
  /** What each message must have, as a JSON object. Default: any object. */
  readonly schema?: RecordSchema;
  /** Makes an item of a message, in place of JSON. The payload is borrowed for the call. */
  readonly decode?: (payload: Uint8Array, topic: string) => T;
  /** Told about messages that are not of the schema, which are left out. Without it the first one ends the stream. */
  readonly onInvalid?: (error: MmdError, topic: string) => void;
  /** Called once the broker has confirmed the subscription: messages published from now on are seen. */
  readonly onReady?: () => void;
}

/**
 * The messages of an MQTT broker: JSON records by default, anything with `decode`.
 *
 * Given a URL, connects and disconnects itself (this needs the package `mqtt`), and ends with IO when the connection is
 * lost: rxjs's `retry` then connects again. Given a client, only subscribes and unsubscribes, and leaves reconnecting to it.
 *
 * @param broker - such as `'mqtt://localhost:1883'`, or a connected client
 * @param topics - topic filters, such as `'plant/+/temperature'`
 *
 * Errors: CORRUPT for a message that is not JSON, INVALID_ARGUMENT for one that is not of the schema,
 * IO when the connection fails or the broker refuses the subscription.
 */
export function fromMqtt<T = PlainRecord>(
  broker: string | URL | MqttClientLike,
  topics: string | readonly string[],
  options: MqttOptions<T> = {},
): Observable<T> {
  const filters = typeof topics === 'string' ? [topics] : [...topics];
  const columns = options.schema === undefined ? [] : parseSchema(options.schema);
  const decode = options.decode ?? ((payload: Uint8Array, topic: string) => decodeJson(payload, topic, columns) as T);

  return new Observable<T>((subscriber) => {
    let client: MqttClientLike | undefined;
    const owned = typeof broker === 'string' || broker instanceof URL;

    function receive(topic: string, payload: Uint8Array): void {
      let item: T;
      try {
        item = decode(payload, topic);
      } catch (error) {
        if (options.onInvalid !== undefined && error instanceof MmdError) options.onInvalid(error, topic);
        else subscriber.error(error);
        return;
      }
      subscriber.next(item);
    }
    function fail(cause?: Error): void {
      subscriber.error(new MmdError('IO', `the MQTT connection failed: ${cause?.message ?? 'closed'}`, { cause }));
    }

    async function start(): Promise<void> {
      const opened = owned ? await connect(String(broker)) : (broker as MqttClientLike);
      if (subscriber.closed) {
        if (owned) await opened.endAsync();
        return;
      }
      client = opened;
      client.on('message', receive);
      client.on('error', fail);
      if (owned) client.on('close', fail);
      await client.subscribeAsync(filters, { qos: options.qos ?? 1 });
      options.onReady?.();
    }
    async function stop(): Promise<void> {
      if (client === undefined) return;
      client.off('message', receive);
      client.off('close', fail);
      if (owned) await client.endAsync();
      else await client.unsubscribeAsync(filters);
      client.off('error', fail);
    }

    start().catch(fail);
    return () => {
      // Nobody is there to be told that the goodbye failed.
      stop().catch(() => {});
    };
  });
}

async function connect(url: string): Promise<MqttClientLike> {
  const { connectAsync } = await import('mqtt');
  return (await connectAsync(url, { reconnectPeriod: 0 })) as unknown as MqttClientLike;
}

function decodeJson(payload: Uint8Array, topic: string, columns: readonly Column[]): PlainRecord {
  let record: unknown;
  try {
    record = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch (cause) {
    throw new MmdError('CORRUPT', `a message of topic '${topic}' is not JSON in UTF-8`, { key: topic, cause });
  }
  checkRecord(columns, record);
  return record;
}
