'use strict';

// The backend is told of sockets that come and go: "$connect" before all that a
// socket sends, "$disconnect" behind it and at least once, whoever dies.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { until, parallel } = require('./lib/expect');

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

const start = (t, workers, { block, location, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: '/ /admin', node: 'n1', ...block },
  locations: {
    '/socket.io/': { socketio_forward: ['* stream=up'], ...location },
  },
  ...options,
});

/** The entries of a stream, as objects. */
async function entries(gw, key = 'up') {
  const list = await gw.redis.commands.xRange(key, '-', '+');
  return list.map(({ message }) => ({ ...message }));
}

/** Those of one socket: [event, arguments]. */
const told = async (gw, sid, key) => (await entries(gw, key))
  .filter((e) => e.sid === sid)
  .map((e) => [e.event, JSON.parse(e.args)]);

/** Waits until this much was told of a socket. */
async function tellsOf(gw, sid, count, ms) {
  let list;
  await until(async () => {
    list = await told(gw, sid);
    return list.length >= count;
  }, () => `${count} entries of ${sid}: ${JSON.stringify(list)}`, ms);
  return list;
}

const gone = async (gw, sid, ms) => until(
  async () => (await told(gw, sid)).at(-1)?.[0] === '$disconnect',
  `$disconnect of ${sid}`, ms);

eachWorkers([1, 3], 'a socket comes, speaks, and goes', async (t, workers) => {
  const gw = await start(t, workers);

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async () => {
      for (let round = 0; round < 5; round++) {
        const client = gw.client({ user: kind, transports });
        client.socket.auth.device = { 'a"': [1, null, 'ä'] };
        for (let n = 0; n < 20; n++) {
          client.socket.emit('x', n);
        }
        await client.ready();
        const { id } = client;
        client.socket.emit('x', 20);
        client.socket.disconnect();

        const list = await tellsOf(gw, id, 23);
        assert.deepEqual(list, [
          ['$connect', [{ device: { 'a"': [1, null, 'ä'] } }]],
          ...Array.from({ length: 21 }, (_, n) => ['x', [n]]),
          ['$disconnect', ['client namespace disconnect']],
        ]);
      }

      const [first] = (await entries(gw)).filter((e) => e.user === kind);
      const { time, sid, args, ...rest } = first;
      assert.deepEqual(rest, { event: '$connect', user: kind, nsp: '/',
                               ack: '', node: 'n1' });
      assert.ok(Math.abs(Number(time) - Date.now()) < 60000);
      assert.ok(!args.includes('token'));
    });
  }

  await t.test('without a payload', async () => {
    const text = await entries(gw);
    assert.ok(text.every((e) => !e.args.includes('eyJ')));
    assert.equal((await gw.status()).forward.lost, 0);
    await until(async () => (await gw.status()).forward.waiting === 0,
                'nothing waits');
  });
});

eachWorkers([1, 3], 'namespaces', async (t, workers) => {
  const gw = await start(t, workers);

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async () => {
      const client = await gw.connect({ user: kind, transports });
      const admin = await client.of('/admin').ready();
      const [id, adminId] = [client.id, admin.id];
      admin.socket.emit('x', 1);
      admin.socket.disconnect();
      assert.deepEqual((await tellsOf(gw, adminId, 3)).map(([e]) => e),
                       ['$connect', 'x', '$disconnect']);
      assert.deepEqual((await told(gw, id)).map(([e]) => e), ['$connect']);

      const again = await client.of('/admin').connected();
      const againId = again.id;
      client.stay();
      client.socket.io.engine.close();
      for (const sid of [id, againId]) {
        assert.deepEqual((await tellsOf(gw, sid, 2)), [
          ['$connect', [{}]], ['$disconnect', ['transport close']],
        ]);
      }
      const nsps = (await entries(gw)).filter((e) => e.sid === againId);
      assert.deepEqual(nsps.map((e) => e.nsp), ['/admin', '/admin']);
      client.close();
    });
  }
});

