'use strict';

// What is for many is sent in slices, between which everything else goes on:
// order, sockets that come and go meanwhile, and those who get but a little.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { Emitter } = require('@socket.io/redis-emitter');

const { gateway } = require('./lib/gateway');
const { Stream, assertNumbers, numbers } = require('./lib/stream');
const { parallel, until } = require('./lib/expect');

// Several slices.
const CROWD = 400;

const names = (n) => Array.from({ length: n }, (_, i) => `user${i}`);

/** Many that are in the room "all", and only count what they get. */
async function crowd(gw, count = CROWD) {
  const clients = await parallel(names(count), 8, (user) => (
    gw.rawConnect({ user, rooms: ['all'] })));

  for (const client of clients) {
    client.got = 0;
    client.ws.onmessage = (message) => {
      if (message === '2') {
        client.send('3');
      } else {
        client.got++;
      }
    };
  }
  return clients;
}

/** A steady stream for everybody in "all", while body runs. */
async function amid(gw, body, size = 2000) {
  const stream = new Stream(gw, 'all', { rate: 40, size }).start();

  await body(stream);
  return stream.stop();
}

test('who is in a small room, too, gets all in the order of publication',
     async (t) => {
       const gw = await gateway(t, { workers: 1 });
       const many = await crowd(gw);
       const both = await parallel(names(4), 4, (user) => (
         gw.rawConnect({ user, rooms: ['all', 'few'] })));

       for (let n = 1; n <= 200; n++) {
         gw.emitter.to(n % 2 ? 'all' : 'few').emit('n', n);
       }
       await gw.settle(...both);
       await until(() => many.every(({ got }) => got === 101),
                   () => `all have 101: ${many.map(({ got }) => got)}`);

       for (const client of both) {
         assertNumbers(client, 1, 200);
       }
     });

test('what is for a few does not wait for what is for many', async (t) => {
  const gw = await gateway(t, { workers: 1 });
  const many = await crowd(gw);
  const few = await gw.rawConnect({ user: 'few' });
  const rounds = [];

  // How many have the broadcast when what was published behind it is there.
  few.onevent = () => {
    rounds.push(many.filter(({ got }) => got > rounds.length).length);
  };
  for (let n = 1; n <= 10; n++) {
    // Both at once, so that the gateway has read both when it begins to send.
    const multi = gw.redis.commands.multi();
    const emitter = new Emitter({
      publish: (channel, message) => multi.publish(channel, message),
    });
    emitter.to('all').emit('n', n, 'x'.repeat(20000));
    emitter.to('user:few').emit('n', n);
    await multi.exec();
    await until(() => many.every(({ got }) => got === n)
                      && rounds.length === n, 'a round is over');
  }
  assert.ok(rounds.every((n) => n < CROWD), `before the last: ${rounds}`);
  assertNumbers(few, 1, 10);
});

test('who leaves and connects again gets nothing of the time before',
     async (t) => {
       const gw = await gateway(t, { workers: 1 });
       await crowd(gw);
       const back = await gw.rawConnect({ user: 'back', rooms: ['all'] });
       const auth = JSON.stringify(gw.auth({ user: 'back', rooms: ['all'] }));

       await amid(gw, async (stream) => {
         for (let i = 2; i <= 40; i++) {
           const seen = stream.sent;
           await until(() => numbers(back).at(-1) > seen, 'the stream goes on');
           back.send('41');
           back.send(`40${auth}`);
           await until(() => back.connects === i, 'it is connected again');
         }
       });
       await gw.settle(back);

       let last = 0;
       let fresh = true;
       for (const packet of back.packets) {
         if (packet.startsWith('40')) {
           fresh = true;
         } else if (packet.startsWith('42["n"')) {
           const [, n] = JSON.parse(packet.slice(2));
           assert.ok(fresh ? n > last : n === last + 1, `${n} after ${last}`);
           last = n;
           fresh = false;
         }
       }
     });

test('polls miss nothing', async (t) => {
  const gw = await gateway(t, { workers: 1 });
  await crowd(gw);
  const polling = await parallel(names(4), 4, (user) => (
    gw.pollingConnect({ user, rooms: ['all'] })));

  const sent = await amid(gw, async (stream) => {
    await until(() => stream.sent >= 100, 'a hundred are published');
  });
  await gw.settle(...polling);
  for (const client of polling) {
    assertNumbers(client, 1, sent);
  }
});

