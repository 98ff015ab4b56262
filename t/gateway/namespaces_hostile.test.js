'use strict';

// Clients that do in several namespaces what no official one does, in moments
// that are ill chosen: none is served wrongly by that, and nothing is left.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway, eachWorkers } = require('./lib/gateway');
const { request } = require('./lib/http');
const { text } = require('./lib/ws');
const { Stream, numbers, assertNumbers } = require('./lib/stream');
const { RS } = require('./lib/polling');
const { whileStopped } = require('./lib/processes');
const { until, within } = require('./lib/expect');

const start = async (t, { block, server, live, ...options } = {}) => {
  const gw = await gateway(t, {
    listen: options.workers > 1 ? 'reuseport' : undefined,
    block: { namespace: '/ /admin /chat', ...block },
    server: { 'location = /status': { socketio_status: 'mew' }, ...server },
    ...options,
  });
  if (live !== false) {
    await gw.live();
  }
  return gw;
};

async function page(gw) {
  return JSON.parse((await gw.exchange(request('GET', '/status'))).body);
}

/** What must be as before when nobody is there any more. */
const present = ({ sessions, users, rooms, memberships, zone }) => (
  { sessions, users, rooms, memberships, zone });

/** The page when no session is left. */
async function empty(gw) {
  let last;
  return until(async () => {
    last = await page(gw);
    return last.sessions.live === 0 && last;
  }, () => `nobody is left: ${JSON.stringify(last)}`, 15000);
}

/** Runs body, after which the zone has to be as it was. */
async function leavesNothing(gw, body) {
  const before = await empty(gw);
  await body();
  assert.deepEqual(present(await empty(gw)), present(before));
}

/** "40/admin,{...}" and the like. */
const name = (nsp) => (nsp === '/' ? '' : `${nsp},`);
const CONNECT = (gw, nsp, who = { user: 'ann' }, more = {}) => (
  `40${name(nsp)}${JSON.stringify({ ...gw.auth(who), ...more })}`);
const DISCONNECT = (nsp) => `41${name(nsp)}`;

/**
 * Both transports: send(packets) at once, next packet, rest() of them until
 * the end, gone() ends it without a word.
 */
const TRANSPORTS = {
  websocket: async (gw) => {
    const ws = await gw.socket();
    await ws.next();
    return {
      ws,
      send: async (...packets) => ws.write(Buffer.concat(
        packets.map((packet) => text(packet)))),
      next: () => ws.next(),
      rest: async () => {
        await ws.closing();
        return ws.messages.splice(0);
      },
      gone: () => ws.destroy(),
    };
  },
  polling: async (gw) => {
    const session = await gw.polling();
    return {
      session,
      send: (...packets) => session.send(...packets),
      next: () => session.next(),
      rest: async () => {
        const packets = await session.rest();
        assert.equal(packets.pop(), '1');
        return packets;
      },
      gone: async () => {
        session.close();
        await session.post('1').catch(() => {});
      },
    };
  },
};

/** Takes a CONNECT reply and the ready event; { sid, pid }. */
async function connected(client, nsp) {
  const reply = await client.next();
  assert.ok(reply.startsWith(`40${name(nsp)}{`), reply);
  assert.match(await client.next(),
               new RegExp(`^42${name(nsp)}\\["ready"[,\\]]`));
  return JSON.parse(reply.slice(2 + name(nsp).length));
}

async function join(gw, client, nsp, who, more) {
  await client.send(CONNECT(gw, nsp, who, more));
  return connected(client, nsp);
}

/** A registered test for each transport and number of workers. */
function each(what, options, body) {
  for (const [transport, open] of Object.entries(TRANSPORTS)) {
    eachWorkers([1, 4], `${what}, ${transport}`, async (t, workers) => {
      const gw = await start(t, { workers, ...options });
      await leavesNothing(gw, () => body(gw, () => open(gw), transport, t));
    });
  }
}

