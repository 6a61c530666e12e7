/**
 * Copies npy, npz, safetensors and raw files into an mmdpickle file.
 *
 * Every call is one commit: its arrays are written after the end of the dict, where nobody sees them until all are complete.
 *
 * @module
 */

import { isMmdError, MmdError } from '@mmdpickle/core';
import { type ArraySource, type DType, type DTypeLike, memoryOver, NDArray, parseDType } from '@mmdpickle/core/ndarray';
import { absolutePath, type MmapDict, NodeFile } from '@mmdpickle/core/node';
import { checkOptions } from '@mmdpickle/core/options';
import type { StorageFile } from '@mmdpickle/core/storage';
import { Turns } from '@mmdpickle/core/turns';
import { checkLength, type ReadNpyOptions, refuseObjects } from '../npy.ts';
import { isNpy, type NpyHeader } from '../npy-header.ts';
import type { OpenNpzOptions } from '../npz-read.ts';
import { FILL_SUFFIX, fillArray, isPartName, MASK_SUFFIX, type Tick } from '../npz-write.ts';
import { NPY_TO_MMD_OPTIONS, NPZ_TO_MMD_OPTIONS, RAW_TO_MMD_OPTIONS, SAFETENSORS_TO_MMD_OPTIONS } from '../options.ts';
import { tensorDType } from '../safetensors.ts';
import { checkKeys, keyOfFileName } from './convert-names.ts';
import { copyRangeAsync } from './copy-range.ts';
import { changeHeld, type HeldDict } from './held-dict.ts';
import { readNpy, readNpyHeader } from './npy-file.ts';
import { NpzFile } from './npz-file.ts';
import { meter, type RawOptions, rawLayout, readSafetensors, type TransferOptions } from './safetensors-file.ts';

/** Options of every conversion. */
export interface ConvertOptions extends TransferOptions {
  /** Milliseconds to wait for the dict's lock, without blocking. Default 10,000. */
  readonly lockTimeout?: number | undefined;
}

/** What a conversion into a dict has stored. */
export interface Imported {
  /** The keys that were set, in order. */
  readonly keys: readonly string[];
  /** Bytes of array data. */
  readonly bytes: number;
}

/** An array or value to put into a dict. */
interface Item {
  readonly key: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly order: 'C' | 'F';
  readonly nbytes: number;
  /** Writes the array's bytes at an offset of the dict's file. */
  fill(target: StorageFile, offset: number, tick: Tick): Promise<void>;
  /** The array in memory or mapped, for masks in another order and fill values. */
  load(): Promise<NDArray>;
  /** For what is stored as a value, not as `nbytes` bytes of an array: object arrays, and what is not an array. */
  readonly whole?: (() => Promise<unknown>) | undefined;
}

/** An array, or a masked array put together again. */
interface Group extends Item {
  readonly mask?: Item | undefined;
  readonly fillValue?: unknown;
}

/** Options of {@link npyToMmd}. */
export interface NpyToMmdOptions extends ConvertOptions, Omit<ReadNpyOptions, 'signal'> {
  /**
   * The keys, one per input, or a function that makes one from a path. Default: the file's name without `.npy`, with escapes
   * such as `%2F` decoded.
   */
  readonly keys?: readonly string[] | ((path: string, index: number) => string) | undefined;
}

/**
 * Puts npy files into a dict, in one commit, at the speed of copying them, with memory use that does not grow with the
 * arrays. `name`, `name.__mask__` and `name.__fill_value__` become a masked array again.
 *
 * Stopping it, or killing the process, leaves the dict as it was.
 *
 * @param inputs - paths of npy files
 * @param dict - open for writing; a second handle does the work, so other code may use this one meanwhile
 * @throws what `openNpy` throws for a bad input; NOT_FOUND, also if the dict's file was removed; READ_ONLY, LOCKED, NO_SPACE;
 *   the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { npyToMmd, writeNpy } from '@mmdpickle/npy-interop';
 *
 * writeNpy('dark.npy', new Uint16Array(512));
 * using dict = MmapDict.open('run.mmdpickle');
 * await npyToMmd(['dark.npy'], dict, { keys: ['frames/dark'] });
 * dict.getMeta('frames/dark')?.shape; // [512]
 * ```
 */
