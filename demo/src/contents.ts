import { MmapDict } from '@mmdpickle/core/node';

/** The file's table of contents: a line for each key, with numbered frames collapsed into one. */
export function contents(path: string): string {
  using dict = MmapDict.open(path, { mode: 'r' });
  const lines: string[][] = [];
  const folders = new Map<string, number>();
  for (const key of dict.keys()) {
    const meta = dict.getMeta(key);
    const folder = /^(.*\/)\d+(\.meta)?$/.exec(key)?.[1];
    if (folder !== undefined) {
      folders.set(folder, (folders.get(folder) ?? 0) + 1);
      if (folders.get(folder) !== 1) continue;
    }
    const shape = meta?.shape === undefined ? '' : `[${meta.shape.join(', ')}]`;
    lines.push([key, meta?.dtype ?? meta?.kind ?? '', shape, `${meta?.nbytes ?? meta?.length ?? 0} bytes`]);
  }
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const text = lines.map((line) => `  ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`);
  for (const [folder, count] of folders) text.push(`  ... ${count} entries below ${folder}`);
  return `${path}: ${dict.size} keys, ${dict.fileSize} bytes, commit number ${dict.commitNumber}\n${text.join('\n')}\n`;
}
