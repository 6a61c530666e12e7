import type { DTypeSpec, DTypeSpecField } from '@mmdpickle/core/ndarray';
import fc from 'fast-check';

/** Types without fields that can be mapped. */
export const simpleSpecs: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('|b1', '|i1', '|u1'),
  fc
    .tuple(
      fc.constantFrom('<', '>'),
      fc.constantFrom('i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16', 'f16', 'c32'),
    )
    .map(([order, code]) => order + code),
  fc
    .tuple(fc.constantFrom('|S', '|V', '<U', '>U'), fc.integer({ min: 1, max: 5 }))
    .map(([code, length]) => `${code}${length}`),
  fc
    .tuple(
      fc.constantFrom('<', '>'),
      fc.constantFrom('M8', 'm8'),
      fc.constantFrom('', '[ns]', '[25us]', '[D]', '[Y]', '[2h]'),
    )
    .map((parts) => parts.join('')),
);

const names = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'x y',
    "it's",
    '"q"',
    'back\\slash',
    'line\nbreak',
    'ümlaut',
    '日本',
    '__proto__',
    '\u00a0',
    '\u{1f600}',
  ),
  fc.string({ minLength: 1, maxLength: 6 }),
);
const shapes = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 2 });

function listOf(inner: fc.Arbitrary<DTypeSpec>): fc.Arbitrary<DTypeSpecField[]> {
  const field = fc.record({
    name: names,
    title: fc.option(fc.string({ minLength: 1, maxLength: 3 })),
    spec: inner,
    shape: fc.option(shapes),
  });
  const labels = ({ name, title }: { name: string; title: string | null }): string[] => [
    name,
    ...(title === null ? [] : [title]),
  ];
  return fc
    .array(field, { minLength: 1, maxLength: 4 })
    .filter((fields) => new Set(fields.flatMap(labels)).size === fields.flatMap(labels).length)
    .map((fields) =>
      fields.map(({ name, title, spec, shape }): DTypeSpecField => {
        const label: string | [string, string] = title === null ? name : [title, name];
        return shape === null ? [label, spec] : [label, spec, shape];
      }),
    );
}

function dictOf(inner: fc.Arbitrary<DTypeSpec>): fc.Arbitrary<DTypeSpec> {
  const part = fc.record({ name: names, spec: inner, offset: fc.integer({ min: 0, max: 40 }) });
  return fc.uniqueArray(part, { minLength: 1, maxLength: 3, selector: ({ name }) => name }).map((parts) => ({
    names: parts.map(({ name }) => name),
    formats: parts.map(({ spec }) => spec),
    offsets: parts.map(({ offset }) => offset),
    itemsize: 4000,
  }));
}

/** Structured types: nested, titled, with sub-arrays, padding and overlaps. */
export const dtypeSpecs: fc.Arbitrary<DTypeSpec> = fc.letrec<{ spec: DTypeSpec; struct: DTypeSpec }>((tie) => ({
  spec: fc.oneof({ depthSize: 'small', withCrossShrink: true }, simpleSpecs, tie('struct')),
  struct: fc.oneof(listOf(tie('spec')), dictOf(simpleSpecs)),
})).spec;
