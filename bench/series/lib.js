'use strict';

// What the series share: nginx with the module on CPU 0, Redis and publishers
// on the last CPU, the load generator on either, and the raw loop beside them.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFile, execFileSync } = require('node:child_process');
const { promisify } = require('node:util');

const { gateway } = require('../../t/gateway/lib/gateway');
const { sign } = require('../../t/gateway/lib/token');
const { until } = require('../../t/gateway/lib/expect');
const { room } = require('../peers/tokens');

const NEAR = 0;
const FAR = os.cpus().length - 1;
const RATE = Number(process.env.RATE || 100);   // messages a second in S1

const OUT = process.env.OUT || path.join(__dirname, '..', 'out');
const PUBLISH = path.join(__dirname, '..', 'peers', 'publish.js');
const run = promisify(execFile);

let programs = null;

function program(name) {
  if (!programs) {
    programs = execFileSync(path.join(__dirname, '..', 'programs'),
                            [path.join(OUT, 'bin')], { encoding: 'utf8' });
  }
  return path.join(programs.trim(), name);
}

/** Keeps a process, all threads of it, on one CPU. */
function pin(pid, cpu) {
  execFileSync('taskset', ['-acp', String(cpu), String(pid)],
               { stdio: 'ignore' });
}

/** Arguments of an object: { conns: 5, tls: true } is --conns 5 --tls. */
function options(values) {
  return Object.entries(values)
    .filter(([, value]) => value !== undefined && value !== false)
    .flatMap(([name, value]) => (
      value === true ? [`--${name}`] : [`--${name}`, String(value)]));
}

/**
 * Starts nginx and Redis, hands them to body(gw), and ends them.  Settings are
 * those of t/gateway/lib; the location is what a product would have.
 */
async function site({ block, location, main, ...settings }, body) {
  const ends = [];
  const gw = await gateway({ after: (end) => ends.push(end) }, {
    connections: 20000,
    level: 'warn',
    listen: `backlog=4096${settings.workers > 1 ? ' reuseport' : ''}`,
    redis: { args: ['--client-output-buffer-limit', 'pubsub 0 0 0'] },
    ...settings,
    main: { worker_rlimit_nofile: '20000', ...main },
    http: {
      keepalive_requests: '100000000', keepalive_timeout: '300s',
    },
    block: { zone: '128m', log: '32m', ...block },
    location: {
      socketio_ready: null,
      socketio_rooms: 'claim=rooms',
      socketio_ping_interval: '300s',
      ...location,
    },
  });

  try {
    pin(process.pid, FAR);
    pin(gw.redis.program.pid, FAR);
    [gw.nginx.pid, ...gw.nginx.workers()].forEach((pid) => pin(pid, NEAR));
    const first = await gw.rawClient({ user: 'first' });
    await first.connected();
    first.close();
    await until(async () => (await gw.status()).sessions.live === 0,
                'nobody is there');
    return await body(gw);
  } finally {
    for (const end of ends) {
      await end();
    }
  }
}

/** A file of tokens: connection i is in the rooms that rooms(i) names. */
function tokens(gw, conns, rooms) {
  const file = path.join(gw.dir, 'tokens');
  const lines = Array.from({ length: conns }, (_, i) => (
    sign({ id: `user-${i}`, rooms: rooms(i) })));
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Five rooms: one of `mains`, and four that hardly anybody else is in. */
const five = (mains) => (i) => (
  [room(i % mains), ...[1, 2, 3, 4].map((k) => `filler:${i % 997}:${k}`)]);

/** The command by which sioload publishes. */
function publisher(gw, { rooms = 1, count, rate = 0, bytes = '' }) {
  return `exec taskset -c ${FAR} node ${PUBLISH} redis ${gw.redis.port} ${
    rooms} ${count} ${rate} ${bytes}`;
}

/** Runs a program; what it prints is JSON.  on: its CPU; before: nice etc. */
async function json(name, values, { on = NEAR, before = [] } = {}) {
  const [first, ...rest] = [...before, 'taskset', '-c', String(on),
                            program(name), ...options(values)];
  try {
    const { stdout } = await run(first, rest);
    return JSON.parse(stdout);
  } catch (error) {
    // 2: something is missing, and the figures tell what
    if (error.code === 2 && error.stdout) {
      return JSON.parse(error.stdout);
    }
    throw error;
  }
}

/** The load generator; `lost` of what it gives: events that never came. */
async function load(gw, values, where) {
  const it = await json('sioload', {
    port: gw.port, pids: gw.nginx.pid, tls: Boolean(gw.tls), ...values,
  }, where);
  if (it.connect.up !== it.conns) {
    throw new Error(`${it.connect.up} of ${it.conns} connected: ${
      it.first_error}`);
  }
  it.lost = it.recv ? it.recv.expected - it.recv.events : 0;
  if (it.lost > 0) {
    throw new Error(`${it.lost} of ${it.recv.expected} events were lost`);
  }
  return it;
}

/** The raw loop.  Without arguments: CPU us of one send. */
async function raw(values = { messages: 200 }, where = {}) {
  return (await json('rawfan', values, where)).cpu_us_per_delivery;
}

/** Microseconds of CPU time that some processes have taken. */
function cpu(pids) {
  return pids.reduce((sum, pid) => sum + Number(
    fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1e3,
                     0);
}

/** Bytes of some processes, shared ones counted once. */
function memory(pids) {
  return pids.reduce((sum, pid) => sum + 1024 * Number(
    /^Pss: +(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`,
                                         'latin1'))[1]), 0);
}

const fixed = (value, digits = 2) => (
  Number.isFinite(value) ? value.toFixed(digits) : '-');
const number = (value) => (
  Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '-');

/** A target: `value` has to be at most `limit`. */
const check = (what, value, limit, digits = 2) => (
  { what, value, limit, digits, met: value <= limit });

module.exports = {
  NEAR, FAR, OUT, RATE, site, tokens, five, room, publisher, load, raw, cpu,
  memory, until, fixed, number, check,
};
