/**
 * The fuzzer's worker: picks inputs, mutates them, runs them, and keeps those that reach something new. The current
 * input is in shared memory, so that the main thread can save it when this thread hangs or runs out of memory.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { Mutator } from './mutator.mjs';

const { shared, header, longest, seed, branches, wanted, pickle: url, fixtures } = workerData;
const count = new Float64Array(shared, 0, 1);
const length = new Uint32Array(shared, 8, 1);
const atHand = new Uint8Array(shared, header, longest);
/** Longer inputs reveal little and cost much. */
const LONGEST_INPUT = 4096;

let fresh = false;
let covered = 0;
globalThis.fuzzSeen = new Uint8Array(branches);
globalThis.fuzzHit = (branch) => {
  globalThis.fuzzSeen[branch] = 1;
  covered++;
  fresh = true;
};

const pickle = await import(url);
const typed = (error) => error?.name === 'MmdError' && typeof error.code === 'string';

/** Offsets of the opcodes of an input, as far as it can be read. */
function opcodeStarts(bytes) {
  const starts = [];
  try {
    for (const op of pickle.genops(bytes)) starts.push(op.pos ?? op.offset);
  } catch (error) {
    if (!typed(error)) throw error;
  }
  return starts;
}

const corpus = [];
const snippets = [];
const known = new Set();
for (const directory of ['pickle', 'regress']) {
  for (const file of readdirSync(join(fixtures, directory)).sort()) {
    if (!file.endsWith('.bin')) continue;
    const bytes = new Uint8Array(readFileSync(join(fixtures, directory, file)));
    if (bytes.length > LONGEST_INPUT) continue;
    const starts = opcodeStarts(bytes);
    corpus.push({ bytes, starts });
    for (let i = 0; i + 1 < starts.length; i++) {
      const snippet = bytes.slice(starts[i], starts[i + 1]);
      const text = String(snippet);
      if (snippet.length > 64 || known.has(text)) continue;
      known.add(text);
      snippets.push(snippet);
    }
  }
}

const BUFFERS = [new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), new Uint8Array(0), new Uint8Array(24)];
const lossless = new pickle.Decoder({ lossless: true, encoding: 'latin1', buffers: BUFFERS });
const plain = new pickle.Decoder({ buffers: BUFFERS });
const asBytes = new pickle.Decoder({ encoding: 'bytes', borrow: false });

function same(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const namesOf = (bytes) =>
  pickle
    .check(bytes)
    .globals.map(({ module, name }) => `${module} ${name}`)
    .sort()
    .join();

/**
 * What was loaded can be dumped, what was dumped can be loaded, and from the second dump on the bytes stay the same.
 * (The first dump may change a spelling, such as INST of a dotted name.) A value that stayed opaque at first, because
 * it was referred to before its state came or because protocol 3 was given a Python 2 name, may be recognised on the
 * second load; if the input then does something to it that its type does not support, such as APPEND on a dtype, the
 * load is refused with BAD_OPCODE, as Python refuses the input itself.
 */
function checkStable(value, protocol) {
  let last;
  try {
    last = pickle.dump(value, { protocol });
  } catch (error) {
    if (typed(error)) return;
    throw error;
  }
  // Python 2 names have a meaning only under protocol 2; elsewhere they are names like any other.
  if (protocol === 2 && namesOf(last) !== namesOf(pickle.dump(value))) return;
  let stable = false;
  for (let generation = 2; generation <= 3; generation++) {
    let next;
    try {
      next = pickle.dump(pickle.load(last, { lossless: true, encoding: 'latin1' }), { protocol });
    } catch (error) {
      if (error?.code === 'BAD_OPCODE') return;
      throw new Error(`UNSTABLE: writing number ${generation} at protocol ${protocol}: ${error}`);
    }
    stable = same(last, next);
    if (stable) break;
    last = next;
  }
  if (!stable) throw new Error(`UNSTABLE: writing at protocol ${protocol} goes on changing`);
}

/** Runs the input through one entry point, chosen by `choice`. */
function execute(bytes, choice) {
  if (choice < 10) {
    const value = lossless.load(bytes);
    if ((choice & 3) === 0) checkStable(value, 2 + (choice >> 2));
  } else if (choice < 12) plain.load(bytes);
  else if (choice < 13) asBytes.load(bytes);
  else if (choice < 14) lossless.loadEntry(bytes, Math.min(2, bytes.length), Math.max(2, bytes.length - 1));
  else if (choice < 15) {
    pickle.check(bytes);
  } else {
    pickle.dis(bytes);
    for (const op of pickle.genops(bytes)) if (op === undefined) break;
  }
}

const mutator = new Mutator(LONGEST_INPUT, seed, snippets);
const outcomes = new Set();
let stopped = false;
parentPort.on('message', () => {
  stopped = true;
});

// Most inputs end in typed errors, whose stack traces cost more than the pickle machine.
Error.stackTraceLimit = 0;

/** The same failure again, with its stack trace. */
function retold(bytes, choice) {
  Error.stackTraceLimit = 12;
  try {
    execute(bytes, choice);
  } catch (error) {
    return error;
  } finally {
    Error.stackTraceLimit = 0;
  }
}

/** One run; true if it reached something new. */
function attempt(bytes, choice) {
  atHand.set(bytes);
  length[0] = bytes.length;
  fresh = false;
  try {
    execute(bytes, choice);
  } catch (error) {
    if (typed(error)) {
      const outcome = `${error.code} ${bytes[error.offset ?? 0]}`;
      if (!outcomes.has(outcome)) {
        outcomes.add(outcome);
        fresh = true;
      }
    } else {
      const told = retold(bytes, choice) ?? error;
      const kind = String(error?.message).startsWith('UNSTABLE') ? 'unstable' : 'native';
      parentPort.postMessage({ kind, detail: String(told?.stack).slice(0, 1500), bytes: bytes.slice() });
    }
  }
  count[0]++;
  return fresh;
}

for (const { bytes } of corpus) for (let choice = 0; choice < 16; choice++) attempt(bytes, choice);
while (!stopped && count[0] < wanted) {
  for (let i = 0; i < 20_000 && count[0] < wanted; i++) {
    // Recent additions are drawn more often: something new was found there.
    const late = corpus.length > 64 && mutator.draw(3) === 0;
    const input = corpus[late ? corpus.length - 1 - mutator.draw(64) : mutator.draw(corpus.length)];
    mutator.take(input);
    mutator.mutate(input, corpus[mutator.draw(corpus.length)]);
    const bytes = mutator.bytes.subarray(0, mutator.length);
    if (!attempt(bytes, mutator.draw(16))) continue;
    const kept = bytes.slice();
    corpus.push({ bytes: kept, starts: opcodeStarts(kept) });
  }
  parentPort.postMessage({ kind: 'status', corpus: corpus.length, covered });
  // Lets messages from the main thread arrive.
  await new Promise((resolve) => setImmediate(resolve));
}
parentPort.close();
