// Writes frames and rows as fast as it can, and prints each receipt as it comes. The test kills it.
import { writeSync } from 'node:fs';
import { MmapDict } from '@mmdpickle/core/node';
import { appendFrames, appendRows, stopSignals } from '@mmdpickle/rx';
import { interval, map, mergeMap, range, takeUntil } from 'rxjs';

const [path, kind] = process.argv.slice(2);
const dict = MmapDict.open(path);
const say = (line) => writeSync(1, `${line}\n`);
const numbers$ =
  kind === 'until-signal'
    ? interval(1).pipe(takeUntil(stopSignals()))
    : interval(0).pipe(mergeMap((tick) => range(tick * 20, 20)));
const into =
  kind === 'frames'
    ? (source$) =>
        source$.pipe(
          map((i) => new Int32Array(3000).fill(i)),
          appendFrames(dict, { key: 'f/', meta: true }),
        )
    : (source$) =>
        source$.pipe(
          map((i) => Int32Array.of(i, -i)),
          appendRows(dict, 'rows', { dtype: 'int32', rowShape: [2], capacity: 64 }),
        );

into(numbers$).subscribe({
  next: ({ seq }) => say(seq),
  complete() {
    dict.close();
    say('complete');
  },
});
say('ready');