// Without room sets to wait for everything is done at once.
each('in and out at once', {
  location: { socketio_rooms: 'claim=rooms' },
}, async (gw, open) => {
  const client = await open();
  await join(gw, client, '/');

  for (let i = 0; i < 5; i++) {
    await client.send(CONNECT(gw, '/admin'), DISCONNECT('/admin'),
                      CONNECT(gw, '/chat'), CONNECT(gw, '/admin'),
                      DISCONNECT('/chat'));
    gw.emitter.of('/chat').emit('no');

    // Of the sockets that were left at once the replies are seen, maybe ready.
    const seen = { '/admin': 0, '/chat': 0 };
    while (seen['/admin'] < 2 || seen['/chat'] < 1) {
      const [, nsp] = /^4[02](\/\w+),/.exec(await client.next());
      seen[nsp] += 1;
    }
    gw.emitter.of('/admin').emit('e', i);
    let packet;
    do {
      packet = await client.next();
      assert.doesNotMatch(packet, /"no"/);
    } while (packet !== `42/admin,["e",${i}]`);
    await client.send(DISCONNECT('/admin'));
  }
  gw.emitter.emit('e');
  assert.equal(await client.next(), '42["e"]');
  await client.gone();
});

// The worker of the poll has the socket, and is told by the log.
eachWorkers([1, 4], 'in and out while a poll is pending',
            async (t, workers) => {
  const gw = await start(t, { workers });

  await leavesNothing(gw, async () => {
    const client = await TRANSPORTS.polling(gw);
    const { session } = client;
    let last = await join(gw, client, '/admin');

    for (let i = 0; i < 10; i++) {
      const { answer } = await session.hold();
      await client.send(DISCONNECT('/admin'), ...i % 3 === 0 ? []
        : [CONNECT(gw, '/admin')]);
      gw.emitter.of('/admin').emit('maybe');
      if (i % 3 === 0) {
        await client.send(CONNECT(gw, '/admin'));
      }
      session.packets.push(...(await answer).body.split(RS));
      let reply;
      do {
        reply = await client.next();
      } while (/^6$|"maybe"/.test(reply));
      assert.match(reply, /^40\/admin,/);
      const { sid } = JSON.parse(reply.slice('40/admin,'.length));
      assert.notEqual(sid, last.sid);
      last = { sid };
      assert.equal(await client.next(), '42/admin,["ready"]');
      gw.emitter.of('/admin').in(sid).emit('e', i);
      let packet;
      do {
        packet = await client.next();
      } while (packet === '42/admin,["maybe"]');
      assert.equal(packet, `42/admin,["e",${i}]`);
    }
    await client.gone();
  });
});

each('out before the reply', { proxy: true }, async (gw, open) => {
  for (const packet of [DISCONNECT('/admin'), '42/admin,["e"]',
                        '43/admin,1[]', CONNECT(gw, '/admin')]) {
    gw.proxy.hold('smembers');
    const client = await open();
    await client.send(CONNECT(gw, '/'), CONNECT(gw, '/chat'),
                      CONNECT(gw, '/admin'), packet);
    assert.deepEqual(await client.rest(), []);
    gw.proxy.release();
  }
});

// The rooms come when the client has gone.
each('gone before the reply', { proxy: true, block: { recovery: '1s' } },
     async (gw, open) => {
       for (const nsps of [['/admin'], ['/', '/admin', '/chat'],
                           ['/admin', '/'], ['/chat', '/admin']]) {
         gw.proxy.hold('smembers');
         const client = await open();
         for (const nsp of nsps) {
           await client.send(CONNECT(gw, nsp));
         }
         await until(() => gw.proxy.seen > 0, 'a question for rooms');
         await client.gone();
         gw.proxy.release();
       }
     });

// A kick while rooms are awaited is done when they are there.
each('kicked before the reply', { proxy: true }, async (gw, open) => {
  for (const close of [false, true]) {
    const client = await open();
    await join(gw, client, '/', { user: 'kicked' });
    gw.proxy.hold('smembers');
    await client.send(CONNECT(gw, '/admin', { user: 'kicked' }));
    await until(() => gw.proxy.seen > 0, 'a question for rooms');
    gw.emitter.of('/admin').in('user:kicked').disconnectSockets(close);
    gw.emitter.to('user:kicked').emit('e');
    assert.equal(await client.next(), '42["e"]');
    gw.proxy.release();

    const packets = [await client.next()];
    while (packets.at(-1) !== '41/admin,' && packets.at(-1) !== '41') {
      packets.push(await client.next());
    }
    if (close) {
      packets.push(...await client.rest());
      assert.deepEqual(packets.filter((it) => it.startsWith('41')).sort(),
                       ['41', '41/admin,']);
    } else {
      gw.emitter.of('/admin').emit('no');
      gw.emitter.emit('e', 2);
      assert.equal(await client.next(), '42["e",2]');
      await join(gw, client, '/admin', { user: 'kicked' });
      await client.gone();
    }
  }
});