test('who loses the connection is recovered, and misses nothing',
     async (t) => {
       const gw = await gateway(t, {
         workers: 1, block: { recovery: '10s' },
       });
       await crowd(gw);
       const lost = await gw.connect({ user: 'lost', rooms: ['all'] });

       const sent = await amid(gw, async (stream) => {
         for (let i = 0; i < 12; i++) {
           const seen = stream.sent;
           await until(() => numbers(lost).at(-1) > seen, 'the stream goes on');
           await lost.away();
           assert.ok(await lost.back(), 'it is recovered');
         }
       });
       await gw.settle(lost);
       assertNumbers(lost, 1, sent);
     });

test('who is kicked gets what was published before', async (t) => {
  const gw = await gateway(t, { workers: 1 });
  await crowd(gw);

  for (let round = 0; round < 5; round++) {
    const user = `kicked${round}`;
    const kicked = await gw.rawConnect({ user, rooms: ['all'] });

    for (let n = 1; n <= 20; n++) {
      gw.emitter.to('all').emit('n', n);
    }
    gw.emitter.in(`user:${user}`).disconnectSockets(true);
    gw.emitter.to('all').emit('n', 21);

    await kicked.ws.ended;
    assertNumbers(kicked, 1, 20);
    assert.equal(kicked.packets.at(-1), '41');
  }
});

// Those of a slice that get the same are sent to in one go, if nothing is
// special about them; the others of the slice get theirs in between.
test('those who wait in a row need not be alike', async (t) => {
  const gw = await gateway(t, {
    workers: 1, listen: 'sndbuf=16k',
    location: { socketio_deflate: '1k', socketio_send_queue: '8m' },
  });
  const headers = { 'sec-websocket-extensions': 'permessage-deflate' };
  const rooms = ['all'];
  const kinds = {
    plain: (user) => gw.rawConnect({ user, rooms }),
    twice: (user) => gw.rawConnect({ user, rooms: ['all', 'few'] }),
    deflate: (user) => gw.rawConnect({ user, rooms, headers }),
    polling: (user) => gw.pollingConnect({ user, rooms }),
    slow: (user) => gw.rawConnect({ user, rooms }),
    lost: (user) => gw.rawConnect({ user, rooms }),
  };
  const all = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));

  for (let i = 0; i < 40; i++) {
    const kind = Object.keys(kinds)[i % Object.keys(kinds).length];
    all[kind].push(await kinds[kind](`${kind}${i}`));
  }
  assert.ok(all.deflate.every(({ ws }) => ws.extensions), 'deflate is on');

  all.slow.forEach(({ ws }) => ws.pause());
  const sent = await amid(gw, async (stream) => {
    for (const client of all.lost) {
      const seen = stream.sent;
      gw.emitter.to('few').emit('few', seen);
      client.ws.reset();
      await until(() => stream.sent > seen + 8, 'the stream goes on');
    }
  }, 20000);
  const stay = Object.values(all).flat().filter((it) => !all.lost.includes(it));
  const behind = (await gw.status()).sessions.live;
  all.slow.forEach(({ ws }) => ws.resume());
  await gw.settle(...stay);

  assert.equal(behind, stay.length, 'those who are lost are gone, no others');
  stay.forEach((client) => assertNumbers(client, 1, sent));
  all.twice.forEach((client) => (
    assert.equal(client.received('few').length, all.lost.length)));
});

test('those who go while they wait harm nobody', async (t) => {
  const gw = await gateway(t, { workers: 1 });
  const many = await crowd(gw);
  const stays = await gw.rawConnect({ user: 'stays', rooms: ['all'] });

  const sent = await amid(gw, async (stream) => {
    for (const [i, client] of many.slice(0, CROWD / 2).entries()) {
      const seen = stream.sent;
      client.close();
      if (i % 8 === 7) {
        await until(() => numbers(stays).at(-1) > seen, 'the stream goes on');
      }
    }
  });
  await gw.settle(stays);
  assertNumbers(stays, 1, sent);
});
