// Restate: the server and the service are processes of their own, the load is this one.
import { fork } from 'node:child_process';
import http from 'node:http';
import * as restate from '@restatedev/restate-sdk';
import { arg, number, percentiles, pool, print, rssMb, seconds, sleep, steadily, until } from './lib.mjs';

const [workload, runs, conns, rate] = [arg('workload'), number('runs', 1000), number('conns', 128), number('rate', 20)];
const [ingress, admin] = [new URL(process.env.BENCH_RESTATE_INGRESS), process.env.BENCH_RESTATE_ADMIN];
const port = number('port', 9080);

async function serve() {
  let ended = 0;
  const ids = [];
  const noop = async () => {};
  const bench = restate.service({
    name: 'Bench',
    // The server keeps 1,000 invocations open; those that wait must be let go of soon, or the next are not started.
    options: { inactivityTimeout: 1000 },
    handlers: {
      steps: async (ctx) => {
        for (let n = 0; n < 5; n++) await ctx.run(noop);
        ended++;
      },
      park: async (ctx) => {
        const { id, promise } = ctx.awakeable();
        // Recorded: a replay does not run it again.
        await ctx.run(() => {
          ids.push(id);
        });
        await promise;
        await ctx.run(noop);
        ended++;
      },
    },
  });
  await restate.serve({ services: [bench], port });
  process.on('message', (asked) => process.send(asked === 'ids' ? { ids } : { ended, parked: ids.length }));
  process.on('disconnect', () => process.exit(0));
  process.send({ ready: true });
}

async function measure() {
  const service = fork(import.meta.filename, [...process.argv.slice(2), '--serve=1'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const answer = () => new Promise((told) => service.once('message', told));
  await answer();
  const ask = (what) => {
    const told = answer();
    service.send(what);
    return told;
  };
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1024 });
  const post = (path, body) =>
    new Promise((done, fail) => {
      const headers = body ? { 'content-type': 'application/json' } : {};
      const { hostname: host, port } = ingress;
      const request = http.request({ host, port, path, method: 'POST', agent, headers, timeout: 60_000 }, (reply) => {
        reply.resume();
        reply.on('end', () => (reply.statusCode < 300 ? done() : fail(new Error(`${path}: ${reply.statusCode}`))));
      });
      request.on('error', fail);
      request.end(body);
    });
  const deployed = await fetch(`${admin}/deployments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri: `http://127.0.0.1:${port}`, force: true }),
  });
  if (!deployed.ok) throw new Error(await deployed.text());
  await pool(200, 16, () => post('/Bench/steps'));
  const { ended: before } = await ask('counts');
  const all = (what) => until(`all runs ${what}`, async () => (await ask('counts'))[what] - (what === 'ended' ? before : 0) >= runs);

  if (workload === 'steps') {
    const began = seconds();
    await pool(runs, conns, () => post('/Bench/steps/send'));
    await all('ended');
    print({ steps_per_s: (5 * runs) / (seconds() - began) });
  } else if (workload === 'latency') {
    print({ latency_ms: percentiles(await steadily(rate, runs, () => post('/Bench/steps'))) });
  } else if (workload === 'parked') {
    const began = seconds();
    await pool(runs, conns, () => post('/Bench/park/send'));
    await all('parked');
    const start_s = seconds() - began;
    await sleep(5000);
    const rss_mb = rssMb();
    const { ids } = await ask('ids');
    const releasing = seconds();
    await pool(runs, conns, (n) => post(`/restate/awakeables/${ids[n]}/resolve`, '"go"'));
    await all('ended');
    print({ start_s, release_s: seconds() - releasing, rss_mb });
  } else {
    throw new Error('--workload is steps, latency or parked');
  }
  service.kill();
  process.exit(0);
}

await (arg('serve', '') ? serve() : measure());
