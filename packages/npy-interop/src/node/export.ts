/**
 * Arrays of an mmdpickle file to npy, npz, safetensors and raw files.
 *
 * New files appear whole or not at all, and all files of a call together.
 *
 * @module
 */

import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { isMmdError, MmdError } from '@mmdpickle/core';
import { COMMIT_NUMBER_OFFSET } from '@mmdpickle/core/format';
import { type NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { absolutePath, type EntryMeta, type MmapDict, NodeFile } from '@mmdpickle/core/node';
import { checkOptions } from '@mmdpickle/core/options';
import { isSameFile } from '@mmdpickle/core/storage';
import { Turns } from '@mmdpickle/core/turns';
import { type PlainArray, plainArray } from '../array-bytes.ts';
import { arrayBytes, formatNpyHeader } from '../npy-header.ts';
import {
  FILL_SUFFIX,
  fillArray,
  isPartName,
  MASK_SUFFIX,
  type Tick,
  type WriteNpzOptions,
  writePlainZip,
} from '../npz-write.ts';
import { checkFileDict, TRANSFER_OPTIONS, WRITE_NPZ_OPTIONS, WRITE_SAFETENSORS_OPTIONS } from '../options.ts';
import { safetensorsPlanSteps, type WriteSafetensorsOptions } from '../safetensors.ts';
import { checkKeys, fileNameOf } from './convert-names.ts';
import { copyRangeAsync } from './copy-range.ts';
import { writeArray } from './npy-file.ts';
import { fileSink } from './npz-file.ts';
import { FileReplacement, type Leftovers, makeDirectory, removeEmptyDirectories } from './replace-file.ts';
import { meter, type TransferOptions } from './safetensors-file.ts';

/** What a conversion from a dict has written. */
export interface Exported {
  /** The keys that were written, in order. */
  readonly keys: readonly string[];
  /** The files that were written. */
  readonly paths: readonly string[];
  /** Bytes of array data. */
  readonly bytes: number;
}

/** An array of the dict under the name of its part: the key, or for masked arrays the key and a suffix. */
type Part = readonly [name: string, array: PlainArray];

/** Block size of file systems; in dicts, the data of arrays of {@link SHARED_FROM} bytes or more begins at multiples of it. */
const BLOCK = 4096;
const SHARED_FROM = 2 ** 20;

/** How often an export is tried, if others free or reuse the disk space of its arrays meanwhile. */
const ATTEMPTS = 10;

/**
 * Writes arrays of a dict as npy files, `dir/key.npy`, at the speed of copying them; on file systems that can share blocks
 * between files (Btrfs, XFS), arrays of 1 MiB and more take no time and no disk. A masked array becomes `key.npy`,
 * `key.__mask__.npy` and, with a fill value, `key.__fill_value__.npy`. Characters of a key that file names cannot hold
 * are written as `%2F` and the like; `npyToMmd` undoes that.
 *
 * Stopping it leaves the directory as it was. Arrays that other code changes in place meanwhile are copied as they are.
 *
 * @param keys - default: all keys with arrays
 * @param dir - created if it does not exist
 * @throws NOT_FOUND for a missing key; UNSUPPORTED_VALUE for one that holds no array; KEY_TOO_LONG; BAD_KEY for one
 *   with half a surrogate pair; NO_SPACE; IO; the signal's reason
 *
 * @example
 * ```ts
 * import { ndarray } from '@mmdpickle/core';
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { mmdToNpy } from '@mmdpickle/npy-interop';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('frame/1', ndarray(new Uint16Array(6), [2, 3]));
 * await mmdToNpy(dict, ['frame/1'], 'out'); // out/frame%2F1.npy
 * ```
 */
export async function mmdToNpy(
  dict: MmapDict,
  keys: readonly string[] | undefined,
  dir: string | URL,
  options: TransferOptions = {},
): Promise<Exported> {
  checkOptions(options, TRANSFER_OPTIONS);
  const directory = absolutePath(dir);
  let made: string | undefined;
  try {
    return await withParts(dict, keys, options, async (parts, create, tick) => {
      const files = parts.map(([name, array]) => ({ path: join(directory, fileNameOf(name, '.npy')), array }));
      made ??= makeDirectory(directory);
      const turns = new Turns(options.signal);
      for (const { path, array } of files) {
        if (turns.due) await turns.take();
        const replacement = create(path);
        const header = headerOf(array, sharesBlocks(directory));
        replacement.file.write(0, header);
        await writePart(replacement.file, array, header.length, tick);
        replacement.seal();
      }
    });
  } catch (error) {
    if (made !== undefined) removeEmptyDirectories(directory, made);
    throw error;
  }
}

/** File systems (by their statfs types) whose files may share blocks: Btrfs, XFS, bcachefs, OCFS2, ZFS. */
const SHARING: ReadonlySet<number> = new Set([0x9123683e, 0x58465342, 0xca451a4e, 0x7461636f, 0x2fc12fc1]);

function sharesBlocks(directory: string): boolean {
  try {
    return SHARING.has(statfsSync(directory).type);
  } catch {
    // Only a guess: creating the file reports what is wrong with the directory.
    return false;
  }
}

/**
 * The header of an npy file. If blocks can be shared, that of a large array fills a whole block, so that its data begins at the
 * start of a block as in the dict; after numpy's header, which is as short as possible, no block of the two files would match.
 */
export function headerOf(array: PlainArray, sharing: boolean): Uint8Array {
  const header = formatNpyHeader(array);
  const { place, nbytes } = array;
  const agree = place !== undefined && place.offset % BLOCK === 0 && nbytes >= SHARED_FROM && header.length <= BLOCK;
  return sharing && agree ? formatNpyHeader(array, { length: BLOCK }) : header;
}

/** Options of {@link mmdToNpz}. */
export interface MmdToNpzOptions extends TransferOptions, Pick<WriteNpzOptions, 'compress' | 'zip64'> {}

/**
 * Writes arrays of a dict as one npz file, with members named like the keys. Stored members (the default)
 * start at multiples of 64 bytes. Masked arrays are written as by {@link mmdToNpy}.
 *
 * @param keys - default: all keys with arrays
 * @throws NOT_FOUND; UNSUPPORTED_VALUE; BAD_KEY for keys that archives cannot hold (absolute, with `..`, or with half a
 *   surrogate pair); NO_SPACE; IO; the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { mmdToNpz } from '@mmdpickle/npy-interop';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('gain', new Float64Array([0.5, 2]));
 * await mmdToNpz(dict, ['gain'], 'run.npz', { compress: true });
 * ```
 */
export async function mmdToNpz(
  dict: MmapDict,
  keys: readonly string[] | undefined,
  path: string | URL,
  options: MmdToNpzOptions = {},
): Promise<Exported> {
  checkOptions(options, WRITE_NPZ_OPTIONS);
  return await withParts(dict, keys, options, async (parts, create) => {
    await writePlainZip(fileSink(create(path).file), parts, options);
  });
}

/**
 * Writes arrays of a dict as one safetensors file.
 *
 * @param keys - default: all keys with arrays
 * @throws NOT_FOUND; UNSUPPORTED_DTYPE for types that the format lacks; UNSUPPORTED_VALUE for masked and Fortran arrays;
 *   NO_SPACE; IO; the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { mmdToSafetensors } from '@mmdpickle/npy-interop';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('weights', new Float32Array(8));
 * await mmdToSafetensors(dict, ['weights'], 'weights.safetensors');
 * ```
 */
export async function mmdToSafetensors(
  dict: MmapDict,
  keys: readonly string[] | undefined,
  path: string | URL,
  options: TransferOptions & WriteSafetensorsOptions = {},
): Promise<Exported> {
  checkOptions(options, WRITE_SAFETENSORS_OPTIONS);
  return await withParts(dict, keys, options, async (parts, create, tick) => {
    const turns = new Turns(options.signal);
    const steps = safetensorsPlanSteps(parts, options);
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) if (turns.due) await turns.take();
    const plan = step.value;
    const { file } = create(path);
    file.write(0, plan.head);
    for (const array of plan.arrays) {
      if (turns.due) await turns.take();
      await writePart(file, array, array.offset, tick);
    }
  });
}

