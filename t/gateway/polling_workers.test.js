'use strict';

// Long-polling through several workers: every request is on a new connection,
// so that whoever takes it has to go on where another one has stopped.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { request } = require('./lib/http');
const { Stream, numbers, assertNumbers } = require('./lib/stream');
const { RS } = require('./lib/polling');
const { until, within } = require('./lib/expect');

const FOUR = { workers: 4, listen: 'reuseport' };

/** New connections, as many as make two workers at least, with their pids. */
async function connections(gw, session, count = 8) {
  for (;;) {
    const list = await Promise.all(
      Array.from({ length: count }, () => session.connection()));
    const pids = await until(() => {
      const found = gw.workersOf(list);
      return found.every(Boolean) && found;
    }, 'workers have taken them');

    if (new Set(pids).size > 1) {
      return list.map((connection, i) => ({ connection, pid: pids[i] }));
    }
    list.forEach((connection) => connection.destroy());
  }
}

/** The same, but none to the worker that holds this GET. */
async function others(gw, session, held) {
  for (;;) {
    const list = await connections(gw, session);
    const [pid] = gw.workersOf([held]);
    const elsewhere = list.filter((it) => it.pid !== pid);
    if (elsewhere.length > 0) {
      return elsewhere.map(({ connection }) => connection);
    }
  }
}

test('streams, while rooms are joined and left', async (t) => {
  const gw = await gateway(t, FOUR);
  const CLIENTS = 30;
  const ROOMS = 6;
  const BATCHES = 120;
  const rooms = Array.from({ length: ROOMS }, (_, i) => `room ${i}`);
  const users = Array.from({ length: CLIENTS }, (_, i) => ({
    name: `u${i}`, member: rooms.map((_, j) => (i + j) % 2 === 0), expected: [],
  }));
  const clients = await Promise.all(users.map(({ name, member }) => (
    gw.pollingConnect({
      user: name, rooms: rooms.filter((_, j) => member[j]),
    }))));
  const witness = await gw.rawConnect({ user: 'witness' });
  let n = 0;

  for (let batch = 0; batch < BATCHES; batch++) {
    for (let i = 0; i < 5; i++) {
      const room = (batch * 7 + i) % ROOMS;
      gw.emitter.to(rooms[room]).emit('n', ++n);
      users.filter((user) => user.member[room])
        .forEach((user) => user.expected.push(n));
    }
    const user = users[(batch * 11) % CLIENTS];
    const room = (batch * 5) % ROOMS;
    const command = user.member[room] ? 'socketsLeave' : 'socketsJoin';
    gw.emitter.in(`user:${user.name}`)[command](rooms[room]);
    user.member[room] = !user.member[room];
    if (batch % 4 === 0) {
      await gw.settle(witness);
    }
  }

  await gw.settle(clients);
  for (const [i, client] of clients.entries()) {
    assert.deepEqual(numbers(client), users[i].expected, String(client));
    assert.ok(client.polls > 20, `${client} has polled ${client.polls} times`);
    assert.ok(!client.closed && !client.failure, String(client));
  }
});

test('a fast stream, binary in between, POSTs all the time', async (t) => {
  const gw = await gateway(t, FOUR);
  const clients = await Promise.all(Array.from({ length: 12 }, (_, i) => (
    gw.pollingConnect({ user: `u${i}`, rooms: ['r', 'b'] }))));
  const text = new Stream(gw, 'r', { rate: 400 });
  text.start();

  for (let i = 0; i < 60; i++) {
    gw.emitter.to('b').emit('b', i, Buffer.from(`${i}`));
    await Promise.all(clients.map((client) => client.send(`42["e",${i}]`)));
  }
  await until(() => text.sent > 600, 'a while');
  const last = text.stop();
  await gw.settle(clients);
  for (const client of clients) {
    assertNumbers(client, 1, last);
    assert.deepEqual(client.received('b'), Array.from(
      { length: 60 }, (_, i) => [i, Buffer.from(`${i}`)]));
    assert.equal(client.failure, undefined);
  }
});