export async function npyToMmd(
  inputs: string | URL | readonly (string | URL)[],
  dict: MmapDict,
  options: NpyToMmdOptions = {},
): Promise<Imported> {
  checkOptions(options, NPY_TO_MMD_OPTIONS);
  const paths = (Array.isArray(inputs) ? (inputs as readonly (string | URL)[]) : [inputs as string | URL]).map(
    absolutePath,
  );
  const { keys } = options;
  if (keys !== undefined && typeof keys !== 'function') checkKeys('npyToMmd', keys);
  if (Array.isArray(keys) && keys.length !== paths.length) {
    throw new MmdError('INVALID_ARGUMENT', `npyToMmd: ${keys.length} keys for ${paths.length} inputs`, {
      expected: paths.length,
      found: keys.length,
    });
  }
  const read = told(options);
  const keyOf = (path: string, i: number): string =>
    typeof keys === 'function' ? keys(path, i) : (keys?.[i] ?? keyOfFileName(path, '.npy'));
  const items = await new Turns(options.signal).map(paths, (path, i) => npyItem(path, keyOf(path, i), read));
  return await importItems(dict, items, options);
}

/**
 * How files are read. Objects are read losslessly, so that they are written as they were, unless the caller says otherwise;
 * for a file whose header is read twice, `onRest` is called once.
 */
function told({ allowPickle, maxHeaderSize, pickle, onRest }: Omit<ReadNpyOptions, 'signal'>): ReadNpyOptions {
  const names = new Set<string>();
  const once: ReadNpyOptions['onRest'] = (rest) => {
    if (!names.has(rest.name)) onRest?.(rest);
    names.add(rest.name);
  };
  return { allowPickle, maxHeaderSize, pickle: { lossless: true, ...pickle }, onRest: once };
}

function npyItem(path: string, key: string, read: ReadNpyOptions): Item {
  using file = NodeFile.open(path, 'r');
  const { dtype, shape, order, nbytes, dataOffset } = readNpyHeader(file, read);
  if (dtype.hasObject) refuseObjects({ name: path }, read);
  const load = async (): Promise<NDArray> => readNpy(path, read);
  return {
    key,
    dtype,
    shape,
    order,
    nbytes,
    load,
    whole: dtype.hasObject ? load : undefined,
    async fill(target, offset, tick) {
      using source = NodeFile.open(path, 'r');
      await copyRangeAsync({ file: source, offset: dataOffset }, target, offset, nbytes, tick);
    },
  };
}

/** Options of {@link npzToMmd}. */
export interface NpzToMmdOptions extends ConvertOptions, Omit<OpenNpzOptions, 'signal'> {
  /** The members to import, or a function that makes a key from a member's name (`undefined` leaves it out). Default: all. */
  readonly keys?: readonly string[] | ((member: string) => string | undefined) | undefined;
}

/**
 * Puts the members of npz files into a dict, in one commit. Stored members are copied, deflated ones are unpacked
 * piece by piece; checksums are verified. Masked arrays are restored as by {@link npyToMmd}. Members that are not npy files, and
 * not named like one, become `bytes`, as numpy reads them.
 *
 * @throws what `openNpz` throws for a bad input; NOT_FOUND for a missing member; READ_ONLY, LOCKED, NO_SPACE;
 *   the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { npzToMmd, writeNpz } from '@mmdpickle/npy-interop';
 *
 * await writeNpz('run.npz', { dark: new Uint16Array(8), gain: new Float64Array(1) });
 * using dict = MmapDict.open('run.mmdpickle');
 * (await npzToMmd('run.npz', dict)).keys; // ['dark', 'gain']
 * ```
 */
