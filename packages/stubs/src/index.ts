/**
 * Array stubs: a dtype, a shape and an order that a dict allocates on disk without holding the array in memory.
 *
 * @module
 */

export { ArrayStub, type StubOptions } from './array-stub.ts';
export { EmptyMaskedArray, EmptyNDArray, type MaskedStubOptions, ZerosNDArray } from './empty.ts';
export { FullNDArray } from './full.ts';
export { type FillRows, FunctionNDArray, type FunctionOptions } from './function.ts';
export { GrowableMaskedArray, type GrowableMaskedOptions, GrowableNDArray, type GrowableOptions } from './growable.ts';
export { RawFileNDArray, type RawFileOptions } from './raw-file.ts';
