'use strict';

// Configurations, sets and clients that must not hurt anybody else.

const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { until } = require('./lib/expect');

const UPGRADE = [
  'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

/** Private memory of a process, in bytes. */
function anonymous(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)[1]) * 1024;
}

// A subrequest has no connection of its own to take over.
test('a handshake as a subrequest', async (t) => {
  const gw = await gateway(t, {
    locations: {
      '/socket.io/': {},
      '= /mirrored': { socketio: null, mirror: '/socket.io/', empty_gif: '' },
      '/pages/': { socketio: null, ssi: 'on', root: '$document_base' },
    },
    server: { set: '$document_base .' },
    setup: (self) => {
      fs.mkdirSync(path.join(self.dir, 'pages'));
      fs.writeFileSync(path.join(self.dir, 'pages', 'a.html'),
                       '[<!--# include virtual="/socket.io/'
                       + '?EIO=4&transport=websocket" -->]');
    },
  });
  const witness = await gw.rawConnect({ user: 'witness' });
  const [worker] = gw.nginx.workers();
  const before = descriptors(worker);

  for (const target of ['/mirrored?EIO=4&transport=websocket',
                        '/pages/a.html']) {
    for (let i = 0; i < 10; i++) {
      const answer = await gw.exchange([
        `GET ${target} HTTP/1.1`, 'Host: a', ...UPGRADE, '', '',
      ].join('\r\n'));
      assert.equal(answer.status, 200, target);
    }
  }

  await gw.settle(witness);
  await until(() => descriptors(worker) <= before, 'no connection is left');
});

test('DISCONNECT to a client that is behind', async (t) => {
  for (const tls of [false, true]) {
    await t.test(tls ? 'TLS' : 'plain', async (t2) => {
      const gw = await gateway(t2, {
        tls, listen: 'sndbuf=16k', block: { zone: '64m' },
      });
      const slow = await gw.rawConnect({ user: 'slow' });
      const other = await gw.rawConnect({ user: 'other' });
      const text = 'x'.repeat(3000000);

      slow.ws.pause();
      gw.emitter.to('user:slow').emit('last words', text);
      gw.emitter.in('user:slow').disconnectSockets(true);
      gw.emitter.to('user:slow').emit('too late');
      await gw.settle(other);

      slow.ws.resume();
      await slow.ws.ended;
      assert.deepEqual(slow.packets.slice(2).map((packet) => packet.length),
                       [`42["last words",""]`.length + text.length, 2]);
      assert.equal(slow.packets.at(-1), '41');
    });
  }
});

test('many who do not read a large message', async (t) => {
  const gw = await gateway(t, {
    listen: 'sndbuf=16k', block: { zone: '128m', log: '32m' },
  });
  const clients = [];
  for (let i = 0; i < 12; i++) {
    clients.push(await gw.rawConnect({ user: `slow${i}`, rooms: ['r'] }));
    clients[i].ws.pause();
  }
  const witness = await gw.rawConnect({ user: 'witness' });
  const [worker] = gw.nginx.workers();

  // what decoding and staging take does not count
  gw.emitter.to('nobody').to('user:witness').emit('large',
                                                  'x'.repeat(5000000));
  await gw.settle(witness);
  const before = anonymous(worker);

  gw.emitter.to('r').emit('large', 'x'.repeat(5000000));
  await gw.settle(witness);
  const grown = anonymous(worker) - before;
  assert.ok(grown < 30e6, `${grown} bytes for 60 MB that are owed`);

  for (const client of clients) {
    client.ws.resume();
    await until(() => client.received('large').length, 'it has arrived');
    assert.equal(client.received('large')[0][0].length, 5000000);
  }
});

test('room sets of any size', async (t) => {
  const gw = await gateway(t, { block: { zone: '32m' } });
  const witness = await gw.rawConnect({ user: 'witness' });
  const fill = async (user, count) => {
    const names = Array.from({ length: count }, (_, i) => `room ${i}`);
    for (let at = 0; at < count; at += 1000) {
      await gw.redis.commands.sAdd(`mew:rooms:${user}`,
                                   names.slice(at, at + 1000));
    }
  };

  await t.test('thirty thousand', async () => {
    await fill('many', 30000);
    const client = await gw.rawConnect({ user: 'many' });
    gw.emitter.to('room 29999').emit('in the last');
    await gw.settle(client, witness);
    assert.equal(client.received('in the last').length, 1);
  });

  await t.test('more than a client can be in', async () => {
    await fill('too many', 50001);
    const client = await gw.rawClient({ user: 'too many' });
    await until(() => client.closed, 'it is closed');
    assert.equal(
      gw.nginx.log(/\[error\].*room sets have 50001 names/).length, 1);
    await gw.settle(witness);
  });
});
