import { existsSync } from 'node:fs';
import { Turns } from '@mmdpickle/core/turns';
import { type Change, FilePattern, watchDict } from '@mmdpickle/rx';
import { concatMap, defer, EMPTY, fromEvent, lastValueFrom, of, repeat, take, takeUntil, takeWhile } from 'rxjs';
import type { CommandSpec, Invocation } from '../command.ts';
import { parseNatural, parsePositive, parseTime } from '../option-values.ts';
import { colorsFor, print, printJson, tellNote } from '../terminal.ts';
import { keyText } from '../text.ts';

/** The most changes that wait to be printed. Beyond that, the file is not polled until all of them are printed. */
const MOST_AHEAD = 10_000;

/** `mmdpickle watch`: a line for each change, by whichever process. */
export const watch: CommandSpec = {
  args: '<file>',
  argDocs: { file: 'the mmdpickle file, which need not exist yet, or a pattern with {n} for a row of files' },
  options: [
    {
      flags: '--from <seq>',
      doc: 'resume after the change with this number; 0 reports everything in the file',
      parse: parseNatural,
    },
    {
      flags: '--poll <time>',
      doc: 'the longest time between two checks, such as 1s; 50ms if not given',
      parse: parseTime,
    },
    { flags: '--count <n>', doc: 'end after this many changes', parse: parsePositive },
  ],
  examples: [
    { line: 'mmdpickle watch run.mmdpickle --from 0 --count 3', doc: 'the first three changes' },
    { line: 'mmdpickle watch run.mmdpickle --from 0 --count 1 --json', doc: 'a JSON line for each change' },
  ],
  async run(invocation) {
    const { terminal, args, options, json, quiet } = invocation;
    const [path = ''] = args;
    const { from, poll, count } = options as { from?: number; poll?: number; count?: number };
    if (!quiet && !FilePattern.is(path) && !existsSync(path))
      tellNote(invocation, `${path} does not exist yet: waiting`);
    if (!json) await print(terminal, colorsFor(terminal).bold(`${HEADING}\n`));
    const { looks$ } = watchDict(path, {
      ...(from !== undefined && { from }),
      ...(poll !== undefined && { pollMs: poll }),
    });
    let ahead = 0;
    /**
     * Passes on the changes of one look as they are printed, which may be millions. Given to RxJS one by one, they would be
     * shifted from an array, each in time that grows with those that wait; and signals would wait for the last one.
     */
    async function* printed(changes: readonly Change[]): AsyncGenerator<Change> {
      const turns = new Turns();
      for (const change of changes) {
        if (turns.due) {
          await turns.take();
          if (terminal.signal.aborted) return;
        }
        await (json ? printJson(terminal, change) : print(terminal, changeLine(change, terminal)));
        ahead -= 1;
        yield change;
      }
    }
    const printed$ = defer(() =>
      looks$.pipe(
        takeUntil(fromEvent(terminal.signal, 'abort')),
        takeWhile((changes) => (ahead += changes.length) <= MOST_AHEAD, true),
        concatMap(printed),
      ),
    );
    const changes$ = printed$.pipe(
      // The next poll resumes after the last one; only changes that a vacuum has removed meanwhile are not reported.
      repeat({ delay: () => (terminal.signal.aborted ? EMPTY : of(true)) }),
      take(count ?? Number.POSITIVE_INFINITY),
    );
    await lastValueFrom(changes$, { defaultValue: undefined });
    return 'ok';
  },
};

const WIDTHS = { time: 12, seq: 8, kind: 13 } as const;
const HEADING = `${'time'.padEnd(WIDTHS.time)}  ${'seq'.padStart(WIDTHS.seq)}  ${'change'.padEnd(WIDTHS.kind)}  key`;

function changeLine(change: Change, terminal: Invocation['terminal']): string {
  const { dim, green, red, yellow } = colorsFor(terminal);
  const paint: Readonly<Record<string, (text: string) => string>> = { added: green, replaced: yellow, removed: red };
  const time = new Date().toISOString().slice(11, 23);
  const kind = (paint[change.kind] ?? String)(change.kind.padEnd(WIDTHS.kind));
  const key = 'key' in change ? keyText(change.key) : '';
  const rows = 'rows' in change ? `  ${dim(`rows ${change.rows.start}..${change.rows.end}`)}` : '';
  return `${dim(time)}  ${String(change.seq).padStart(WIDTHS.seq)}  ${kind}  ${key}${rows}\n`;
}
