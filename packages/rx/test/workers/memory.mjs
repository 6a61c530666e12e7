// Streams many bytes through a small queue while the file is locked now and then; prints what that took.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { MmapDict, NodeFile } from '@mmdpickle/core/node';
import { framesPlace, nodeSink } from '@mmdpickle/rx';

const [path, total, queue, frame] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const dict = MmapDict.open(path, { index: false });
const blocker = NodeFile.open(path, 'r+');
const before = process.memoryUsage.rss();
let peak = before;

function* camera() {
  for (let sent = 0; sent < total; sent += frame) {
    if (sent % (queue * 2) === 0) {
      blocker.lock(1000);
      setTimeout(() => blocker.unlock(), 20);
    }
    yield new Uint8Array(frame).fill(sent / frame);
    peak = Math.max(peak, process.memoryUsage.rss());
  }
}

const sink = nodeSink(framesPlace(dict), { queue: { bytes: queue } });
await pipeline(Readable.from(camera(), { highWaterMark: 1 }), sink);
const { bytes, peakQueuedBytes, droppedTotal } = sink.stats();
process.stdout.write(`${JSON.stringify({ bytes, peakQueuedBytes, droppedTotal, grown: peak - before })}\n`);
