import { MmapDict } from '@mmdpickle/core/node';
import { appendFrames, appendRows, chunked, fillArray, series } from '@mmdpickle/rx';
import { EmptyNDArray } from '@mmdpickle/stubs';
import { TempDir } from '@mmdpickle/test-support';
import { lastValueFrom, map, range, toArray } from 'rxjs';
import { expect, test } from 'vitest';

test('smoke', async () => {
  using dir = new TempDir();
  using dict = MmapDict.open(dir.file('a.mmdpickle'));
  const op = appendFrames<Uint16Array>(dict, { key: 'f/', meta: true });
  const receipts = await lastValueFrom(
    range(0, 5).pipe(
      map((i) => new Uint16Array(4).fill(i)),
      op,
      toArray(),
    ),
  );
  console.log(receipts, op.stats());
  console.log([...dict.keys()], (dict.get('f/000000003') as any).toNested(), dict.get('f/000000003.meta'));
  const r2 = await lastValueFrom(range(0, 5).pipe(appendRows(dict, 't', { dtype: 'float32' }), toArray()));
  console.log(
    r2,
    [...dict.keys()].slice(-3),
    (dict.get('t') as any).toNested(),
    (dict.get('t/time') as any).toNested(),
    (dict.get('t/seq') as any).toNested(),
  );
  const r4 = await lastValueFrom(
    range(0, 5).pipe(
      map((i) => new Uint16Array(4).fill(i)),
      fillArray(dict, 'p', new EmptyNDArray([3, 4], 'uint16'), { mode: 'stop' }),
      toArray(),
    ),
  );
  console.log(r4, (dict.get('p') as any).toNested());
});
