'use strict';

// Several workers are one gateway: whoever of them dies, stops or is
// replaced, and whatever becomes of Redis, the clients of the others go on.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { gateway } = require('./lib/gateway');
const { Stream, assertNumbers, numbers } = require('./lib/stream');
const { alive, SocketOwners } = require('./lib/processes');
const { until, SLOW } = require('./lib/expect');

const THREE = { workers: 3, listen: 'reuseport' };

/** Clients that make() gives, so many that every worker has some of them. */
async function spreadOf(gw, count, make) {
  const clients = await Promise.all(Array.from({ length: count }, make));

  for (;;) {
    const workers = gw.workersOf(clients);
    if (new Set(workers).size === gw.nginx.workers().length) {
      clients.forEach((client, i) => { client.worker = workers[i]; });
      return clients;
    }
    clients.push(await make(null, clients.length));
  }
}

/** Raw clients in room "r". */
const spread = (gw, count = 24, options = {}) => spreadOf(gw, count, (_, i) => (
  gw.rawConnect({ user: `u${i}`, rooms: ['r'], ...options })));

/** Official clients in room "r". */
const spreadOfficial = (gw, count = 24) => spreadOf(gw, count, (_, i) => (
  gw.connect({ user: `o${i}`, rooms: ['r'] })));

const gaps = (gw) => gw.nginx.log(/\[error\].*(lost|gap)/);

/** Waits until each of the clients has got `more` numbers than now. */
async function advance(clients, more, ms = 20000) {
  const count = (client) => client.received('n').length;
  const goal = clients.map((client) => count(client) + more);
  await until(() => clients.every((c, i) => count(c) >= goal[i]),
              () => `${more} more numbers for all; missing: ${
                clients.map((c, i) => goal[i] - count(c))}`, ms);
}

/** Stops the stream and asserts that these have had all of it. */
async function assertWhole(gw, stream, clients, first = 1) {
  const last = stream.stop();
  // A busy machine may be far behind.
  await until(() => clients.every((c) => c.received('n').at(-1)?.[0] === last),
              `the last number, ${last}`, 30000);
  await gw.settle(clients);
  for (const client of clients) {
    assertNumbers(client, first, last);
  }
}

test('every client on every worker gets everything', async (t) => {
  const gw = await gateway(t, THREE);
  const clients = await spread(gw);
  const official = await spreadOfficial(gw);
  const stream = new Stream(gw, 'r');

  for (let i = 0; i < 2000; i++) {
    stream.publish();
  }
  await assertWhole(gw, stream, [...clients, ...official]);
});

test('kill -9 of the workers that read the feed, under a stream', async (t) => {
  const gw = await gateway(t, THREE);

  // The survivor of the first round holds the lease in the second.
  for (const round of ['the first', 'its heir']) {
    await t.test(round, async () => {
      const [victim] = await gw.feedPair();
      const clients = await spread(gw);
      const others = clients.filter((client) => client.worker !== victim);
      const stream = new Stream(gw, 'r', { rate: 1000 }).start();
      await advance(clients, 300);

      gw.nginx.killWorker(victim);
      await advance(others, 1500);
      await assertWhole(gw, stream, others);

      for (const client of clients) {
        await until(() => client.closed === (client.worker === victim),
                    'only the clients of the dead worker are closed');
        client.close();
      }
    });
  }

  assert.deepEqual(gaps(gw), []);
});

// Who stands by is not woken by each message: they wait in its socket, for a
// tenth of a second at most, and are not lost if the reader dies then.
test('kill -9 of the reader, as messages wait for its heir', async (t) => {
  const gw = await gateway(t, THREE);
  const [reader, standby] = await gw.feedPair();
  const clients = await spread(gw);
  const others = clients.filter((client) => client.worker !== reader);
  const stream = new Stream(gw, 'r');
  const unread = () => (
    new SocketOwners([standby]).unread(gw.redis.port));

  await until(async () => {
    // more than half of what has to be there never comes at once
    for (let times = 0; times < 4; times++) {
      for (let i = 0; i < 5; i++) {
        stream.publish();
      }
      await delay(5);
    }
    return unread() > 1000;
  }, 'messages wait in the socket');

  await until(() => unread() === 0, 'it reads them');

  await until(async () => {
    stream.publish();
    await delay(5);
    return unread() > 0;
  }, 'a message waits');
  gw.nginx.killWorker(reader);

  await assertWhole(gw, stream, others);
  assert.deepEqual(gaps(gw), []);
});

