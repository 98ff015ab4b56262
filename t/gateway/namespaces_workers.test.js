'use strict';

// Sockets in several namespaces of one client, on any worker: long-polling,
// upgrades, recovery, kills, reloads; with what is published going on.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { numbers } = require('./lib/stream');
const { until, parallel, SLOW } = require('./lib/expect');

const SPACES = ['/', '/admin', '/chat'];

const TRANSPORTS = {
  websocket: ['websocket'],
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
};

const start = (t, workers, { block, ...options } = {}) => gateway(t, {
  workers,
  listen: workers > 1 ? 'reuseport' : undefined,
  block: { namespace: SPACES.join(' '), ...block },
  locations: {
    // A client that has stopped polling for an upgrade does not begin again
    // when its WebSocket breaks; it has to miss a ping.
    '/socket.io/': {
      socketio_ping_interval: `${2 * SLOW}s`,
      socketio_ping_timeout: `${2 * SLOW}s`,
    },
  },
  ...options,
});

/** A client with a socket in each namespace: [socket, ...]. */
async function family(gw, name, transport = 'websocket') {
  const root = gw.client({
    user: name, rooms: [name], transports: TRANSPORTS[transport],
    // Each request on a new connection, so that workers change.
    agent: false,
  });
  const sockets = [root, ...SPACES.slice(1).map((nsp) => root.of(nsp))];
  await Promise.all(sockets.map((it) => it.ready()));
  return sockets;
}

/** Numbers for a room of every namespace, from 1 on, until the test ends. */
class Streams {
  constructor(gw, rooms, rate) {
    gw.closers.push(() => this.stop());
    this.spaces = SPACES.map((nsp) => gw.emitter.of(nsp));
    this.rooms = rooms;
    this.rate = rate;
    this.sent = 0;
  }

  start() {
    const begin = performance.now();
    this.timer = setInterval(() => {
      const due = (performance.now() - begin) / 1000 * this.rate;
      while (this.sent < due) {
        this.publish();
      }
    }, 5);
    return this;
  }

  publish() {
    this.sent++;
    for (const space of this.spaces) {
      space.to(this.rooms).emit('n', this.sent);
    }
  }

  stop() {
    clearInterval(this.timer);
    return this.sent;
  }
}

function assertAll(sockets, first, last) {
  for (const socket of sockets) {
    const seen = numbers(socket);
    const fault = seen.findIndex((n, i) => n !== first + i);
    assert.equal(fault, -1, `${socket}: ${seen[fault]} where ${
      first + fault} should be`);
    assert.equal(seen.length, last - first + 1, `${socket}`);
  }
}

/** Waits until all of them have this number. */
async function arrived(sockets, last) {
  await parallel(sockets, sockets.length, (it) => (
    it.eventWith('n', last, 20000)));
}