test('one session, several workers', async (t) => {
  const gw = await gateway(t, FOUR);

  await t.test('polls alternate', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    const list = await connections(gw, session, 16);
    for (let i = 0; i < 48; i++) {
      const { connection } = list[i % list.length];
      const answer = connection.send(request('GET', session.path()));
      gw.emitter.to('r').emit('e', i);
      assert.equal((await within(answer, 'an answer')).body, `42["e",${i}]`);
    }
  });

  await t.test('POSTs alternate, each behind the ok for the last', async () => {
    const session = await gw.polled();
    const list = await connections(gw, session, 16);
    for (let i = 0; i < 1000; i++) {
      const answer = await within(list[i % list.length].connection.send(
        request('POST', session.path(), { body: '42["e"]' })), 'ok');
      assert.equal(answer.body, 'ok', `POST ${i}: ${answer.status}`);
    }
  });

  await t.test('a POST on another one than the GET', async () => {
    for (let i = 0; i < 4; i++) {
      const session = await gw.polling();
      const { connection, answer } = await session.hold();
      const [other] = await others(gw, session, connection);
      const auth = gw.auth({ user: `p${i}`, rooms: ['r'] });
      const posted = await within(other.send(request('POST', session.path(), {
        body: `40${JSON.stringify(auth)}`,
      })), 'ok');
      assert.equal(posted.body, 'ok');

      session.packets.push(...(await answer).body.split(RS));
      assert.match(await session.next(), /^40\{"sid":/);
      assert.equal(await session.next(), '42["ready"]');
      gw.emitter.to('r').emit('e', i);
      assert.equal(await session.next(), `42["e",${i}]`);
      session.close();
    }
  });

  const ends = [
    // what is POSTed, what the GET is told
    ['1', '6'], ['9', '1'], ['42{}', '1'], ['2', '1'],
  ];
  for (const [body, told] of ends) {
    await t.test(`POST "${body}" on another one than the GET`, async () => {
      const session = await gw.polled();
      const { connection, answer } = await session.hold();
      const [other] = await others(gw, session, connection);
      const posted = other.send(request('POST', session.path(), { body }));
      assert.equal((await within(posted, 'ok')).body, 'ok');
      assert.equal((await answer).body, told);
      assert.equal(await session.alive(), false);
    });
  }

  await t.test('a second GET on another one', async () => {
    for (let i = 0; i < 3; i++) {
      const session = await gw.polled();
      const { connection, answer } = await session.hold();
      const [other] = await others(gw, session, connection);
      const second = await within(
        other.send(request('GET', session.path())), 'an answer');
      assert.deepEqual([second.status, second.body], [400, '']);
      assert.equal((await answer).body, '1');
      assert.equal(await session.alive(), false);
    }
  });

  await t.test('a second POST on another one', async () => {
    const session = await gw.polled();
    const connection = await session.connection();
    connection.send(request('POST', session.path(), {
      headers: { 'Content-Length': '2', Expect: '100-continue' },
    }));
    await until(() => connection.continues > 0, 'the POST is handled');
    const [other] = await others(gw, session, connection);
    const second = await within(
      other.send(request('POST', session.path(), { body: '3' })), 'an answer');
    assert.deepEqual([second.status, second.body], [400, '']);
    assert.equal(await session.alive(), false);
  });

  await t.test('a packet in pieces on all of them', async () => {
    const session = await gw.polled({ user: 'pieces' });
    const { connection } = await session.hold();
    const list = await others(gw, session, connection);
    const post = async (body) => {
      list.push(list.shift());
      const posted = list[0].send(request('POST', session.path(), { body }));
      assert.equal((await within(posted, 'ok')).body, 'ok');
    };
    const part = '{"_placeholder":true,"num":';
    await post(`453-["e",${part}0},${part}1},${part}2}]`);
    await post('bAQID');
    await post(['bAQID', 'bAQID'].join(RS));
    await post('42["after"]');
    assert.equal(await session.alive(), true);
    await post(`451-["e",${part}0}]`);
    await post('42["too early"]');
    assert.equal(await session.alive(), false);
  });
});

