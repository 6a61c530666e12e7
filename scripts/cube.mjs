/**
 * The long test of an array larger than memory: `node scripts/cube.mjs [GiB = 40] [directory]`, after a build.
 *
 * Allocates an EmptyNDArray, fills it plane by plane, and sums it. Fails unless the allocation took under 50 ms,
 * the process stayed under 300 MB, only filled planes took disk space, and the sum is right.
 * The file is deleted at the end. Needs the array's size plus 5 GiB of free disk space.
 */
import { mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MmapDict } from '../packages/core/dist/node.js';
import { EmptyNDArray } from '../packages/stubs/dist/index.js';

const GIB = 2 ** 30;
const PLANE = [2048, 4096];
const PLANE_BYTES = PLANE[0] * PLANE[1] * 8;
const size = Number(process.argv[2] ?? 40) * GIB;
const planes = Math.ceil(size / PLANE_BYTES);
const place = process.argv[3] ?? tmpdir();
const { bavail, bsize } = statfsSync(place);
if (bavail * bsize < size + 5 * GIB) {
  process.stderr.write(`cube: ${place} has ${(bavail * bsize) / GIB} GiB free, ${size / GIB + 5} are needed\n`);
  process.exit(2);
}

const directory = mkdtempSync(join(place, 'mmdpickle-cube-'));
const path = join(directory, 'cube');
const onDisk = () => statSync(path).blocks * 512;
const peakMB = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1000;
const failures = [];
const check = (right, what) => {
  process.stdout.write(`${right ? 'ok  ' : 'FAIL'} ${what}\n`);
  if (!right) failures.push(what);
};
const seconds = (start) => (performance.now() - start) / 1000;

try {
  const dict = MmapDict.open(path);
  let start = performance.now();
  dict.set('cube', new EmptyNDArray([planes, ...PLANE], 'float64'));
  const allocation = performance.now() - start;
  check(allocation < 50, `allocated ${size / GIB} GiB in ${allocation.toFixed(2)} ms`);
  check(onDisk() < 2 ** 20, `which takes ${onDisk() / 1024} KiB of the disk`);
  const cube = dict.get('cube');
  const plane = new Float64Array(PLANE[0] * PLANE[1]);
  // Start with a plane in the middle: what is before and after it must stay a hole.
  const middle = planes >> 1;
  start = performance.now();
  let expected = 0;
  for (let p = 0; p < planes; p++) {
    const at = (p + middle) % planes;
    plane.fill((at % 1021) + 0.5);
    expected += ((at % 1021) + 0.5) * plane.length;
    cube.row(at).set(plane);
    if (p > 0) continue;
    check(
      onDisk() < 2 * PLANE_BYTES,
      `with one plane of ${PLANE_BYTES / 2 ** 20} MiB filled it takes ${onDisk() / 2 ** 20} MiB`,
    );
  }
  process.stdout.write(`     filled in ${seconds(start).toFixed(1)} s, peak ${peakMB().toFixed(0)} MB\n`);
  start = performance.now();
  let sum = 0;
  for (const { array } of cube.chunks()) {
    sum += Number(array.sum());
    // The pages stay in the page cache; the process need not keep them mapped.
    array.advise('dontneed');
  }
  check(sum === expected, `summed back to ${sum} in ${seconds(start).toFixed(1)} s, expected ${expected}`);
  check(peakMB() < 300, `the process took ${peakMB().toFixed(0)} MB at most`);
  dict.close();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = failures.length === 0 ? 0 : 1;
