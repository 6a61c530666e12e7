/**
 * Names, specs and descrs of structured and sub-array types, as numpy writes them.
 *
 * @module
 */

import type {
  Descr,
  DescrField,
  DType,
  DTypeField,
  DTypeSpec,
  DTypeSpecDict,
  DTypeSpecField,
  DTypeSpecSubarray,
} from './dtype.ts';
import { unsupported } from './dtype-limits.ts';
import { printPythonLiteral } from './python-literal.ts';
import { partsOf } from './subarray-parts.ts';

const nameOf = ({ name, title }: DTypeField): string | [string, string] => (title === undefined ? name : [title, name]);

/** The spec of a structured type without padding. */
export function specList(fields: readonly DTypeField[]): DTypeSpec {
  return fields.map((field): DTypeSpecField => {
    const { spec } = field.dtype;
    return field.dtype.shape === undefined ? [nameOf(field), spec] : [nameOf(field), ...(spec as DTypeSpecSubarray)];
  });
}

/** The spec of any other structured type. */
export function specDict(fields: readonly DTypeField[], itemsize: number, aligned: boolean): DTypeSpec {
  const dict = makeSpecDict(fields, itemsize, aligned);
  // numpy 1 gives an aligned type without fields the alignment 0, and divides by it if the type is nested in another.
  return aligned && fields.length === 0 ? [`|V${itemsize}`, dict] : dict;
}

/** The spec of a type nested in an aligned one. */
function specInAligned(type: DType): DTypeSpec {
  const { spec, fields, itemsize, alignedStruct } = type;
  const parts = partsOf(type);
  if (parts !== undefined) return [specInAligned(parts.item), [...parts.dims]];
  if (fields === undefined || alignedStruct === true) return spec;
  // An empty list as the second item would be a shape.
  return [`|V${itemsize}`, fields.length === 0 ? makeSpecDict(fields, itemsize, false) : (spec as DTypeSpecField[])];
}

function makeSpecDict(fields: readonly DTypeField[], itemsize: number, aligned: boolean): DTypeSpecDict {
  return Object.freeze({
    names: fields.map(({ name }) => name),
    formats: fields.map(({ dtype }) => (aligned ? specInAligned(dtype) : dtype.spec)),
    offsets: fields.map(({ offset }) => offset),
    ...(fields.some(({ title }) => title !== undefined) ? { titles: fields.map(({ title }) => title ?? null) } : {}),
    itemsize,
    ...(aligned ? { aligned } : {}),
  });
}

/** A structured type's descr, with its padding. @throws UNSUPPORTED_DTYPE for fields that overlap or are out of order */
export function descrList(fields: readonly DTypeField[], itemsize: number): Descr {
  const list: DescrField[] = [];
  let end = 0;
  for (const field of fields) {
    const { offset, dtype } = field;
    if (offset < end) {
      throw unsupported(
        'overlapping or out-of-order fields have no descr; use spec',
        printDict(fields, itemsize, false),
      );
    }
    if (offset > end) list.push(['', `|V${offset - end}`]);
    const { base, shape } = dtype;
    list.push(
      base === undefined || shape === undefined
        ? [nameOf(field), dtype.descr]
        : [nameOf(field), base.descr, [...shape]],
    );
    end = offset + dtype.itemsize;
  }
  if (itemsize > end) list.push(['', `|V${itemsize - end}`]);
  return list;
}

/** A type as numpy prints it within another: `'<f8'`, `'i1'`, `'?'`, `'S5'`. */
export function printShort(type: DType): string {
  if (type.fields !== undefined || type.base !== undefined) return type.name;
  if (type.kind === 'b') return "'?'";
  const typestr = type.spec as string;
  const text = typestr.startsWith('|') ? typestr.slice(1) : typestr;
  return `'${type.itemsize === 0 ? text.slice(0, -1) : text}'`;
}

/** A tuple of dimensions as Python prints it. */
export const printShape = (shape: readonly number[]): string => `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;

/** A structured type without padding, as numpy prints it. */
export function printList(fields: readonly DTypeField[]): string {
  const items = fields.map(({ name, title, dtype }) => {
    const shown = printPythonLiteral(name);
    const label = title === undefined ? shown : `(${printPythonLiteral(title)}, ${shown})`;
    const parts = partsOf(dtype);
    const format = parts === undefined ? printShort(dtype) : `${printShort(parts.item)}, ${printShape(parts.dims)}`;
    return `(${label}, ${format})`;
  });
  return `[${items.join(', ')}]`;
}

/** Any other structured type, as numpy prints it. */
export function printDict(fields: readonly DTypeField[], itemsize: number, aligned: boolean): string {
  const list = (items: readonly string[]): string => `[${items.join(', ')}]`;
  const titles = fields.some(({ title }) => title !== undefined)
    ? `, 'titles': ${list(fields.map(({ title }) => (title === undefined ? 'None' : printPythonLiteral(title))))}`
    : '';
  return (
    `{'names': ${list(fields.map(({ name }) => printPythonLiteral(name)))}` +
    `, 'formats': ${list(fields.map(({ dtype }) => printShort(dtype)))}` +
    `, 'offsets': ${list(fields.map(({ offset }) => String(offset)))}${titles}` +
    `, 'itemsize': ${itemsize}${aligned ? ", 'aligned': True" : ''}}`
  );
}
