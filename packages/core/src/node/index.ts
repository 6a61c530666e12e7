/**
 * Real files: mapping, locks and leases on the operating systems of Node.
 *
 * @module
 */

export { type Fault, type FaultyCall, type FaultySyscalls, faultySyscalls } from './faulty-syscalls.ts';
export { NodeFile, type NodeFileMode, type NodeFileOptions } from './file.ts';
export { Lease, type LeaseOptions } from './lease.ts';
export { libc } from './libc.ts';
export { absolutePath } from './paths.ts';
export { type FileStatus, type MappedPages, PLATFORMS, type PlatformConstants, type Syscalls } from './syscalls.ts';
