import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isDType } from '../../src/ndarray/make-dtype.ts';
import { dump, load, OpaqueObject } from '../../src/pickle/index.ts';

const read = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../../fixtures/regress/${name}.bin`, import.meta.url))));

describe('bugs once found by comparison with live Pythons', () => {
  it('a plain array of numpy.record stays opaque: as an array it would lose the class of its elements', () => {
    expect(load(read('plain-array-of-records'))).toBeInstanceOf(OpaqueObject);
  });

  it.each([2, 3, 4] as const)(
    'a name with a lone surrogate is written so that Python can read it, at protocol %i',
    (protocol) => {
      const write = (): unknown => load(dump(load(read('global-of-half-a-pair')), { protocol }));
      if (protocol === 4) expect(write()).toBeInstanceOf(OpaqueObject);
      else expect(write).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_VALUE' }));
    },
  );

  it.each([2, 3, 4, 5] as const)('the alignment of a structured type survives protocol %i', (protocol) => {
    const type = load(dump(load(read('aligned-struct')), { protocol }));
    expect(isDType(type)).toBe(true);
    expect(type).toMatchObject({ alignedStruct: true, itemsize: 16 });
  });
});