test('rooms that are slow to come', async (t) => {
  const gw = await gateway(t, { ...FOUR, proxy: true });
  await gw.live();
  const witness = await gw.rawConnect({ user: 'witness' });

  for (const pending of [true, false]) {
    await t.test(`with${pending ? '' : 'out'} a GET pending`, async () => {
      const user = `slow${pending}`;
      await gw.redis.commands.sAdd(`mew:rooms:${user}`, ['s', 't']);
      const session = await gw.polling();
      const held = pending && await session.hold();

      gw.proxy.hold('smembers');
      const posted = session.post(
        `40${JSON.stringify(gw.auth({ user, rooms: ['r'] }))}`);
      await until(() => gw.proxy.seen > 0, 'the rooms are asked for');
      gw.emitter.to(['r', 's', `user:${user}`]).emit('e', 'too early');
      gw.emitter.in(`user:${user}`).socketsLeave('t');
      gw.emitter.in(`user:${user}`).socketsJoin('u');
      await gw.settle(witness);
      gw.proxy.release();
      assert.equal((await within(posted, 'ok')).body, 'ok');

      if (held) {
        session.packets.push(...(await held.answer).body.split(RS));
      }
      assert.match(await session.next(), /^40\{"sid":/);
      assert.equal(await session.next(), '42["ready"]');
      for (const room of ['t', 'r', 's', 'u']) {
        gw.emitter.to(room).emit('e', room);
      }
      for (const room of ['r', 's', 'u']) {
        assert.equal(await session.next(), `42["e","${room}"]`);
      }
    });
  }

  await t.test('who ends meanwhile', async () => {
    const session = await gw.polling();
    gw.proxy.hold('smembers');
    const posted = session.post(`40${JSON.stringify(gw.auth())}`);
    await until(() => gw.proxy.seen > 0, 'the rooms are asked for');
    // Refused if the first POST still waits; the session ends in any case.
    await session.post('1');
    gw.proxy.release();
    await posted.catch(() => {});
    await until(async () => !await session.alive(), 'it is gone');
    await gw.settle(witness);
  });
});

test('Redis that is down at CONNECT', async (t) => {
  const gw = await gateway(t, FOUR);
  const live = await gw.pollingConnect({ user: 'live', rooms: ['r'] });
  await gw.redis.stop('SIGKILL');

  await t.test('no refusal, but the end', async () => {
    const session = await gw.polling().catch((error) => error);
    if (session instanceof Error) {
      assert.equal(session.head?.status, 503);
      return;
    }
    const posted = await within(
      session.post(`40${JSON.stringify(gw.auth())}`), 'an answer');
    if (posted.status === 200) {
      assert.deepEqual((await session.rest()).filter((it) => it !== '1'), []);
    } else {
      assert.ok([400, 503].includes(posted.status), String(posted.status));
    }
  });

  await t.test('the official client gets in later', async () => {
    const late = gw.client({
      user: 'late', rooms: ['r'], transports: ['polling'],
    });
    await until(() => late.failures.length + late.disconnects.length > 0
                || late.socket.io.engine?.readyState === 'open', 'it tries');
    assert.equal(late.connects, 0);
    await gw.redis.start();
    await gw.redis.subscribed(1, 15000);
    await late.ready(1, 20000);
    assert.deepEqual(late.refusals, []);

    gw.emitter.to('r').emit('back');
    await gw.settle(late, live);
    assert.equal(late.received('back').length, 1);
    assert.equal(live.received('back').length, 1);
  });
});

test('who does not poll for a while', async (t) => {
  const gw = await gateway(t, { ...FOUR, block: { zone: '4m', log: '256k' } });
  const witness = await gw.rawConnect({ user: 'witness', rooms: ['busy'] });
  const busy = new Stream(gw, 'busy', { size: 1000 });
  const fill = async (count) => {
    for (let i = 0; i < count; i++) {
      busy.publish();
      if (i % 20 === 0) {
        await until(() => numbers(witness).length === busy.sent, 'it follows');
      }
    }
    await until(() => numbers(witness).length === busy.sent, 'it follows');
  };
  witness.keep = false;

  await t.test('the log has it', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    gw.emitter.to('r').emit('e', 1);
    await fill(100);
    gw.emitter.to('r').emit('e', 2);
    assert.equal(await session.next(), '42["e",1]');
    assert.equal(await session.next(), '42["e",2]');
  });

  await t.test('the log has it no more: the session has ended', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    gw.emitter.to('r').emit('e', 'lost');
    await fill(600);
    const packets = await session.rest();
    assert.deepEqual(packets.filter((packet) => packet !== '1'), []);
  });

  await t.test('while a GET is pending nothing of that happens', async () => {
    const session = await gw.polled({ rooms: ['r'] });
    const { answer } = await session.hold();
    await fill(600);
    gw.emitter.to('r').emit('e', 1);
    assert.equal((await answer).body, '42["e",1]');
    assert.equal(await session.alive(), true);
  });
});
