/** The writer process of ops/notice.ts: `notice-writer kind count gapMs`, then one path per round; each key contains its commit time. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ours } from './ours.ts';
import { serve } from './writer-process.ts';

const [kind, countText, gapText] = process.argv.slice(2) as [string, string, string];

interface Committer {
  commit(): void;
  close(): void;
}

async function committer(path: string): Promise<Committer> {
  if (kind === 'ours') {
    const { MmapDict } = await ours.node();
    const dict = MmapDict.open(path);
    return { commit: () => void dict.set(`t/${process.hrtime.bigint()}`, 1), close: () => dict.close() };
  }
  const fd = openSync(path, 'a');
  return { commit: () => void writeSync(fd, `t/${process.hrtime.bigint()}\n`), close: () => closeSync(fd) };
}

await serve(async (path) => {
  const { commit, close } = await committer(path);
  for (let i = 0; i < Number(countText); i++) {
    commit();
    await sleep(Number(gapText));
  }
  close();
  return {};
});