eachWorkers([1, 3], 'why a socket went', async (t, workers) => {
  const gw = await start(t, workers, {
    location: {
      socketio_forward: ['* stream=up'],
      socketio_ping_interval: '300ms', socketio_ping_timeout: '300ms',
    },
  });
  const reason = async (sid) => {
    await gone(gw, sid, 15000);
    const list = await told(gw, sid);
    assert.equal(list.filter(([e]) => e === '$disconnect').length, 1);
    return list.at(-1)[1][0];
  };

  for (const kind of ['websocket', 'polling', 'upgrade']) {
    const transports = TRANSPORTS[kind];

    await t.test(`by the emitter, over ${kind}`, async () => {
      const client = await gw.connect({ user: `e-${kind}`, transports });
      const { id } = client;
      gw.emitter.in(`user:e-${kind}`).disconnectSockets();
      assert.equal(await reason(id), 'server namespace disconnect');
      client.close();
    });

    await t.test(`with its transport, over ${kind}`, async () => {
      const client = await gw.connect({ user: `k-${kind}`, transports });
      const admin = await client.of('/admin').ready();
      const ids = [client.id, admin.id];
      gw.emitter.in(`user:k-${kind}`).disconnectSockets(true);
      for (const id of ids) {
        assert.equal(await reason(id), 'server namespace disconnect');
      }
      client.close();
    });
  }

  await t.test('no pong over a WebSocket', async () => {
    const ws = await gw.joined({ user: 'p' });
    assert.equal(await reason(ws.sid), 'ping timeout');
  });

  await t.test('no pong over polling', async () => {
    const session = await gw.polled({ user: 'p2' });
    assert.equal(await reason(session.id), 'ping timeout');
  });

  await t.test('an error of the protocol', async () => {
    const client = await gw.rawConnect({ user: 'f' });
    client.send('4garbage');
    assert.equal(await reason(client.id), 'forced close');
  });

  await t.test('the connection is lost', async () => {
    const client = await gw.rawConnect({ user: 'l' });
    client.ws.destroy();
    assert.match(await reason(client.id), /^transport (close|error)$/);
  });
});

// What a client posts next comes behind: its CONNECT is answered when the
// backend has heard of it, though the socket is there before.
eachWorkers([1, 3], 'a POST is answered when the backend has heard of its socket',
            async (t, workers) => {
  const gw = await start(t, workers);
  const pause = (ms) => gw.redis.commands.sendCommand(
    ['CLIENT', 'PAUSE', String(ms), 'WRITE']);

  for (const nsp of ['', '/admin,']) {
    await t.test(`in ${nsp || '/'}`, async () => {
      const session = await gw.polling();
      // Rooms are read, entries wait.
      await pause(2000);
      let answered = false;
      const posted = session
        .send(`40${nsp}${JSON.stringify(gw.auth({ user: 'p' }))}`)
        .then(() => { answered = true; });
      const reply = await session.next();
      assert.ok(reply.startsWith(`40${nsp}{`), reply);
      assert.ok(!answered);
      await gw.redis.commands.sendCommand(['CLIENT', 'UNPAUSE']);
      await posted;
      const { sid } = JSON.parse(reply.slice(reply.indexOf('{')));
      assert.deepEqual(await told(gw, sid), [['$connect', [{}]]]);
      await session.send('1');
      await gone(gw, sid);
    });
  }

  await t.test('and a client that breaks it off ends', async () => {
    const session = await gw.polling();
    await pause(2000);
    const posted = session
      .send(`40${JSON.stringify(gw.auth({ user: 'p' }))}`).catch(() => {});
    const reply = await session.next();
    const { sid } = JSON.parse(reply.slice(2));
    session.close();
    await gw.redis.commands.sendCommand(['CLIENT', 'UNPAUSE']);
    await posted;
    assert.deepEqual((await tellsOf(gw, sid, 2)).map(([e]) => e),
                     ['$connect', '$disconnect']);
  });
});

// An end comes behind what was posted, though another worker may see it first.
eachWorkers([3], 'a socket ends with events on their way', async (t, workers) => {
  const gw = await start(t, workers, {
    location: {
      socketio_forward: ['* stream=up'],
      socketio_ping_interval: '300ms', socketio_ping_timeout: '300ms',
    },
  });
  const sessions = await parallel(
    Array.from({ length: 24 }, (_, i) => i), 8,
    (i) => gw.polled({ user: `u${i}` }));
  gw.redis.program.kill('SIGSTOP');
  for (const session of sessions) {
    session.send('42["x"]').catch(() => {});
  }
  await until(async () => (await gw.status()).forward.waiting >= 24,
              'all have ended');
  gw.redis.program.kill('SIGCONT');
  for (const { id } of sessions) {
    assert.deepEqual((await tellsOf(gw, id, 3)).map(([e]) => e),
                     ['$connect', 'x', '$disconnect']);
  }
});