/**
 * Writes the bytes of one array of a dict, in its order, without a header.
 *
 * @throws NOT_FOUND; UNSUPPORTED_VALUE for what is not an array, or is a masked one; NO_SPACE; IO; the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { mmdToRaw } from '@mmdpickle/npy-interop';
 *
 * using dict = MmapDict.open('run.mmdpickle');
 * dict.set('adc', new Int16Array(100));
 * await mmdToRaw(dict, 'adc', 'adc.bin');
 * ```
 */
export async function mmdToRaw(
  dict: MmapDict,
  key: string,
  path: string | URL,
  options: TransferOptions = {},
): Promise<Exported> {
  checkOptions(options, TRANSFER_OPTIONS);
  return await withParts(dict, [key], options, async (parts, create, tick) => {
    const [part] = parts;
    if (parts.length !== 1 || part === undefined) {
      throw new MmdError(
        'UNSUPPORTED_VALUE',
        `${dict.name}: ${JSON.stringify(key)} is a masked array, which a raw file cannot hold`,
        { key },
      );
    }
    await writePart(create(path).file, part[1], 0, tick);
  });
}

async function writePart(file: NodeFile, array: PlainArray, offset: number, tick: Tick): Promise<void> {
  if (array.place === undefined) writeArray(file, array, offset, tick);
  else await copyRangeAsync(array.place, file, offset, array.nbytes, tick);
}

