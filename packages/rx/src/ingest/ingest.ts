/**
 * The engine behind every operator and sink: receives frames, writes them at once where it can, queues them
 * where the file is locked, and accounts for every one.
 *
 * @module
 */

import { isMmdError, type MmapDict, MmdError } from '@mmdpickle/core';
import { LONGEST_STRETCH_MS, Turns } from '@mmdpickle/core/turns';
import { defer, fromEvent, lastValueFrom, map, race, retry, type Subscription, throwError, timer } from 'rxjs';
import { type Admission, type BatchLimits, BoundedQueue, type Policy } from './bounded-queue.ts';
import { failedSilently, isHopeless, lostAfter, overflow } from './failures.ts';
import type { Home } from './home.ts';
import type { IngestLedger } from './ingest-ledger.ts';
import type { IngestSettings } from './options.ts';
import type { Pending, Placed, Receipt, Target } from './target.ts';

/** What the engine tells its shell. */
export interface IngestEvents {
  receipt(receipt: Receipt): void;
  /** No frame is taken any more: stop the source. Comes before `done`, and only where the source did not end first. */
  stop(): void;
  /** All is written that will be, and sealed. */
  done(error?: unknown): void;
}

/** Makes the target in a dict; `seq` is the number of the next frame. */
export type MakeTarget<T> = (dict: MmapDict, seq: number) => Target<T>;

/** A frame whose sender waits for room. */
interface Waiter<T> {
  readonly item: T;
  /** The stream ended meanwhile, and took it all the same. */
  taken: boolean;
  wake(): void;
}

const TAKEN: Admission<never> = { accepted: true, evicted: [] };

type State = 'open' | 'ending' | 'done';

/** One stream of frames into a dict. */
export class Ingest<T> {
  readonly #home: Home;
  readonly #make: MakeTarget<T>;
  readonly #settings: IngestSettings;
  readonly #ledger: IngestLedger;
  readonly #events: IngestEvents;
  readonly #queue: BoundedQueue<Pending<T>>;
  readonly #abort = new AbortController();
  #target: Target<T>;
  #state: State = 'open';
  #error: unknown;
  /** A batch is being written or waits for the lock. */
  #busy = false;
  /** The first frame of a batch that waits for the lock. */
  #flying: Pending<T> | undefined;
  /** The time of `batch.ms` is over for what waits. */
  #ripe = false;
  /** So many frames are written one by one, to find the one that cannot be. */
  #single = 0;
  #timer: Subscription | undefined;
  #deadline: Subscription | undefined;
  #waiters: Waiter<T>[] = [];
  #countedFrames = 0;
  #countedBytes = 0;
  readonly #turns = new Turns();