eachWorkers([1, 3], 'a socket that is recovered', async (t, workers) => {
  const gw = await start(t, workers, {
    block: { recovery: '30s' },
    location: {
      socketio_forward: ['* stream=up'], socketio_rooms: 'claim=rooms',
    },
  });

  for (const [kind, transports] of Object.entries(TRANSPORTS)) {
    await t.test(`over ${kind}`, async () => {
      const client = await gw.connect({ user: kind, transports });
      const { id } = client;
      gw.emitter.emit('news', 1);
      await client.eventWith('news', 1);

      for (let round = 1; round <= 4; round++) {
        client.socket.emit('x', round);
        await tellsOf(gw, id, round * 3 - 1);
        await client.away();
        assert.equal(await client.back(15000), true);
        assert.equal(client.id, id);
      }
      await tellsOf(gw, id, 13);
      client.socket.disconnect();
      await gone(gw, id);

      const list = (await entries(gw)).filter((e) => e.sid === id);
      assert.deepEqual(
        list.map((e) => `${e.event}${e.recovered || ''}`), [
          '$connect', 'x',
          ...[2, 3, 4].flatMap(() => ['$disconnect', '$connect1', 'x']),
          '$disconnect', '$connect1', '$disconnect',
        ]);
      assert.ok(list.every((e) => !/pid|offset|token/.test(e.args)));
    });
  }

  // The reply waits until the end is confirmed, on whatever connection.
  await t.test('while Redis is slow', async () => {
    const clients = await parallel(
      Array.from({ length: 12 }, (_, i) => i), 6,
      (i) => gw.rawConnect({ user: `slow${i}` }));
    gw.redis.program.kill('SIGSTOP');
    clients.forEach((c) => c.ws.destroy());
    await until(async () => (await gw.status()).forward.waiting === 12,
                'farewells');
    const again = await parallel(clients, 12, (c) => gw.rawClient({
      user: c.name, auth: { ...gw.auth({ user: c.name }), pid: c.pid },
    }));
    // A round trip of each worker.
    await parallel([...Array(12)], 12, () => gw.status());
    assert.ok(again.every((c) => c.connects === 0));
    gw.redis.program.kill('SIGCONT');
    for (const client of again) {
      await client.connected();
      const old = clients.find((c) => c.name === client.name);
      assert.equal(client.id, old.id);
      assert.deepEqual(
        (await tellsOf(gw, old.id, 3)).map(([e]) => e),
        ['$connect', '$disconnect', '$connect']);
    }
  });

  await t.test('though its old transport still stands', async () => {
    const client = await gw.rawConnect({ user: 'ghost' });
    const again = await gw.rawClient({ user: 'ghost', auth: {
      ...gw.auth({ user: 'ghost' }), pid: client.pid,
    } });
    await again.connected();
    assert.equal(again.id, client.id);
    assert.deepEqual(
      (await tellsOf(gw, client.id, 3)).map(([e]) => e),
      ['$connect', '$disconnect', '$connect']);
  });
});

/**
 * Waits until every third client is on its WebSocket.  An official client
 * whose upgrade is cut off when it has paused its polling notices nothing
 * until a ping is missed.
 */
function upgraded(clients) {
  return until(() => clients.every(
    ({ upgrades }, i) => upgrades === Number(i % 3 === 2)), 'all upgrades');
}

eachWorkers([1, 3], 'a worker is killed', async (t, workers) => {
  for (const recovery of [undefined, '30s']) {
    await t.test(`recovery: ${recovery}`, async () => {
      const gw = await start(t, workers, { block: { recovery } });
      const clients = await parallel(
        Array.from({ length: 12 }, (_, i) => i), 6,
        (i) => gw.connect({ user: `u${i}`,
                            transports: Object.values(TRANSPORTS)[i % 3] }));
      const ids = clients.map((c) => c.id);

      // who is between two polls is nobody's, and lives on
      await upgraded(clients);
      await until(async () => {
        const { polling, websocket } = (await gw.status()).connections;
        return polling === 4 && websocket === 8;
      }, 'all are held by workers');
      for (const pid of gw.nginx.workers()) {
        gw.nginx.killWorker(pid);
      }
      await parallel(clients, 12, (c) => c.connected(2, 20000));

      for (const id of ids) {
        await until(async () => (await told(gw, id))
          .some(([e]) => e === '$disconnect'), `the end of ${id}`, 60000);
      }
      // Who was not recovered is not the same socket.
      for (const [i, client] of clients.entries()) {
        const list = (await told(gw, ids[i])).map(([e]) => e);
        assert.equal(list[0], '$connect');
        if (client.recovered.at(-1)) {
          assert.equal(client.id, ids[i]);
          await until(async () => (await told(gw, ids[i])).at(-1)[0]
                      === '$connect', 'it is back');
        }
      }
    });
  }
});

