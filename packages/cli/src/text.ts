/** Columns, sizes and bars as text. @module */

/** A column of a table: its heading, and on which side the cells stand. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Lines of a table with a heading; widths count what is seen, not escape sequences. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => width(line[index] ?? ''))));
  return lines
    .map((line) =>
      columns
        .map(({ align = 'left' }, index) => {
          const cell = line[index] ?? '';
          const gap = ' '.repeat((widths[index] ?? 0) - width(cell));
          return align === 'right' ? gap + cell : cell + gap;
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

function width(text: string): number {
  return Array.from(text.replaceAll(ESCAPES, '')).length;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** A byte count for people: `1536` is `1.5 KiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`;
}

/** A byte count from a person: `64`, `64k`, `64MiB`, `1.5G`. Undefined when it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?$/i.exec(text);
  if (match === null) return undefined;
  const power = 'kmgtp'.indexOf((match[2] ?? '').toLowerCase()) + 1;
  return Math.round(Number(match[1]) * (match[2] ? 1024 ** power : 1));
}

/** A duration from a person in milliseconds: `500ms`, `10s`, `5m`, `2h`; plain numbers are seconds. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const scale = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
  return match === null ? undefined : Number(match[1]) * scale[(match[2] ?? 's') as keyof typeof scale];
}

/** A share as a percentage, or a dash where there is no whole. */
export function shareText(part: number, whole: number): string {
  return whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '-';
}

/** Printable form of a key: quotes only where it needs them. */
export function keyText(key: string): string {
  return /^[^\s'"\\\p{C}]+$/u.test(key) ? key : JSON.stringify(key);
}
