'use strict';

// What presence costs, on one worker:
//
//     node bench/presence.js [users]
//
// Fills a node with users (sessions that poll and are not held), and measures
// the CPU time of the worker, by the kernel's count of nanoseconds: rendering,
// a join with the long list, and a plain answer of nginx of the same size,
// both without what a small one takes.  Then they go at once: how fast this is
// told, and how late other traffic is meanwhile.

const fs = require('node:fs');

const { gateway } = require('../t/gateway/lib/gateway');
const { request, HttpConnection } = require('../t/gateway/lib/http');
const { RawClient } = require('../t/gateway/lib/client');
const { Polling } = require('../t/gateway/lib/polling');
const { until, parallel } = require('../t/gateway/lib/expect');

const USERS = Number(process.argv[2] || 20000);
const JOINS = 200;

const name = (i) => `user-${String(i).padStart(8, '0')}`;
const cpu = (pid) => Number(
  fs.readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]);
const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

/** Opens sessions on some connections, one request after the other. */
async function fill(gw, users, lanes = 16) {
  const connections = await parallel(Array(lanes).fill(0), lanes,
                                     () => HttpConnection.open(gw.where));
  const path = '/socket.io/?EIO=4&transport=polling';
  const list = [...users];
  const sids = [];

  await Promise.all(connections.map(async (c) => {
    while (list.length > 0) {
      const user = list.pop();
      const open = await c.send(request('GET', path));
      const { sid } = JSON.parse(open.body.slice(1));
      const body = `40${JSON.stringify(gw.auth({ user }))}`;
      await c.send(request('POST', `${path}&sid=${sid}`, { body }));
      sids.push(sid);
    }
    c.destroy();
  }));
  return sids;
}

const presence = async (gw) => (
  await (await fetch(`${gw.url}/status`)).json()).presence;

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Nanoseconds that the worker takes in a millisecond with nothing to do. */
async function idle(pid) {
  const rounds = [];
  for (let round = 0; round < 5; round++) {
    const [before, from] = [cpu(pid), performance.now()];
    await sleep(500);
    rounds.push((cpu(pid) - before) / (performance.now() - from));
  }
  return median(rounds);
}

/** Nanoseconds of the worker for each call, without what it takes anyway. */
async function cost(pid, body, n = JOINS) {
  const rate = await idle(pid);
  const rounds = [];
  for (let round = 0; round < 5; round++) {
    const [before, from] = [cpu(pid), performance.now()];
    for (let i = 0; i < n / 5; i++) {
      await body(round * n + i);
    }
    const anyway = rate * (performance.now() - from);
    rounds.push((cpu(pid) - before - anyway) / (n / 5));
  }
  return median(rounds);
}

async function joins(gw, pid) {
  // An own user for all: nothing changes but once.
  const ws = async () => {
    const it = await RawClient.open(gw.where, {
      auth: gw.auth({ user: 'joiner' }),
    });
    await it.event('PRESENCE_INITIAL_STATE', 1, 20000);
    it.close();
  };
  const poll = async () => {
    const it = await Polling.open(gw.where);
    await it.send(`40${JSON.stringify(gw.auth({ user: 'joiner' }))}`);
    await it.poll();
    await it.send('1');
    it.close();
  };

  await ws();
  return { websocket: await cost(pid, ws), polling: await cost(pid, poll) };
}

async function plain(gw, pid, path) {
  return cost(pid, async () => {
    const c = await HttpConnection.open(gw.where);
    await c.send(request('GET', path));
    c.destroy();
  });
}

async function main() {
  const t = { after(fn) { this.end = fn; } };
  const gw = await gateway(t, {
    redis: false,
    connections: 4096,
    http: { keepalive_requests: '1000000', keepalive_timeout: '300s' },
    block: {
      zone: '128m', presence: 'on', presence_linger: '20s',
    },
    locations: {
      '/socket.io/': {
        socketio_ping_interval: '300s', socketio_ping_timeout: '300s',
      },
      '= /status': { socketio: null, socketio_status: 'mew' },
      '/plain/': { socketio: null, alias: '/dev/shm/', sendfile: 'off' },
    },
    setup: async () => {},
  });

  try {
    const [pid] = gw.nginx.workers();
    const big = `/dev/shm/socketio-${process.pid}-big`;
    const small = `/dev/shm/socketio-${process.pid}-small`;
    const bytes = USERS * (name(0).length + 3);
    fs.writeFileSync(big, 'x'.repeat(bytes), { mode: 0o644 });
    fs.writeFileSync(small, 'x', { mode: 0o644 });

    const short = await joins(gw, pid);
    const few = await plain(gw, pid, `/plain/${small.split('/').pop()}`);
    const many = await plain(gw, pid, `/plain/${big.split('/').pop()}`);
    fs.unlinkSync(big);
    fs.unlinkSync(small);

    const sids = await fill(gw, Array.from({ length: USERS }, (_, i) => (
      name(i))));
    await until(async () => (await presence(gw)).online >= USERS,
                'all are announced', 120000);
    const long = await joins(gw, pid);

    const us = (ns) => Math.round(ns / 100) / 10;
    console.log({
      users: USERS, bytes,
      'us of a join with nobody there': {
        websocket: us(short.websocket), polling: us(short.polling),
      },
      'us of a join with the list': {
        websocket: us(long.websocket), polling: us(long.polling),
      },
      'us of the list': {
        websocket: us(long.websocket - short.websocket),
        polling: us(long.polling - short.polling),
      },
      'us of a plain answer of that size': us(many - few),
    });
    console.log(await drop(gw, sids.slice(0, 5000)));
  } finally {
    await t.end();
  }
}

/** All close at once; somebody listens, somebody else measures. */
async function drop(gw, sids) {
  const witness = await RawClient.open(gw.where, {
    auth: gw.auth({ user: 'witness' }),
  });
  await witness.event('PRESENCE_INITIAL_STATE', 1, 20000);
  const count = () => witness.received('PRESENCE_UPDATE')
    .filter(([it]) => it.status === 'offline').length;
  const late = [];
  let stop = false;

  const probe = (async () => {
    const session = await HttpConnection.open(gw.where);
    while (!stop) {
      const before = performance.now();
      await session.send(request('GET', '/status'));
      late.push(performance.now() - before);
      await sleep(5);
    }
    session.destroy();
  })();

  await sleep(2000);
  const before = [...late];
  late.length = 0;

  const connections = await parallel(Array(16).fill(0), 16,
                                     () => HttpConnection.open(gw.where));
  const list = [...sids];
  await Promise.all(connections.map(async (c) => {
    while (list.length > 0) {
      await c.send(request(
        'POST', `/socket.io/?EIO=4&transport=polling&sid=${list.pop()}`,
        { body: '1' }));
    }
    c.destroy();
  }));

  await until(() => count() > 0, 'the first is gone', 60000);
  const begin = performance.now();
  const first = count();
  late.length = 0;
  await until(() => count() >= sids.length, () => `${count()} are gone`,
              120000);
  const seconds = (performance.now() - begin) / 1000;
  const during = [...late];
  stop = true;
  await probe;
  witness.close();

  const p99 = (it) => Math.round(
    it.sort((a, b) => a - b)[Math.floor(it.length * 0.99)] * 10) / 10;
  return {
    'told in a second': Math.round((sids.length - first) / seconds),
    'p99 of other requests, ms': { before: p99(before), then: p99(during) },
    samples: [before.length, during.length],
  };
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
