/** Conversions of many small arrays next to other work in the same process. */
import { readdirSync } from 'node:fs';
import { MmapDict } from '@mmdpickle/core/node';
import {
  mmdToNpy,
  mmdToNpz,
  mmdToSafetensors,
  npyToMmd,
  npzToMmd,
  safetensorsToMmd,
  writeNpy,
  writeNpz,
  writeSafetensors,
} from '@mmdpickle/npy-interop';
import { expect, test, vi } from 'vitest';
import { freshDir } from './fresh-dir.ts';

const temp = freshDir();

const open = (): MmapDict => MmapDict.open(temp.file('x.mmdpickle'));
const COUNT = 180;
/** Milliseconds by which each read of the clock advances it: turns come after a fixed number of steps, however fast they are. */
const STEP_MS = 3;
const names = Array.from({ length: COUNT }, (_, i) => `a${i}`);
// Nothing is copied, so no turn is caused by copying.
const empty = names.map((name) => [name, new Float64Array(0)] as const);
const CONVERSIONS: Readonly<Record<string, (dict: MmapDict, signal?: AbortSignal) => Promise<unknown>>> = {
  mmdToNpy: (dict, signal) => mmdToNpy(dict, undefined, temp.file('out'), { signal }),
  mmdToNpz: (dict, signal) => mmdToNpz(dict, undefined, temp.file('out.npz'), { signal }),
  mmdToSafetensors: (dict, signal) => mmdToSafetensors(dict, undefined, temp.file('out.safetensors'), { signal }),
  npyToMmd: (dict, signal) =>
    npyToMmd(
      names.map((name) => temp.file(`${name}.npy`)),
      dict,
      { signal },
    ),
  npzToMmd: (dict, signal) => npzToMmd(temp.file('a.npz'), dict, { signal }),
  safetensorsToMmd: (dict, signal) => safetensorsToMmd(temp.file('a.safetensors'), dict, { signal }),
};
/** How often each goes through the arrays, such as to check, to plan and to write them. */
const LOOPS: Readonly<Record<string, number>> = {
  mmdToNpy: 4,
  mmdToNpz: 5,
  mmdToSafetensors: 4,
  npyToMmd: 2,
  npzToMmd: 2,
  safetensorsToMmd: 2,
};
const imports = (name: string): boolean => name.endsWith('ToMmd');

async function prepared(name: string): Promise<MmapDict> {
  const dict = open();
  if (!imports(name)) return dict.update(empty);
  for (const [key, array] of empty) writeNpy(temp.file(`${key}.npy`), array);
  await writeNpz(temp.file('a.npz'), empty);
  writeSafetensors(temp.file('a.safetensors'), empty);
  return dict;
}

/** Runs `work`, and `onTurn` at each turn meanwhile. Returns the number of turns. */
async function turnsOf(work: () => Promise<unknown>, onTurn: (turn: number) => void = () => {}): Promise<number> {
  let turns = 0;
  let running = true;
  const turn = (): void => {
    if (!running) return;
    turns += 1;
    onTurn(turns);
    setImmediate(turn);
  };
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += STEP_MS));
  setImmediate(turn);
  try {
    await work();
  } finally {
    running = false;
    clock.mockRestore();
  }
  return turns;
}

test.each(Object.keys(CONVERSIONS))('%s yields to other work every few arrays', async (name) => {
  using dict = await prepared(name);
  const turns = await turnsOf(() => CONVERSIONS[name]!(dict));
  // Two clock reads make a turn of three steps.
  expect(turns).toBeGreaterThan(((LOOPS[name]! - 0.5) * COUNT) / 3);
});

test.each(Object.keys(CONVERSIONS))('%s can be aborted between two arrays', async (name) => {
  using dict = await prepared(name);
  const before = readdirSync(temp.path);
  for (const stopAt of [1, 5, 40]) {
    const abort = new AbortController();
    const work = turnsOf(
      () => CONVERSIONS[name]!(dict, abort.signal),
      (turn) => turn === stopAt && abort.abort(new Error('enough')),
    );
    await expect(work).rejects.toThrow('enough');
  }
  expect(dict.size).toBe(imports(name) ? 0 : COUNT);
  expect(readdirSync(temp.path)).toEqual(before);
});

test.each(['mmdToNpy', 'mmdToNpz', 'mmdToSafetensors'])('%s exports all arrays as of one commit', async (name) => {
  using dict = await prepared(name);
  await turnsOf(
    () => CONVERSIONS[name]!(dict),
    (turn) => turn === 3 && dict.batch(() => ['a0', 'a179'].map((key) => dict.delete(key))),
  );
  using again = MmapDict.open(temp.file('again.mmdpickle'));
  if (name === 'mmdToNpy') {
    await npyToMmd(
      readdirSync(temp.file('out')).map((file) => temp.file(`out/${file}`)),
      again,
    );
  } else if (name === 'mmdToNpz') await npzToMmd(temp.file('out.npz'), again);
  else await safetensorsToMmd(temp.file('out.safetensors'), again);
  expect([again.has('a0'), again.has('a179'), again.size]).toEqual([false, false, COUNT - 2]);
});
