// DBOS Transact, at its fastest: runs are started in the process that does their steps, nothing is handed to a worker.
import { DBOS } from '@dbos-inc/dbos-sdk';
import { arg, number, percentiles, pool, print, rssMb, seconds, sleep, steadily, until } from './lib.mjs';

const [workload, runs, conns, rate] = [arg('workload'), number('runs', 1000), number('conns', 64), number('rate', 20)];
let [parked, ended] = [0, 0];

const noop = async () => null;
const steps = DBOS.registerWorkflow(
  async () => {
    for (let n = 0; n < 5; n++) await DBOS.runStep(noop, { name: `noop-${n}` });
    ended++;
  },
  { name: 'steps' },
);
const park = DBOS.registerWorkflow(
  async () => {
    await DBOS.runStep(noop, { name: 'before' });
    parked++;
    if ((await DBOS.recv('go', 3600)) === null) throw new Error('the signal did not come within an hour');
    await DBOS.runStep(noop, { name: 'after' });
    ended++;
  },
  { name: 'park' },
);

DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: process.env.BENCH_DATABASE_URL,
  systemDatabasePoolSize: number('pool', 20),
  runAdminServer: false,
  enableOTLP: false,
  logLevel: 'error',
  applicationVersion: 'bench',
  listenQueues: [],
});
await DBOS.launch();
const one = async () => (await DBOS.startWorkflow(steps)()).getResult();
await pool(200, conns, one);
[parked, ended] = [0, 0];

if (workload === 'steps') {
  const began = seconds();
  await pool(runs, conns, one);
  print({ steps_per_s: (5 * runs) / (seconds() - began) });
} else if (workload === 'latency') {
  print({ latency_ms: percentiles(await steadily(rate, runs, one)) });
} else if (workload === 'parked') {
  const began = seconds();
  const handles = new Array(runs);
  await pool(runs, conns, async (n) => {
    handles[n] = await DBOS.startWorkflow(park, { workflowID: `park-${n}` })();
  });
  await until('all runs wait', () => parked === runs);
  const start_s = seconds() - began;
  await sleep(5000);
  const rss_mb = rssMb();
  const releasing = seconds();
  await pool(runs, conns, (n) => DBOS.send(`park-${n}`, 'go', 'go'));
  await until('all runs end', () => ended === runs);
  await Promise.all(handles.map((handle) => handle.getResult()));
  print({ start_s, release_s: seconds() - releasing, rss_mb });
} else {
  throw new Error('--workload is steps, latency or parked');
}
if (ended < (workload === 'parked' ? runs : 1)) throw new Error(`${ended} of ${runs} runs ended`);
await DBOS.shutdown();
process.exit(0);