/** Creates a file that appears under its name when the whole export is complete. */
type Create = (path: string | URL) => FileReplacement;

/**
 * Runs an export of the dict's arrays, and again if these did not stay in place meanwhile; then puts its files
 * into place.
 * @throws LIMIT_EXCEEDED if they never stay in place
 */
async function withParts(
  dict: MmapDict,
  wanted: readonly string[] | undefined,
  options: TransferOptions,
  write: (parts: readonly Part[], create: Create, tick: Tick) => Promise<void>,
): Promise<Exported> {
  checkFileDict(dict);
  options.signal?.throwIfAborted();
  if (wanted !== undefined) checkKeys('conversion', wanted);
  for (let attempt = 1; ; attempt += 1) {
    const files: FileReplacement[] = [];
    const leftovers: Leftovers = new Map();
    const create: Create = (path) => {
      const file = new FileReplacement(path, leftovers);
      files.push(file);
      if (file.target !== source.name) return file;
      throw new MmdError('INVALID_ARGUMENT', `${file.path} is the dict's own file: export to another file`, {
        path: file.path,
      });
    };
    using source = openDictFile(dict);
    const turns = new Turns(options.signal);
    try {
      const looks = await looksAt(dict, wanted, source, turns);
      if (looks === undefined) {
        // By now the dict has another file than `source`.
        if (attempt === ATTEMPTS) throw neverStayed(dict);
        continue;
      }
      const keys = looks.map(({ meta }) => meta.key);
      const parts = looks.flatMap((look) => look.parts);
      const bytes = parts.reduce((sum, [, array]) => sum + array.nbytes, 0);
      try {
        await write(parts, create, meter(bytes, options));
      } catch (error) {
        // A vacuum in place truncates the file that is copied.
        if (!isMmdError(error, 'TRUNCATED') || (await stillThere(dict, looks, source, turns))) throw error;
      }
      options.signal?.throwIfAborted();
      if (await stillThere(dict, looks, source, turns)) {
        // From here on the export cannot be stopped.
        const places = new Turns();
        await places.map(files, (file) => file.finish());
        return { keys, paths: files.map((file) => file.path), bytes };
      }
      if (attempt === ATTEMPTS) throw neverStayed(dict);
    } finally {
      for (const file of files) file[Symbol.dispose]();
    }
  }
}

/** Opens the file that the dict has open now; its path may name another file by then. */
function openDictFile(dict: MmapDict): NodeFile {
  for (let attempt = 1; ; attempt += 1) {
    dict.refresh();
    const file = NodeFile.open(dict.path, 'r');
    let same = false;
    try {
      same = isSameFile(dict.identity, file.identity()) || attempt === ATTEMPTS;
    } finally {
      if (!same) file.close();
    }
    if (same) return file;
  }
}

function neverStayed(dict: MmapDict): MmdError {
  const text = `arrays were moved or freed during the export, ${ATTEMPTS} times: export while no vacuum or reclaim is running`;
  const { path } = dict;
  return new MmdError('LIMIT_EXCEEDED', `${dict.name}: ${text}`, { limit: 'attempts', maximum: ATTEMPTS, path });
}

/** What has to be known about an entry to copy it. */
interface Look {
  readonly meta: EntryMeta;
  readonly head: Uint8Array;
  readonly parts: readonly Part[];
}

