/** The process of a Node side: loads the operation, then answers commands until told to close. */

import { mkdirSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Operation, Runner, SideContext } from './case.ts';
import { peakRss, resetPeakRss } from './memory.ts';
import { MissingPeer } from './peer-import.ts';
import { ANSWER_FD, type Answer, type Command } from './protocol.ts';

let runner: Runner | undefined;

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command;
  let answer: Answer;
  try {
    answer = await execute(command);
  } catch (error) {
    answer = error instanceof MissingPeer ? { missing: error.message } : { failed: describe(error) };
  }
  writeSync(ANSWER_FD, `${JSON.stringify(answer)}\n`);
  if (command.do === 'close') break;
}
process.exit(0);

async function execute(command: Command): Promise<Answer> {
  switch (command.do) {
    case 'inputs': {
      await (await operation(command.context)).inputs?.(command.context);
      return { ok: true };
    }
    case 'prepare': {
      await (await side(command.context)).prepare?.(command.context);
      return { ok: true };
    }
    case 'start':
      runner = await (await side(command.context)).start(command.context);
      globalThis.gc?.();
      resetPeakRss();
      return { ok: true };
    case 'round': {
      if (runner === undefined) throw new Error('a round before the start');
      globalThis.gc?.();
      const round = await runner.round(command.index);
      return { ok: true, round, rss: peakRss() };
    }
    case 'close':
      await runner?.close?.();
      return { ok: true };
  }
}

async function operation(context: SideContext): Promise<Operation> {
  mkdirSync(context.dir, { recursive: true });
  const module = (await import(`./ops/${context.op}.js`)) as { readonly operation: Operation };
  return module.operation;
}

async function side(context: SideContext) {
  const found = (await operation(context)).sides[context.side];
  if (found === undefined) throw new MissingPeer(`no side ${context.side} in ops/${context.op}`);
  return found;
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