export async function npzToMmd(
  inputs: string | URL | readonly (string | URL)[],
  dict: MmapDict,
  options: NpzToMmdOptions = {},
): Promise<Imported> {
  checkOptions(options, NPZ_TO_MMD_OPTIONS);
  const paths = Array.isArray(inputs) ? (inputs as readonly (string | URL)[]) : [inputs as string | URL];
  const { limits, signal } = options;
  const read = told(options);
  const archives: NpzFile[] = [];
  const turns = new Turns(signal);
  try {
    const items: Item[] = [];
    for (const path of paths) {
      const npz = await NpzFile.open(path, { ...read, limits, signal });
      archives.push(npz);
      for (const [member, key] of chosen(npz.keys(), options.keys)) {
        if (turns.due) await turns.take();
        items.push(await npzItem(npz, member, key, { ...read, signal }));
      }
    }
    return await importItems(dict, items, options);
  } finally {
    for (const npz of archives) npz.close();
  }
}

function chosen(
  names: readonly string[],
  keys: readonly string[] | ((name: string) => string | undefined) | undefined,
): [name: string, key: string][] {
  if (keys === undefined) return names.map((name) => [name, name]);
  if (typeof keys !== 'function') {
    checkKeys('conversion', keys);
    return keys.map((name) => [name, name]);
  }
  return names.flatMap((name): [string, string][] => {
    const key = keys(name);
    return key === undefined ? [] : [[name, key]];
  });
}

async function npzItem(npz: NpzFile, member: string, key: string, options: ReadNpyOptions): Promise<Item> {
  const { signal } = options;
  const { header, bytes } = await headerOrBytes(npz, member, signal);
  if (header === undefined) return foreignItem(key, bytes);
  const stored = npz.member(member).method === 'stored' ? await npz.storedRange(member, header) : undefined;
  const { dtype, shape, order, nbytes } = header;
  const place = { name: `${npz.name}: member ${JSON.stringify(member)}` };
  if (dtype.hasObject) refuseObjects(place, options);
  // Checked before the dict makes room for what the header claims.
  else if (stored === undefined) checkLength(header, npz.member(member).size - header.dataOffset, place, options);
  const load = (): Promise<NDArray> => npz.get(member, { map: false, signal });
  return {
    key,
    dtype,
    shape,
    order,
    nbytes,
    load,
    whole: dtype.hasObject ? load : undefined,
    async fill(target, offset, tick) {
      if (stored === undefined) return unpackInto(npz, member, header.dataOffset, nbytes, target, offset, tick, signal);
      await copyRangeAsync({ file: npz.file, offset: stored.offset }, target, offset, nbytes, tick);
      await npz.verify(member, { signal });
    },
  };
}

/**
 * The npy header of a member, or the bytes of one that is not an npy file and not named like one, as numpy returns them. A member
 * that is named like an npy file and is not one is damaged.
 */
async function headerOrBytes(
  npz: NpzFile,
  member: string,
  signal: AbortSignal | undefined,
): Promise<{ header: NpyHeader; bytes?: undefined } | { header?: undefined; bytes: Uint8Array }> {
  try {
    return { header: await npz.header(member) };
  } catch (error) {
    const foreign = isMmdError(error, 'BAD_FORMAT') || isMmdError(error, 'TRUNCATED');
    if (npz.member(member).name.endsWith('.npy') || !foreign) throw error;
    const bytes = await npz.bytes(member, { signal });
    if (isNpy(bytes)) throw error;
    return { bytes };
  }
}

function foreignItem(key: string, bytes: Uint8Array): Item {
  const array = NDArray.over(memoryOver(bytes), parseDType('uint8'), [bytes.length]);
  return {
    key,
    dtype: array.type,
    shape: array.shape,
    order: 'C',
    nbytes: bytes.length,
    load: async () => array,
    whole: async () => bytes,
    fill: async () => undefined,
  };
}

async function unpackInto(
  npz: NpzFile,
  member: string,
  dataOffset: number,
  nbytes: number,
  target: StorageFile,
  offset: number,
  tick: Tick,
  signal: AbortSignal | undefined,
): Promise<void> {
  let done = 0;
  const take = (piece: Uint8Array): void => {
    const from = Math.max(0, dataOffset - done);
    const at = Math.max(0, done - dataOffset);
    done += piece.length;
    const bytes = piece.subarray(from, from + Math.max(0, nbytes - at));
    if (bytes.length === 0) return;
    target.write(offset + at, bytes);
    tick(bytes.length);
  };
  await npz.unpack(member, take, { signal });
}

