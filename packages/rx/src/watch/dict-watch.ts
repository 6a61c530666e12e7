/**
 * Follows a dict from outside, as an Observable of its changes.
 *
 * @module
 */

import { type FSWatcher, watch } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type MmapDict, MmdError } from '@mmdpickle/core';
import { libc } from '@mmdpickle/core/node';
import { checkOptions, has, wrongArgument } from '@mmdpickle/core/options';
import type { StorageFile } from '@mmdpickle/core/storage';
import { asyncScheduler, Observable, type SchedulerAction, type SchedulerLike, Subject, type Subscription } from 'rxjs';
import { timed } from '../ingest/options.ts';
import { checkDict, WATCH_OPTIONS } from '../options.ts';
import { FilePattern } from '../rolling.ts';
import type { Change, ChangeDraft } from './change.ts';
import { FileReader, SLICE_PAUSE_MS } from './file-reader.ts';
import { WatchLedger } from './ledger.ts';
import { bornOf, openable, openFile, statusOf } from './named-file.ts';
import { isFileOf, sinceNumber, type WatchCursor } from './resume.ts';
import { RowListing } from './row-listing.ts';

/** The most bytes of values that are read for a cursor. */
const SUMMED_FOR_CURSOR = 2 ** 26;

/** How a dict is watched. */
export interface WatchOptions {
  /** The longest time between two checks of the commit number, in milliseconds. Default 50, without file events 20. */
  readonly pollMs?: number;
  /**
   * What to report. `'now'` (default): what happens from now on. `'start'` or 0: also everything in the file. A cursor:
   * exactly what happened since; if the file was rewritten, what differs. A sequence number: what happened since, and in a
   * file with removals or several growing arrays, where a number does not say what it counted, some earlier changes again.
   */
  readonly from?: 'now' | 'start' | number | WatchCursor;
  /** Let the system's file events wake the watcher. Default true; polling alone also finds everything. */
  readonly events?: boolean;
  /** Schedules the polling. Default: the asyncScheduler of RxJS. */
  readonly scheduler?: SchedulerLike;
}

/** Default `pollMs`; a process that only wakes up every 20 milliseconds takes up to 0.7 percent of a core. */
const POLL_MS = { withEvents: 50, withoutEvents: 20 } as const;

/**
 * How long after a file event the commit number is loaded at every turn of the event loop, in milliseconds; then it is
 * loaded after 1, 2, 4 ... milliseconds. The number may change some microseconds after the write that caused the event, and
 * a commit that stores it through a mapping causes no event. Halved after each time that no commit was found.
 */
const SPIN_MS = 0.15;

/** Follows one path, or a row of files. Subscribers share it; when the last one leaves, it remembers its position. */
export class DictWatch extends Observable<Change> {
  /** Emits the changes of each look together. */
  readonly looks$: Observable<readonly Change[]>;
  readonly #path: string;
  readonly #pattern: FilePattern | undefined;
  readonly #row: RowListing | undefined;
  readonly #options: WatchOptions;
  readonly #pollMs: number;
  readonly #scheduler: SchedulerLike;
  #out = new Subject<readonly Change[]>();
  #subscribers = 0;
  #reader: FileReader | undefined;
  #previous: FileReader | undefined;
  #resume: WatchCursor | undefined;
  #number: number | undefined;
  #current = '';
  #begun = false;
  #watcher: FSWatcher | undefined;
  #timer: Subscription | undefined;
  #spin: NodeJS.Immediate | undefined;
  #spinMs = SPIN_MS;
  #spinEnd: number | undefined;
  readonly #onTurn = (): void => this.#turn();
  #pause = 0;
  #active = false;
  #arming = 0;
  #wholeAt = -Infinity;
  #born: string | undefined;
  readonly #once: boolean;

