'use strict';

// What the series share: nginx with the module on CPU 0, Redis and publishers
// on the last CPU, the load generator on either, and the raw loop beside them.

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

const lib = require('../lib');
const { gateway } = require('../../t/gateway/lib/gateway');
const { SECRET, forge, hmac } = require('../../t/gateway/lib/token');
const { until } = require('../../t/gateway/lib/expect');
const { room } = require('../peers/tokens');

const { NEAR, FAR, OUT, REALTIME, PUBLISHER, median, pin } = lib;
const RATE = Number(process.env.RATE || 100);   // messages a second in S1
const PUBLISH = path.join(__dirname, '..', 'peers', 'publish.js');

/**
 * Starts nginx and Redis, hands them to body(gw), and ends them.  Settings are
 * those of t/gateway/lib; the location is what a product would have.  realtime:
 * latencies are measured, see ../lib.js.
 */
async function site({ block, location, main, realtime, ...settings }, body) {
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
    if (!realtime) {
      return await body(gw);
    }
    [gw.redis.program.pid, ...gw.nginx.workers()].forEach(lib.prefer);
    return await lib.awake(() => body(gw));
  } finally {
    for (const end of ends) {
      await end();
    }
  }
}

/**
 * A file of tokens: connection i is in the rooms that rooms(i) names.  By hand,
 * for the library that signs takes 0.7 ms for each.
 */
function tokens(gw, conns, rooms) {
  const file = path.join(gw.dir, 'tokens');
  const header = { alg: 'HS256', typ: 'JWT' };
  const mac = hmac('sha256', SECRET);
  const lines = Array.from({ length: conns }, (_, i) => (
    forge(header, { id: `user-${i}`, rooms: rooms(i) }, mac)));
  fs.writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Five rooms: one of `mains`, and four that hardly anybody else is in. */
const five = (mains) => (i) => (
  [room(i % mains), ...[1, 2, 3, 4].map((k) => `filler:${i % 997}:${k}`)]);

/** The command by which sioload publishes. */
function publisher(gw, { rooms = 1, count, rate = 0, bytes = '', realtime }) {
  const before = realtime ? `env WARM=2000 ${PUBLISHER.join(' ')} ` : '';
  return `exec ${before}taskset -c ${FAR} node ${PUBLISH} redis ${
    gw.redis.port} ${rooms} ${count} ${rate} ${bytes}`;
}

/** Runs a program on a CPU, or where it wants to be if that is null. */
async function json(name, values, { on = NEAR, realtime = false } = {}) {
  try {
    return await lib.json([
      ...(realtime ? REALTIME : []),
      ...(on === null ? [] : ['taskset', '-c', on]),
      lib.program(name), ...lib.options(values)]);
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
    throw new Error(`${it.lost} of ${it.recv.expected} events were lost, until: ${
      it.recv.stopped}; the publisher's status: ${it.recv.publisher_status}`);
  }
  return it;
}

/**
 * Several sites at once, for measurements that take turns, so that what the
 * machine does meanwhile hits all of them.  open(value, use) starts one and
 * hands it to use(it); body has the list of them.
 */
async function together(values, open, body, list = []) {
  if (values.length === 0) {
    return body(list);
  }
  const [first, ...rest] = values;
  return open(first, (it) => together(rest, open, body, [...list, it]));
}

/** n rounds in which each of a list has its turn: what one(it) gives of each. */
async function turns(list, n, one) {
  const rounds = list.map(() => []);

  for (let i = 0; i < n; i++) {
    for (const [k, it] of list.entries()) {
      rounds[k].push(await one(it));
    }
  }
  return rounds;
}

/**
 * Runs body({ done, over }) while the load generator holds its connections and
 * waits for the events that body causes.  done() resolves when all that was
 * published so far is delivered; over: a promise of what load() gives.
 */
async function held(gw, values, where, body) {
  const fence = await gw.rawClient({ user: 'fence' });
  let count = 0;
  const done = async () => {
    gw.emitter.to('user:fence').emit('fence', ++count);
    await fence.eventWith('fence', count, 60000);
  };

  await fence.connected();
  const over = load(gw, { 'recv-timeout': 600, quiet: 600, ...values }, where);
  const failed = over.then(() => null, (error) => error);
  await until(async () => (await gw.status()).sessions.live > values.conns,
              () => `${values.conns} are connected`, 60000);
  // the load generator counts events once it has settled
  await delay(1000);

  const result = await body({ done, over });
  const error = await failed;
  if (error) {
    throw error;
  }
  return result;
}

/** The raw loop.  Without arguments: CPU us of one send. */
async function raw(values = { messages: 200 }, where = {}) {
  return (await json('rawfan', values, where)).cpu_us_per_delivery;
}

/** Latencies of the raw loop, whose reader is on another CPU: ms. */
async function rawLatency(values) {
  const it = await json('rawfan', { ...values, pin: true },
                        { on: null, realtime: true });
  return { p50: it.lat_p50_ms, p99: it.lat_p99_ms, max: it.lat_max_ms };
}

/** Latencies that the load generator has found: ms. */
const latency = ({ recv }) => ({
  p50: recv.lat_p50_us / 1e3, p99: recv.lat_p99_us / 1e3,
  max: recv.lat_max_us / 1e3,
});

/** Medians of rounds of objects of numbers, key by key. */
const medians = (rounds) => Object.fromEntries(Object.keys(rounds[0]).map(
  (key) => [key, median(rounds.map((it) => it[key]))]));

/** A figure over that of others in the same rounds: the median of the ratios. */
const ratio = (rounds, others, key) => median(
  rounds.map((it, i) => it[key] / others[i][key]));

/** Microseconds of CPU time that some processes have taken. */
const cpu = (pids) => pids.reduce((sum, pid) => sum + lib.spent(pid), 0);

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

/**
 * A target: `value` has to be at most `limit`; `least` is what a loop has that
 * does nothing else.
 */
const check = (what, value, limit, { digits = 2, least } = {}) => (
  { what, value, limit, digits, least, met: value <= limit });

module.exports = {
  NEAR, FAR, OUT, RATE, site, tokens, five, room, publisher, load, together,
  turns, held, raw, rawLatency, awake: lib.awake, latency, medians, ratio, cpu,
  memory, until, fixed, number, check,
};