test('kill -9 of each worker in turn', async (t) => {
  const gw = await gateway(t, THREE);
  const clients = await spreadOfficial(gw);

  for (const victim of gw.nginx.workers()) {
    await gw.feedPair();
    const before = clients.map((client) => client.connects);
    const workers = gw.workersOf(clients);

    gw.nginx.killWorker(victim);
    await until(() => clients.every((client, i) => (
      workers[i] !== victim || client.received('ready').length > before[i])),
                'the dead worker\'s clients are back', 15000);
    await until(() => gw.nginx.workers().length === 3, 'a new worker');

    gw.emitter.to('r').emit('victim', victim);
    await gw.settle(clients);
    clients.forEach((client, i) => {
      assert.equal(client.received('victim').filter(
        ([pid]) => pid === victim).length, 1, `${client} is in its room`);
      assert.equal(client.connects, before[i] + (workers[i] === victim ? 1 : 0),
                   'only those of the dead worker had to come back');
    });
  }

  assert.deepEqual(gaps(gw), []);
});

test('a storm of kills', async (t) => {
  const gw = await gateway(t, THREE);
  const clients = await spreadOfficial(gw, 30);
  const stream = new Stream(gw, 'r', { rate: 500 }).start();
  let turn = 0;

  for (let kill = 0; kill < 12; kill++) {
    const workers = gw.nginx.workers();
    const goal = stream.sent + 100;
    gw.nginx.killWorker(workers[kill % workers.length]);
    // Memberships change all the time, so that some die in the middle of it.
    await until(() => {
      gw.emitter.socketsJoin(`room ${++turn}`);
      gw.emitter.socketsLeave(`room ${turn - 1}`);
      return stream.sent >= goal && gw.nginx.workers().length === 3;
    }, 'a new worker');
  }
  stream.stop();

  await until(() => clients.every((client) => client.socket.connected
              && client.received('ready').length === client.connects),
              'everybody is back', 20000);
  await gw.feedPair();
  gw.emitter.in('r').except('user:o0').socketsJoin('after');
  gw.emitter.to('after').emit('after');
  await gw.settle(clients);
  assert.deepEqual(clients.map((client) => client.received('after').length),
                   clients.map((_, i) => (i === 0 ? 0 : 1)));
});

test('Redis stopped and started', async (t) => {
  const gw = await gateway(t, THREE);
  const clients = await spreadOfficial(gw, 15);
  await gw.feedPair();

  await gw.redis.stop('SIGKILL');

  await t.test('new clients are closed, not refused', async () => {
    const start = performance.now();
    const raw = await gw.rawClient({ user: 'new', rooms: ['r'] })
      .catch((error) => error);
    if (raw instanceof Error) {
      assert.equal(raw.head?.status, 503);
    } else {
      await until(() => raw.closed, 'it is closed', 7000);
      assert.deepEqual(raw.packets, []);
    }
    assert.ok(performance.now() - start < 7000);
  });

  await t.test('live ones stay, new ones get in later', async () => {
    const late = gw.client({ user: 'late', rooms: ['r'] });
    await until(() => late.failures.length + late.disconnects.length > 0
                || late.socket.io.engine?.readyState === 'open', 'it tries');
    assert.equal(late.connects, 0);

    await gw.redis.start();
    await gw.redis.subscribed(1, 15000);
    await late.ready(1, 20000);
    gw.emitter.to('r').emit('back');
    await gw.settle(late, clients);
    for (const client of [late, ...clients]) {
      assert.equal(client.received('back').length, 1);
      assert.deepEqual(client.refusals, []);
    }
    assert.deepEqual(clients.flatMap((client) => client.disconnects), []);
  });

  await t.test('one line tells of the gap', () => {
    assert.equal(gaps(gw).length, 1, gaps(gw).join('\n'));
  });
});