eachWorkers([1, 4], 'all kinds of clients', async (t, workers) => {
  const gw = await start(t, workers);
  await gw.live();
  const before = await until(async () => {
    const now = await gw.status();
    return now.sessions.live === 0 && now;
  }, 'nobody is there');

  const kinds = Object.keys(TRANSPORTS);
  const families = await parallel(
    Array.from({ length: 12 }, (_, i) => i), 6,
    (i) => family(gw, `u${i}`, kinds[i % kinds.length]));
  const sockets = families.flat();

  await t.test('a room of each namespace', async () => {
    const rooms = ['everyone'];
    for (const nsp of SPACES) {
      gw.emitter.of(nsp).socketsJoin('everyone');
    }
    const streams = new Streams(gw, rooms, 300).start();
    await until(() => streams.sent >= 600, 'the stream', 20000);
    const last = streams.stop();
    await arrived(sockets, last);
    assertAll(sockets, 1, last);
  });

  await t.test('upgrades have happened', async () => {
    for (const [root] of families.filter((_, i) => i % 3 === 2)) {
      await until(() => root.socket.io.engine.transport.name === 'websocket',
                  'an upgrade');
    }
  });

  await t.test('each is found by its id, in its namespace', async () => {
    for (const [i, socket] of sockets.entries()) {
      const nsp = SPACES[i % SPACES.length];
      gw.emitter.of(nsp).to(socket.id).emit('own', i);
      gw.emitter.of(SPACES[(i + 1) % 3]).to(socket.id).emit('foreign', i);
    }
    await parallel(sockets, sockets.length, (it) => it.event('own'));
    const [last] = families.at(-1);
    await gw.settle(last);
    for (const socket of sockets) {
      assert.equal(socket.received('own').length, 1);
      assert.equal(socket.received('foreign').length, 0);
    }
  });

  await t.test('one namespace is left, the others go on', async () => {
    const leavers = families.map(([, admin]) => admin);
    leavers.forEach((it) => it.socket.disconnect());
    await until(async () => {
      for (const nsp of SPACES) {
        gw.emitter.of(nsp).emit('tick');
      }
      return (await gw.status()).sessions.live === 12 * 2;
    }, 'they have left');
    const ticks = leavers.map((it) => it.received('tick').length);
    gw.emitter.of('/admin').emit('tick');
    await gw.settle(families.map(([root]) => root));
    assert.deepEqual(leavers.map((it) => it.received('tick').length), ticks);

    leavers.forEach((it) => it.socket.connect());
    await parallel(leavers, 12, (it) => it.ready(2));
    gw.emitter.of('/admin').emit('again', 1);
    await parallel(leavers, 12, (it) => it.eventWith('again', 1));
  });

  await t.test('the backend disconnects one namespace', async () => {
    gw.emitter.of('/chat').disconnectSockets();
    await parallel(families, 12, async ([root, admin, chat]) => {
      assert.equal(await chat.disconnect(), 'io server disconnect');
      assert.equal(root.disconnects.length, 0);
      assert.ok(admin.socket.connected);
    });
    await gw.settle(families.map(([root]) => root));
  });

  await t.test('nothing is left of them', async () => {
    families.flat().forEach((it) => it.close());
    await until(async () => {
      const now = await gw.status();
      return now.sessions.live === 0 && now.users === before.users
             && now.rooms === before.rooms
             && now.zone.free === before.zone.free;
    }, 'the zone is as it was', 15000);
  });
});

eachWorkers([1, 4], 'recovery', async (t, workers) => {
  const gw = await start(t, workers, { block: {
    namespace: SPACES.join(' '), recovery: '20s',
  } });
  await gw.live();

  for (const transport of ['websocket', 'polling']) {
    await t.test(`of every socket, ${transport}`, async () => {
      const [root, ...others] = await family(gw, `r-${transport}`, transport);
      const sockets = [root, ...others];
      const ids = sockets.map((it) => it.id);
      for (const nsp of SPACES) {
        gw.emitter.of(nsp).in(ids).socketsJoin(`r-${transport}`);
      }
      const streams = new Streams(gw, [`r-${transport}`], 0);
      streams.publish();
      await arrived(sockets, 1);

      root.stay();
      root.socket.io.engine.close();
      await until(() => sockets.every((it) => !it.socket.connected), 'away');
      for (let i = 0; i < 20; i++) {
        streams.publish();
      }
      root.socket.io.reconnection(true);
      root.socket.io.connect();
      await until(() => sockets.every((it) => it.connects === 2), 'back');
      assert.deepEqual(sockets.map((it) => it.socket.recovered),
                       [true, true, true]);
      assert.deepEqual(sockets.map((it) => it.id), ids);
      streams.publish();
      await arrived(sockets, 22);
      assertAll(sockets, 1, 22);
      sockets.forEach((it) => it.close());
    });
  }

  await t.test('one that was left does not come back', async () => {
    const [root, admin] = await family(gw, 'left');
    const { pid } = admin.socket._pid ? { pid: admin.socket._pid } : {};
    assert.ok(pid);
    admin.socket.disconnect();
    await gw.settle(root);
    const ws = await gw.socket();
    await ws.next();
    ws.text(`40/admin,${JSON.stringify({
      ...gw.auth({ user: 'left' }), pid, offset: admin.socket._lastOffset,
    })}`);
    const reply = JSON.parse((await ws.next()).slice('40/admin,'.length));
    assert.notEqual(reply.pid, pid);
    root.close();
  });

  await t.test('not in another namespace', async () => {
    const [root, admin] = await family(gw, 'other');
    const { _pid: pid, _lastOffset: offset } = admin.socket;
    root.stay();
    root.socket.io.engine.close();
    await until(() => !root.socket.connected, 'away');
    const ws = await gw.socket();
    await ws.next();
    const claims = JSON.stringify({
      ...gw.auth({ user: 'other' }), pid, offset });
    ws.text(`40/chat,${claims}`);
    const chat = JSON.parse((await ws.next()).slice('40/chat,'.length));
    assert.notEqual(chat.pid, pid);
    await ws.next();
    ws.text(`40/admin,${claims}`);
    const again = JSON.parse((await ws.next()).slice('40/admin,'.length));
    assert.equal(again.pid, pid);
    root.close();
  });
});