  constructor(home: Home, make: MakeTarget<T>, settings: IngestSettings, ledger: IngestLedger, events: IngestEvents) {
    this.#home = home;
    this.#make = make;
    this.#settings = settings;
    this.#ledger = ledger;
    this.#events = events;
    this.#queue = new BoundedQueue(settings.queue);
    try {
      this.#target = make(home.dict, ledger.nextSeq);
    } catch (error) {
      // Nobody else knows of a file that was opened for this stream.
      home.release();
      throw error;
    }
    ledger.active.add(this);
    ledger.nextSeq = Math.max(ledger.nextSeq, this.#target.firstSeq);
    this.#endIfFull();
  }

  /** Whether frames are still taken. */
  get open(): boolean {
    return this.#state === 'open';
  }

  /** The frame that has waited longest. */
  get oldest(): Pending<T> | undefined {
    return this.#flying ?? this.#queue.oldest;
  }

  /**
   * Takes a frame. Its bytes are borrowed for this call only: what has to wait is copied.
   * Problems end the stream through {@link IngestEvents.done}; nothing is thrown.
   * @returns false where the stream was over before the frame counted as received
   */
  push(item: T): boolean {
    if (this.#state === 'open') this.#makeRoom(item);
    // Writing may have met an error, or a receipt's reader may have had enough.
    return this.#state === 'open' && this.#receive(item, this.#settings.policy);
  }

  /**
   * Takes a frame, under policy `block` as soon as the queue has room for it.
   * @returns when the frame is written or copied, so that its bytes may be used again
   * @throws what ended the stream
   */
  async offer(item: T): Promise<void> {
    const bytes = this.#state === 'open' ? this.#measureForRoom(item) : 0;
    if (this.#state === 'open') this.#makeRoom(item);
    const waiter: Waiter<T> = { item, taken: false, wake() {} };
    const waits = this.#settings.policy === 'block';
    while (waits && this.#state === 'open' && this.#queue.frames > 0 && !this.#queue.fits(bytes)) {
      await new Promise<void>((resolve) => {
        waiter.wake = resolve;
        this.#waiters.push(waiter);
      });
    }
    if (!waiter.taken) {
      const taken = this.#state === 'open' && this.push(item);
      if (!taken) throw this.#error ?? new MmdError('CLOSED', 'the sink takes no more frames');
    }
    if (this.#turns.due) await this.#turns.take();
    if (this.#error !== undefined) throw this.#error;
  }

  /** The source is over: writes what is queued, seals, then calls {@link IngestEvents.done} with `error`. */
  end(error?: unknown): void {
    if (this.#state !== 'open') return;
    // What a sink was given before its end was received, though there was no room for it yet.
    for (const waiter of this.#waiters) waiter.taken = this.#receive(waiter.item, 'none');
    this.#end(error);
  }

  /** Whoever reads the receipts failed: ends the stream, and is what it ended with. */
  fail(error: unknown): void {
    this.#stop(error ?? failedSilently());
  }

  #end(error?: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#error ??= error;
    this.#wake();
    this.#deadline = this.#settings.scheduler.schedule(() => this.#timeout(), this.#settings.drainMs);
    this.#flush();
  }

  /** Ends by itself, so the source must be told. */
  #stop(error?: unknown): void {
    // Stopping the source may end this stream at once, without an error: so the error is kept first.
    this.#error ??= error;
    if (this.#state !== 'open') return;
    this.#events.stop();
    this.#end();
  }

  /**
   * @param policy - `none`: it is taken, room or not
   * @returns false where the stream ended before the frame counted as received
   */
  #receive(item: T, policy: Policy | 'none'): boolean {
    const { tally } = this.#ledger;
    let bytes = 0;
    let invalid: unknown;
    try {
      bytes = this.#target.measure(item, this.#ledger.nextSeq);
    } catch (error) {
      invalid = error ?? failedSilently();
    }
    // Getters of the frame may have ended the stream, or have sent others, which are written before it and so numbered.
    if (this.#state !== 'open') return false;
    const seq = this.#ledger.nextSeq++;
    tally.received += 1;
    if (invalid !== undefined) {
      tally.drop('invalid');
      this.#stop(invalid);
      return true;
    }
    const frame: Pending<T> = { item, seq, bytes, time: this.#ledger.clock.now(), at: performance.now() };
    // What the queue cannot hold is not collected either, where the file is free.
    const collected = this.#settings.batchMs !== undefined && this.#queue.canHold(bytes);
    const direct = !collected && !this.#busy && this.#queue.frames === 0;
    if (!direct || !this.#writeDirect(frame)) this.#enqueue(frame, policy);
    this.#endIfFull();
    return true;
  }

  /** What is not a frame needs no room: `push` refuses it, with its reason. */
  #measureForRoom(item: T): number {
    try {
      return this.#target.measure(item, this.#ledger.nextSeq);
    } catch {
      return 0;
    }
  }

  /** Commits what is collected, or waits for its turn, where the next frame has no room beside it and the file is free. */
  #makeRoom(next: T): void {
    if (this.#busy || this.#queue.frames === 0 || this.#queue.fits(this.#measureForRoom(next))) return;
    this.#ripe = true;
    this.#flush();
  }

  #endIfFull(): void {
    const { endSeq } = this.#target;
    if (endSeq !== undefined && this.#ledger.nextSeq >= endSeq) this.#stop();
  }

  #enqueue(frame: Pending<T>, policy: Policy | 'none'): void {
    const { tally } = this.#ledger;
    // Policies are for frames that wait for the file, not for those that are collected while it is free.
    const free = (policy === 'block' && this.#queue.frames === 0) || (!this.#busy && this.#queue.fits(frame.bytes));
    const { accepted, evicted } = free || policy === 'none' ? TAKEN : this.#queue.admit(frame.bytes, policy);
    tally.drop(policy === 'sample' ? 'sampled' : 'evicted', evicted.length);
    let invalid: unknown;
    if (!accepted) tally.drop('queue-full');
    else {
      const busy = this.#busy;
      // Getters of the frame may end the stream: it is not over before this one waits, or is dropped.
      this.#busy = true;
      try {
        this.#queue.push({ ...frame, item: this.#target.own(frame.item) });
      } catch (error) {
        tally.drop('invalid');
        invalid = error ?? failedSilently();
      }
      this.#busy = busy;
    }
    this.#count();
    tally.waits();
    if (invalid !== undefined) this.#stop(invalid);
    else if (!accepted && (policy === 'error' || policy === 'block')) this.#stop(overflow(frame.bytes, this.#queue));
    this.#flush();
  }

  /** Writes one frame from the caller's own memory; false when the file is locked. */
  #writeDirect(frame: Pending<T>): boolean {
    this.#busy = true;
    this.#queue.depart([frame]);
    this.#count();
    const written = this.#attempt([frame]);
    if (!written) this.#queue.settle([frame]);
    this.#busy = false;
    if (written) this.#flush();
    return written;
  }

  /** Writes what is due until nothing is, or until the lock must be waited for. */
  #flush(): void {
    if (this.#busy) return;
    this.#busy = true;
    const began = performance.now();
    while (this.#due()) {
      const frames = this.#queue.take(this.#limits());
      if (!this.#attempt(frames)) {
        void this.#writeLater(frames);
        return;
      }
      // After a commit, never before the first: what was due when its frame came is written in that turn.
      if (this.#state === 'open' && this.#due() && performance.now() - began > LONGEST_STRETCH_MS) {
        this.#busy = false;
        this.#ripe = true;
        this.#arm(0);
        return;
      }
    }
    this.#busy = false;
    this.#ripe = false;
    if (this.#queue.waiting > 0) {
      // The time runs from the first frame that waits: those after it must not begin it again.
      if (this.#timer === undefined) this.#arm(this.#settings.batchMs ?? 0);
      return;
    }
    this.#disarm();
    if (this.#state === 'ending') this.#finish();
  }

  /** How much the next commit may take. */
  #limits(): BatchLimits {
    const { batch } = this.#settings;
    const room = this.#home.room();
    const frames = this.#single > 0 ? 1 : Math.min(batch.frames, room.frames);
    return { frames, bytes: Math.min(batch.bytes, room.bytes) };
  }

  #due(): boolean {
    const { batch, batchMs } = this.#settings;
    const { waiting, waitingBytes } = this.#queue;
    if (waiting === 0 || this.#state === 'done') return false;
    if (batchMs === undefined || this.#state === 'ending' || this.#ripe || this.#single > 0) return true;
    return waiting >= batch.frames || waitingBytes >= batch.bytes;
  }

  #arm(ms: number): void {
    this.#disarm();
    this.#timer = this.#settings.scheduler.schedule(() => {
      this.#timer = undefined;
      this.#ripe = true;
      this.#flush();
    }, ms);
  }

  #disarm(): void {
    this.#timer?.unsubscribe();
    this.#timer = undefined;
  }

  /**
   * Runs `work` in a commit of its own, without waiting for the lock.
   * @throws LOCKED where somebody else has it, or the caller is in a batch, which may be undone
   */
  #atOnce<R>(work: () => R): R {
    const { dict } = this.#home;
    if (dict.core.inTransaction()) throw new MmdError('LOCKED', `${dict.name}: a batch is open`, { path: dict.name });
    return dict.batch(work, { lockTimeout: 0 });
  }

  /** Tries to commit; false where that must wait. */
  #attempt(frames: readonly Pending<T>[]): boolean {
    const started = performance.now();
    let placed: Placed[];
    try {
      this.#rollIfDue(frames);
      placed = this.#atOnce(() => this.#target.write(frames));
    } catch (error) {
      if (isMmdError(error, 'LOCKED')) return false;
      this.#broken(frames, error);
      return true;
    }
    this.#committed(frames, placed, started);
    return true;
  }

  async #writeLater(frames: readonly Pending<T>[]): Promise<void> {
    const started = performance.now();
    this.#flying = frames[0]!;
    const { seq } = this.#flying;
    try {
      if (this.#home.due()) {
        await this.#locked(() => this.#target.finish(seq));
        this.#roll(seq);
      }
      const placed = await this.#locked(() => this.#target.write(frames));
      this.#committed(frames, placed, started);
    } catch (error) {
      this.#broken(frames, error);
    }
    this.#flying = undefined;
    this.#busy = false;
    this.#flush();
  }

  /** Runs `work` in a batch, waiting for the lock off the event loop and trying again with growing pauses. */
  #locked<R>(work: () => R): Promise<R> {
    const { lockTimeout, retry: pause, scheduler } = this.#settings;
    const { signal } = this.#abort;
    const aborted = fromEvent(signal, 'abort').pipe(
      map(() => {
        throw signal.reason;
      }),
    );
    return lastValueFrom(
      defer(() => this.#home.dict.batchAsync(work, { signal, lockTimeout })).pipe(
        retry({
          count: pause.count,
          delay: (error, tries) => {
            if (signal.aborted || !isMmdError(error, 'LOCKED')) return throwError(() => error);
            this.#ledger.tally.retries += 1;
            return race(timer(Math.min(pause.maxDelayMs, pause.delayMs * 2 ** (tries - 1)), scheduler), aborted);
          },
        }),
      ),
    );
  }

