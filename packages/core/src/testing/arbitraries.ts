/**
 * fast-check arbitraries of what a pickle can hold. fast-check is an optional peer dependency: only tests need it.
 *
 * @module
 */

import * as fc from 'fast-check';
import { Complex } from '../ndarray/complex.ts';
import { ByteArray, FrozenSet, PyDict, PyRange, Tuple } from '../pickle/index.ts';

/** Texts over all of Unicode, lone surrogates among them; some are names that mean something to JavaScript. */
export function texts(): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
    { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
    { weight: 1, arbitrary: fc.array(fc.integer({ min: 0xd800, max: 0xdbff }), { maxLength: 2 }).map(fromUnits) },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', '10', '', '\0', '\ufeff') },
    { weight: 1, arbitrary: fc.integer({ min: 250, max: 260 }).map((length) => 'é'.repeat(length)) },
  );
}

const fromUnits = (units: readonly number[]): string => String.fromCharCode(...units);

/** Numbers and bigints, with the edges of every opcode's range. */
export function numbers(): fc.Arbitrary<number | bigint> {
  const edge = fc.tuple(
    fc.constantFrom(7n, 8n, 15n, 16n, 31n, 32n, 52n, 53n, 63n, 64n, 127n, 2040n),
    fc.integer({ min: -2, max: 2 }),
    fc.boolean(),
  );
  return fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.constantFrom(0, -0, Number.NaN, 1e22, 2 ** 53, -(2 ** 53), Number.MIN_VALUE),
    fc.bigInt(),
    edge.map(([power, offset, negative]) => ((1n << power) + BigInt(offset)) * (negative ? -1n : 1n)),
  );
}

/** Bytes as a Uint8Array. */
export function byteStrings(): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.constantFrom(255, 256).map((length) => new Uint8Array(length).fill(7)),
  );
}

/** What may be a dict key or a set item. */
export function pickleKeys(): fc.Arbitrary<unknown> {
  const { key } = fc.letrec((tie) => ({
    key: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      texts(),
      numbers(),
      fc.boolean(),
      fc.constant(null),
      byteStrings(),
      fc.tuple(fc.double(), fc.double()).map(([re, im]) => new Complex(re, im)),
      fc.array(tie('key'), { maxLength: 4 }).map((items) => Tuple.from(items)),
      fc.array(tie('key'), { maxLength: 4 }).map((items) => new FrozenSet(items)),
    ),
  }));
  return key;
}

/** Values without items of their own. */
export function pickleAtoms(): fc.Arbitrary<unknown> {
  const bound = fc.integer({ min: -1000, max: 1000 });
  return fc.oneof(
    { weight: 3, arbitrary: texts() },
    { weight: 3, arbitrary: numbers() },
    { weight: 1, arbitrary: fc.constantFrom(null, true, false) },
    { weight: 1, arbitrary: byteStrings() },
    { weight: 1, arbitrary: byteStrings().map((bytes) => new ByteArray(bytes)) },
    { weight: 1, arbitrary: fc.tuple(fc.double(), fc.double()).map(([re, im]) => new Complex(re, im)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          bound,
          bound,
          bound.filter((step) => step !== 0),
        )
        .map((parts) => new PyRange(...parts)),
    },
  );
}

/** One container of a graph, before it is filled: `picks` says which atoms and which other containers it holds. */
interface Plan {
  readonly kind: 'list' | 'tuple' | 'dict' | 'map' | 'record' | 'set' | 'frozenset';
  readonly picks: readonly (readonly [key: unknown, atom: unknown, reference: number])[];
}

/**
 * Nested values with shared references, and with cycles through lists and dicts. Plain objects, Maps, arrays, Sets
 * and all stand-ins are among them.
 *
 * @example
 * ```ts
 * import { dump, load } from '@mmdpickle/core/pickle';
 * import { pickleValues } from '@mmdpickle/core/testing';
 * import * as fc from 'fast-check';
 *
 * fc.assert(fc.property(pickleValues(), (value) => dump(load(dump(value))) instanceof Uint8Array), { numRuns: 20 });
 * ```
 */
export function pickleValues(): fc.Arbitrary<unknown> {
  const plan: fc.Arbitrary<Plan> = fc.record({
    kind: fc.constantFrom('list', 'list', 'tuple', 'dict', 'map', 'record', 'set', 'frozenset'),
    picks: fc.array(fc.tuple(pickleKeys(), pickleAtoms(), fc.integer({ min: -20, max: 12 })), { maxLength: 5 }),
  });
  return fc.oneof(
    { weight: 1, arbitrary: pickleAtoms() },
    { weight: 4, arbitrary: fc.array(plan, { minLength: 1, maxLength: 8 }).map(build) },
  );
}

function build(plans: readonly Plan[]): unknown {
  const made: unknown[] = plans.map(({ kind, picks }) => {
    if (kind === 'list') return [];
    if (kind === 'dict') return new PyDict();
    if (kind === 'map') return new Map();
    if (kind === 'record') return {};
    if (kind === 'set') return new Set(picks.map(([key]) => key).filter(isText));
    return kind === 'frozenset' ? new FrozenSet(picks.map(([key]) => key)) : undefined;
  });
  // Tuples cannot change, so they refer backwards only; what can change may refer to anything.
  for (const [at, { kind, picks }] of plans.entries()) {
    const item = ([, atom, reference]: Plan['picks'][number], reach: number): unknown =>
      reference >= 0 && reference < reach ? made[reference] : atom;
    if (kind === 'tuple') made[at] = Tuple.from(picks.map((pick) => item(pick, at)));
  }
  for (const [at, { kind, picks }] of plans.entries()) {
    const target = made[at];
    for (const [key, atom, reference] of picks) {
      const value = reference >= 0 && reference < made.length ? made[reference] : atom;
      if (kind === 'list') (target as unknown[]).push(value);
      else if (kind === 'dict') (target as PyDict).set(key, value);
      else if (kind === 'map' && isText(key)) (target as Map<unknown, unknown>).set(key, value);
      else if (kind === 'record' && isText(key)) {
        Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
      }
    }
  }
  return made.at(-1);
}

const isText = (key: unknown): key is string => typeof key === 'string';