test('Redis that comes later than nginx', async (t) => {
  await t.test('CONNECT waits for the feed', async (t) => {
    const gw = await gateway(t, {
      proxy: true, setup: (it) => it.proxy.hold('subscribe'),
    });
    const client = await gw.rawClient({ user: 'early' });
    await client.ws.roundTrip();
    assert.deepEqual(client.packets, []);

    gw.proxy.release();
    await client.ready();
    await gw.settle(client);
    assert.deepEqual(gaps(gw), []);
  });

  await t.test('nginx starts without Redis', async (t) => {
    const gw = await gateway(t, {
      ...THREE, setup: (it) => it.redis.stop('SIGKILL'),
    });
    const client = gw.client({ user: 'early' });
    await until(() => client.socket.io.engine?.readyState === 'open',
                'the WebSocket is open');
    await gw.redis.start();
    await client.ready(1, 20000);
    await gw.settle(client);
    assert.deepEqual(client.refusals, []);
    assert.deepEqual(gaps(gw), []);
  });
});

test('subscriptions that Redis ends', async (t) => {
  const gw = await gateway(t, THREE);
  const clients = await spread(gw, 20);
  const stream = new Stream(gw, 'r', { rate: 500 });

  await t.test('one after the other: nothing is lost', async () => {
    await gw.feedPair();
    stream.start();
    for (const { id } of await gw.redis.subscribers()) {
      await advance(clients, 100);
      await gw.redis.commands.sendCommand(['CLIENT', 'KILL', 'ID', id]);

      // it has been noticed: until then the roles are those of before
      await until(async () => {
        const left = await gw.redis.subscribers();
        return left.length > 1 && left.every((it) => it.id !== id);
      }, 'another one has subscribed');
      await gw.feedPair();
    }
    await advance(clients, 100);
    await assertWhole(gw, stream, clients);
    assert.deepEqual(gaps(gw), []);
  });

  await t.test('all together: a gap, but nobody is closed', async () => {
    const kinds = ['pubsub', 'normal'];
    for (const kind of kinds) {
      await gw.redis.commands.sendCommand(
        ['CLIENT', 'KILL', 'TYPE', kind, 'SKIPME', 'yes']);
    }
    await gw.feedPair();
    gw.emitter.to('r').emit('after the gap');
    await gw.settle(clients);
    assert.deepEqual(clients.map((c) => c.received('after the gap').length),
                     clients.map(() => 1));
    assert.equal(gaps(gw).length, 1, gaps(gw).join('\n'));
  });
});

test('a worker that stops for seconds', async (t) => {
  const gw = await gateway(t, {
    ...THREE, block: { zone: '4m', log: '256k' },
  });
  const official = await spreadOfficial(gw, 15);
  const stop = async (victim) => {
    const clients = await spread(gw, 15);
    const others = clients.filter((client) => client.worker !== victim);
    const theirs = official.filter((_, i) => (
      gw.workersOf(official)[i] === victim));
    const connects = theirs.map((client) => client.connects);
    const stream = new Stream(gw, 'r', {
      rate: 2000 / SLOW, size: 200,
    }).start();

    await advance(clients, 200);
    process.kill(victim, 'SIGSTOP');
    try {
      // Three seconds of it or more, many times what the log holds.
      await advance(others, 6000, 30000);
      assert.ok(clients.every((c) => !c.closed || c.worker === victim));
    } finally {
      process.kill(victim, 'SIGCONT');
    }
    await advance(others, 500);
    await assertWhole(gw, stream, others);

    // Its own clients have missed something, so they have to come back.
    for (const client of clients) {
      if (client.worker === victim) {
        await until(() => client.closed, `${client} is closed`);
      }
      client.close();
    }
    await until(() => theirs.every((c, i) => (
      c.received('ready').length > connects[i])), 'they come back', 15000);
  };

  await t.test('one that does not read the feed', async () => {
    const pair = await gw.feedPair();
    await stop(gw.nginx.workers().find((pid) => !pair.includes(pid)));
    assert.deepEqual(gaps(gw), []);
  });

  // One of the two holds the lease.
  for (const which of [0, 1]) {
    await t.test(`one that reads the feed, ${which}`, async () => {
      const pair = await gw.feedPair();
      await stop(pair[which]);
      assert.deepEqual(gaps(gw), []);
    });
  }
});

