/**
 * Plans as data: what a repair would do to a file, for inspection before it is done.
 *
 * @module
 */

/** One change to a file. */
export type Step =
  | { readonly do: 'write'; readonly offset: number; readonly bytes: Uint8Array; readonly why: string }
  | { readonly do: 'truncate'; readonly size: number; readonly why: string }
  | { readonly do: 'sync' };

/** What can carry out steps. */
export interface StepTarget {
  write(offset: number, bytes: Uint8Array): void;
  truncate(size: number): void;
  sync(): void;
}

/** Carries out a plan, in order. */
export function runSteps(steps: readonly Step[], target: StepTarget): void {
  for (const step of steps) {
    if (step.do === 'write') target.write(step.offset, step.bytes);
    else if (step.do === 'truncate') target.truncate(step.size);
    else target.sync();
  }
}
