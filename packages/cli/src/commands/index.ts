import type { CommandRow } from '../command.ts';

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'ls',
    summary: 'List the contents of a file, as a tree of its keys',
    load: async () => (await import('./ls.ts')).ls,
  },
  {
    name: 'info',
    summary: 'Describe a file, or one of its entries',
    load: async () => (await import('./info.ts')).info,
  },
  {
    name: 'get',
    summary: 'Print one value, or a slice of an array',
    load: async () => (await import('./get.ts')).get,
  },
  { name: 'put', summary: 'Store one value under a key', load: async () => (await import('./put.ts')).put },
  {
    name: 'rm',
    summary: 'Delete keys, all or none; vacuum or reclaim frees the space',
    load: async () => (await import('./edit.ts')).rm,
  },
  { name: 'mv', summary: 'Rename a key', load: async () => (await import('./edit.ts')).mv },
  {
    name: 'cp',
    summary: 'Copy entries to another file, byte for byte',
    load: async () => (await import('./edit.ts')).cp,
  },
  {
    name: 'head',
    summary: 'Print the first rows of an array',
    load: async () => (await import('./head-tail.ts')).head,
  },
  {
    name: 'tail',
    summary: 'Print the last rows of an array, and follow it while it grows',
    load: async () => (await import('./head-tail.ts')).tail,
  },
  {
    name: 'stats',
    summary: 'Minimum, maximum, mean, deviation and histogram of an array of any size',
    load: async () => (await import('./stats.ts')).stats,
  },
  {
    name: 'watch',
    summary: 'Print the changes to a file as they happen, until interrupted',
    load: async () => (await import('./watch.ts')).watch,
  },
  {
    name: 'ingest',
    summary: 'Write a stream of frames into a file; exit code 1 if frames were dropped',
    load: async () => (await import('./ingest.ts')).ingest,
  },
  {
    name: 'import',
    summary: 'Import arrays and pickles into a file; arrays may be larger than memory, except in CSV and pickles',
    load: async () => (await import('./transfer.ts')).importCommand,
  },
  {
    name: 'export',
    summary: 'Export arrays and values to another format',
    load: async () => (await import('./transfer.ts')).exportCommand,
  },
  {
    name: 'convert',
    summary: 'Convert an ordinary pickle to an mmdpickle file, or change how a file encodes its arrays',
    load: async () => (await import('./convert.ts')).convert,
  },
  {
    name: 'vacuum',
    summary: 'Rewrite the file without dead space',
    load: async () => (await import('./upkeep.ts')).vacuum,
  },
  {
    name: 'reclaim',
    summary: 'Free the disk space of dead entries without moving anything',
    load: async () => (await import('./upkeep.ts')).reclaim,
  },
  {
    name: 'fsck',
    summary: 'Check a file, repair it, or salvage what is intact; exit code 1 if something is wrong',
    load: async () => (await import('./fsck.ts')).fsck,
  },
  {
    name: 'seal',
    summary: 'Write checksums of all entries, for verify',
    load: async () => (await import('./fsck.ts')).seal,
  },
  {
    name: 'verify',
    summary: 'Compare a sealed file with its checksums; exit code 1 if it changed',
    load: async () => (await import('./fsck.ts')).verify,
  },
  {
    name: 'dis',
    summary: 'Disassemble a pickle as pickletools does, or an mmdpickle file entry by entry',
    load: async () => (await import('./dis.ts')).dis,
  },
  {
    name: 'check',
    summary: 'List the globals that a pickle would import and call; exit code 1 if one is not known to be harmless',
    load: async () => (await import('./check.ts')).check,
  },
  {
    name: 'diff',
    summary: 'Compare two files key by key, arrays byte by byte',
    load: async () => (await import('./diff.ts')).diff,
  },
];
