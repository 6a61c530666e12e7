import { writeFileSync } from 'node:fs';
import { Python, pythons, TempDir, type Wire } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import type { NDArray } from '../../src/ndarray/index.ts';
import { convert, MmapDict } from '../../src/node.ts';
import { load, RecArray } from '../../src/pickle/index.ts';

const MAKE = `
import pickle
import numpy as np
def shown(v): return [isinstance(v, np.recarray), v.dtype.type.__name__, str(v.dtype.fields), list(v.shape), v.flags.f_contiguous, v.tobytes().hex(), v.a.tolist()]
plain = np.zeros(3000, [('a', '<i4'), ('b', 'S3')])
plain['a'] = np.arange(3000)
values = {'small': plain[:3].view(np.recarray), 'large': plain.view(np.recarray), 'none': plain[:0].view(np.recarray),
    'rows': plain[:6].reshape(2, 3).view(np.recarray), 'fortran': np.asfortranarray(plain[:6].reshape(2, 3)).view(np.recarray),
    'aligned': np.zeros(2, np.dtype([('c', 'i1'), ('a', '<f8')], align=True)).view(np.recarray)}
`;

describe.each(pythons())('record arrays of numpy $numpy', (info) => {
  const python = new Python(info);
  const dir = new TempDir();
  afterAll(() => dir[Symbol.dispose]());
  afterAll(() => python[Symbol.asyncDispose]());

  test('stay record arrays when converted, set, read, copied and written in every layout', async () => {
    const { expected, pickles } = await python.run<{ expected: Record<string, unknown>; pickles: Uint8Array[] }>(
      `${MAKE}\nresult = {'expected': {k: shown(v) for k, v in values.items()}, 'pickles': [pickle.dumps(values, p) for p in (2, 4, 5)]}`,
    );
    for (const [i, data] of pickles.entries()) {
      const files = [
        dir.file(`converted${i}`),
        dir.file(`modern${i}`),
        dir.file(`legacy${i}`),
        dir.file(`again${i}`),
      ] as const;
      writeFileSync(dir.file('pickle'), data);
      convert(dir.file('pickle'), files[0]);
      {
        using modern = MmapDict.open(files[1]);
        using legacy = MmapDict.open(files[2], { layout: 'legacy' });
        using again = MmapDict.open(files[3]);
        for (const [key, value] of load(data) as Map<string, RecArray>) {
          modern.set(key, value);
          legacy.set(key, value);
          expect(modern.get(key)).toBeInstanceOf(RecArray);
          expect((modern.get(key) as NDArray).toNested()).toEqual(value.toNested());
          again.set(key, modern.get(key));
        }
      }
      for (const path of files) {
        const found = await python.run(
          `${MAKE}\nresult = {k: shown(v) for k, v in pickle.load(open(args['path'], 'rb')).items()}`,
          {
            path: path as Wire,
          },
        );
        expect(found).toEqual(expected);
      }
    }
  });
});
