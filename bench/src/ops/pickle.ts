/** `load` or `dump` one pickle of `count` values of one `kind`, in memory. CPython writes the input. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Operation, type Side, type SideContext, textParam } from '../case.ts';
import { ours } from '../ours.ts';
import { importPeer, MissingPeer } from '../peer-import.ts';
import { pythonFor } from '../python.ts';
import { timed } from '../timing.ts';

const HERE = dirname(fileURLToPath(import.meta.url));

function job({ params, sharedDir }: SideContext) {
  return { how: textParam(params, 'how'), input: join(sharedDir, 'input.pickle') };
}

function lengthOf(value: unknown): number {
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  throw new Error('neither a list nor a dict');
}

const mmdpickle: Side = {
  async start(context) {
    const { load, dump } = await ours.pickle();
    const { how, input } = job(context);
    const bytes = new Uint8Array(readFileSync(input));
    if (how === 'load') {
      let loaded: unknown;
      return {
        round: () => {
          loaded = undefined;
          const round = timed(() => {
            loaded = load(bytes);
          });
          lengthOf(loaded);
          return round;
        },
      };
    }
    const value = load(bytes);
    let length = 0;
    return {
      round: () => {
        const round = timed(() => {
          length = dump(value).length;
        });
        if (length === 0) throw new Error('nothing was written');
        return round;
      },
    };
  },
};

const pickleparser: Side = {
  async start(context) {
    const { how, input } = job(context);
    if (how !== 'load') throw new MissingPeer('pickleparser does not write');
    const module = await importPeer<{
      Parser?: new () => { parse(bytes: Uint8Array): unknown };
      default?: { Parser: new () => { parse(bytes: Uint8Array): unknown } };
    }>('pickleparser');
    const Parser = module.Parser ?? module.default?.Parser;
    if (Parser === undefined) throw new MissingPeer('pickleparser exports no Parser');
    const bytes = new Uint8Array(readFileSync(input));
    let loaded: unknown;
    return {
      round: () => {
        loaded = undefined;
        const round = timed(() => {
          loaded = new Parser().parse(bytes);
        });
        if (loaded === undefined) throw new Error('nothing was read');
        return round;
      },
    };
  },
};

export const operation: Operation = {
  async inputs({ sharedDir, params }) {
    const { spawnSync } = await import('node:child_process');
    const python = pythonFor(['_pickle']);
    if (python === undefined) throw new MissingPeer('no Python writes the input');
    const script = join(HERE, '..', '..', '..', '..', 'python', 'pickle_input.py');
    const args = [script, textParam(params, 'kind'), String(params.count), join(sharedDir, 'input.pickle')];
    const { status, stderr } = spawnSync(python, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  },
  sides: { ours: mmdpickle, pickleparser },
};