/**
 * Describes the arrays, all as of one commit; undefined if the dict has another file than `source` by now.
 * @param wanted - default: all keys with arrays
 */
async function looksAt(
  dict: MmapDict,
  wanted: readonly string[] | undefined,
  source: NodeFile,
  turns: Turns,
): Promise<readonly Look[] | undefined> {
  const look = (key: string): Look | undefined => {
    const meta = wanted === undefined ? dict.getMeta(key) : lookAt(dict, key);
    return meta?.type === undefined
      ? undefined
      : { meta, head: headOf(meta, source), parts: partsOf(dict, meta, source) };
  };
  const number = source.loadI32(COMMIT_NUMBER_OFFSET);
  const committed = (): boolean => source.loadI32(COMMIT_NUMBER_OFFSET) !== number;
  let looks: (Look | undefined)[] | undefined;
  try {
    looks = await turns.map(wanted ?? dict.keys(), look);
  } catch (error) {
    if (turns.stopped || !(committed() || moved(dict, source))) throw error;
  }
  // There was a commit between two turns: now without turns.
  if (looks === undefined || committed()) looks = moved(dict, source) ? [] : (wanted ?? [...dict.keys()]).map(look);
  return moved(dict, source) ? undefined : looks.filter((found) => found !== undefined);
}

function moved(dict: MmapDict, source: NodeFile): boolean {
  return !isSameFile(dict.identity, source.identity());
}

function lookAt(dict: MmapDict, key: string): EntryMeta {
  const meta = dict.getMeta(key);
  if (meta === undefined) {
    throw new MmdError('NOT_FOUND', `${dict.name}: no key ${JSON.stringify(key)}`, { key, path: dict.path });
  }
  if (meta.type !== undefined) return meta;
  throw new MmdError('UNSUPPORTED_VALUE', `${dict.name}: ${JSON.stringify(key)} holds a ${meta.kind}, not an array`, {
    key,
    path: dict.path,
    found: meta.kind,
  });
}

/** An entry's bytes before its data: freeing its disk space, or moving other entries there, changes these first. */
function headOf({ entryOffset, offset }: EntryMeta, source: NodeFile): Uint8Array {
  const head = new Uint8Array(offset - entryOffset);
  return head.subarray(0, source.read(entryOffset, head));
}

/**
 * Whether what was copied is what the dict held: a vacuum leaves the old file as it was, and in the same file the entries
 * must still be in place, as replaced ones are until their disk space is freed or reused.
 */
async function stillThere(dict: MmapDict, looks: readonly Look[], source: NodeFile, turns: Turns): Promise<boolean> {
  dict.refresh();
  for (const { meta, head } of looks) {
    if (turns.due) await turns.take();
    if (moved(dict, source)) return true;
    const stands = dict.getMeta(meta.key)?.offset === meta.offset;
    if (!stands && Buffer.compare(headOf(meta, source), head) !== 0) return false;
  }
  return true;
}

function partsOf(dict: MmapDict, meta: EntryMeta, file: NodeFile): Part[] {
  const { key, shape = [] } = meta;
  if (isPartName(key)) {
    throw new MmdError('BAD_KEY', `the key ${JSON.stringify(key)} is reserved for the parts of masked arrays`, { key });
  }
  const dtype = parseDType(meta.type ?? '');
  const order = meta.order === 'F' && shape.length > 1 ? 'F' : 'C';
  const nbytes = arrayBytes(dtype, shape, key);
  const data: Part = [key, { dtype, shape, order, nbytes, place: { file, offset: meta.offset } }];
  if (meta.mask === undefined) return [data];
  const value = dict.get(key) as { readonly mask?: NDArray; readonly fillValue?: unknown };
  const bool = parseDType('bool');
  const mask: PlainArray = {
    dtype: bool,
    shape,
    order: shape.length > 1 && value.mask?.order === 'F' ? 'F' : 'C',
    nbytes: arrayBytes(bool, shape, key),
    place: { file, offset: meta.mask.dataOffset },
  };
  const { fillValue } = value;
  if (fillValue === undefined || fillValue === null) return [data, [`${key}${MASK_SUFFIX}`, mask]];
  const fill = plainArray(fillArray(dtype, fillValue), key);
  return [data, [`${key}${MASK_SUFFIX}`, mask], [`${key}${FILL_SUFFIX}`, fill]];
}
