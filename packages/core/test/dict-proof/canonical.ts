/** A canonical text of a dict's contents, the same from JavaScript and Python, so that states can be compared as text. */
import { crc32 } from 'node:zlib';
import { MaskedArray, NDArray } from '../../src/ndarray/index.ts';

const FLOAT = new DataView(new ArrayBuffer(8));

function digest(bytes: Uint8Array): string {
  return bytes.length <= 32 ? Buffer.from(bytes).toString('hex') : `${bytes.length}:${crc32(bytes)}`;
}

function arrayText(array: NDArray): string {
  const bytes = Buffer.concat([...array.bytes()].map((part) => part.slice()));
  return `A${array.type.descr as string}(${array.shape.join(',')})${digest(bytes)}`;
}

/** The text of a value. */
export function valueText(value: unknown): string {
  if (value === null) return 'N';
  if (typeof value === 'boolean') return value ? 'T' : 'F';
  if (typeof value === 'number') {
    if (Number.isInteger(value)) return `i${value}`;
    FLOAT.setFloat64(0, value);
    return `f${FLOAT.getBigUint64(0).toString(16).padStart(16, '0')}`;
  }
  if (typeof value === 'string') return `s${digest(Buffer.from(value))}`;
  if (value instanceof Uint8Array) return `b${digest(value)}`;
  if (value instanceof NDArray) return arrayText(value);
  if (value instanceof MaskedArray) return `M${arrayText(value.data)}${arrayText(value.mask)}`;
  if (Array.isArray(value)) return `[${value.map(valueText).join(',')}]`;
  throw new Error(`no text for ${String(value)}`);
}

/** The text of a dict or a model. */
export function stateText(items: Iterable<readonly [string, unknown]>): string {
  return [...items]
    .map(([key, value]) => `${key}=${valueText(value)}`)
    .sort()
    .join(';');
}