/** Options of {@link safetensorsToMmd}. */
export interface SafetensorsToMmdOptions extends ConvertOptions {
  /** The tensors to import, or a function that makes a key from a name (`undefined` leaves it out). Default: all. */
  readonly keys?: readonly string[] | ((name: string) => string | undefined) | undefined;
}

/**
 * Puts the tensors of a safetensors file into a dict, in one commit.
 *
 * @throws NOT_FOUND; BAD_FORMAT, TRUNCATED, CORRUPT; UNSUPPORTED_DTYPE for types that numpy lacks; READ_ONLY, LOCKED,
 *   NO_SPACE; the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { safetensorsToMmd, writeSafetensors } from '@mmdpickle/npy-interop';
 *
 * writeSafetensors('model.safetensors', { bias: new Float32Array(4) });
 * using dict = MmapDict.open('model.mmdpickle');
 * await safetensorsToMmd('model.safetensors', dict);
 * ```
 */
export async function safetensorsToMmd(
  path: string | URL,
  dict: MmapDict,
  options: SafetensorsToMmdOptions = {},
): Promise<Imported> {
  checkOptions(options, SAFETENSORS_TO_MMD_OPTIONS);
  using tensors = readSafetensors(path);
  using source = NodeFile.open(path, 'r');
  const byName = new Map(tensors.tensors.map((tensor) => [tensor.name, tensor]));
  const turns = new Turns(options.signal);
  const items = await turns.map(chosen(tensors.keys(), options.keys), ([name, key]): Item => {
    const tensor = byName.get(name);
    if (tensor === undefined) {
      throw new MmdError('NOT_FOUND', `${tensors.name}: no tensor ${JSON.stringify(name)}`, { key: name });
    }
    const dtype = tensorDType(tensor, tensors.name);
    const place = { file: source, offset: tensor.offset };
    return placedItem(key, { dtype, shape: tensor.shape, order: 'C', nbytes: tensor.nbytes }, place);
  });
  return await importItems(dict, items, options);
}

/** Options of {@link rawToMmd}. */
export interface RawToMmdOptions extends ConvertOptions, Omit<RawOptions, 'mode'> {
  readonly key: string;
  readonly dtype: DTypeLike;
  /** One length may be -1: as many as the file holds. Default `[-1]`. */
  readonly shape?: readonly number[] | undefined;
}

/**
 * Puts the bytes of a file without a header into a dict as an array.
 *
 * @throws NOT_FOUND; TRUNCATED if the file is too short; UNSUPPORTED_DTYPE; READ_ONLY, LOCKED, NO_SPACE; the signal's reason
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { rawToMmd, toRaw } from '@mmdpickle/npy-interop';
 *
 * toRaw('adc.bin', new Int16Array(1000));
 * using dict = MmapDict.open('run.mmdpickle');
 * await rawToMmd('adc.bin', dict, { key: 'adc', dtype: '<i2', shape: [-1, 4] });
 * ```
 */
export async function rawToMmd(path: string | URL, dict: MmapDict, options: RawToMmdOptions): Promise<Imported> {
  checkOptions(options, RAW_TO_MMD_OPTIONS);
  using file = NodeFile.open(path, 'r');
  const { dtype, shape, nbytes, offset } = rawLayout(file, options.dtype, options.shape ?? [-1], options);
  const item = placedItem(options.key, { dtype, shape, order: options.order ?? 'C', nbytes }, { file, offset });
  return await importItems(dict, [item], options);
}

function placedItem(
  key: string,
  array: Pick<Item, 'dtype' | 'shape' | 'order' | 'nbytes'>,
  place: { readonly file: NodeFile; readonly offset: number },
): Item {
  const { dtype, shape, order, nbytes } = array;
  return {
    key,
    ...array,
    fill: (target, offset, tick) => copyRangeAsync(place, target, offset, nbytes, tick),
    load: async () => NDArray.over(place.file.map(place.offset, nbytes, 'read'), dtype, shape, { order }),
  };
}

