// Usage: node capture.mjs [file] [--ms interval]
import { parseArgs } from 'node:util';
import { MmapDict } from '@mmdpickle/core/node';
import { appendFrames, stopRequested, stopSignals } from '@mmdpickle/rx';
import { merge, takeUntil, tap } from 'rxjs';
import { camera, SHAPE } from './camera.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ms: { type: 'string', default: '100' } },
});
const path = positionals[0] ?? 'lapse.mmdpickle';
const dict = MmapDict.open(path);
const stop$ = merge(stopRequested(dict), stopSignals()).pipe(tap((reason) => console.log(`stopping: ${reason}`)));
const append = appendFrames(dict, {
  key: 'frame/',
  shape: SHAPE,
  meta: () => ({ exposure: 0.01 }),
  queue: { bytes: 64e6 },
  policy: 'drop-oldest',
});

console.log(`capturing into ${path}`);
camera(Number(values.ms))
  .pipe(takeUntil(stop$), append)
  .subscribe({
    error(error) {
      console.error(error);
      process.exitCode = 1;
    },
    complete() {
      const { written, droppedTotal, bytes } = append.stats();
      dict.close();
      console.log(`${written} frames (${bytes} bytes) written, ${droppedTotal} dropped`);
      console.log(`python3 -c "import pickle; d = pickle.load(open('${path}', 'rb')); print(list(d))"`);
    },
  });
