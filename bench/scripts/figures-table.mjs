// Prints the figures of README.md from a saved run: node bench/scripts/figures-table.mjs out.json
import { readFileSync } from 'node:fs';

const { environment, goals } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const figure = (value) => (value === undefined ? '' : value >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
const range = ({ median, min, max }) =>
  min === max ? `${figure(median)}` : `${figure(median)} (${figure(min)}-${figure(max)})`;
const { date, commit, node, system } = environment;
console.log(`Run of ${date}, commit ${commit}, Node ${node}, ${system}.\n`);
console.log('| case | side | beside | median (min-max) | fastest rounds | CPU | goal | verdict |');
console.log('|---|---|---|---|---|---|---|---|');
for (const { case: name, side, beside, value, best, cpu, goal, verdict } of goals) {
  const reached = value === undefined ? '' : range(value);
  console.log(
    `| ${name} | ${side} | ${beside} | ${reached} | ${figure(best)} | ${figure(cpu)} | ${goal} | ${verdict} |`,
  );
}