async function importItems(dict: MmapDict, items: readonly Item[], options: ConvertOptions): Promise<Imported> {
  const seen = new Set<string>();
  for (const { key } of items) {
    if (seen.has(key)) throw new MmdError('BAD_KEY', `two inputs have the key ${JSON.stringify(key)}`, { key });
    seen.add(key);
  }
  const groups = await regroup(items);
  const bytes = groups.reduce((sum, { nbytes, mask }) => sum + Math.max(0, nbytes) + (mask?.nbytes ?? 0), 0);
  const tick = meter(bytes, options);
  await changeHeld(dict, options, async (held) => {
    const turns = new Turns(options.signal);
    for (const group of groups) {
      options.signal?.throwIfAborted();
      if (turns.due) await turns.take();
      await importGroup(held, group, tick);
    }
  });
  dict.refresh();
  return { keys: groups.map(({ key }) => key), bytes };
}

/** Puts the parts of masked arrays together; parts that do not fit each other stay arrays of their own. */
async function regroup(items: readonly Item[]): Promise<Group[]> {
  const byKey = new Map(items.map((item) => [item.key, item]));
  const parts = new Set<string>();
  const groups: Group[] = [];
  for (const item of items) {
    // A part has no parts of its own.
    const mask = isPartName(item.key) ? undefined : byKey.get(`${item.key}${MASK_SUFFIX}`);
    const fits = mask?.dtype.kind === 'b' && item.whole === undefined && String(mask.shape) === String(item.shape);
    if (mask === undefined || !fits) {
      groups.push(item);
      continue;
    }
    parts.add(mask.key);
    const fill = byKey.get(`${item.key}${FILL_SUFFIX}`);
    const fillValue = fill === undefined || fill.shape.length > 0 ? undefined : await fillValueOf(fill, item.dtype);
    if (fill !== undefined && fillValue !== undefined) parts.add(fill.key);
    groups.push({ ...item, mask, fillValue });
  }
  return groups.filter(({ key }) => !parts.has(key));
}

/** The element of an array without dimensions; undefined if arrays of the type cannot be filled with it. */
async function fillValueOf(fill: Item, dtype: DType): Promise<unknown> {
  if (fill.whole !== undefined) return undefined;
  const value: unknown = (await fill.load()).get();
  try {
    fillArray(dtype, value);
    return value;
  } catch (error) {
    if (!isMmdError(error, 'UNSUPPORTED_VALUE')) throw error;
    return undefined;
  }
}

async function importGroup(held: HeldDict, group: Group, tick: Tick): Promise<void> {
  const { key, mask } = group;
  if (group.whole !== undefined) {
    held.dict.set(key, await group.whole());
    tick(Math.max(0, group.nbytes));
    return;
  }
  const hole = (item: Item): ArraySource => ({
    arraySource: true,
    dtype: item.dtype,
    shape: item.shape,
    order: item.shape.length > 1 ? group.order : 'C',
  });
  held.dict.set(
    key,
    mask === undefined ? hole(group) : { ...hole(group), mask: hole(mask), fillValue: group.fillValue },
  );
  const meta = held.dict.getMeta(key);
  if (meta === undefined)
    throw new MmdError('CORRUPT', `${held.dict.name}: ${JSON.stringify(key)} is missing after it was stored`, { key });
  if (group.nbytes > 0) await group.fill(held.file, meta.offset, tick);
  if (mask === undefined || meta.mask === undefined || mask.nbytes === 0) return;
  if (mask.order === group.order || mask.shape.length < 2) {
    await mask.fill(held.file, meta.mask.dataOffset, tick);
    return;
  }
  let at = meta.mask.dataOffset;
  for (const piece of (await mask.load()).copy({ order: group.order }).bytes()) {
    held.file.write(at, piece);
    at += piece.length;
    tick(piece.length);
  }
}
