/**
 * Values as text for people, in Python's notation where it has one, cut to a sensible length.
 *
 * @module
 */

import { MaskedArray, NDArray, PySlice } from '@mmdpickle/core';
import { isDType } from '@mmdpickle/core/ndarray';
import { PyArray } from '@mmdpickle/core/pickle';
import { printable } from './text.ts';

/** How much of a value a preview shows. */
const PREVIEW = { items: 6, edge: 3, depth: 4, characters: 2000, array: 100_000 } as const;

/** One value, cut if it is long. */
export function previewText(value: unknown): string {
  if (value instanceof MaskedArray || value instanceof NDArray) return arrayText(value);
  const text = valueText(value, 0);
  return text.length > PREVIEW.characters ? `${text.slice(0, PREVIEW.characters)} ... (cut; --json prints all)` : text;
}

function arrayText(array: NDArray | MaskedArray): string {
  const { shape } = array;
  const title = `${array instanceof MaskedArray ? 'masked ' : ''}${array.dtype} [${shape.join(', ')}]`;
  let text = `${title}\n`;
  for (const piece of nestedText(array, '')) {
    text += piece;
    // Many short axes are all shown in full, so the text as a whole is cut.
    if (text.length > PREVIEW.array) return `${text} ... (cut; --json prints all)`;
  }
  return text;
}

/** As numpy prints arrays: the edges of each axis, rows below one another. */
function* nestedText(array: NDArray | MaskedArray, indent: string): Generator<string> {
  const { shape } = array;
  if (shape.length === 0) return yield elementText(array, array.get());
  const [length = 0] = shape;
  const shown =
    length > PREVIEW.items
      ? [...range(0, PREVIEW.edge), -1, ...range(length - PREVIEW.edge, length)]
      : range(0, length);
  const deeper = shape.length > 1;
  yield '[';
  for (const [place, index] of shown.entries()) {
    if (place > 0) yield deeper ? `,\n${indent} ` : ', ';
    if (index === -1) yield '...';
    else if (deeper) yield* nestedText(array.slice(index) as NDArray, `${indent} `);
    else yield elementText(array, array.get(index));
  }
  yield ']';
}

function range(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index);
}

/** An element of an array; null is a masked element, NaT, or the object None. */
function elementText(array: NDArray | MaskedArray, value: unknown): string {
  if (value !== null) return valueText(value, 0);
  if (array instanceof MaskedArray) return '--';
  return array.type.kind === 'O' ? 'None' : 'NaT';
}

function valueText(value: unknown, depth: number): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return printable(JSON.stringify(value));
  if (typeof value !== 'object') return Object.is(value, -0) ? '-0' : String(value);
  if (depth >= PREVIEW.depth) return '...';
  const inner = (item: unknown): string => valueText(item, depth + 1);
  if (value instanceof NDArray || value instanceof MaskedArray)
    return `array(${value.dtype} [${value.shape.join(', ')}])`;
  if (isDType(value)) return `dtype(${value.name})`;
  if (value instanceof Map) return `{${limited([...value], ([key, item]) => `${inner(key)}: ${inner(item)}`)}}`;
  if (value instanceof Set) return `{${limited([...value], inner)}}`;
  if (Array.isArray(value)) {
    const items = limited(value, inner);
    return Object.isFrozen(value) ? `(${items}${value.length === 1 ? ',' : ''})` : `[${items}]`;
  }
  if (value instanceof PyArray) return `array('${value.typecode}', ${inner(value.toArray())})`;
  if (value instanceof Uint8Array) return bytesLiteral(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof PySlice) return `slice(${[value.start, value.stop, value.step].map(inner).join(', ')})`;
  if (Object.getPrototypeOf(value) === null) {
    return `(${limited(Object.entries(value), ([name, item]) => `${printable(name)}=${inner(item)}`)})`;
  }
  return printable(String(value));
}

function limited<T>(items: readonly T[], text: (item: T) => string): string {
  const shown = items.slice(0, 20).map(text);
  if (items.length > shown.length) shown.push(`... (${items.length} items)`);
  return shown.join(', ');
}

function bytesLiteral(bytes: Uint8Array): string {
  const shown = [...bytes.subarray(0, 64)].map((byte) =>
    byte >= 32 && byte < 127 && byte !== 92 && byte !== 39
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`,
  );
  return `b'${shown.join('')}'${bytes.length > 64 ? ` ... (${bytes.length} bytes)` : ''}`;
}
