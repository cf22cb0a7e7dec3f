// Reads lines {"engine", "workload", …} and prints medians side by side, with Valet against the best of the others.
import fs from 'node:fs';

const found = fs
  .readFileSync(process.argv[2], 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line));
if (found.some((one) => one.settings?.build === 'debug')) console.log('Valet is a debug build: its figures mean nothing.\n');
const engines = ['valet', 'dbos', 'restate'].filter((engine) => found.some((one) => one.engine === engine));
const total = (of) => (typeof of === 'object' && of !== null ? Object.values(of).reduce((sum, n) => sum + n, 0) : of);
const rows = [
  ['steps', '5 no-op steps, all at once: steps/s', (one) => one.steps_per_s, 'more'],
  ['latency', '5 no-op steps at 20 runs/s: p50 ms', (one) => one.latency_ms?.p50, 'less'],
  ['latency', 'the same: p99 ms', (one) => one.latency_ms?.p99, 'less'],
  ['parked', 'runs that wait: all wait after s', (one) => one.start_s, 'less'],
  ['parked', 'the same: all ended after their signal, s', (one) => one.release_s, 'less'],
  ['parked', 'the same: memory of everything while they wait, MB', (one) => total(one.rss_mb), 'less'],
];
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const shown = (value) => (value === undefined ? '–' : value >= 100 ? value.toFixed(0) : value.toFixed(1));

const of = (engine, workload, figure) => {
  const values = found.filter((one) => one.engine === engine && one.workload === workload).map(figure);
  return median(values.filter((value) => value !== undefined));
};
console.log(`| workload | ${engines.join(' | ')} | Valet against the best of the others |`);
console.log(`| --- |${engines.map(() => ' --- |').join('')} --- |`);
for (const [workload, name, figure, better] of rows) {
  const medians = Object.fromEntries(engines.map((engine) => [engine, of(engine, workload, figure)]));
  const others = engines.filter((engine) => engine !== 'valet').map((engine) => medians[engine]).filter((v) => v !== undefined);
  const best = better === 'more' ? Math.max(...others) : Math.min(...others);
  const ratio = better === 'more' ? medians.valet / best : best / medians.valet;
  const told = others.length && medians.valet !== undefined ? `${ratio.toFixed(2)} times as good` : '–';
  console.log(`| ${name} | ${engines.map((engine) => shown(medians[engine])).join(' | ')} | ${told} |`);
}
