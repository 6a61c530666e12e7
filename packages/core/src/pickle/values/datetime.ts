/**
 * Stand-ins for Python's `datetime` module: every field is kept, microseconds and fold too.
 *
 * @module
 */

import { MmdError } from '../../errors.ts';
import { showAs } from '../../inspect.ts';
import { checkArgument } from './check.ts';
import { canonical, canonicalOf, type Keyed, type KeySpace } from './keys.ts';
import { isOpaque } from './opaque.ts';

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
const fraction = (microsecond: number): string => (microsecond === 0 ? '' : `.${pad(microsecond, 6)}`);
const inside = (value: unknown, low: number, high: number): value is number =>
  Number.isInteger(value) && (value as number) >= low && (value as number) <= high;

function check(what: string, ok: boolean, found: unknown): void {
  if (!ok) throw new MmdError('INVALID_ARGUMENT', `${what} is out of range`, { found });
}

/** Tells whether Python's calendar has the day: years 1 to 9999, proleptic Gregorian. */
function isDay(year: number, month: number, day: number): boolean {
  if (!(inside(year, 1, 9999) && inside(month, 1, 12) && inside(day, 1, 31))) return false;
  return day <= new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
}

function isTime(hour: number, minute: number, second: number, microsecond: number, fold: number): boolean {
  const clock = inside(hour, 0, 23) && inside(minute, 0, 59) && inside(second, 0, 59);
  return clock && inside(microsecond, 0, 999_999) && inside(fold, 0, 1);
}

/** Whether a value may be a timezone: a fixed offset, or an object that only Python knows. */
export function isZone(value: unknown): boolean {
  return value instanceof PyTimeZone || isOpaque(value);
}

/** The parts of dates and times alike, so that a time can be made from a datetime. */
const PARTS = new Set(['year', 'month', 'day', 'hour', 'minute', 'second', 'microsecond', 'fold', 'tzinfo']);
const PARTS_WANTED = `a part of a time must be one of ${[...PARTS].join(', ')}`;

function checkParts(parts: TimeParts): void {
  checkArgument(typeof parts === 'object' && parts !== null, 'the parts of a time must be an object', parts);
  for (const name in parts) checkArgument(PARTS.has(name), PARTS_WANTED, name);
  const { tzinfo = null } = parts;
  checkArgument(tzinfo === null || isZone(tzinfo), 'tzinfo must be a PyTimeZone, an opaque object or null', tzinfo);
}

/** Milliseconds since 1970 of a UTC date, for the years below 100 too. */
function utc(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month - 1, day);
}

/** Python's `datetime.timedelta`: `0 <= seconds < 86400`, `0 <= microseconds < 10^6`, the sign is in the days. */
export class PyTimeDelta implements Keyed {
  readonly days: number;
  readonly seconds: number;
  readonly microseconds: number;

  /** @throws MmdError INVALID_ARGUMENT beyond Python's range of ±999999999 days */
  constructor(days: number, seconds = 0, microseconds = 0) {
    check('a timedelta', [days, seconds, microseconds].every(Number.isSafeInteger), [days, seconds, microseconds]);
    const wholeSeconds = seconds + Math.floor(microseconds / 1e6);
    this.microseconds = microseconds - Math.floor(microseconds / 1e6) * 1e6;
    this.seconds = wholeSeconds - Math.floor(wholeSeconds / 86_400) * 86_400;
    // -0 is a float in Python; adding 0 makes it 0.
    this.days = 0 + days + Math.floor(wholeSeconds / 86_400);
    check('a timedelta', inside(this.days, -999_999_999, 999_999_999), this.days);
    Object.freeze(this);
  }

  /** The duration in microseconds. */
  toMicroseconds(): bigint {
    return (BigInt(this.days) * 86_400n + BigInt(this.seconds)) * 1_000_000n + BigInt(this.microseconds);
  }

  /** The duration in milliseconds, as JavaScript counts; microseconds are the fraction. */
  toMilliseconds(): number {
    return (this.days * 86_400 + this.seconds) * 1000 + this.microseconds / 1000;
  }

  toString(): string {
    return `timedelta(days=${this.days}, seconds=${this.seconds}, microseconds=${this.microseconds})`;
  }

