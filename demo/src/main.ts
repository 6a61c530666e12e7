/**
 * The main job, end to end: this machine's own sensors, captured into one file that stock Python opens,
 * while a second process follows the file live.
 *
 * @module
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MmapDict } from '@mmdpickle/core/node';
import type { IngestStats } from '@mmdpickle/rx';
import { SingleBar } from 'cli-progress';
import { capture } from './capture.ts';
import { contents } from './contents.ts';
import { openInPython } from './python.ts';
import { findSensors } from './sensors.ts';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'sensors.mmdpickle' },
    seconds: { type: 'string', default: '10' },
    hz: { type: 'string', default: '20' },
  },
});
const [path, seconds, hz] = [values.out, Number(values.seconds), Number(values.hz)];
if (!(seconds > 0 && seconds < Infinity && Number.isInteger(hz) && hz > 0 && hz <= 1000)) {
  console.error('demo: --seconds takes a number above 0, and --hz a whole one from 1 to 1000');
  process.exit(2);
}

const sensors = findSensors();
console.log(
  `Capturing ${sensors.map(({ name }) => name).join(', ')} at ${hz} Hz for ${seconds} s into ${path}; Ctrl-C stops.\n`,
);
rmSync(path, { force: true });

const started = performance.now();
let stats: readonly IngestStats[];
{
  using dict = MmapDict.open(path, { mode: 'w-' });
  const follower = fork(new URL('./follow.js', import.meta.url), [path], { stdio: 'inherit' });
  const exited = once(follower, 'exit');
  const bar = new SingleBar({
    format: '{bar} {percentage} %  {value} of {total} samples  {eta_formatted} left',
    noTTYOutput: false,
  });
  bar.start(Math.round(seconds * hz), 0);
  try {
    stats = await capture(dict, sensors, { seconds, hz, onSample: (count) => bar.update(count) });
  } finally {
    bar.stop();
    // The follower may have been killed.
    if (follower.connected) follower.disconnect();
    await exited;
  }
}

const elapsed = (performance.now() - started) / 1000;
const total = (pick: (stats: IngestStats) => number): number => stats.reduce((sum, each) => sum + pick(each), 0);
const [written, dropped, bytes] = [total((s) => s.written), total((s) => s.droppedTotal), total((s) => s.bytes)];

console.log(`\n${contents(path)}`);
console.log(
  `${written} frames written in ${elapsed.toFixed(1)} s (${(written / elapsed).toFixed(1)}/s, ${(bytes / 1024 / elapsed).toFixed(1)} KiB/s), ${dropped} dropped\n`,
);
openInPython(path);
