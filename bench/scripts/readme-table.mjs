// Prints the case table of README.md from the built cases: node bench/scripts/readme-table.mjs
import { CASES } from '../dist/bench/src/cases.js';

const goal = ({ side, peer, metric, atLeast, atMost }) =>
  `${side === undefined ? '' : `${side}: `}${metric ?? `of ${peer}`} ${atLeast !== undefined ? `≥ ${atLeast}` : `≤ ${atMost}`}`;
console.log('| case | what | beside | goals |\n|---|---|---|---|');
for (const { name, about, sides, goals, long } of CASES) {
  const beside = sides.filter((side) => !side.startsWith('ours')).join(', ');
  console.log(
    `| \`${name}\` | ${about}${long ? ' (only with `--long`)' : ''} | ${beside} | ${goals.map(goal).join('; ')} |`,
  );
}