  #rollIfDue(frames: readonly Pending<T>[]): void {
    if (!this.#home.due()) return;
    const { seq } = frames[0]!;
    this.#atOnce(() => this.#target.finish(seq));
    this.#roll(seq);
  }

  #roll(seq: number): void {
    this.#home.roll();
    this.#target = this.#make(this.#home.dict, seq);
  }

  #committed(frames: readonly Pending<T>[], placed: readonly Placed[], started: number): void {
    const { dict } = this.#home;
    let commitNumber: number;
    try {
      if (this.#settings.durable) dict.flush();
      ({ commitNumber } = dict);
    } catch (error) {
      // They are in the file: tried again, they would be there twice, or end the stream since it takes nothing more.
      this.#lose(frames, error);
      return;
    }
    this.#written(frames, placed, started, commitNumber);
  }

  #written(frames: readonly Pending<T>[], placed: readonly Placed[], started: number, commitNumber: number): void {
    const { tally } = this.#ledger;
    const now = performance.now();
    let bytes = 0;
    for (const frame of frames) {
      bytes += frame.bytes;
      tally.latency.record(now - frame.at);
    }
    tally.written += frames.length;
    tally.bytes += bytes;
    tally.commits += 1;
    tally.flush.record(now - started);
    this.#home.note(frames.length, bytes);
    this.#release(frames);
    const { name: path } = this.#home.dict;
    frames.forEach((frame, i) => {
      this.#events.receipt({
        seq: frame.seq,
        ...placed[i]!,
        commitNumber,
        bytes: frame.bytes,
        latency: now - frame.at,
        path,
      });
    });
  }

  /** A batch failed, and nothing of it is in the file. */
  #broken(frames: readonly Pending<T>[], error: unknown): void {
    if (frames.length > 1 && !isHopeless(error)) {
      // One frame that cannot be written must not take those before it along.
      this.#queue.putBack(frames);
      this.#single = frames.length;
      return;
    }
    this.#lose(frames, error);
  }

  /** Frames get no receipt, and the stream ends. */
  #lose(frames: readonly Pending<T>[], error: unknown): void {
    const reason = this.#abort.signal.aborted ? 'drain-timeout' : 'failed';
    this.#ledger.tally.drop(reason, frames.length + this.#queue.waiting);
    this.#queue.clear();
    this.#release(frames);
    // Who hears only why the source failed would take the frames before that for written.
    if (this.#error !== undefined) this.#error = lostAfter(this.#error, error);
    this.fail(error);
  }

  /** Frames have left the queue for good. */
  #release(frames: readonly Pending<T>[]): void {
    this.#queue.settle(frames);
    this.#flying = undefined;
    this.#single = Math.max(0, this.#single - frames.length);
    this.#count();
    this.#wake();
  }

  #count(): void {
    const { frames, bytes } = this.#queue;
    this.#ledger.tally.queue(frames - this.#countedFrames, bytes - this.#countedBytes);
    this.#countedFrames = frames;
    this.#countedBytes = bytes;
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.wake();
  }

  #timeout(): void {
    const lost = this.#queue.clear();
    this.#ledger.tally.drop('drain-timeout', lost.length);
    this.#count();
    this.#abort.abort(
      new MmdError('LOCKED', `frames that were received could not be written within ${this.#settings.drainMs} ms`, {
        limit: 'drainMs',
        maximum: this.#settings.drainMs,
        path: this.#home.dict.name,
      }),
    );
  }

  #finish(): void {
    this.#busy = true;
    const seal = (): void => this.#target.finish(this.#ledger.settledSeq);
    try {
      this.#atOnce(seal);
    } catch (error) {
      if (!isMmdError(error, 'LOCKED')) {
        this.#close(error);
        return;
      }
      if (isMmdError(this.#error, 'LOCKED')) {
        // All tries were in vain already; the next stream, or a vacuum, trims what is left unsealed.
        this.#close();
        return;
      }
      this.#locked(seal).then(
        () => this.#close(),
        (reason: unknown) => this.#close(reason),
      );
      return;
    }
    this.#close();
  }

  #close(error?: unknown): void {
    this.#error ??= error;
    this.#state = 'done';
    this.#disarm();
    this.#deadline?.unsubscribe();
    this.#wake();
    this.#ledger.active.delete(this);
    try {
      this.#home.release();
    } catch (reason) {
      this.#error ??= reason;
    }
    this.#events.done(this.#error);
  }
}
