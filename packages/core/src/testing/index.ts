/**
 * Test helpers shared by this and other packages.
 *
 * @module
 */

export {
  byteStrings,
  numbers,
  pickleArrays,
  pickleAtoms,
  pickleKeys,
  pickleObjects,
  pickleTimes,
  pickleValues,
  texts,
} from './arbitraries.ts';
export { CrashFile } from './crash-file.ts';
export { CrashLog, type CrashMark, type CrashOp, DiskImage } from './crash-log.ts';
export { type CrashState, type CrashStateOptions, crashStates } from './crash-states.ts';
export { FILE_CHANGES, FILE_LOOKS, type Image, Playback, preceded, Recording } from './playback.ts';
