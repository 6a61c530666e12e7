/**
 * The engine behind every operator and sink: receives frames, writes them at once if it can, queues them
 * while the file is locked, and accounts for every one.
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

/** Callbacks from the engine to the operator or sink around it. */
export interface IngestEvents {
  receipt(receipt: Receipt): void;
  /** No more frames are accepted: stop the source. Called before `done`, and only if the source did not end first. */
  stop(): void;
  /** Everything that will be written is written and sealed. */
  done(error?: unknown): void;
}

/** Makes the target in a dict; `seq` is the sequence number of the next frame. */
export type MakeTarget<T> = (dict: MmapDict, seq: number) => Target<T>;

/** A frame whose sender waits for room in the queue. */
interface Waiter<T> {
  readonly item: T;
  /** The stream ended meanwhile, but still took the frame. */
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
  /** The waiting frames are due, for example because `batch.ms` has elapsed. */
  #ripe = false;
  /** How many frames to write one by one, to find the one that cannot be written. */
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
      // Otherwise a file that was opened for this stream would never be closed.
      home.release();
      throw error;
    }
    ledger.active.add(this);
    ledger.nextSeq = Math.max(ledger.nextSeq, this.#target.firstSeq);
    this.#endIfFull();
  }

  /** Whether frames are still accepted. */
  get open(): boolean {
    return this.#state === 'open';
  }

  /** The frame that has waited longest. */
  get oldest(): Pending<T> | undefined {
    return this.#flying ?? this.#queue.oldest;
  }

  /**
   * Takes a frame. Its bytes are borrowed for this call only: a frame that has to wait is copied.
   * Errors end the stream through {@link IngestEvents.done}; nothing is thrown.
   * @returns false if the stream ended before the frame counted as received
   */
  push(item: T): boolean {
    if (this.#state === 'open') this.#makeRoom(item);
    // Writing may have failed, or the reader of a receipt may have unsubscribed.
    return this.#state === 'open' && this.#receive(item, this.#settings.policy);
  }

  /**
   * Takes a frame; under policy `block`, as soon as the queue has room for it.
   * @returns when the frame is written or copied, so that its bytes may be reused
   * @throws the error that ended the stream
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

  /** Ends the stream after its source: writes what is queued, seals, then calls {@link IngestEvents.done} with `error`. */
  end(error?: unknown): void {
    if (this.#state !== 'open') return;
    // Frames given to a sink before its end count as received, even if there was no room for them yet.
    for (const waiter of this.#waiters) waiter.taken = this.#receive(waiter.item, 'none');
    this.#end(error);
  }

  /** Ends the stream with `error`, such as one thrown by the reader of a receipt. */
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

  /** Ends the stream before its source ends, so the source must be stopped. */
  #stop(error?: unknown): void {
    // Keep the error first: stopping the source may end this stream at once, without an error.
    this.#error ??= error;
    if (this.#state !== 'open') return;
    this.#events.stop();
    this.#end();
  }

  /**
   * @param policy - `none` takes the frame even if the queue is full
   * @returns false if the stream ended before the frame counted as received
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
    // Getters of the frame may have ended the stream, or pushed other frames, which are numbered and written before it.
    if (this.#state !== 'open') return false;
    const seq = this.#ledger.nextSeq++;
    tally.received += 1;
    if (invalid !== undefined) {
      tally.drop('invalid');
      this.#stop(invalid);
      return true;
    }
    const frame: Pending<T> = { item, seq, bytes, time: this.#ledger.clock.now(), at: performance.now() };
    // A frame that is larger than the queue is not collected, but written directly if the file is free.
    const collected = this.#settings.batchMs !== undefined && this.#queue.canHold(bytes);
    const direct = !collected && !this.#busy && this.#queue.frames === 0;
    if (!direct || !this.#writeDirect(frame)) this.#enqueue(frame, policy);
    this.#endIfFull();
    return true;
  }

  /** The room that a frame needs; 0 for an item that is not a frame, which `push` will refuse with the reason. */
  #measureForRoom(item: T): number {
    try {
      return this.#target.measure(item, this.#ledger.nextSeq);
    } catch {
      return 0;
    }
  }

  /** If the next frame does not fit and the file is free, commits the frames that are collected or wait for their turn. */
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
    // Policies apply to frames that wait for the file, not to those that are collected while it is free.
    const free = (policy === 'block' && this.#queue.frames === 0) || (!this.#busy && this.#queue.fits(frame.bytes));
    const { accepted, evicted } = free || policy === 'none' ? TAKEN : this.#queue.admit(frame.bytes, policy);
    tally.drop(policy === 'sample' ? 'sampled' : 'evicted', evicted.length);
    let invalid: unknown;
    if (!accepted) tally.drop('queue-full');
    else {
      const busy = this.#busy;
      // Getters of the frame may end the stream: it must not finish before this frame is queued or dropped.
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

  /** Writes one frame from the caller's own memory; returns false if the file is locked. */
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

  /** Writes everything that is due, unless it has to wait for the lock or for its next turn. */
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
      // Checked only after a commit, never before the first: what is due when its frame arrives is written in that turn.
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
      // The time runs from the first waiting frame: later ones must not restart it.
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
   * @throws LOCKED if another writer holds the lock, or if the caller is inside a batch, which may yet be rolled back
   */
  #atOnce<R>(work: () => R): R {
    const { dict } = this.#home;
    if (dict.core.inTransaction()) throw new MmdError('LOCKED', `${dict.name}: a batch is open`, { path: dict.name });
    return dict.batch(work, { lockTimeout: 0 });
  }

  /** Tries to commit; returns false if the commit must wait for the lock. */
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

  /** Runs `work` in a batch, waiting for the lock off the event loop and retrying with growing pauses. */
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
      // The frames are in the file. Writing them again would store them twice, or fail because the place takes no more.
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

  /** Handles a failed batch, nothing of which is in the file. */
  #broken(frames: readonly Pending<T>[], error: unknown): void {
    if (frames.length > 1 && !isHopeless(error)) {
      // One frame that cannot be written must not cost the frames before it.
      this.#queue.putBack(frames);
      this.#single = frames.length;
      return;
    }
    this.#lose(frames, error);
  }

  /** Drops the frames, without receipts, and everything queued, and ends the stream. */
  #lose(frames: readonly Pending<T>[], error: unknown): void {
    const reason = this.#abort.signal.aborted ? 'drain-timeout' : 'failed';
    this.#ledger.tally.drop(reason, frames.length + this.#queue.waiting);
    this.#queue.clear();
    this.#release(frames);
    // The source's error alone would suggest that the frames before it were written.
    if (this.#error !== undefined) this.#error = lostAfter(this.#error, error);
    this.fail(error);
  }

  /** Releases the queue's room of frames that are written or dropped. */
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
        // All retries have already failed; the next stream, or a vacuum, trims what is left unsealed.
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