  static {
    showAs(PyTimeDelta, (self) => self.toString());
  }

  /** @internal */
  pyKey(): string {
    return canonical('timedelta', `${this.toMicroseconds()}`);
  }
}

/** Python's `datetime.timezone`: a fixed offset, with a name or without. */
export class PyTimeZone implements Keyed {
  readonly offset: PyTimeDelta;
  readonly name: string | null;

  /** @throws MmdError INVALID_ARGUMENT, also for an offset of a day or more */
  constructor(offset: PyTimeDelta, name: string | null = null) {
    checkArgument(offset instanceof PyTimeDelta, 'the offset of a timezone must be a PyTimeDelta', offset);
    checkArgument(name === null || typeof name === 'string', 'the name of a timezone must be a string or null', name);
    const micros = offset.toMicroseconds();
    check('a timezone offset', micros > -86_400_000_000n && micros < 86_400_000_000n, micros);
    this.offset = offset;
    this.name = name;
    Object.freeze(this);
  }

  toString(): string {
    if (this.name !== null) return this.name;
    const micros = this.offset.toMicroseconds();
    if (micros === 0n) return 'UTC';
    const size = micros < 0n ? -micros : micros;
    const seconds = Number(size / 1_000_000n);
    const rest = Number(size % 1_000_000n);
    const clock = `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}`;
    const tail = seconds % 60 === 0 && rest === 0 ? '' : `:${pad(seconds % 60)}${fraction(rest)}`;
    return `UTC${micros < 0n ? '-' : '+'}${clock}${tail}`;
  }

  static {
    showAs(PyTimeZone, (self) => self.toString());
  }

  /** @internal */
  pyKey(): string {
    return canonical('timezone', `${this.offset.toMicroseconds()}`);
  }
}

/** The timezone of JavaScript dates. */
export const UTC: PyTimeZone = new PyTimeZone(new PyTimeDelta(0));

/** Python's `datetime.date`. */
export class PyDate implements Keyed {
  readonly year: number;
  readonly month: number;
  readonly day: number;

  /** @param month - 1 to 12 @throws MmdError INVALID_ARGUMENT */
  constructor(year: number, month: number, day: number) {
    check('a date', isDay(year, month, day), [year, month, day]);
    this.year = year;
    this.month = month;
    this.day = day;
    Object.freeze(this);
  }

  /** Midnight UTC. */
  toDate(): Date {
    return new Date(utc(this.year, this.month, this.day));
  }

  /** ISO 8601. */
  toString(): string {
    return `${pad(this.year, 4)}-${pad(this.month)}-${pad(this.day)}`;
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(PyDate, (self) => `date(${self.toString()})`);
  }

  /** @internal */
  pyKey(): string {
    return canonical('date', this.toString());
  }
}

/** The parts of a {@link PyTime}; all default to 0, or to no timezone. */
export interface TimeParts {
  readonly hour?: number;
  readonly minute?: number;
  readonly second?: number;
  readonly microsecond?: number;
  /** 1: the second of two equal wall-clock times, when clocks go back. */
  readonly fold?: number;
  /** A {@link PyTimeZone}, an opaque object such as a `zoneinfo.ZoneInfo`, or null. */
  readonly tzinfo?: unknown;
}

/** The parts of a {@link PyDateTime}. */
export interface DateTimeParts extends TimeParts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

/** Python's `datetime.time`. */
export class PyTime implements Keyed {
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly microsecond: number;
  readonly fold: number;
  readonly tzinfo: unknown;

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(parts: TimeParts = {}) {
    checkParts(parts);
    const { hour = 0, minute = 0, second = 0, microsecond = 0, fold = 0, tzinfo = null } = parts;
    check('a time', isTime(hour, minute, second, microsecond, fold), [hour, minute, second, microsecond]);
    this.hour = hour;
    this.minute = minute;
    this.second = second;
    this.microsecond = microsecond;
    this.fold = fold;
    this.tzinfo = tzinfo;
    Object.freeze(this);
  }

  /** ISO 8601; a timezone other than a fixed offset is left out. */
  toString(): string {
    return clockOf(this);
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(PyTime, (self) => `time(${self.toString()})`);
  }

