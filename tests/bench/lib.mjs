// What the drivers share: load, percentiles, memory of process trees (Linux: /proc).
import fs from 'node:fs';

export const arg = (name, fallback) => {
  const given = process.argv.find((word) => word.startsWith(`--${name}=`));
  return given ? given.slice(name.length + 3) : fallback;
};
export const number = (name, fallback) => {
  const value = Number(arg(name, fallback));
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1`);
  return value;
};
export const seconds = () => Number(process.hrtime.bigint()) / 1e9;
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Does `work` for 0..count, at most `conns` at once. */
export async function pool(count, conns, work) {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(conns, count) }, lane));
}

/** An open loop: starts `work` `rate` times a second; answers each one's milliseconds. */
export async function steadily(rate, count, work) {
  const began = seconds();
  const ends = [];
  for (let n = 0; n < count; n++) {
    const early = began + n / rate - seconds();
    if (early > 0) await sleep(early * 1000);
    const at = seconds();
    ends.push(work(n).then(() => (seconds() - at) * 1000));
  }
  return Promise.all(ends);
}

export function percentiles(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length, Math.max(1, Math.ceil(share * sorted.length))) - 1];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

/** Waits until `holds`, within a bound. */
export async function until(what, holds, withinS = 1800) {
  const began = seconds();
  while (!(await holds())) {
    if (seconds() - began > withinS) throw new Error(`waited in vain for ${withinS} s until ${what}`);
    await sleep(20);
  }
}

function parents() {
  const of = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
      of.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended.
    }
  }
  return of;
}

/** MB of this process's tree and of the servers in BENCH_PIDS ("123,456"), shared pages by their share. */
export function rssMb() {
  const of = parents();
  const roots = [process.pid, ...(process.env.BENCH_PIDS ?? '').split(',').filter(Boolean).map(Number)];
  const belongs = (pid) => {
    for (let at = pid, hops = 0; at && hops < 64; at = of.get(at), hops++) if (roots.includes(at)) return true;
    return false;
  };
  let kb = 0;
  for (const pid of of.keys()) {
    if (!belongs(pid)) continue;
    try {
      kb += Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // It ended.
    }
  }
  return kb / 1024;
}

export const print = (found) => console.log(JSON.stringify(found));
