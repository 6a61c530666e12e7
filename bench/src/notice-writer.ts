/** The writing process of ops/notice.ts: `notice-writer kind path count gapMs`; the time of a commit is in its key. */

import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ours } from './ours.ts';
import { serve } from './writer-process.ts';

const [kind, path, countText, gapText] = process.argv.slice(2) as [string, string, string, string];

async function committer(): Promise<() => void> {
  if (kind === 'ours') {
    const { MmapDict } = await ours.node();
    const dict = MmapDict.open(path);
    return () => {
      dict.set(`t/${process.hrtime.bigint()}`, 1);
    };
  }
  const fd = openSync(path, 'a');
  return () => {
    writeSync(fd, `t/${process.hrtime.bigint()}\n`);
  };
}

const commit = await committer();
await serve(async () => {
  for (let i = 0; i < Number(countText); i++) {
    commit();
    await sleep(Number(gapText));
  }
  return {};
});
