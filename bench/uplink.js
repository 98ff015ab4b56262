'use strict';

// What an event of a client for the backend costs, on one worker:
//
//     node bench/uplink.js [rate [seconds]] [--part cost|answers]
//                          [--rounds 3] [--realtime] [--json FILE]
//
// cost: some WebSockets send events at a steady rate, and Redis has to have all
// of them: the CPU time of the worker for each, and of a loop that does nothing
// else.
//
// answers: 1,000 a second are answered by a backend that reads the stream, one
// in C and one in Node.js: the time from a client to its answer.  The floor is
// the same without a gateway: a client that talks to Redis itself.
//
// Server and load are on CPU 0, Redis and backend on CPU 1; for answers neither
// is ever halted.  realtime: these four go before whatever else the machine has
// to do, as if it had nothing; that takes root.  The file gets all figures:
// { cost, answers }.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const lib = require('./lib');
const { gateway } = require('../t/gateway/lib/gateway');
const { Program, freePort } = require('../t/gateway/lib/processes');
const { until } = require('../t/gateway/lib/expect');

const { values: OPTIONS, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    part: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    realtime: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const RATE = Number(positionals[0] || 30000);
const SECONDS = Number(positionals[1] || 10);
const ROUNDS = Number(OPTIONS.rounds);
const CONNS = 100;
const STREAM = 'up';
const CHANNEL = 'socket.io-command';
const FLOOR = { stream: 'floor', channel: 'floor' };
const GROUP = 'bench';
const ASKS = 1000;              // events a second that are answered
const TICK = 10;                // ms of a tick of the clock in /proc
const SERVER = lib.NEAR;        // CPUs: of worker and load
const REDIS = lib.FAR;          // of Redis and backend

const { median } = lib;
const rawup = lib.program('rawup');
const REALTIME = OPTIONS.realtime ? lib.REALTIME : [];

/** A program on one CPU. */
const start = (cpu, ...command) => new Program('taskset', [
  '-c', String(cpu), ...command.map(String)]);

function prefer(pid) {
  if (OPTIONS.realtime) {
    lib.prefer(pid);
  }
}

function pin(cpu, pid) {
  lib.pin(pid, cpu);
  prefer(pid);
}

/** Milliseconds of a process: { user, sys }, by ticks, and exact. */
function cpu(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [user, sys] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    .slice(11, 13).map((n) => n * TICK);
  const all = fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0];
  return { user, sys, all: all / 1e6 };
}

/** Microseconds for each event. */
function each(before, after, events) {
  return Object.fromEntries(Object.keys(before).map(
    (key) => [key, (after[key] - before[key]) * 1000 / events]));
}

const load = (kind, values) => lib.json([
  ...REALTIME, 'taskset', '-c', SERVER, rawup, kind, ...lib.options(values)]);

const added = async (redis) => {
  const info = await redis.commands.sendCommand(['XINFO', 'STREAM', STREAM]);
  return Number(info[info.indexOf('entries-added') + 1]);
};

/** Sends, and takes the time of the process with this pid. */
async function cost(redis, name, port, pid, auth) {
  const rounds = [];

  for (let round = 0; round < ROUNDS; round++) {
    await redis.commands.del(STREAM);
    const before = cpu(pid);
    const sent = await load('send', {
      port, conns: CONNS, rate: RATE, seconds: SECONDS, auth,
    });
    await until(async () => await added(redis) >= sent.sent - sent.refused,
                'all are stored', 20000);
    rounds.push({
      ...each(before, cpu(pid), sent.sent), rate: sent.sent / sent.seconds,
      refused: sent.sent - await added(redis), late: sent.late,
      load: os.loadavg()[0],
    });
    console.log(`${name} ${JSON.stringify(rounds.at(-1))}`);
  }
  return Object.fromEntries(['all', 'user', 'sys', 'rate'].map(
    (key) => [key, median(rounds.map((it) => it[key]))]));
}

/** Module and loop: microseconds for an event. */
async function costs(gw, auth) {
  const port = await freePort();
  const raw = start(SERVER, rawup, 'serve', '--port', port, '--redis',
                    gw.redis.port);
  await raw.listening({ port, host: '127.0.0.1' });
  prefer(raw.pid);

  console.log(`${CONNS} WebSockets, ${RATE} events a second`);
  const [worker] = gw.nginx.workers();
  const result = {
    module: await cost(gw.redis, 'module', gw.port, worker, auth),
    loop: await cost(gw.redis, 'loop', port, raw.pid, auth),
  };
  await raw.stop('SIGKILL');

  for (const [name, it] of Object.entries(result)) {
    console.log(`${name}: ${it.all.toFixed(2)} us for an event (user ${
      it.user.toFixed(2)}, sys ${it.sys.toFixed(2)}) at ${
      Math.round(it.rate)} a second`);
  }
  return result;
}

