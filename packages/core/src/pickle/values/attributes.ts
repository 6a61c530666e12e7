/**
 * Attributes that Python code gave to an object: its `__dict__`.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { PyDict } from './dict.ts';
import { PyString } from './scalars.ts';

/** An object with attributes, if Python code gave it some. */
export interface Attributed {
  /** Attributes of the object (its `__dict__`), or null. */
  attributes: unknown;
}

/** An attribute of this name would be called with the next state. */
const SET_STATE = '__setstate__';
/** Attributes that are more than an entry of `__dict__`. */
const SPECIAL: ReadonlySet<unknown> = new Set([SET_STATE, '__class__', '__dict__', '__weakref__']);

/** Whether an attribute can be set under this name: text, and none of the special names. */
export const isPlainName = (name: unknown): boolean =>
  (typeof name === 'string' && !SPECIAL.has(name)) || name instanceof PyString;

/** Adds entries to the attributes, as every further state does. The given dicts are not changed. */
export function addAttributes(object: Attributed, ...dicts: readonly (PyDict | null)[]): boolean {
  const attributes = (object.attributes ?? new PyDict()) as PyDict;
  if (attributes.has(SET_STATE)) return false;
  for (const dict of dicts) for (const [name, value] of dict ?? []) attributes.set(name, value);
  if (attributes.size > 0) object.attributes = attributes;
  return true;
}

/**
 * The state that an object with attributes is written with.
 * @param named - attributes are set one by one, by their names; else they go into `__dict__` as they are
 * @throws MmdError UNSUPPORTED_VALUE for attributes that Python would not set
 */
export function attributesOf({ attributes }: Attributed, named = false): { readonly state?: unknown } {
  if (attributes === null) return {};
  const ok = attributes instanceof Map && (!named || [...attributes.keys()].every(isPlainName));
  if (ok) return { state: attributes };
  throw new MmdError('UNSUPPORTED_VALUE', 'attributes must be null, or a dict whose keys are valid names', {
    found: attributes,
  });
}