eachWorkers([1, 3], 'a reload', async (t, workers) => {
  const gw = await start(t, workers, { block: { recovery: '30s' } });
  const clients = await parallel(
    Array.from({ length: 9 }, (_, i) => i), 3,
    (i) => gw.connect({ user: `u${i}`,
                        transports: Object.values(TRANSPORTS)[i % 3] }));
  const ids = clients.map((c) => c.id);
  await upgraded(clients);
  await gw.nginx.reload();

  for (const [i, client] of clients.entries()) {
    const polls = i % 3 === 1;
    if (!polls) {
      await client.connected(2, 15000);
    }
    const list = await tellsOf(gw, ids[i], polls ? 1 : 3);
    assert.deepEqual(list.map(([e]) => e),
                     polls ? ['$connect']
                       : ['$connect', '$disconnect', '$connect']);
    if (!polls) {
      assert.equal(list[1][1][0], 'server shutting down');
    }
  }
});

test('nginx ends', async (t) => {
  const gw = await start(t, 1);
  const clients = await parallel([1, 2, 3, 4], 4,
                                 (i) => gw.connect({ user: `u${i}` }));
  const ids = clients.map((c) => c.id);
  clients.forEach((c) => c.stay());
  await gw.nginx.stop('SIGQUIT');
  for (const id of ids) {
    assert.deepEqual((await told(gw, id)).map(([e]) => e),
                     ['$connect', '$disconnect']);
  }
});

eachWorkers([1, 3], 'Redis is away', async (t, workers) => {
  const gw = await start(t, workers);

  await t.test('while sockets end', async () => {
    const clients = await parallel(
      Array.from({ length: 60 }, (_, i) => i), 6,
      (i) => gw.connect({ user: `u${i}`,
                          transports: Object.values(TRANSPORTS)[i % 3] }));
    const ids = clients.map((c) => c.id);
    await gw.redis.stop('SIGKILL');
    for (const client of clients) {
      client.close();
    }
    await until(async () => (await gw.status()).forward.waiting === 60,
                'farewells');
    await gw.redis.start();
    await until(async () => (await entries(gw)).length >= 60,
                'all of them', 20000);
    const list = await entries(gw);
    assert.ok(list.every((e) => e.event === '$disconnect'));
    assert.deepEqual(list.map((e) => e.sid).sort(), [...ids].sort());
    await until(async () => (await gw.status()).forward.waiting === 0,
                'nothing waits');
  });

  await t.test('as a client connects', async () => {
    await gw.redis.stop('SIGKILL');
    const client = gw.client({ user: 'late' });
    await until(() => client.socket.io.engine.readyState === 'open',
                'a transport');
    assert.equal(client.connects, 0);
    await gw.redis.start();
    await client.ready(1, 20000);
    assert.deepEqual((await tellsOf(gw, client.id, 1)),
                     [['$connect', [{}]]]);
    client.close();
  });
});

eachWorkers([1, 3], 'Redis refuses', async (t, workers) => {
  const gw = await start(t, workers);
  await gw.redis.commands.set('up', 'text');
  const client = gw.client({ user: 'u' });

  // Who has come unheard has to come again.
  await until(() => client.connects >= 2, 'it comes again', 15000);
  await gw.redis.commands.del('up');
  const last = client.connects;
  await until(async () => (await told(gw, client.id)).length > 0
              && client.socket.connected, 'it is heard', 15000);
  assert.ok(client.connects >= last);
  await until(async () => (await gw.status()).forward.waiting === 0,
              'nothing waits', 15000);
  assert.match(gw.nginx.log(), /refused the entry of an event: WRONGTYPE/);
  client.close();
});

test('streams of their own', async (t) => {
  const gw = await start(t, 1, { location: {
    socketio_forward: ['$connect stream=in', '$disconnect stream=out maxlen=0',
                       'x stream=up'],
  } });
  const client = await gw.connect({ user: 'u' });
  const { id } = client;
  client.socket.emit('x');
  client.socket.emit('y');
  client.socket.emit('$disconnect');
  client.socket.disconnect();
  await until(async () => (await told(gw, id, 'out')).length === 1, 'the end');
  assert.deepEqual((await told(gw, id, 'in')).map(([e]) => e), ['$connect']);
  assert.deepEqual((await told(gw, id, 'up')).map(([e]) => e), ['x']);

  // The streams are those of the time at which a socket came.
  const other = await gw.connect({ user: 'v' });
  const old = other.id;
  gw.options.locations['/socket.io/'].socketio_forward = ['* stream=new'];
  gw.configure();
  await gw.nginx.reload();
  await other.ready(2, 15000);
  await until(async () => (await told(gw, old, 'out')).length === 1, 'the end');
  assert.deepEqual((await told(gw, other.id, 'new')).map(([e]) => e),
                   ['$connect']);
});
