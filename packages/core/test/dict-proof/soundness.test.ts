/** What fsck reports for a damaged file, and what Python does with it. */
import { Python, pythons } from '@mmdpickle/test-support';
import { afterAll, describe, expect, test } from 'vitest';
import { MmapDict } from '../../src/dict/index.ts';
import { MaskedArray, ndarray } from '../../src/ndarray/index.ts';
import { MemoryFile } from '../../src/storage/index.ts';
import { type Growable, growable } from './operations.ts';

const LONG = process.env.MMDPICKLE_LONG === '1';

const judges = pythons().map((info) => new Python(info));
afterAll(() => Promise.all(judges.map((judge) => judge[Symbol.asyncDispose]())));

/** Which of the images it loads, allowing only the calls that the file contains, and no more memory than a damaged length may ask for. */
const LOAD = `
import io, pickle, resource
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
CALLED = [("numpy", "ndarray"), ("numpy.ma", "MaskedArray"), ("builtins", "dict.pop")]
class Loader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in CALLED: raise ImportError(name)
        return super().find_class(module, name)

def loads(image):
    try:
        return type(Loader(io.BytesIO(image)).load()) is dict
    except (Exception, MemoryError):
        return False

result = []
for at, byte in args["flips"]:
    image = bytearray(args["bytes"])
    image[at] = byte
    result.append(loads(bytes(image)))
result += [loads(image) for image in args["images"]]
`;

/** Values, arrays and dead entries of all kinds. */
function filled(): { file: MemoryFile; dict: MmapDict } {
  const file = MemoryFile.of();
  const dict = MmapDict.over(file, { index: false });
  dict.set('int', 42).set('text', 'text').set('list', [1, 'two', null]);
  dict.set('array', ndarray(new Uint16Array([1, 2, 3, 4, 5, 6]), [2, 3])).set('int', 43);
  dict.set('masked', new MaskedArray(ndarray(new Int16Array([1, 2])), ndarray([true, false], [2], 'bool')));
  dict.set('rows', growable([2], 'float64', 3));
  (dict.get('rows') as Growable).append(new Float64Array([1, 2]));
  dict.set('gone', 'gone').delete('gone');
  return { file, dict };
}

/** The file left by a writer that was killed in the middle of a batch. */
function pendingJournal(): Uint8Array {
  const { file, dict } = filled();
  const images: Uint8Array[] = [];
  const write = file.write.bind(file);
  file.write = (...args) => {
    write(...args);
    images.push(file.toBytes());
  };
  dict.batch(() => ['int', 'text'].map((key) => dict.delete(key)));
  return images.find((image) => fsck(image).findings.some(({ code }) => code === 'pending-journal'))!;
}

function fsck(image: Uint8Array) {
  return MmapDict.over(MemoryFile.of(image), { mode: 'r', lenient: true, salvage: true }).fsck();
}

/** The file after the repair, if fsck then finds nothing. */
function repaired(image: Uint8Array): Uint8Array | undefined {
  const file = MemoryFile.of(image);
  using dict = MmapDict.over(file, { mode: 'r+', lenient: true, salvage: true, index: false });
  dict.fsck({ repair: true });
  return dict.fsck().findings.length === 0 ? file.toBytes() : undefined;
}

function sealed(): Uint8Array {
  const { file, dict } = filled();
  dict.seal({ checksums: true });
  return file.toBytes();
}

const FILES: [string, () => Uint8Array][] = [
  ['with sums and an index', sealed],
  ['with a pending journal', pendingJournal],
];

describe.skipIf(judges.length === 0).each(FILES)('a file %s', (_name, make) => {
  test('with any one bit flipped loads in some Python if fsck finds nothing, or finds nothing after a repair', {
    timeout: 600_000,
  }, async () => {
    const bytes = make();
    const flips: [at: number, byte: number][] = [];
    const images: [flip: number, image: Uint8Array][] = [];
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const at = bit >> 3;
      // The ordinary suite flips every other bit: the even ones of a byte, the odd ones of the next.
      if (!LONG && (bit + at) % 2 === 1) continue;
      const byte = bytes[at]! ^ (1 << (bit & 7));
      const image = bytes.with(at, byte);
      const { findings, plan } = fsck(image);
      // Where only Python can judge, fsck says so.
      if (findings.some(({ code }) => code === 'opaque-value')) continue;
      if (findings.every(({ severity }) => severity === 'info')) flips.push([at, byte]);
      const whole = plan.length > 0 ? repaired(image) : undefined;
      if (whole !== undefined) images.push([bit, whole]);
    }
    expect(flips.length + images.length).toBeGreaterThan(LONG ? bytes.length : bytes.length / 2);
    const args = { bytes, flips, images: images.map(([, image]) => image) };
    const loads = await Promise.all(judges.map((judge) => judge.run<boolean[]>(LOAD, args)));
    const told = [...flips.map(([at, byte]) => `${at}: ${byte}`), ...images.map(([bit]) => `repaired ${bit}`)];
    // What one generation of numpy refuses as a mask of bytes, another accepts.
    expect(told.filter((_, i) => !loads.some((all) => all[i]))).toEqual([]);
  });
});
