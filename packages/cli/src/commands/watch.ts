import { watchDict } from '@mmdpickle/rx';
import { fromEvent, lastValueFrom, takeUntil, tap } from 'rxjs';
import type { CommandSpec } from '../command.ts';
import { colorsFor, print, printJson } from '../terminal.ts';
import { keyText } from '../text.ts';

/** `mmdpickle watch`: a line for each change, by whichever process. */
export const watch: CommandSpec = {
  name: 'watch',
  summary: 'Print the changes to a file as they happen, until interrupted',
  args: '<file>',
  argDocs: { file: 'the mmdpickle file, or a pattern with {n} for a row of files' },
  options: [
    {
      flags: '--from <seq>',
      doc: 'begin with the change of this number; 0 tells all that is in the file',
      parse: Number,
    },
    { flags: '--poll <ms>', doc: 'the longest time between two looks', parse: Number },
    { flags: '--count <n>', doc: 'end after so many changes', parse: Number },
  ],
  examples: [
    { line: 'mmdpickle watch run.mmdpickle --from 0 --count 3', doc: 'the first three changes' },
    { line: 'mmdpickle watch run.mmdpickle --from 0 --count 1 --json', doc: 'a JSON line for each change' },
  ],
  async run({ terminal, args, options, json }) {
    const [path = ''] = args;
    const { dim, green, red, yellow } = colorsFor(terminal);
    const paint: Readonly<Record<string, (text: string) => string>> = { added: green, replaced: yellow, removed: red };
    const {
      from,
      poll,
      count = Number.POSITIVE_INFINITY,
    } = options as { from?: number; poll?: number; count?: number };
    const done = new AbortController();
    let seen = 0;
    const changes$ = watchDict(path, {
      ...(from !== undefined && { from }),
      ...(poll !== undefined && { pollMs: poll }),
    }).pipe(
      takeUntil(fromEvent(AbortSignal.any([terminal.signal, done.signal]), 'abort')),
      tap((change) => {
        if (seen >= count) return;
        seen += 1;
        if (json) void printJson(terminal, change);
        else {
          const time = new Date().toISOString().slice(11, 23);
          const what = (paint[change.kind] ?? ((text: string) => text))(change.kind.padEnd(13));
          const key = 'key' in change ? keyText(change.key) : '';
          const rows = 'rows' in change ? `rows ${change.rows.start}..${change.rows.end}` : '';
          void print(terminal, `${dim(time)}  ${String(change.seq).padStart(8)}  ${what}  ${key}  ${dim(rows)}\n`);
        }
        if (seen >= count) done.abort();
      }),
    );
    await lastValueFrom(changes$, { defaultValue: undefined });
    return 'ok';
  },
};
