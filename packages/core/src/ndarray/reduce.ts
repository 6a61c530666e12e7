/**
 * sum, min, max and mean over arrays of any size, by numpy's semantics.
 *
 * @module
 */

import { MmdError } from '../errors.ts';
import { Complex } from './complex.ts';
import type { DType } from './dtypes.ts';
import type { Layout } from './layout.ts';
import { forEachRun, invalid } from './shapes.ts';

const noLoop = (what: string, type: DType): MmdError =>
  new MmdError('UNSUPPORTED_DTYPE', `${what} is not defined for ${type.name}`, { found: type.name });

function forEachElement(layout: Layout, use: (value: unknown) => void): void {
  const { store } = layout;
  store.checkOpen();
  const operand = { position: layout.elementOffset, strides: layout.elementStrides };
  forEachRun(layout.shape, [operand], ([at = 0], count, [step = 0]) => {
    for (let i = 0; i < count; i += 1) use(store.get(at + i * step));
  });
}

export function sum(layout: Layout): unknown {
  const { type } = layout;
  switch (type.kind) {
    case 'f': {
      let total = 0;
      forEachElement(layout, (value) => (total += value as number));
      return total;
    }
    case 'b':
    case 'i':
    case 'u': {
      let total = 0n;
      forEachElement(layout, (value) => (total += BigInt(value as number)));
      return type.kind === 'u' ? BigInt.asUintN(64, total) : BigInt.asIntN(64, total);
    }
    case 'c': {
      let [re, im] = [0, 0];
      forEachElement(layout, (value) => {
        re += (value as Complex).re;
        im += (value as Complex).im;
      });
      return new Complex(re, im);
    }
    default:
      throw noLoop('sum', type);
  }
}

function extreme(layout: Layout, least: boolean): unknown {
  if (layout.size === 0) throw invalid(`${least ? 'min' : 'max'} of an empty array`, layout.shape);
  let best: unknown;
  let nan = false;
  forEachElement(layout, (value) => {
    if (Number.isNaN(value)) nan = true;
    if (best === undefined || (least ? (value as number) < (best as number) : (value as number) > (best as number)))
      best = value;
  });
  return nan ? Number.NaN : best;
}

export const min = (layout: Layout): unknown => extreme(layout, true);
export const max = (layout: Layout): unknown => extreme(layout, false);

export function mean(layout: Layout): unknown {
  const total = sum(layout);
  if (total instanceof Complex) return new Complex(total.re / layout.size, total.im / layout.size);
  return Number(total) / layout.size;
}
