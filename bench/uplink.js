'use strict';

// What an event of a client for the backend costs, on one worker:
//
//     node bench/uplink.js [rate [seconds]]
//
// Some WebSockets send events at a steady rate, and Redis has to have all of
// them: the CPU time of the worker for each, and of a loop that does nothing
// else.  Then 1,000 a second are answered by a backend that reads the stream:
// the time from a client to its answer.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync, execFile } = require('node:child_process');
const { promisify } = require('node:util');

const { gateway } = require('../t/gateway/lib/gateway');
const { Program, freePort } = require('../t/gateway/lib/processes');
const { until } = require('../t/gateway/lib/expect');

const RATE = Number(process.argv[2] || 30000);
const SECONDS = Number(process.argv[3] || 10);
const CONNS = 100;
const ROUNDS = 3;
const STREAM = 'up';
const GROUP = 'bench';
const TICK = 10;                // ms of a tick of the clock in /proc

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-bench-'));
const rawup = path.join(dir, 'rawup');
const run = promisify(execFile);
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

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

async function load(kind, port, options) {
  const args = Object.entries({ conns: CONNS, ...options })
    .flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout } = await run(rawup, [kind, '--port', port, ...args]);
  return JSON.parse(stdout);
}

const added = async (redis) => {
  const info = await redis.commands.sendCommand(['XINFO', 'STREAM', STREAM]);
  return Number(info[info.indexOf('entries-added') + 1]);
};

/** Sends, and takes the time of the process with this pid. */
async function cost(redis, port, pid, auth) {
  const rounds = [];

  for (let round = 0; round < ROUNDS; round++) {
    await redis.commands.del(STREAM);
    const before = cpu(pid);
    const sent = await load('send', port, {
      rate: RATE, seconds: SECONDS, auth,
    });
    await until(async () => await added(redis) >= sent.sent - sent.refused,
                'all are stored', 20000);
    rounds.push({
      ...each(before, cpu(pid), sent.sent), rate: sent.sent / sent.seconds,
      refused: sent.sent - await added(redis), late: sent.late,
      load: os.loadavg()[0],
    });
    console.log(JSON.stringify(rounds.at(-1)));
  }
  return rounds;
}

/** A backend that answers all, on connections of its own. */
async function backend(redis) {
  const client = await redis.client();
  let over = false;

  await client.xGroupCreate(STREAM, GROUP, '$', { MKSTREAM: true });
  const loop = async () => {
    while (!over) {
      const answer = await client.sendCommand([
        'XREADGROUP', 'GROUP', GROUP, 'one', 'COUNT', '100', 'BLOCK', '200',
        'STREAMS', STREAM, '>']);
      const list = answer?.[0][1] ?? [];
      if (list.length > 0) {
        await Promise.all([
          client.publish('socket.io-command', JSON.stringify(list.map(
            ([, fields]) => ({
              op: 'ack', sid: fields[fields.indexOf('sid') + 1],
              ack: Number(fields[fields.indexOf('ack') + 1]), args: ['ok'],
            })))),
          client.xAck(STREAM, GROUP, list.map(([id]) => id)),
        ]);
      }
    }
  };
  const done = loop();
  return { stop: () => { over = true; return done; } };
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

  try {
    execFileSync('gcc', ['-O2', '-o', rawup, path.join(__dirname, 'rawup.c'),
                         '-lhiredis']);
    await gw.live();
    const [pid] = gw.nginx.workers();
    const auth = JSON.stringify(gw.auth({ user: 'user-00000001' }));
    const { redis } = gw;

    console.log(`${CONNS} WebSockets, ${RATE} events a second`);
    const module = await cost(redis, gw.port, pid, auth);

    const port = await freePort();
    const raw = new Program(rawup, ['serve', '--port', String(port), '--redis',
                                    String(redis.port)]);
    await raw.listening({ port, host: '127.0.0.1' });
    console.log('the same in a loop that does nothing else');
    const loop = await cost(redis, port, raw.pid, auth);
    await raw.stop('SIGKILL');

    const sum = (list, key) => median(list.map((it) => it[key])).toFixed(2);
    for (const [name, list] of Object.entries({ module, loop })) {
      console.log(`${name}: ${sum(list, 'all')} us for an event (user ${
        sum(list, 'user')}, sys ${sum(list, 'sys')}) at ${
        Math.round(median(list.map((it) => it.rate)))} a second`);
    }

    await redis.commands.del(STREAM);
    const consumer = await backend(redis);
    for (let round = 0; round < ROUNDS; round++) {
      const it = await load('ask', gw.port, {
        rate: 1000, seconds: SECONDS, auth,
      });
      console.log(`${it.answers} of ${it.sent} answered, ms: p50 ${
        it.p50}, p99 ${it.p99}, max ${it.max}; load ${os.loadavg()[0]}`);
    }
    await consumer.stop();
  } finally {
    for (const end of ends) {
      await end();
    }
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
