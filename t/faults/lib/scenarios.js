'use strict';

// What clients do while calls fail.  A scenario ends when it is through, fails
// when its client was closed or refused, and never waits for longer than the
// gateway says that things may take.

const assert = require('node:assert/strict');

const { met, UPLINK } = require('./site');
const { encode } = require('../../gateway/lib/msgpack');
const { deflated } = require('../../gateway/lib/ws');
const { until, within } = require('../../gateway/lib/expect');

// More than there is place for in the record of a session.
const ROOMS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'];

/** Who connects: a user whose room set is in Redis, and rooms by the token. */
function who(site) {
  const n = site.next();
  return { user: `guest${n % 2}`, rooms: [...ROOMS, `own${n}`] };
}

const ready = (client) => met(
  client, () => client.received('ready').length > 0, 'is ready');

/** It gets an event that is for it alone. */
async function hears(site, client, ...filler) {
  const value = site.next();

  site.gw.emitter.to(client.id).emit('e', value, ...filler);
  await met(client, () => client.received('e').some(([n]) => n === value),
            `gets ${value}`);
}

async function websocket(site) {
  const client = await site.gw.rawClient(who(site));
  await ready(client);
  await hears(site, client);
}

async function polling(site) {
  const client = await site.gw.pollingClient(who(site));
  await ready(client);
  await hears(site, client);
  await within(client.upgrade(), 'it upgrades');
  await hears(site, client);
  client.send('41');
}

/** Everybody gets a large message, a volatile one, and one with "except". */
async function broadcast(site) {
  const { emitter } = site.gw;

  site.publish('x'.repeat(60000));
  emitter.volatile.emit('volatile');
  emitter.to(['crowd', 'one']).except('none').emit('many');
  emitter.in('user:none').socketsJoin('some');
  site.publish();
  await site.check(1);
}

/** It is behind by more than the log keeps, and is given all of it. */
async function slow(site) {
  const { gw } = site;
  const client = await gw.rawClient(who(site));

  client.keep = false;
  await ready(client);
  client.ws.pause();
  for (let i = 1; i <= 16; i++) {
    gw.emitter.to(client.id).emit('large', i, 'x'.repeat(60000));
    gw.emitter.to(client.id).emit('large', i + 0.5);
    if (i % 4 === 0) {
      site.publish();
      await site.check(1);
    }
  }
  client.ws.resume();
  await hears(site, client);
  assert.deepEqual(
    client.received('large').map(([n]) => n),
    Array.from({ length: 32 }, (_, i) => 1 + Math.floor(i / 2) + i % 2 / 2));
}

/** It loses its transport, and comes back with what it missed. */
async function recovery(site) {
  const { gw } = site;
  const it = who(site);
  const before = await gw.rawClient(it);

  await ready(before);
  await hears(site, before);
  before.close();
  const value = site.next();
  gw.emitter.to(it.rooms.at(-1)).emit('e', value);

  const { pid, offset } = before;
  const auth = { ...gw.auth(it), pid, offset };
  const client = await gw.rawClient({ ...it, auth });
  await ready(client);
  if (client.id === before.id) {
    await hears(site, client);
    assert.equal(client.received('e')[0][0], value);
  }
}

/** The next message that is no ping. */
async function next(ws) {
  for (;;) {
    const message = await ws.next();
    if (message !== '2') {
      return message;
    }
    ws.text('3');
  }
}