/** The worker that a line of the log is from. */
const author = (line) => Number(/ (\d+)#/.exec(line)[1]);

// Who would have to begin anew gives the reader three seconds.  If it is slow
// for less, it goes on, and nothing is lost.
test('a reader of the feed stops, and nobody stands by', async (t) => {
  const gw = await gateway(t, { workers: 2, listen: 'reuseport', proxy: true });
  const readers = () => gw.nginx.log(/is read by this worker/).map(author);
  const standby = () => gw.nginx.log(/this worker stands by/).map(author);
  let clients;

  await until(() => standby().length > 0, 'a worker that stands by');
  const [reader] = readers();
  const stop = async (condition, what) => {
    const begin = performance.now();
    process.kill(reader, 'SIGSTOP');
    await until(() => condition(performance.now() - begin), what)
      .finally(() => process.kill(reader, 'SIGCONT'));
    return performance.now() - begin;
  };

  // The next one asks for a subscription in vain.
  gw.proxy.hold('psubscribe');
  gw.nginx.killWorker(standby()[0]);
  await until(() => gw.proxy.seen > 0, 'one that would stand by');

  await t.test('for two seconds', async () => {
    clients = await spread(gw, 10);
    const stream = new Stream(gw, 'r', { rate: 200 }).start();
    gw.closers.push(() => stream.stop());

    await advance(clients, 50);
    await stop((ms) => ms > 2000, 'two seconds pass');
    await advance(clients, 50);
    await assertWhole(gw, stream, clients);
    assert.deepEqual(readers(), [reader]);
    assert.equal(standby().length, 1);
    assert.deepEqual(gaps(gw), []);
  });

  await t.test('for longer', async () => {
    const ms = await stop(() => readers().length > 1, 'another one reads it');

    assert.ok(ms > 2500, `after ${ms} ms`);
    gw.proxy.release();
    await until(() => gaps(gw).length > 0, 'the gap is told');
    gw.emitter.to('r').emit('behind the gap');
    await gw.settle(clients);
    assert.deepEqual(clients.map((c) => c.received('behind the gap').length),
                     clients.map(() => 1));
    assert.equal(gaps(gw).length, 1, gaps(gw).join('\n'));
  });
});

test('reload', async (t) => {
  const gw = await gateway(t, THREE);
  const clients = await spreadOfficial(gw);
  const old = [];

  for (const interval of ['11s', '12s', '13s']) {
    await t.test(`with another configuration, ${interval}`, async () => {
      gw.options.location = { socketio_ping_interval: interval };
      gw.configure();
      const counts = clients.map((client) => client.received('ready').length);
      old.push(...await gw.nginx.reload());

      const fresh = await gw.rawConnect({ user: 'fresh' });
      assert.equal(`${fresh.handshake.pingInterval / 1000}s`, interval);
      await until(() => clients.every((client, i) => (
        client.received('ready').length > counts[i])), 'all come back', 45000);
      gw.emitter.to('r').emit(interval);
      await gw.settle(clients);
      for (const client of clients) {
        assert.equal(client.received(interval).length, 1);
      }
    });
  }

  await t.test('the old workers go', async () => {
    await until(() => old.every((pid) => !alive(pid)), 'they are gone', 45000);
    assert.equal(gw.nginx.workers({ leaving: true }).length, 3);
  });

  await t.test('a broken configuration changes nothing', async () => {
    gw.nginx.expect(/\[emerg\].*socketio_bogus/);
    gw.options.location = { socketio_bogus: 'on' };
    gw.configure();
    process.kill(gw.nginx.pid, 'SIGHUP');
    await until(() => gw.nginx.log(/socketio_bogus/).length > 0, 'it is read');
    await gw.settle(clients);
  });
});

test('reload under a stream', async (t) => {
  const gw = await gateway(t, THREE);
  await gw.feedPair();

  for (const round of [1, 2]) {
    await t.test(`round ${round}`, async () => {
      const clients = await spread(gw);
      const stream = new Stream(gw, 'r', { rate: 1000 }).start();
      await advance(clients, 300);

      await gw.nginx.reload();
      const fresh = await spread(gw, 24, {
        onopen: (it) => {
          it.onconnect = () => { it.replyAt = stream.sent; };
        },
      });
      await until(() => clients.every((client) => client.closed),
                  'the clients of old workers are closed', 45000);
      await advance(fresh, 1000);

      const last = stream.stop();
      await gw.settle(fresh);
      for (const client of clients) {
        assertNumbers(client, 1, numbers(client).length);
      }
      for (const client of fresh) {
        const [first] = numbers(client);
        assert.ok(first <= client.replyAt + 1, `${first}, ${client.replyAt}`);
        assertNumbers(client, first, last);
        client.close();
      }
    });
  }
  assert.deepEqual(gaps(gw), []);
});

for (const signal of ['SIGQUIT', 'SIGTERM']) {
  test(`${signal} with clients`, async (t) => {
    const gw = await gateway(t, { ...THREE, block: { drain: '1s' } });
    const clients = await spread(gw);
    const opened = await gw.socket();
    const leaving = [...gw.nginx.workers(), gw.nginx.pid];

    await gw.nginx.stop(signal);
    assert.deepEqual(leaving.filter(alive), []);
    await Promise.all([opened, ...clients.map((c) => c.ws)].map(
      (ws) => ws.ended));
    gw.nginx.assertQuiet();
  });
}

test('a full zone', async (t) => {
  const gw = await gateway(t, {
    ...THREE, block: { zone: '1m', log: '256k' }, connections: 8192,
  });
  const witness = await gw.rawConnect({ user: 'witness', rooms: ['r'] });
  const warnings = () => gw.nginx.log(/\[warn\].*zone/);
  let clients = [];
  let users = 0;

  /** Connects clients until one is refused; returns the refusal. */
  const fill = async () => {
    for (;;) {
      const batch = await Promise.all(Array.from({ length: 20 }, () => (
        gw.rawConnect({ user: `u${users++}`, rooms: ['r', `r${users % 50}`] })
          .catch((error) => error))));
      clients.push(...batch.filter((it) => !(it instanceof Error)));
      const refused = batch.find((it) => it instanceof Error);
      if (refused) {
        return refused;
      }
      assert.ok(clients.length < 5000, 'the zone never fills');
    }
  };
  const leave = async () => {
    clients.forEach((client) => client.close());
    clients = [];
    await until(() => gw.rawConnect({ user: 'next' }).then(
      (client) => { client.close(); return true; }, () => false),
                'there is room again');
  };

  let capacity;

  await t.test('newcomers get 503', async () => {
    const refused = await fill();
    capacity = clients.length;
    assert.equal(refused.head?.status, 503, String(refused));
    assert.ok(capacity >= 100, `it held ${capacity} clients`);
  });

  await t.test('one line tells of it, and names the remedy', () => {
    assert.equal(warnings().length, 1, warnings().join('\n'));
    assert.match(warnings()[0], /zone/);
  });

  await t.test('live clients go on', async () => {
    gw.emitter.to('r').emit('still here');
    await gw.settle(witness, clients);
    assert.equal(witness.received('still here').length, 1);
    assert.ok(clients.every((c) => c.received('still here').length === 1));
  });

  for (let round = 1; round <= 3; round++) {
    await t.test(`when they leave it holds as many again, ${round}`,
      async () => {
        await leave();
        await fill();
        assert.ok(Math.abs(clients.length - capacity) <= 20,
                  `${clients.length} instead of ${capacity}`);
      });
  }

  await t.test('a killed worker\'s clients leave the zone too', async () => {
    await gw.feedPair();
    const workers = gw.workersOf(clients);
    const victim = gw.workersOf([witness])[0] === workers[0]
      ? workers.find((pid) => pid !== workers[0]) : workers[0];
    const dead = workers.filter((pid) => pid === victim).length;

    gw.nginx.killWorker(victim);
    await until(() => gw.nginx.workers().length === 3, 'a new worker');
    clients = clients.filter((_, i) => workers[i] !== victim);
    const before = clients.length;
    await until(async () => {
      await fill();
      return clients.length >= before + dead - 20;
    }, 'the room of the dead is used again');
    await gw.settle(witness);
  });
});