// A token whose claims give no name is refused like a bad one, and it may be
// tried again, with a better one.
each('refused for want of a name', {
  live: false, location: { socketio_user_room: 'org:$socketio_claim_org' },
}, async (gw, open) => {
  const client = await open();
  for (const nsp of ['/admin', '/', '/chat', '/admin']) {
    await client.send(CONNECT(gw, nsp));
    assert.equal(await client.next(), `44${name(nsp)}{"message":"`
      + 'Authentication error: Invalid token",'
      + '"data":{"code":"token_invalid"}}');
  }
  for (const nsp of ['/admin', '/']) {
    await join(gw, client, nsp, { user: 'ann', org: 'o' });
  }
  await client.gone();
});

/** A POST whose last bytes are held back: finish() sends them. */
async function begunPost(session, ...packets) {
  const connection = await session.connection();
  const bytes = request('POST', session.path(), { body: packets.join(RS) });
  const answer = connection.send(bytes.subarray(0, -4));

  return {
    finish: () => {
      connection.write(bytes.subarray(-4));
      return within(answer, 'an answer').catch(() => null);
    },
  };
}

// A second POST ends the session, whatever the first one is at.
eachWorkers([1, 4], 'two POSTs at once', async (t, workers) => {
  const gw = await start(t, { workers, proxy: true });

  await leavesNothing(gw, async () => {
    for (const held of [false, true]) {
      for (const [before, first, second] of [
        [[], '/admin', '/admin'], [[], '/admin', '/chat'],
        [['/'], '/admin', '/'], [['/admin', '/'], '/chat', '/chat'],
      ]) {
        const session = await gw.polling();
        if (held) {
          gw.proxy.hold('smembers');
        }
        if (before.length > 0) {
          await session.send(...before.map((nsp) => CONNECT(gw, nsp)));
        }
        const { finish } = await begunPost(session, CONNECT(gw, first));
        await until(async () => {
          const answer = await session.post(CONNECT(gw, second));
          return answer.status === 400;
        }, 'a refusal');
        await finish();
        assert.equal(await session.alive(), false);
        gw.proxy.release();
        session.close();
      }
    }
  });
});