  /** @internal */
  pyKey(space: KeySpace): string {
    const micros = BigInt((this.hour * 60 + this.minute) * 60 + this.second) * 1_000_000n + BigInt(this.microsecond);
    if (this.tzinfo instanceof PyTimeZone) {
      return canonical('utcTime', `${micros - this.tzinfo.offset.toMicroseconds()}`);
    }
    return canonicalOf('time', [`${micros}`, space.key(this.tzinfo)]);
  }
}

/**
 * Python's `datetime.datetime`.
 *
 * @example
 * ```ts
 * import { PyDateTime } from '@mmdpickle/core/pickle';
 *
 * const stamp = PyDateTime.fromDate(new Date('2026-03-01T12:00:00.250Z'));
 * stamp.microsecond; // 250000
 * stamp.toString(); // '2026-03-01T12:00:00.250000+00:00'
 * ```
 */
export class PyDateTime implements Keyed {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly microsecond: number;
  readonly fold: number;
  readonly tzinfo: unknown;

  /** @throws MmdError INVALID_ARGUMENT */
  constructor(parts: DateTimeParts) {
    checkParts(parts);
    const { year, month, day, hour = 0, minute = 0, second = 0, microsecond = 0, fold = 0, tzinfo = null } = parts;
    const ok = isDay(year, month, day) && isTime(hour, minute, second, microsecond, fold);
    check('a datetime', ok, [year, month, day, hour, minute, second, microsecond]);
    this.year = year;
    this.month = month;
    this.day = day;
    this.hour = hour;
    this.minute = minute;
    this.second = second;
    this.microsecond = microsecond;
    this.fold = fold;
    this.tzinfo = tzinfo;
    Object.freeze(this);
  }

  /** The same moment, in UTC. @throws MmdError INVALID_ARGUMENT for a date that Python cannot hold */
  static fromDate(date: Date): PyDateTime {
    return new PyDateTime({
      year: date.getUTCFullYear(),
      month: date.getUTCMonth() + 1,
      day: date.getUTCDate(),
      hour: date.getUTCHours(),
      minute: date.getUTCMinutes(),
      second: date.getUTCSeconds(),
      microsecond: date.getUTCMilliseconds() * 1000,
      tzinfo: UTC,
    });
  }

  /** Microseconds since 1970, in UTC for a fixed offset, else as if the wall clock were UTC. */
  toMicroseconds(): bigint {
    const seconds = (this.hour * 60 + this.minute) * 60 + this.second;
    const local = (BigInt(utc(this.year, this.month, this.day)) + BigInt(seconds) * 1000n) * 1000n;
    const offset = this.tzinfo instanceof PyTimeZone ? this.tzinfo.offset.toMicroseconds() : 0n;
    return local + BigInt(this.microsecond) - offset;
  }

  /** The moment as JavaScript's Date, whole milliseconds; without a fixed offset the wall clock is taken as UTC. */
  toDate(): Date {
    const micros = this.toMicroseconds();
    return new Date(Number((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n));
  }

  /** ISO 8601; a timezone other than a fixed offset is left out. */
  toString(): string {
    return `${pad(this.year, 4)}-${pad(this.month)}-${pad(this.day)}T${clockOf(this)}`;
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(PyDateTime, (self) => `datetime(${self.toString()})`);
  }

  /** @internal Two with fixed offsets are equal if they are the same moment. */
  pyKey(space: KeySpace): string {
    const micros = `${this.toMicroseconds()}`;
    if (this.tzinfo instanceof PyTimeZone) return canonical('utcDatetime', micros);
    return canonicalOf('datetime', [micros, space.key(this.tzinfo)]);
  }
}

function clockOf({ hour, minute, second, microsecond, tzinfo }: PyTime | PyDateTime): string {
  const clock = `${pad(hour)}:${pad(minute)}:${pad(second)}${fraction(microsecond)}`;
  if (!(tzinfo instanceof PyTimeZone)) return clock;
  const zone = new PyTimeZone(tzinfo.offset).toString().slice(3);
  return clock + (zone === '' ? '+00:00' : zone);
}
