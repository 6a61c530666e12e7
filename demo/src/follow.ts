/**
 * The second process of the demo: it knows only the file's name, and prints the changes it sees.
 *
 * @module
 */

import { watchDict } from '@mmdpickle/rx';
import { bufferTime, filter } from 'rxjs';

const path = process.argv[2] ?? '';
// Ctrl-C goes to the whole process group; the capture ends this process when it has drained.
process.on('SIGINT', () => undefined);

const started = performance.now();
const following = watchDict(path)
  .pipe(
    bufferTime(1000),
    filter((changes) => changes.length > 0),
  )
  .subscribe((changes) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(5);
    const kinds = new Map<string, number>();
    for (const { kind } of changes) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const counts = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(', ');
    const fresh = changes.flatMap((change) => (change.kind === 'added' ? [change.key] : [])).slice(-3);
    process.stdout.write(
      `${process.stdout.isTTY ? '\r\u001B[K' : ''}  follower ${seconds} s: ${counts}${fresh.length > 0 ? `; new: ${fresh.join(', ')}` : ''}\n`,
    );
  });

process.once('disconnect', () => following.unsubscribe());
// The capture may have ended before this process listened.
if (!process.connected) following.unsubscribe();