// The body of a POST comes when the session has changed over to a WebSocket.
eachWorkers([1, 4], 'a POST that is overtaken by an upgrade',
            async (t, workers) => {
  const gw = await start(t, { workers, proxy: true });

  const upgraded = async (...packets) => {
    const session = await gw.polling();
    const post = await begunPost(session, ...packets);
    const ws = await gw.socket({ path: session.path('websocket') });
    ws.text('2probe');
    assert.equal(await ws.next(), '3probe');
    ws.text('5');
    return { ws, finish: post.finish };
  };
  await leavesNothing(gw, async () => {
    await t.test('it counts', async () => {
      const { ws, finish } = await upgraded(
        CONNECT(gw, '/admin'), CONNECT(gw, '/'));
      await join(gw, talk(ws), '/chat');
      assert.equal((await finish()).body, 'ok');
      const packets = [];
      for (let i = 0; i < 4; i++) {
        packets.push((await ws.next()).replace(/\{.*/, ''));
      }
      assert.deepEqual(packets.sort(), ['40', '40/admin,', '42["ready"]',
                                        '42/admin,["ready"]'].sort());
      for (const nsp of ['/', '/admin', '/chat']) {
        gw.emitter.of(nsp).emit('e');
        assert.equal(await ws.next(), `42${name(nsp)}["e"]`);
      }
      ws.destroy();
    });

    await t.test('the same namespace from both sides', async () => {
      for (const first of ['post', 'websocket']) {
        const { ws, finish } = await upgraded(CONNECT(gw, '/admin'));
        gw.proxy.hold('smembers');
        if (first === 'post') {
          await finish();
          ws.text(CONNECT(gw, '/admin'));
        } else {
          ws.text(CONNECT(gw, '/admin'));
          await until(() => gw.proxy.seen > 0, 'a question for rooms');
          await finish();
        }
        assert.equal(await ws.closing(), 1005);
        gw.proxy.release();
      }
    });

    await t.test('it leaves what the WebSocket has joined', async () => {
      const { ws, finish } = await upgraded(DISCONNECT('/admin'));
      await join(gw, talk(ws), '/admin');
      await finish();
      ws.destroy();
    });
  });
  assert.deepEqual(gw.nginx.log(/is full/), []);
});

// Its rooms come when the session is on a WebSocket already.
eachWorkers([1, 4], 'an upgrade before the replies', async (t, workers) => {
  const gw = await start(t, {
    workers, proxy: true, location: { socketio_connect_timeout: '1s' },
  });

  const upgraded = async (nsps) => {
    const session = await gw.polling();
    gw.proxy.hold('smembers');
    await session.send(...nsps.map((nsp) => CONNECT(gw, nsp)));
    const ws = await gw.socket({ path: session.path('websocket') });
    ws.text('2probe');
    assert.equal(await ws.next(), '3probe');
    ws.text('5');
    return ws;
  };

  await leavesNothing(gw, async () => {
    for (const nsps of [['/admin'], ['/admin', '/'], ['/', '/admin', '/chat'],
                        ['/chat', '/admin']]) {
      await t.test(nsps.join(' '), async () => {
        const ws = await upgraded(nsps);
        gw.proxy.release();
        const seen = [];
        while (seen.length < nsps.length * 2) {
          seen.push((await ws.next()).replace(/[{[].*/, ''));
        }
        assert.deepEqual(seen.sort(), nsps.flatMap(
          (nsp) => [`40${name(nsp)}`, `42${name(nsp)}`]).sort());
        for (const nsp of nsps) {
          gw.emitter.of(nsp).to('user:ann').emit('e');
          assert.equal(await ws.next(), `42${name(nsp)}["e"]`);
        }
        ws.destroy();
      });
    }

    // A socket in any namespace is enough.
    await t.test('it is in time', async () => {
      const begin = performance.now();
      const ws = await upgraded(['/admin']);
      gw.proxy.release();
      await connected({ next: () => ws.next() }, '/admin');
      const late = await gw.socket();
      await late.next();
      assert.equal(await late.closing(), 1005);
      assert.ok(performance.now() - begin > 1000);
      gw.emitter.of('/admin').emit('e');
      assert.equal(await ws.next(), '42/admin,["e"]');
      ws.destroy();
    });

    await t.test('the WebSocket breaks before', async () => {
      const ws = await upgraded(['/admin', '/', '/chat']);
      ws.destroy();
      gw.proxy.release();
    });
  });
});

/** The pid of the worker that reads the feed, and those of all others. */
async function feedAndOthers(gw) {
  const { redis, workers } = await until(async () => {
    const now = await page(gw);
    return now.redis.feed !== null && now;
  }, 'a worker reads the feed');
  const pids = (is) => workers.filter((it) => is(it.slot === redis.feed))
    .map((it) => it.pid);
  return { feed: pids((it) => it)[0], others: pids((it) => !it) };
}

/** Waits until a worker has read all of the log. */
const caughtUp = (gw, pid) => until(async () => {
  const { workers } = await page(gw);
  return workers.find((it) => it.pid === pid)?.lag === 0;
}, 'the worker has read the log');

/** Opens connections until one is at a certain worker. */
async function at(gw, pid, open) {
  for (;;) {
    const client = await open();
    if (gw.workersOf([client])[0] === pid) {
      return client;
    }
    (client.destroy || client.close).call(client);
  }
}

/** The same, for requests of a session. */
const lineTo = (gw, pid, session) => at(gw, pid, async () => {
  const connection = await session.connection();
  await connection.send(request('POST', session.path(), { body: '6' }));
  return connection;
});

/** A WebSocket as a client of connected(), and of join(). */
const talk = (ws) => ({ next: () => ws.next(),
                        send: async (packet) => ws.text(packet) });

// A client that can come back gets nothing together with the end of its
// session, whatever namespace it is in: it would show that twice.  One that
// cannot gets all that was published before, in each namespace.
for (const recovery of ['20s', 'off']) {
  test(`events and the end of the session at once, recovery ${recovery}`,
       async (t) => {
    const gw = await start(t, { workers: 2, listen: undefined,
                                block: { namespace: '/ /admin /chat',
                                         recovery } });
    const { feed, others: [pid] } = await feedAndOthers(gw);
    const witness = await at(gw, feed, () => gw.connect({ user: 'witness' }));
    const witnesses = [witness.of('/admin'), witness];
    await witnesses[0].ready();

    for (const nsps of [['/admin'], ['/', '/admin']]) {
      await t.test(nsps.join(' '), () => endAtOnce(gw, nsps, {
        pid, witnesses, recovers: recovery !== 'off' }));
    }
  });
}

async function endAtOnce(gw, nsps, { pid, witnesses, recovers }) {
  const session = await gw.polling();
  const ids = [];
  for (const nsp of nsps) {
    ids.push(await join(gw, session, nsp));
  }
  const line = await lineTo(gw, pid, session);
  const poll = line.send(request('GET', session.path()));
  await until(async () => (await page(gw)).workers.find(
    (it) => it.pid === pid).connections.polling === 1, 'a pending poll');

  // The worker meets all of this before it answers, in several turns, or in
  // one.
  const size = recovers ? 100000 : 1000;
  await whileStopped(pid, async () => {
    for (let i = 0; i < 5; i++) {
      for (const nsp of ['/', '/admin']) {
        gw.emitter.of(nsp).emit('e', ids[0].sid, i, 'x'.repeat(size));
      }
    }
    await Promise.all(witnesses.map((it) => until(
      () => it.received('e').filter(([id]) => id === ids[0].sid)
        .length === 5, 'they are in the log')));
    const second = await session.get();
    assert.deepEqual([second.status, second.body], [400, '']);
  });
  const { body } = await within(poll, 'an answer');

  if (!recovers) {
    const packets = body.split(RS);
    assert.equal(packets.pop(), '1');
    for (const nsp of nsps) {
      const head = `42${name(nsp)}["e","${ids[0].sid}",`;
      assert.deepEqual(packets.filter((it) => it.startsWith(head)).map(
        (it) => parseInt(it.slice(head.length), 10)), [0, 1, 2, 3, 4], nsp);
    }
    assert.equal(packets.length, 5 * nsps.length);
    return;
  }
  assert.equal(body.slice(0, 100), '1');

  const ws = await gw.socket();
  await ws.next();
  for (const [i, nsp] of nsps.entries()) {
    ws.text(CONNECT(gw, nsp, undefined, { pid: ids[i].pid }));
    assert.match(await ws.next(),
                 new RegExp(`^40${name(nsp)}.*"${ids[i].pid}"`));
    for (let n = 0; n < 5; n++) {
      assert.ok((await ws.next()).startsWith(
        `42${name(nsp)}["e","${ids[0].sid}",${n},`));
    }
    assert.match(await ws.next(), new RegExp(`^42${name(nsp)}\\["ready",`));
  }
  ws.destroy();
}

// What a slow client is owed in several namespaces does not lie in the log in
// the order in which it was written.
test('a slow client in two namespaces', async (t) => {
  const gw = await start(t, {
    workers: 2, listen: 'sndbuf=16k',
    block: { namespace: '/ /admin', zone: '8m', log: '1m' },
    location: { socketio_send_queue: '1m' },
  });
  const { feed, others: [pid] } = await feedAndOthers(gw);
  const slow = await at(gw, pid, () => gw.socket());
  await slow.next();
  await join(gw, talk(slow), '/');
  await join(gw, talk(slow), '/admin');
  const fast = await at(
    gw, feed, () => gw.rawConnect({ user: 'fast', rooms: ['busy'] }));
  const busy = gw.emitter.to('busy');
  let sent = 0;
  const fill = async (bytes) => {
    for (let i = 0; i < bytes / 10000; i++) {
      busy.emit('n', ++sent, 'x'.repeat(9900));
    }
    await fast.eventWith('n', sent);
  };
  const stopped = async (body) => {
    await whileStopped(pid, body);
    await caughtUp(gw, pid);
  };

  slow.pause();
  for (let i = 0; i < 3; i++) {
    gw.emitter.to('user:ann').emit('filler', 'x'.repeat(200000));
    await fill(10000);
  }
  await caughtUp(gw, pid);

  // One turn, most of the log long.
  await stopped(async () => {
    for (let i = 0; i < 20; i++) {
      gw.emitter.to('user:ann').emit('e', i);
      gw.emitter.of('/admin').to('user:ann').emit('e', i);
      await fill(30000);
    }
  });
  await stopped(() => fill(600000));
  for (let i = 0; i < 40; i++) {
    await fill(100000);
  }

  slow.resume();
  const seen = { '42["e",': [], '42/admin,["e",': [] };
  while (Object.values(seen).some((it) => it.length < 20)) {
    const packet = await slow.next();
    for (const [head, list] of Object.entries(seen)) {
      if (packet.startsWith(head)) {
        list.push(parseInt(packet.slice(head.length), 10));
      }
    }
  }
  for (const list of Object.values(seen)) {
    assert.deepEqual(list, Array.from({ length: 20 }, (_, i) => i));
  }
});

// A socket stays in a namespace that is no more, until it leaves it.
test('leaving a namespace that a reload has taken away', async (t) => {
  const gw = await start(t, {
    workers: 2, block: { namespace: '/ /admin /chat', drain: '100ms' } });
  const client = await TRANSPORTS.polling(gw);
  for (const nsp of ['/', '/admin', '/chat']) {
    await join(gw, client, nsp);
  }
  gw.options.block.namespace = '/chat';
  gw.configure();
  await gw.nginx.reload();
  await until(() => gw.nginx.workers({ leaving: true }).length === 2,
              'old workers are gone');

  await client.send('42/admin,["ignored"]', '42["ignored"]',
                    DISCONNECT('/admin'));
  gw.emitter.of('/chat').emit('e', 1);
  assert.equal(await client.next(), '42/chat,["e",1]');
  for (const nsp of ['/admin', '/new']) {
    await client.send(CONNECT(gw, nsp));
    assert.equal(await client.next(),
                 `44${nsp},{"message":"Invalid namespace"}`);
  }
  await client.send(DISCONNECT('/'));
  gw.emitter.of('/chat').emit('e', 2);
  assert.equal(await client.next(), '42/chat,["e",2]');
  assert.equal((await page(gw)).sessions.branches, 1);

  await client.send('42/admin,["e"]');
  assert.deepEqual(await client.rest(), []);
});

// A socket of a transport that lives comes back on another one.
eachWorkers([1, 4], 'recovered from a transport that lives',
            async (t, workers) => {
  const gw = await start(t, {
    workers, block: { namespace: '/ /admin /chat', recovery: '2s' },
  });
  const nsps = ['/', '/admin', '/chat'];
  const all = async (client, ids, only = nsps) => {
    for (const nsp of only) {
      ids[nsp] = await join(gw, client, nsp);
    }
  };
  /** On a new transport; what was missed comes behind the reply. */
  const recover = async (client, nsp, { sid, pid }, offset, events) => {
    await client.send(CONNECT(gw, nsp, undefined, { pid, offset }));
    const reply = await client.next();
    assert.equal(reply, `40${name(nsp)}${JSON.stringify({ sid, pid })}`);
    for (const event of events) {
      assert.ok((await client.next()).startsWith(
        `42${name(nsp)}["e",${event},`));
    }
    assert.ok((await client.next()).startsWith(`42${name(nsp)}["ready",`));
  };
  /** Publishes, and waits until all workers are behind it. */
  const missed = async (publish) => {
    const { events } = await page(gw);
    publish();
    await until(async () => {
      const { events: now, workers: list } = await page(gw);
      return now.in >= events.in + nsps.length && list.every((it) => !it.lag);
    }, 'the workers have read the log');
  };
  /** The offset that an event carries. */
  const take = async (client, nsp, event) => {
    gw.emitter.of(nsp).emit('e', event);
    const packet = await client.next();
    assert.ok(packet.startsWith(`42${name(nsp)}["e",${event},`), packet);
    return JSON.parse(packet.slice(2 + name(nsp).length)).at(-1);
  };

  for (const [from, to] of [
    ['websocket', 'websocket'], ['websocket', 'polling'],
    ['polling', 'websocket'], ['polling', 'polling'],
  ]) {
    for (const first of nsps) {
      await t.test(`${first}, ${from} to ${to}`, () => (
        leavesNothing(gw, async () => {
          const [old, ids, offsets] = [await TRANSPORTS[from](gw), {}, {}];
          await all(old, ids);
          for (const [i, nsp] of nsps.entries()) {
            offsets[nsp] = await take(old, nsp, i);
          }
          await missed(() => nsps.forEach((nsp) => {
            gw.emitter.of(nsp).emit('e', 7);
          }));
          const next = await TRANSPORTS[to](gw);
          for (const nsp of [first, ...nsps.filter((it) => it !== first)]) {
            await recover(next, nsp, ids[nsp], offsets[nsp], [7]);
          }
          for (const nsp of nsps) {
            await take(next, nsp, 8);
          }
          await old.gone();
          for (const nsp of nsps) {
            await take(next, nsp, 9);
          }
          await next.send(...nsps.map(DISCONNECT));
          await next.gone();
        })));
    }
  }

  await t.test('one leaves, the others stay', () => (
    leavesNothing(gw, async () => {
      const [old, ids] = [await TRANSPORTS.polling(gw), {}];
      await all(old, ids);
      const next = await TRANSPORTS.websocket(gw);
      await recover(next, '/admin', ids['/admin'], undefined, []);
      gw.emitter.of('/admin').emit('e', 1);
      gw.emitter.of('/chat').emit('e', 2);
      gw.emitter.emit('e', 3);
      const got = [await old.next(), await old.next()];
      assert.deepEqual(got.map((it) => it.split(',"')[0]).sort(),
                       ['42/chat,["e",2', '42["e",3']);
      assert.match(await next.next(), /^42\/admin,\["e",1,/);
      await join(gw, old, '/admin');
      await old.send(...nsps.map(DISCONNECT));
      await next.send(DISCONNECT('/admin'));
      await next.gone();
      await old.gone();
    })));

  await t.test('a poll is pending', () => (
    leavesNothing(gw, async () => {
      const [old, ids] = [await TRANSPORTS.polling(gw), {}];
      await all(old, ids);
      const { answer } = await old.session.hold();
      const next = await TRANSPORTS.websocket(gw);
      await recover(next, '/admin', ids['/admin'], undefined, []);
      assert.equal((await answer).body, '6');
      gw.emitter.of('/admin').emit('e', 1);
      gw.emitter.of('/chat').emit('e', 2);
      assert.match(await old.next(), /^42\/chat,\["e",2,/);
      assert.match(await next.next(), /^42\/admin,\["e",1,/);
      await recover(next, '/', ids['/'], undefined, []);
      assert.equal(await old.session.alive(), false);
      await recover(next, '/chat', ids['/chat'], undefined, [2]);
      await next.send(...nsps.map(DISCONNECT));
      await next.gone();
    })));

  await t.test('left and asked for at once', () => (
    leavesNothing(gw, async () => {
      for (const transport of ['websocket', 'polling']) {
        const [client, ids] = [await TRANSPORTS[transport](gw), {}];
        await all(client, ids);
        await client.send(
          DISCONNECT('/admin'),
          CONNECT(gw, '/admin', undefined, { pid: ids['/admin'].pid }));
        const { pid } = await connected(client, '/admin');
        assert.notEqual(pid, ids['/admin'].pid);
        await client.send(...nsps.map(DISCONNECT));
        await client.gone();
      }
    })));
});

// A worker that waits for rooms on behalf of a client takes the transport
// along, and only this CONNECT has to be repeated: the other sockets, whoever
// has them, are recovered with what they missed.
test('the worker dies that has a CONNECT to answer', async (t) => {
  const gw = await start(t, { workers: 4, proxy: true,
                              block: { namespace: '/ /admin /chat',
                                       recovery: '20s' },
                              location: { socketio_ping_interval: '2m' } });

  for (const [waiting, pending] of [['/admin', true], ['/admin', false],
                                    ['/', true], ['/', false]]) {
    await t.test(`${waiting}, ${pending ? 'a' : 'no'} poll is pending`, () => (
      leavesNothing(gw, () => dieWithConnect(gw, waiting, pending).finally(
        () => gw.proxy.release()))));
  }
});

async function dieWithConnect(gw, waiting, pending) {
  const { feed } = await feedAndOthers(gw);
  const [victim, other] = gw.nginx.workers().filter((pid) => pid !== feed);
  const witness = await at(gw, feed, () => gw.socket());
  await witness.next();
  await join(gw, talk(witness), '/chat', { user: 'witness' });
  const session = await gw.polling();
  const sockets = {};
  for (const nsp of ['/', '/admin', '/chat'].filter((it) => it !== waiting)) {
    sockets[nsp] = await join(gw, session, nsp);
  }

  // It takes its time to find these, so nothing waits yet.
  const [post, get] = [await lineTo(gw, victim, session),
                       await lineTo(gw, other, session)];
  const held = pending ? await session.hold(get) : null;
  gw.proxy.hold('smembers');
  assert.equal((await post.send(request('POST', session.path(), {
    body: CONNECT(gw, waiting) }))).body, 'ok');
  await until(() => gw.proxy.seen > 0, 'a question for rooms');
  gw.nginx.killWorker(victim);
  if (held) {
    assert.equal((await held.answer).body, '1');
  }
  await until(async () => !await session.alive(), 'its end');

  // All of it is missed: every worker has read it when the client is back.
  for (const nsp of Object.keys(sockets)) {
    gw.emitter.of(nsp).emit('missed');
  }
  assert.match(await witness.next(), /\["missed",/);
  await Promise.all(gw.nginx.workers().map((pid) => caughtUp(gw, pid)));
  gw.proxy.release();

  const next = await TRANSPORTS.websocket(gw);
  for (const [nsp, { sid, pid }] of Object.entries(sockets)) {
    await next.send(CONNECT(gw, nsp, undefined, { pid }));
    assert.equal(await next.next(),
                 `40${name(nsp)}${JSON.stringify({ sid, pid })}`);
    assert.match(await next.next(), /\["missed",/);
    assert.match(await next.next(), /\["ready",/);
  }
  await join(gw, next, waiting);
  await next.send(...['/', '/chat', '/admin'].map(DISCONNECT));
  await next.gone();
  witness.text(DISCONNECT('/chat'));
  witness.destroy();
}

const SIXTY = Array.from({ length: 60 }, (_, i) => `/n${i}`);

// A zone that is full closes who wants more, and nothing else.
each('a full zone', {
  live: false, block: { zone: '1m', namespace: SIXTY.join(' ') },
}, async (gw, open) => {
  const clients = [await open()];
  const [witness] = clients;
  await join(gw, witness, '/n0', { user: 'witness' });

  for (let full = false; !full;) {
    const client = await open();
    const seen = new Set();
    clients.push(client);
    await client.send(...SIXTY.map((nsp) => CONNECT(gw, nsp)));
    while (seen.size < SIXTY.length * 2 && !full) {
      const packet = await client.next().catch(() => '1');
      seen.add(packet.replace(/[{[].*/, ''));
      full = packet === '1';
    }
  }

  const { refused, sessions: { live, capacity } } = await page(gw);
  assert.ok(refused > 0);
  assert.ok(live <= capacity, `${live} of ${capacity}`);
  assert.equal(gw.nginx.log(/is full/).length, 1);
  gw.emitter.of('/n0').to('user:witness').emit('e');
  assert.equal(await witness.next(), '42/n0,["e"]');
  for (const client of clients) {
    await client.gone();
  }
});

/** Waits until a client has so many numbers more. */
const advanced = (client, more) => {
  const count = numbers(client).length + more;
  return until(() => numbers(client).length >= count, `${more} numbers more`);
};

// The feed passes to a worker that hears other channels.  Of what is published
// in those that both hear nothing is doubled, and nothing lost.
test('a reload with other namespaces while others publish', async (t) => {
  const gw = await start(t, { workers: 3, listen: undefined, block: {
    namespace: '/ /admin', drain: '20s' } });
  await gw.feedPair();
  const client = await gw.rawConnect({ user: 'ann', rooms: ['r'] });
  const stream = new Stream(gw, 'r', { rate: 1000 }).start();
  const noise = setInterval(() => {
    gw.emitter.of('/admin').emit('e');
    gw.emitter.of('/chat').emit('e');
  }, 2);
  gw.closers.push(() => clearInterval(noise));

  for (const [i, names] of ['/ /chat', '/chat /', '/ /admin /chat', '/',
                            '/ /admin', '/admin /'].entries()) {
    await advanced(client, 300);
    gw.options.block.namespace = names;
    gw.configure();
    await gw.nginx.reload();
    await until(async () => (await page(gw)).redis.gaps === i + 1,
                'another worker reads the feed');
    await advanced(client, 300);
    await gw.feedPair();
  }
  const last = stream.stop();
  clearInterval(noise);
  await until(() => numbers(client).at(-1) === last, 'all of it');
  assertNumbers(client, 1, last);
});
