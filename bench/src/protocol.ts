/** The protocol between the parent and a side's process: JSON lines, commands on stdin, answers on descriptor 3. */

import type { Round, SideContext } from './case.ts';

export type Command =
  | { readonly do: 'inputs' | 'prepare' | 'start'; readonly context: SideContext }
  | { readonly do: 'round'; readonly index: number }
  | { readonly do: 'close' };

export type Answer =
  | { readonly ok: true; readonly round?: Round; readonly rss?: number }
  | { readonly missing: string }
  | { readonly failed: string };

/** The descriptor on which a side answers; stdout and stderr are left to whatever its libraries print. */
export const ANSWER_FD = 3;