test('kills and reloads', async (t) => {
  const gw = await start(t, 4, { block: {
    namespace: SPACES.join(' '), recovery: '20s', drain: '300ms',
  } });
  await gw.live();
  const kinds = Object.keys(TRANSPORTS);
  const families = await parallel(
    Array.from({ length: 18 }, (_, i) => i), 6,
    (i) => family(gw, `k${i}`, kinds[i % kinds.length]));
  const sockets = families.flat();
  for (const nsp of SPACES) {
    gw.emitter.of(nsp).socketsJoin('everyone');
  }
  const streams = new Streams(gw, ['everyone'], 100).start();
  await arrived(sockets, 20);

  /** Until everybody has what was published after something happened. */
  const settle = async () => arrived(sockets, streams.sent + 20);

  for (let i = 0; i < 3; i++) {
    await t.test(`kill ${i + 1}`, async () => {
      // A worker that reads the feed needs one that goes on for it: behind a
      // gap no socket is recovered.
      const pair = await gw.feedPair();
      gw.nginx.killWorker([...pair, gw.nginx.workers()[3]][i]);
      await settle();
    });
    await t.test(`reload ${i + 1}`, async () => {
      await gw.nginx.reload();
      await settle();
    });
  }

  await t.test('nobody has missed anything', async () => {
    const last = streams.stop();
    await arrived(sockets, last);
    assertAll(sockets, 1, last);
    assert.equal((await gw.status()).redis.gaps, 0);
    const fresh = sockets.filter((it) => it.recovered.slice(1).includes(false));
    assert.deepEqual(fresh.map(String), []);
  });
});

test('a reload with other namespaces', async (t) => {
  const gw = await start(t, 2, { block: {
    namespace: '/ /admin /chat', recovery: '20s', drain: '100ms',
  } });
  await gw.live();
  const sockets = await family(gw, 'stays');
  const ids = sockets.map((it) => it.id);

  gw.options.block.namespace = '/new /chat /';
  gw.configure();
  await gw.nginx.reload();

  // "/admin" is no more: its socket is refused, the others come back.
  const [root, admin, chat] = sockets;
  await until(() => root.connects === 2 && chat.connects === 2, 'back');
  assert.deepEqual([root.id, chat.id], [ids[0], ids[2]]);
  await until(() => admin.failures.some(
    (it) => it.message === 'Invalid namespace'), 'it is refused');
  gw.emitter.of('/chat').emit('e', 'chat');
  gw.emitter.emit('e', 'root');
  await root.event('e');
  await chat.event('e');
  assert.deepEqual(root.received('e').map(([value]) => value), ['root']);
  assert.deepEqual(chat.received('e').map(([value]) => value), ['chat']);
});