  /**
   * Use {@link watchDict}.
   * @param once - nobody will subscribe again, so the position need not be remembered
   */
  constructor(path: string, options: WatchOptions, once = false) {
    super((subscriber) =>
      this.looks$.subscribe({
        next(changes) {
          for (const change of changes) subscriber.next(change);
        },
        error: (error) => subscriber.error(error),
      }),
    );
    checkOptions(options, WATCH_OPTIONS);
    this.#once = once;
    this.#path = path;
    this.#pattern = FilePattern.is(path) ? new FilePattern(path) : undefined;
    this.#row = this.#pattern && new RowListing(this.#pattern);
    this.#options = options;
    this.#pollMs = timed(options.pollMs ?? (options.events === false ? POLL_MS.withoutEvents : POLL_MS.withEvents));
    this.#scheduler = options.scheduler ?? asyncScheduler;
    const { from } = options;
    if (typeof from === 'object') this.#resume = from;
    else if (from === 'start' || from === 0) this.#begun = true;
    else if (typeof from === 'number') this.#number = from;
    this.looks$ = new Observable((subscriber) => {
      const subscription = this.#out.subscribe(subscriber);
      this.#subscribers += 1;
      if (this.#subscribers === 1) this.#start();
      return () => {
        subscription.unsubscribe();
        this.#subscribers -= 1;
        if (this.#subscribers === 0) this.#stop();
      };
    });
  }

  /**
   * The position of the watcher; undefined before it has seen the file. Subscribing again also continues from here. Values
   * without a checksum are read to compute one, at most 64 MiB of them in each call: see {@link WatchOptions.from}.
   */
  cursor(): WatchCursor | undefined {
    const reader = this.#reader;
    if (reader === undefined) return this.#resume;
    try {
      reader.sumUp(SUMMED_FOR_CURSOR);
    } catch {
      // The position is right without checksums, too: a value that could not be read is tried again in the next call.
    }
    const { dev, ino } = reader.file.identity();
    const { ledger, commitNumber } = reader;
    const path = reader.file.name;
    const born = this.#born;
    const file = { dev: String(dev), ino: String(ino), ...(born !== undefined && { born }) };
    return { ...ledger.state(), path, file, commitNumber };
  }

  #start(): void {
    this.#guarded(() => {
      const found = this.#open();
      // All entries of a file that appears later are new.
      this.#begun = true;
      return found;
    });
    this.#arm(1, true);
  }

  #stop(): void {
    this.#timer?.unsubscribe();
    clearImmediate(this.#spin);
    this.#spin = undefined;
    this.#watcher?.close();
    this.#watcher = undefined;
    if (!this.#once) this.#resume = this.cursor();
    this.#previous?.close();
    this.#previous = undefined;
    this.#reader?.close();
    this.#reader = undefined;
  }

  /** Opens the file and reports what `from` asks for; returns false if there is no file yet. */
  #open(): boolean {
    const resume = this.#resume;
    const path = this.#pattern === undefined ? this.#path : this.#patternPath(resume);
    const file = path === undefined ? undefined : openFile(path);
    if (file === undefined) return false;
    const drafts = this.#adopt(file, path!, (reader, born) => {
      if (resume !== undefined) {
        const ledger = WatchLedger.from(resume);
        if (isFileOf(resume, file, born)) return reader.goOn(ledger, resume.commitNumber);
        return reader.succeed(ledger, this.#pattern === undefined || path === resume.path);
      }
      if (this.#number !== undefined) return sinceNumber(reader, this.#number);
      if (this.#begun) return reader.replay();
      reader.skip();
      return [];
    });
    this.#resume = undefined;
    this.#number = undefined;
    this.#begun = true;
    this.#emit(drafts);
    return true;
  }

  #patternPath(resume: WatchCursor | undefined): string | undefined {
    if (resume !== undefined && openable(resume.path)) return resume.path;
    const numbers = resume === undefined ? this.#row!.numbers() : this.#following(resume.path);
    const newestFirst = resume === undefined && !this.#begun;
    for (let i = 0; i < numbers.length; i += 1) {
      const path = this.#pattern!.path(numbers.at(newestFirst ? -1 - i : i)!);
      if (openable(path)) return path;
    }
    return undefined;
  }

  /** The numbers of the files that may follow one in the row. If it and all later ones are gone, the row has started over. */
  #following(path: string): readonly number[] {
    const numbers = this.#row!.numbers();
    const after = this.#pattern!.number(path) ?? -1;
    const later = numbers.slice(numbers.findLastIndex((number) => number <= after) + 1);
    return later.length === 0 && statusOf(path) === undefined ? numbers : later;
  }

  /**
   * Continues with a file, which is closed if this throws: then the position is still what it was before.
   * @param begin - what to do first with its reader
   */
  #adopt(
    file: StorageFile,
    path: string,
    begin: (reader: FileReader, born: string | undefined) => ChangeDraft[],
  ): ChangeDraft[] {
    const reader = new FileReader(file);
    const watcher = this.#options.events === false ? undefined : this.#listen(path);
    // Read now: later another file may have the name.
    const born = bornOf(file);
    let drafts: ChangeDraft[];
    try {
      drafts = begin(reader, born);
    } catch (error) {
      watcher?.close();
      reader.close();
      throw error;
    }
    this.#previous?.close();
    this.#previous = this.#reader;
    this.#reader = reader;
    this.#born = born;
    this.#current = path;
    this.#watcher?.close();
    this.#watcher = watcher;
    return drafts;
  }

  #listen(path: string): FSWatcher | undefined {
    try {
      const watcher = watch(path, { persistent: false }, () => this.#hint());
      // Events are only a hint: without them polling finds everything.
      watcher.on('error', () => watcher.close());
      return watcher;
    } catch {
      return undefined;
    }
  }

  /** Called when the file was touched: its commit number changes now or in a moment. */
  #hint(): void {
    // The clock is not read before the first check, which nearly always finds the commit.
    this.#spinEnd = undefined;
    if (this.#spin === undefined) this.#turn();
  }

  #turn(): void {
    this.#spin = undefined;
    const reader = this.#reader;
    if (reader === undefined) return;
    // Handling the event may have preempted the writer in the middle of its commit.
    if (!reader.stirred) libc().schedYield();
    if (reader.stirred) {
      this.#spinMs = SPIN_MS;
      this.#look(false);
      // Otherwise the search for dead entries would go on after the poll interval only.
      const wait = this.#sweepPause();
      if (wait < this.#pause) this.#arm(wait, this.#active);
      // A commit made while subscribers were called; its event may have been merged with the previous one.
      if (this.#reader?.stirred) this.#spin = setImmediate(this.#onTurn);
      return;
    }
    const now = performance.now();
    this.#spinEnd ??= now + this.#spinMs;
    if (now < this.#spinEnd) {
      this.#spin = setImmediate(this.#onTurn);
      return;
    }
    // A writer that fills planes keeps touching the file without committing.
    this.#spinMs /= 2;
    if (this.#pause > 1) this.#arm(1, true);
  }

  /** @param active - changes may come without file events, so the pauses grow step by step from here */
  #arm(pause: number, active: boolean): void {
    this.#timer?.unsubscribe();
    if (this.#subscribers === 0) return;
    this.#pause = Math.min(this.#pollMs, pause);
    this.#active = active;
    const arming = ++this.#arming;
    const tick = (action: SchedulerAction<unknown>): void => this.#tick(action, arming);
    this.#timer = this.#scheduler.schedule(function (this: SchedulerAction<unknown>) {
      tick(this);
    }, this.#pause);
  }

  #tick(action: SchedulerAction<unknown>, arming: number): void {
    // Reading the commit number is cheap; everything else is checked only once per `pollMs`.
    const whole = this.#scheduler.now() - this.#wholeAt >= this.#pollMs;
    const reader = this.#reader;
    const some = (whole || reader === undefined || reader.stirred || reader.sweepIn === 0) && this.#look(whole);
    // The look may have ended or restarted the watch.
    if (this.#arming !== arming || this.#subscribers === 0) return;
    if (some) this.#spinMs = SPIN_MS;
    const pause = Math.min(this.#pollMs, this.#sweepPause(), some ? 1 : this.#active ? this.#pause * 2 : this.#pollMs);
    this.#active ||= some;
    // An unchanged pause needs no new timer.
    if (pause === this.#pause) action.schedule(undefined, pause);
    else this.#arm(pause, this.#active);
  }

  /** How long to wait for a search for dead entries that may begin, or continue, then. */
  #sweepPause(): number {
    return Math.max(SLICE_PAUSE_MS, this.#reader?.sweepIn ?? Infinity);
  }

  /**
   * Returns true if anything was reported.
   * @param whole - also check the file's size, and whether its name still refers to it
   */
  #look(whole: boolean): boolean {
    if (whole) this.#wholeAt = this.#scheduler.now();
    return this.#guarded(() => this.#lookOnce(whole));
  }

  #lookOnce(whole: boolean): boolean {
    const reader = this.#reader;
    if (reader === undefined) return this.#open();
    const some = this.#emit(reader.look());
    const next = whole && this.#reader === reader ? this.#successor(reader) : undefined;
    return next === undefined ? some : this.#goOver(reader, next) || some;
  }

  /** Reports the last changes of the current file and continues with the next, unless a subscriber ends the watch there. */
  #goOver(reader: FileReader, next: Successor): boolean {
    let adopted = false;
    try {
      // Whatever was committed to the old file before it lost its name.
      const some = this.#emit(reader.look(true));
      if (this.#reader !== reader) return some;
      const { ledger } = reader;
      const anew = next.path === this.#current;
      // Further files that exist already must not wait for the poll interval: others may remove them meanwhile.
      if (!anew) this.#wholeAt = -Infinity;
      // This is the last chance to take checksums of the old file.
      if (anew) reader.sumUp();
      adopted = true;
      return this.#emit(this.#adopt(next.file, next.path, (heir) => heir.succeed(ledger, anew))) || some;
    } finally {
      if (!adopted) next.file.close();
    }
  }

  /** The file that follows this one: another file with the same name, or the next of the row. */
  #successor(reader: FileReader): Successor | undefined {
    // By the given path: the file itself does not know the symbolic links that led to it.
    const named = statusOf(this.#current);
    const own = reader.file.identity();
    if (named !== undefined && (named.ino !== BigInt(own.ino) || named.dev !== BigInt(own.dev))) {
      const file = openFile(this.#current);
      return file === undefined ? undefined : { file, path: this.#current };
    }
    if (this.#pattern === undefined) return undefined;
    for (const number of this.#following(this.#current)) {
      const path = this.#pattern.path(number);
      const file = openFile(path);
      // A file whose writer was killed before it wrote anything stays empty, and is skipped.
      if (file !== undefined) return { file, path };
    }
    return undefined;
  }

  #emit(drafts: readonly ChangeDraft[]): boolean {
    if (drafts.length === 0 || this.#reader === undefined) return false;
    const { commitNumber, file } = this.#reader;
    const { name: path } = file;
    this.#out.next(drafts.map((draft) => ({ ...draft, commitNumber, path }) as Change));
    return true;
  }

  #guarded(work: () => boolean): boolean {
    try {
      return work();
    } catch (error) {
      // Those who subscribe again (`retry`) continue from the watcher's position: what comes before it is reported now.
      if (this.#reader !== undefined) this.#emit(this.#reader.takeNews());
      const out = this.#out;
      this.#out = new Subject();
      out.error(error);
      return false;
    }
  }
}

/** The file that is followed next, and the path that led to it. */
interface Successor {
  readonly file: StorageFile;
  readonly path: string;
}

/**
 * Follows a dict that this or another process writes: an Observable of changes, each exactly once and in order.
 *
 * It also sees commits by Python and stores through mappings: the file's commit number is compared, and file events only
 * make that faster. A vacuum and the replacement of the file by another are changes like others. The watcher waits for a
 * file that does not exist yet. Of the changes between two looks, removals come last.
 *
 * @param source - a path, a pattern such as `run-{n}.mmdpickle` (files are followed one after the other), or an
 *   open dict (its file is followed through a handle of its own)
 *
 * @example
 * ```ts
 * import { MmapDict } from '@mmdpickle/core/node';
 * import { watchDict } from '@mmdpickle/rx';
 *
 * using dict = MmapDict.open('watched.mmdpickle');
 * const subscription = watchDict('watched.mmdpickle', { from: 'start' }).subscribe((change) => change.kind); // 'added'
 * dict.set('gain', 2.5);
 * subscription.unsubscribe();
 * ```
 */
export function watchDict(source: string | URL | MmapDict, options: WatchOptions = {}): DictWatch {
  return new DictWatch(pathOf(source), options);
}

/** The looks of a watch that is subscribed to only once. */
export function looksOnce(source: MmapDict, options: WatchOptions): Observable<readonly Change[]> {
  checkDict('the dict', source);
  return new DictWatch(pathOf(source), options, true).looks$;
}

function pathOf(source: string | URL | MmapDict): string {
  if (typeof source === 'string') return source;
  if (source instanceof URL) {
    if (source.protocol === 'file:') return fileURLToPath(source);
  } else if (has(source, 'name', 'string') && has(source, 'batch', 'function')) {
    const { name: path } = source;
    // In memory, or removed: no watcher would ever see its commits.
    if (statusOf(path) === undefined)
      throw new MmdError('NOT_FOUND', `${path}: the dict is not in a file that can be watched`, { path });
    return path;
  }
  throw wrongArgument('the source', 'a path, a file URL or an open dict', source);
}
