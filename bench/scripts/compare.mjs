// node bench/scripts/compare.mjs before.json after.json: our times in two saved runs, and the ratios to each peer.
import { readFileSync } from 'node:fs';

const [before, after] = process.argv.slice(2, 4).map((path) => JSON.parse(readFileSync(path, 'utf8')));
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const lanes = ({ results }) =>
  new Map(
    results.flatMap(({ name, lanes: all }) =>
      all
        .filter(({ rounds }) => rounds.length > 0)
        .map(({ side, size, rounds }) => [`${name} ${side}${size === undefined ? '' : ` at ${size}`}`, rounds]),
    ),
  );
const old = lanes(before);
for (const [name, rounds] of lanes(after)) {
  const was = old.get(name);
  if (was === undefined) continue;
  const [then, now] = [was, rounds].map((all) => median(all.map(({ ns }) => ns)));
  console.log(
    `${name}: ${(then / 1e6).toFixed(3)} ms -> ${(now / 1e6).toFixed(3)} ms, ${(then / now).toFixed(2)} times as fast`,
  );
}
