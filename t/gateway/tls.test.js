'use strict';

// WebSockets over TLS: whatever a connection went through before its request
// was gone, traffic and the end are the same behind it.

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const assert = require('node:assert/strict');

const { RawClient } = require('./lib/client');
const { freePort } = require('./lib/processes');
const { gateway } = require('./lib/gateway');
const { SECRET } = require('./lib/token');
const { teller } = require('./lib/proxy');
const { throughOpenssl } = require('./lib/s_client');
const { frame, OPCODE } = require('./lib/ws');
const { until, within } = require('./lib/expect');

const PROTOCOLS = { ssl_protocols: 'TLSv1.2 TLSv1.3' };

/** A client whose dial takes these options of tls.connect(). */
async function connect(gw, user, tls, port = gw.port) {
  const client = await RawClient.open({ port, tls }, {
    name: user, auth: gw.auth({ user }),
    headers: tls.servername ? { Host: tls.servername } : {},
  });
  return client.ready();
}

/** Small and large messages to the client, pieces of one from it. */
async function converse(gw, user, client) {
  const big = crypto.randomBytes(100000).toString('hex');

  gw.emitter.to(`user:${user}`).emit('small', user);
  gw.emitter.to(`user:${user}`).emit('big', big);
  await client.eventWith('small', user);
  await client.eventWith('big', big);

  const { ws } = client;
  await ws.dribble(frame(OPCODE.ping, 'in pieces'));
  await until(() => ws.pongs.includes('in pieces'), 'a pong');
  await ws.roundTrip();
}

const ENDS = {
  'the client closes': async ({ ws }) => {
    ws.close(1000);
    assert.equal(await ws.closing(), 1000);
  },
  'the client says goodbye in TLS only': async ({ ws }) => {
    ws.socket.end();
    await ws.ended;
  },
  'the client is gone': async ({ ws }) => {
    ws.destroy();
    await ws.ended;
  },
  'the server closes': async ({ ws }) => {
    ws.write(frame(OPCODE.text, 'x', { masked: false }));
    assert.equal(await ws.closing(), 1002);
  },
};

/**
 * For each way to end: connects, converses, ends; the end is in the log.
 * interval: that of the server which is expected.
 */
async function live(t, gw, port, tls, name, interval = 25000) {
  const lines = () => gw.nginx.log(
    /client closed: .* while in a WebSocket, client: 127\.0\.0\.1, /).length;

  for (const [what, end] of Object.entries(ENDS)) {
    await t.test(`${name}: ${what}`, async () => {
      const user = crypto.randomUUID();
      const before = lines();
      const client = await connect(gw, user, tls, port);
      assert.equal(client.handshake.pingInterval, interval);
      await converse(gw, user, client);
      await end(client);
      await until(() => lines() === before + 1, 'a line for its end');
    });
  }
}

// What nginx keeps of TLS moves to another place when the request is gone.
test('connections of all kinds converse and end', async (t) => {
  // freePort() has its ports on another address, too, which "*" would meet.
  const wild = crypto.randomInt(12000, 14000);
  const told = await freePort();
  const gw = await gateway(t, {
    tls: true,
    listen: 'http2',
    server: {
      ...PROTOCOLS,
      listen: [`*:${wild} ssl`, `127.0.0.1:${wild} ssl`,
               `127.0.0.1:${told} ssl proxy_protocol`],
    },
  });
  const kinds = {
    'TLS 1.2': [gw.port, { maxVersion: 'TLSv1.2' }],
    'TLS 1.3': [gw.port, { minVersion: 'TLSv1.3' }],
    'no AEAD': [gw.port, {
      maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256',
    }],
    'ALPN, where HTTP/2 is spoken': [gw.port, { ALPNProtocols: ['http/1.1'] }],
    'several addresses on one port': [wild, {}],
    'a proxy that tells another one': [await teller(t, told), {}],
  };

  for (const [name, [port, tls]] of Object.entries(kinds)) {
    await live(t, gw, port, tls, name);
  }
});

test('sessions are resumed after WebSockets', async (t) => {
  for (const cache of ['none', 'shared:tls:1m']) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
      await t.test(`${maxVersion}, cache ${cache}`, async (t2) => {
        const gw = await gateway(t2, {
          tls: true, server: { ...PROTOCOLS, ssl_session_cache: cache },
        });
        const first = await connect(gw, 'ann', { maxVersion });
        await converse(gw, 'ann', first);
        const session = first.ws.socket.getSession();

        for (const user of ['bob', 'cid']) {
          const client = await connect(gw, user, { maxVersion, session });
          assert.ok(client.ws.socket.isSessionReused());
          await converse(gw, user, client);
          client.close();
        }
        await converse(gw, 'ann', first);
        first.close();
      });
    }
  }
});


