// Converts an npy file to mmdpickle and back in a process of its own, which the test can measure or kill.
// argv: directory, when to die ('import', 'export' or 'never'). Prints the peak resident memory in MiB.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MmapDict } from '@mmdpickle/core/node';
import { mmdToNpy, npyToMmd } from '@mmdpickle/npy-interop';

const [directory, die] = process.argv.slice(2);
const dieIn = (stage) => ({
  onProgress: () => {
    if (die === stage) process.kill(process.pid, 'SIGKILL');
  },
});

const dict = MmapDict.open(join(directory, 'x.mmdpickle'));
await npyToMmd(join(directory, 'in.npy'), dict, dieIn('import'));
await mmdToNpy(dict, ['in'], join(directory, 'out'), dieIn('export'));
dict.close();
// Not resourceUsage().maxRSS: on Linux it includes the memory of the parent process.
const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(Number(peak) / 1024);