/** A backend in another process that answers what is in the stream. */
async function backend(redis, kind, { stream, channel }) {
  const options = lib.options({ redis: redis.port, stream, channel });
  const readers = async () => (await redis.connections()).filter(
    (it) => it.cmd === 'xreadgroup').length;
  const before = await readers();

  await redis.commands.del(stream);
  await redis.commands.xGroupCreate(stream, GROUP, '$', { MKSTREAM: true });
  const program = kind === 'C' ? start(REDIS, rawup, 'consume', ...options)
    : start(REDIS, process.execPath, path.join(__dirname, 'backend.js'),
            ...options);
  await until(async () => {
    if (program.ended) {
      throw new Error(`backend ended: ${program.output}`);
    }
    return await readers() > before;
  }, 'the backend reads');
  prefer(program.pid);
  return program;
}

const NUMBERS = ['p50', 'p99', 'p999', 'max', 'behind'];
const show = (it) => NUMBERS.map((key) => `${key} ${it[key].toFixed(2)}`)
  .join(', ');

/** Milliseconds to one kind of backend and back: floor and gateway in turn. */
async function answers(gw, kind, auth) {
  const { redis } = gw;
  const ways = {
    floor: { redis: redis.port, ...FLOOR },
    gateway: { port: gw.port, conns: CONNS, auth },
  };
  const rounds = { floor: [], gateway: [] };
  const programs = [
    await backend(redis, kind, FLOOR),
    await backend(redis, kind, { stream: STREAM, channel: CHANNEL }),
  ];

  // round 0 is for those that have to get warm
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [way, options] of Object.entries(ways)) {
      const it = await load('ask', {
        ...options, rate: ASKS, seconds: round === 0 ? 2 : SECONDS,
      });
      if (it.answers < it.sent) {
        throw new Error(`${it.answers} of ${it.sent} answered: ${way}`);
      }
      if (round > 0) {
        rounds[way].push(it);
        console.log(`${kind} ${way}, ms: ${show(it)}; load ${
          os.loadavg()[0]}`);
      }
    }
  }
  await Promise.all(programs.map((it) => it.stop('SIGKILL')));

  const middle = (list) => Object.fromEntries(NUMBERS.map(
    (key) => [key, median(list.map((it) => it[key]))]));
  const result = {
    floor: middle(rounds.floor), gateway: middle(rounds.gateway),
  };
  result.adds = Object.fromEntries(NUMBERS.map(
    (key) => [key, result.gateway[key] - result.floor[key]]));
  for (const [name, it] of Object.entries(result)) {
    console.log(`backend in ${kind}, ${name}, ms: ${show(it)}`);
  }
  return result;
}

async function bothAnswers(gw, auth) {
  console.log(`${CONNS} WebSockets, ${ASKS} events a second that are answered`);
  return lib.awake(async () => ({
    C: await answers(gw, 'C', auth), Node: await answers(gw, 'Node.js', auth),
  }));
}

async function main() {
  const ends = [];
  const gw = await gateway({ after: (end) => ends.push(end) }, {
    workers: 1,
    connections: 4096,
    level: 'warn',
    block: { zone: '64m', log: '16m' },
    location: {
      socketio_rooms: 'claim=rooms',
      socketio_forward: [`message/create stream=${STREAM}`],
    },
  });
  const result = {};

  try {
    await gw.live();
    const auth = JSON.stringify(gw.auth({ user: 'user-00000001' }));

    pin(SERVER, gw.nginx.workers()[0]);
    pin(REDIS, gw.redis.program.pid);

    if (OPTIONS.part !== 'answers') {
      result.cost = await costs(gw, auth);
    }
    if (OPTIONS.part !== 'cost') {
      result.answers = await bothAnswers(gw, auth);
    }
    if (OPTIONS.json) {
      fs.writeFileSync(OPTIONS.json, `${JSON.stringify(result, null, 2)}\n`);
    }
  } finally {
    for (const end of ends) {
      await end();
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