// A name that a regex captured is in the pool that is given up.
test('several servers, of which the name decides', async (t) => {
  const port = await freePort();
  const servers = (gw) => [['a.one', '20s'], ['~^(?<who>\\w+)\\.two$', '30s']]
    .map(([name, interval]) => ({
      listen: `127.0.0.1:${port} ssl`,
      server_name: name,
      ssl_certificate: path.join(gw.dir, 'cert.pem'),
      ssl_certificate_key: path.join(gw.dir, 'key.pem'),
      'location /socket.io/': {
        socketio: 'mew', socketio_jwt_key: `HS256 "${SECRET}"`,
        socketio_jwt_user: 'id', socketio_user_room: 'user:$socketio_user',
        socketio_ready: 'ready', socketio_ping_interval: interval,
      },
    }));
  const gw = await gateway(t, {
    tls: true, setup: (it) => { it.options.http = { server: servers(it) }; },
  });

  for (const [servername, interval] of [['a.one', 20], ['b.two', 30],
                                        ['c.two', 30], ['other', 20]]) {
    await live(t, gw, port, { servername }, servername, interval * 1000);
  }
});

test('certificates of clients', async (t) => {
  const gw = await gateway(t, {
    tls: true,
    setup: (it) => {
      it.options.server = {
        ...PROTOCOLS,
        ssl_verify_client: 'optional',
        ssl_client_certificate: path.join(it.dir, 'cert.pem'),
        // of one without an issuer it asks nobody, and keeps that it is good
        ssl_ocsp: 'on',
        ssl_ocsp_responder: 'http://127.0.0.1:1/',
      };
    },
  });
  const mine = {
    cert: fs.readFileSync(gw.tls.cert), key: fs.readFileSync(gw.tls.key),
  };

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    await live(t, gw, gw.port, { maxVersion }, `${maxVersion}, none`);
    await live(t, gw, gw.port, { maxVersion, ...mine }, `${maxVersion}, good`);
  }
});

test('keys are updated', async (t) => {
  const gw = await gateway(t, { tls: true, server: PROTOCOLS });
  const ws = await throughOpenssl(t, gw.port, ['-tls1_3']);

  await ws.next();
  ws.text(`40${JSON.stringify(gw.auth({ user: 'ann' }))}`);
  assert.match(await ws.next(), /^40\{/);
  assert.match(await ws.next(), /"ready"/);

  // k: those of the client; K: those of the server, too
  for (const letter of ['k', 'K', 'K']) {
    await ws.roundTrip();
    await ws.command(letter, 'KEYUPDATE');
    await ws.roundTrip();
    gw.emitter.to('user:ann').emit('e', letter.repeat(50000));
    assert.equal(await ws.next(), `42["e","${letter.repeat(50000)}"]`);
  }
  ws.close(1000);
  assert.equal(await ws.closing(), 1000);
});

test('nobody negotiates again', async (t) => {
  const gw = await gateway(t, { tls: true });
  const witness = await connect(gw, 'witness', {});
  const client = await connect(gw, 'ann', { maxVersion: 'TLSv1.2' });

  await converse(gw, 'ann', client);
  client.ws.socket.renegotiate({}, () => {});
  await within(client.ws.ended, 'the end of the connection');
  assert.match(String(client.ws.failure), /no.renegotiation/i);

  await converse(gw, 'witness', witness);
  await until(async () => (await gw.status()).sessions.live === 1,
              'the session of the other ends');
  witness.close();
});

test('workers come and go', async (t) => {
  const gw = await gateway(t, { tls: true, workers: 2, server: PROTOCOLS });
  const all = () => Promise.all(Array.from({ length: 20 }, (_, i) => (
    connect(gw, `user-${i}`, i & 1 ? {} : { maxVersion: 'TLSv1.2' }))));

  await t.test('a reload', async () => {
    const clients = await all();
    await gw.nginx.reload();
    for (const { ws } of clients) {
      // a frame without a code
      assert.equal(await ws.closing(20000), 1005);
    }
  });

  await t.test('a kill', async () => {
    const clients = await all();
    gw.nginx.workers().forEach((pid) => gw.nginx.killWorker(pid));
    await Promise.all(clients.map(({ ws }) => ws.ended));
  });

  await t.test('afterwards', async () => {
    const client = await until(
      () => connect(gw, 'ann', {}).catch(() => null), 'a connection');
    await converse(gw, 'ann', client);
    client.close();
  });
});
