// Usage: node viewer.mjs [file] [--frames n]    Shows the frames of a capture in another process, and stops it after n.
import { parseArgs } from 'node:util';
import { MmapDict } from '@mmdpickle/core/node';
import { frames, requestStop, stopSignals } from '@mmdpickle/rx';
import { take, takeUntil } from 'rxjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { frames: { type: 'string', default: '30' } },
});
const dict = MmapDict.open(positionals[0] ?? 'lapse.mmdpickle', { mode: 'r+' });
const SHADES = ' .:-=+*#%@';

function show({ key, value, meta }) {
  const [height, width] = value.shape;
  const rows = [];
  for (let row = 0; row < height; row += 6) {
    let line = '';
    for (let column = 0; column < width; column += 2) line += SHADES[Math.floor((value.get(row, column) / 256) * 10)];
    rows.push(line);
  }
  console.log(`${key}  seq ${meta.get('seq')}  ${new Date(meta.get('time') * 1000).toISOString()}\n${rows.join('\n')}`);
}

frames(dict, { prefix: 'frame/', follow: true })
  .pipe(take(Number(values.frames)), takeUntil(stopSignals()))
  .subscribe({
    next: show,
    complete() {
      requestStop(dict, 'the viewer has seen enough');
      dict.close();
    },
  });
