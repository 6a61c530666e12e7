/**
 * Has stock Python check many files at once.
 */
import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { Python, type PythonInfo, TempDir } from '@mmdpickle/test-support';

/** Loads images with the C unpickler; the answer for each is its text as in canonical.ts, or the error. */
const JUDGE = `
import pickle, warnings, zlib
import _pickle
import numpy as np
assert pickle.loads is _pickle.loads

def digest(data):
    data = bytes(data)
    return data.hex() if len(data) <= 32 else "%d:%d" % (len(data), zlib.crc32(data))

def text(value):
    kind = type(value)
    if value is None: return "N"
    if kind is bool: return "T" if value else "F"
    if kind is int: return "i%d" % value
    if kind is float:
        if value == int(value): return "i%d" % value
        import struct
        return "f" + struct.pack(">d", value).hex()
    if kind is str: return "s" + digest(value.encode("utf-8"))
    if kind is bytes or kind is bytearray: return "b" + digest(value)
    if kind is list or kind is tuple: return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, np.ma.MaskedArray):
        return "M" + array(value.data) + array(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray): return array(value)
    return "?" + repr(value)

def array(value):
    return "A%s(%s)%s" % (value.dtype.str, ",".join(map(str, value.shape)), digest(value.tobytes()))

answers, numbers, result = [], {}, []
with open(args["path"], "rb") as file:
    blob = memoryview(file.read())
at = 0
for length in args["lengths"]:
    image = blob[at:at + length]
    at += length
    try:
        with warnings.catch_warnings():
            if args["lenient"]: warnings.simplefilter("ignore", DeprecationWarning)
            found = pickle.loads(image)
            answer = ";".join(sorted(k + "=" + text(v) for k, v in found.items()))
    except Exception as error:
        answer = "ERROR %s: %s" % (type(error).__name__, error)
    if answer not in numbers:
        numbers[answer] = len(answers)
        answers.append(answer)
    result.append(numbers[answer])
result = {"answers": answers, "which": result}
`;

/** An image that waits for the judge. */
export interface Case {
  readonly bytes: Uint8Array;
  /** Throws if the text is not one of those that the image may have. */
  readonly check: (text: string) => void;
}

/** Options of a {@link Judge}. */
export interface JudgeOptions {
  /** Deprecation warnings are not errors: the legacy layout needs that. */
  readonly lenient?: boolean;
}

/** Collects distinct images and has stock Python load them by the thousand. */
export class Judge implements AsyncDisposable {
  /** Number of distinct images judged. */
  distinct = 0;
  readonly #pythons: readonly Python[];
  readonly #lenient: boolean;
  readonly #seen = new Set<string>();
  readonly #dir = new TempDir();
  readonly #problems: string[] = [];
  #cases: Case[] = [];
  #bytes = 0;
  #batches = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(infos: readonly PythonInfo[], options: JudgeOptions = {}) {
    this.#pythons = infos.map((info) => new Python(info));
    this.#lenient = options.lenient === true;
  }

  /** Adds an image, unless it was added before with the same `claim`. Returns whether it is new. */
  async add(bytes: Uint8Array, claim: string, check: (text: string) => void): Promise<boolean> {
    const name = createHash('sha1').update(bytes).update(claim).digest('base64');
    if (this.#seen.has(name)) return false;
    this.#seen.add(name);
    this.distinct++;
    this.#cases.push({ bytes, check });
    this.#bytes += bytes.length;
    if (this.#bytes > 2 ** 22 || this.#cases.length >= 500) await this.#send();
    return true;
  }

  /** Waits until every image has been judged. */
  async finish(): Promise<void> {
    await this.#send();
    await this.#running;
    const problems = this.#problems.splice(0);
    if (problems.length === 0) return;
    throw new Error(`${problems.length} images are not what they should be, the first:\n${problems[0]}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running;
    for (const python of this.#pythons) await python[Symbol.asyncDispose]();
    this.#dir[Symbol.dispose]();
  }

  async #send(): Promise<void> {
    const cases = this.#cases;
    this.#cases = [];
    this.#bytes = 0;
    // One batch is judged while the next one is made.
    await this.#running;
    if (cases.length > 0) this.#running = this.#judge(cases);
  }

  async #judge(cases: readonly Case[]): Promise<void> {
    const path = this.#dir.file(`images-${this.#batches++}`);
    writeFileSync(path, Buffer.concat(cases.map(({ bytes }) => bytes)));
    const request = { path, lengths: cases.map(({ bytes }) => bytes.length), lenient: this.#lenient };
    const verdicts = await Promise.all(
      this.#pythons.map((python) => python.run<{ answers: string[]; which: number[] }>(JUDGE, request)),
    );
    // Not written again: ext4 waits for the disk when a file is truncated and written.
    rmSync(path);
    for (const { answers, which } of verdicts) {
      for (const [i, { check }] of cases.entries()) {
        try {
          check(answers[which[i]!]!);
        } catch (error) {
          this.#problems.push(String(error));
        }
      }
    }
  }
}