/** Sockets in two namespaces of one connection; one leaves. */
async function namespaces(site) {
  const { gw } = site;
  const auth = JSON.stringify(gw.auth(who(site)));
  const ws = await gw.socket();

  assert.match(await next(ws), /^0\{/);
  ws.text(`40/news,${auth}`);
  const reply = await next(ws);
  if (reply.startsWith('44')) {
    throw new Error(`refused: ${reply}`);
  }
  const [, sid] = /^40\/news,\{"sid":"([^"]+)"/.exec(reply);
  assert.match(await next(ws), /^42\/news,\["ready"/);
  ws.text(`40${auth}`);
  assert.match(await next(ws), /^40\{/);
  assert.match(await next(ws), /^42\["ready"/);
  gw.emitter.of('/news').to(sid).emit('e', 1);
  assert.match(await next(ws), /^42\/news,\["e",1/);
  ws.text('41/news,');
  gw.emitter.emit('last');
  assert.match(await next(ws), /^42\["last"/);
}

/** Messages are compressed, in both directions. */
async function deflate(site) {
  const { gw } = site;
  const client = await gw.rawClient({
    ...who(site), headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
  });
  await ready(client);
  const { compressed } = client.ws;
  await hears(site, client, 'x'.repeat(4000));
  assert.ok(client.ws.compressed >= compressed);
  client.ws.write(deflated(`42["e","${'x'.repeat(4000)}"]`));
  await hears(site, client);
}

/** It is asked, and answers; who asks does not get each answer. */
async function acks(site) {
  const { gw } = site;
  const client = await gw.rawClient(who(site));
  const asked = () => client.packets.find((it) => /^42\d+\["ask"\]/.test(it));

  await ready(client);
  await gw.redis.commands.publish('socket.io-request#/#', encode({
    uid: 'backend', requestId: 'r', type: 7,
    packet: { type: 2, data: ['ask'], nsp: '/' },
    opts: { rooms: [client.id], except: [], flags: { timeout: 1000 } },
  }));
  await hears(site, client);
  if (asked()) {
    client.send(`43${/\d+/.exec(asked().slice(2))[0]}["answer"]`);
    await hears(site, client);
  }
}

/** It comes, asks the backend, which answers if it is told, and goes. */
async function uplink(site) {
  const redis = site.gw.redis.commands;
  const client = await site.gw.rawClient({
    ...who(site), path: '/uplink/?EIO=4&transport=websocket',
  });
  const answer = () => client.packets.find((it) => /^437\[/.test(it));
  const stored = async () => (await redis.xRevRange(UPLINK, '+', '-', {
    COUNT: 100,
  })).find(({ message }) => message.sid === client.id && message.ack === '7');

  await ready(client);
  client.send('427["ask",{"what":"a question"}]');
  if (await until(async () => answer() || client.closed || stored(),
                  () => `the question of ${client} is stored or refused`)
      && await stored()) {
    await redis.publish('socket.io-command', JSON.stringify({
      op: 'ack', sid: client.id, ack: 7, args: ['an answer'],
    }));
  }
  await met(client, answer, 'is answered');
}

/** The page of numbers. */
async function status(site) {
  const { status: code, body } = await site.page();

  if (code === 500) {
    throw new Error('refused: 500');
  }
  assert.equal(code, 200, body);
  JSON.parse(body);
}

/** Rooms of a user change, a socket leaves, and is disconnected. */
async function commands(site) {
  const { gw } = site;
  const client = await gw.rawClient(who(site));
  const room = `joined${site.next()}`;

  await ready(client);
  gw.emitter.in(client.id).socketsJoin([room, 'crowds', 'of', 'rooms']);
  gw.emitter.in(client.id).socketsLeave('two');
  gw.emitter.to(room).emit('e', room);
  await met(client, () => client.received('e').length > 0, 'has joined');
  gw.emitter.in(client.id).disconnectSockets(true);
  await until(() => client.closed, `${client} is disconnected`);
}

/** Events come in parts: in two POSTs, then before and after an upgrade. */
async function parts(site) {
  const client = await site.gw.pollingClient({
    ...who(site), path: '/uplink/',
  });
  const header = '451-["ask",{"_placeholder":true,"num":0}]';

  await ready(client);
  client.send(header);
  client.send('bAAAA');
  client.send(header);
  await within(client.posts, 'the answers to POSTs');
  await hears(site, client);
  await within(client.upgrade(), 'it upgrades');
  client.ws.binary('abc');
  await hears(site, client);
  client.send('41');
}

/** How often Redis was asked for a set. */
async function reads(redis) {
  const [, calls] = /^cmdstat_smembers:calls=(\d+)/m.exec(
    await redis.info('commandstats')) || [0, 0];
  return Number(calls);
}

/**
 * What its set in Redis says is read again, and once more while that is done,
 * for its two sockets.
 */
async function refresh(site) {
  const { gw } = site;
  const redis = gw.redis.commands;
  const n = site.next();
  const [user, before, after] = [`fresh${n}`, `before${n}`, `after${n}`];
  const key = `mew:rooms:${user}`;
  const again = JSON.stringify({ op: 'refresh', to: `user:${user}` });

  await redis.sAdd(key, ['set', before]);
  try {
    const clients = [
      await gw.rawClient({ user, rooms: ROOMS }),
      await gw.pollingClient({ user, rooms: ROOMS }),
    ];
    for (const client of clients) {
      await ready(client);
    }
    await redis.sRem(key, before);
    await redis.sAdd(key, [after, 'of', 'others']);
    const asked = await reads(redis);
    await redis.publish('socket.io-command', `[${again},${again}]`);
    await until(async () => clients.some((it) => it.closed)
      || await reads(redis) > asked, 'the set is read again');

    for (const client of clients) {
      await until(async () => {
        gw.emitter.to(after).emit('after');
        await hears(site, client);
        return client.received('after').length > 0;
      }, () => `${client} is in its new room`);
    }
    gw.emitter.to(before).emit('before');
    gw.emitter.to('set').emit('set');
    for (const client of clients) {
      await hears(site, client);
      assert.equal(client.received('before').length, 0);
      assert.ok(client.received('set').length > 0);
    }
    clients[1].send('41');
  } finally {
    await redis.del(key);
  }
}

module.exports = {
  websocket, polling, broadcast, slow, recovery, namespaces, deflate, acks,
  uplink, status, commands, parts, refresh,
};
