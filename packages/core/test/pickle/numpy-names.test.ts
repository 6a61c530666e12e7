/** Names that only one generation of numpy has, or that mean something else in the other. */

import { Python, pythons } from '@mmdpickle/test-support';
import { describe, expect, it } from 'vitest';
import { dump, OpaqueGlobal } from '../../src/pickle/index.ts';

describe.each(pythons())('in numpy $numpy', (info) => {
  it.each([
    ['numpy._core.multiarray', '_reconstruct', 'core.multiarray._reconstruct'],
    ['numpy._core.multiarray', 'scalar', 'core.multiarray.scalar'],
    ['numpy.rec', 'recarray', 'recarray'],
    ['numpy.rec', 'record', 'record'],
    ['numpy._core.records', 'recarray', 'recarray'],
    ['numpy.core.records', 'recarray', 'recarray'],
    // Until 1.23 it was Python's bool, and from 1.24 to 1.26 there was none.
    ['numpy', 'bool', 'bool_'],
  ])('%s.%s is written under a name that is found without a warning', async (module, name, wanted) => {
    await using python = new Python(info);
    const data = ([2, 3, 4, 5] as const).map((protocol) => dump(new OpaqueGlobal(module, name), { protocol }));
    const same = await python.run<boolean[]>(
      `import pickle
from operator import attrgetter
import numpy as np
result = [pickle.loads(data) is attrgetter(args['wanted'])(np) for data in args['data']]`,
      { data, wanted },
    );
    expect(same).toEqual([true, true, true, true]);
  });
});
