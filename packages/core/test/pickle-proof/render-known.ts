/**
 * How the stand-ins of the mapping table are rendered, one row per class; see fixtures/README.md.
 *
 * @module
 */

import {
  Counter,
  DefaultDict,
  Deque,
  OrderedDict,
  PyArray,
  PyDate,
  PyDateTime,
  PyDecimal,
  PyException,
  PyFloat,
  PyFraction,
  PyPath,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  PyUuid,
} from '../../src/pickle/index.ts';
import type { Node, Renderer } from './render.ts';

// biome-ignore lint/suspicious/noExplicitAny: each row takes an instance of its own class
type Row = readonly [maker: abstract new (...args: any[]) => object, known: (r: Renderer, value: any) => Node];

const row = <T extends object>(
  // biome-ignore lint/suspicious/noExplicitAny: constructors are not called here
  maker: abstract new (...args: any[]) => T,
  known: (r: Renderer, value: T) => Node,
): Row => [maker, known];

const span = ({ days, seconds, microseconds }: PyTimeDelta): number[] => [days, seconds, microseconds];

/** A dict subclass. */
const dictLike =
  (t: string) =>
  (r: Renderer, value: OrderedDict | Counter | DefaultDict): Node => {
    const node = r.tracked(value, { t });
    if (value instanceof DefaultDict) node.factory = r.render(value.factory);
    node.pairs = r.pairs(value as Map<unknown, unknown>);
    const attributes = value instanceof DefaultDict ? null : (value.attributes as Map<unknown, unknown> | null);
    if (attributes !== null) node.state = r.pairs(attributes);
    return node;
  };

/** The item of an array.array, by its type code. */
const arrayItem = (typecode: string, item: number | bigint | string): unknown =>
  'fd'.includes(typecode) ? new PyFloat(item as number) : item;

/** Checked in order; subclasses come before their base. */
export const KNOWN: readonly Row[] = [
  row(PyDateTime, (r, d) => {
    const v = [d.year, d.month, d.day, d.hour, d.minute, d.second, d.microsecond];
    return { t: 'datetime', v, fold: d.fold, tz: r.render(d.tzinfo) };
  }),
  row(PyDate, (_r, { year, month, day }) => ({ t: 'date', v: [year, month, day] })),
  row(PyTime, (r, { hour, minute, second, microsecond, fold, tzinfo }) => {
    return { t: 'time', v: [hour, minute, second, microsecond], fold, tz: r.render(tzinfo) };
  }),
  row(PyTimeDelta, (_r, value) => ({ t: 'timedelta', v: span(value) })),
  row(PyTimeZone, (_r, { offset, name }) => ({ t: 'timezone', offset: span(offset), name })),
  row(PyDecimal, (_r, { text }) => ({ t: 'decimal', v: text })),
  row(PyFraction, (_r, value) => ({ t: 'fraction', v: [String(value.numerator), String(value.denominator)] })),
  row(PyUuid, (_r, { text }) => ({ t: 'uuid', v: text })),
  row(PyPath, (_r, value) => ({ t: 'path', class: value.type, v: String(value) })),
  row(OrderedDict, dictLike('OrderedDict')),
  row(Counter, dictLike('Counter')),
  row(DefaultDict, dictLike('defaultdict')),
  row(Deque, (r, value) => {
    const node = r.tracked(value, { t: 'deque', maxlen: value.maxlen });
    return Object.assign(node, { items: r.items(value) });
  }),
  row(PyException, (r, value) => {
    const node = r.tracked(value, { t: 'exception', class: value.type });
    node.args = r.items(value.args);
    const attributes = value.attributes as Map<unknown, unknown> | null;
    node.state = attributes === null ? null : r.pairs(attributes);
    return node;
  }),
  row(PyArray, (r, value) => {
    const items = r.items(value.toArray().map((item) => arrayItem(value.typecode, item)));
    return r.tracked(value, { t: 'array', typecode: value.typecode, items });
  }),
];
