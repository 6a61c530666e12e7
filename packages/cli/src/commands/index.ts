import type { CommandSpec } from '../command.ts';
import { diff } from './diff.ts';
import { cp, mv, rm } from './edit.ts';
import { get } from './get.ts';
import { head, tail } from './head-tail.ts';
import { info } from './info.ts';
import { ingest } from './ingest.ts';
import { check, dis } from './inspect.ts';
import { ls } from './ls.ts';
import { put } from './put.ts';
import { stats } from './stats.ts';
import { exportCommand, importCommand } from './transfer.ts';
import { reclaim, vacuum } from './upkeep.ts';
import { watch } from './watch.ts';

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandSpec[] = [
  ls,
  info,
  get,
  put,
  rm,
  mv,
  cp,
  head,
  tail,
  stats,
  watch,
  ingest,
  importCommand,
  exportCommand,
  vacuum,
  reclaim,
  dis,
  check,
  diff,
];
