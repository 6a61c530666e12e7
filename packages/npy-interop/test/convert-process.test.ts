/**
 * Conversions in separate processes that run the built packages: killed halfway, and measured. MMDPICKLE_LONG=1 uses 1
 * GiB instead of 256 MiB, and a zip file of more than 4 GiB.
 */

import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NDArray } from '@mmdpickle/core/ndarray';
import { MmapDict } from '@mmdpickle/core/node';
import {
  createNpy,
  formatNpyHeader,
  mmdToNpy,
  mmdToNpz,
  npyToMmd,
  npzToMmd,
  openNpy,
  openNpz,
  writeNpy,
} from '@mmdpickle/npy-interop';
import { Python, pythons } from '@mmdpickle/test-support';
import { describe, expect, test } from 'vitest';
import { freshDir } from './fresh-dir.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';
const CHILD = fileURLToPath(new URL('./child/convert.mjs', import.meta.url));

const temp = freshDir();

function convert(die: 'import' | 'export' | 'never'): { signal: string | null; output: string } {
  const { signal, stdout, stderr } = spawnSync(process.execPath, [CHILD, temp.path, die], { encoding: 'utf8' });
  return { signal, output: stdout + stderr };
}

async function inEveryPython(code: string, args: { readonly [name: string]: string }): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const info of pythons()) {
    const python = new Python(info);
    try {
      answers.push(await python.run(code, args));
    } finally {
      await python[Symbol.asyncDispose]();
    }
  }
  return answers;
}

describe('a conversion in its own process', () => {
  test('killed during an import, it leaves the dict as it was', async () => {
    writeNpy(temp.file('in.npy'), new Float64Array(1 << 20));
    {
      using dict = MmapDict.open(temp.file('x.mmdpickle'));
      dict.set('before', new Float64Array([1, 2, 3]));
    }
    expect(convert('import').signal).toBe('SIGKILL');
    const read = 'import pickle\nwith open(args["path"], "rb") as file: result = list(pickle.load(file))';
    expect(await inEveryPython(read, { path: temp.file('x.mmdpickle') })).toEqual(pythons().map(() => ['before']));
    using dict = MmapDict.open(temp.file('x.mmdpickle'));
    expect([...dict.keys()]).toEqual(['before']);
    await npyToMmd(temp.file('in.npy'), dict);
    expect([...dict.keys()]).toEqual(['before', 'in']);
  });

  test('killed during an export, it leaves no partial file under the name, and the next export removes its leftovers', async () => {
    writeNpy(temp.file('in.npy'), new Float64Array(1 << 20));
    mkdirSync(temp.file('out'));
    writeFileSync(temp.file('out/in.npy'), 'before');
    expect(convert('export').signal).toBe('SIGKILL');
    expect(readFileSync(temp.file('out/in.npy'), 'utf8')).toBe('before');
    expect(readdirSync(temp.file('out'))).toHaveLength(2);
    using dict = MmapDict.open(temp.file('x.mmdpickle'));
    await mmdToNpy(dict, ['in'], temp.file('out'));
    expect(readdirSync(temp.file('out'))).toEqual(['in.npy']);
    expect(readFileSync(temp.file('out/in.npy')).equals(readFileSync(temp.file('in.npy')))).toBe(true);
  });

  test('the array is byte-identical after a round trip, and memory does not grow with its size', () => {
    const mebibytes = LONG ? 1024 : 160;
    const header = formatNpyHeader({ dtype: '<f8', shape: [mebibytes, 1 << 17] });
    const fd = openSync(temp.file('in.npy'), 'w');
    writeSync(fd, header);
    const piece = new Uint32Array(1 << 18);
    for (let i = 0; i < mebibytes; i += 1) {
      for (let k = 0; k < piece.length; k += 1) piece[k] = Math.imul(k + i, 2654435761);
      writeSync(fd, piece);
    }
    closeSync(fd);
    const { signal, output } = convert('never');
    expect(signal).toBe(null);
    expect(Number(output)).toBeLessThan(150);
    const same = spawnSync('cmp', [temp.file('in.npy'), temp.file('out/in.npy')]);
    expect(same.status).toBe(0);
  });
});

describe.runIf(LONG)('more than 4 GiB', () => {
  test('zip64 archives are written, mapped, verified and read by numpy', async () => {
    const count = 5 * 2 ** 27;
    {
      using array = createNpy(temp.file('big.npy'), [count], '<f8');
      array.set(0, 1.5).set(count - 1, 2.5);
    }
    using dict = MmapDict.open(temp.file('x.mmdpickle'));
    dict.set('small', new Float64Array([3]));
    await npyToMmd(temp.file('big.npy'), dict);
    await mmdToNpz(dict, ['big', 'small'], temp.file('big.npz'));
    {
      using npz = await openNpz(temp.file('big.npz'));
      await npz.verify('big');
      const big = await npz.get('big');
      expect([big.get(0), big.get(count - 1), (await npz.get('small')).get(0)]).toEqual([1.5, 2.5, 3]);
    }
    const read =
      'import numpy as np\nwith np.load(args["path"]) as npz: big = npz["big"]; result = [big[0], big[-1], float(npz["small"][0])]';
    const seen = await inEveryPython(read, { path: temp.file('big.npz') });
    expect(seen).toEqual(pythons().map(() => [1.5, 2.5, 3]));
    using back = MmapDict.open(temp.file('y.mmdpickle'));
    await npzToMmd(temp.file('big.npz'), back);
    const big = back.get('big') as NDArray;
    expect([big.get(0), big.get(count - 1)]).toEqual([1.5, 2.5]);
    rmSync(temp.file('big.npz'));
    await mmdToNpy(back, ['big'], temp.file('out'));
    using again = openNpy(temp.file('out/big.npy'));
    expect(again.get(count - 1)).toBe(2.5);
    expect(existsSync(temp.file('out/big.npy'))).toBe(true);
  });
});
