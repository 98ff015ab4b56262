'use strict';

// A token that was accepted before: the worker remembers that its signature was
// right, and nothing else.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { gateway } = require('./lib/gateway');
const { until } = require('./lib/expect');
const { SECRET, sign, keyPair, inSeconds } = require('./lib/token');

const OTHER = 'another-secret-that-is-long-enough-0123456789';
const RSA = keyPair('rsa');
const EC = keyPair('P-256');

/** "accepted", or the code of the refusal. */
async function verdict(gw, token, location = '/socket.io/') {
  const ws = await gw.socket({
    path: `${location}?EIO=4&transport=websocket`,
  });
  await ws.next();
  ws.text(`40${JSON.stringify({ token })}`);
  const answer = await ws.next();
  ws.destroy();
  return answer.startsWith('44') ? JSON.parse(answer.slice(2)).data.code
    : 'accepted';
}

/** Twice: the second time it is known. */
async function accepted(gw, token, location) {
  for (let i = 0; i < 2; i++) {
    assert.equal(await verdict(gw, token, location), 'accepted');
  }
}

const parts = (token) => token.split('.');

function keyFile(t, { publicKey }) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-again-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'key.pem');
  fs.writeFileSync(file, publicKey);
  return file;
}

test('by every kind of key', async (t) => {
  const keys = {
    HS256: { key: SECRET, value: `"${SECRET}"` },
    RS256: { key: RSA.privateKey, value: `file=${keyFile(t, RSA)}` },
    ES256: { key: EC.privateKey, value: `file=${keyFile(t, EC)}` },
  };
  const gw = await gateway(t, {
    location: {
      socketio_jwt_key: Object.entries(keys).map(
        ([algorithm, { value }]) => `${algorithm} ${value}`),
    },
  });

  for (const [algorithm, { key }] of Object.entries(keys)) {
    await t.test(algorithm, async () => {
      const token = sign({ id: 'ann' }, { key, algorithm });
      const other = sign({ id: 'bob' }, { key, algorithm });
      await accepted(gw, token);
      await accepted(gw, other);

      const [header, claims, signature] = parts(token);
      const [, otherClaims, otherSignature] = parts(other);

      for (const forged of [
        `${header}.${claims}.${otherSignature}`,
        `${header}.${otherClaims}.${signature}`,
        `${header}.${claims}.${signature.slice(0, -4)}`,
        `${header}.${claims}.${signature}AAAA`,
        `${header}.${claims}.`,
        `${header}.${claims}`,
      ]) {
        assert.equal(await verdict(gw, forged), 'token_invalid', forged);
        assert.equal(await verdict(gw, forged), 'token_invalid', forged);
      }
      await accepted(gw, token);
    });
  }
});

test('it expires nevertheless', async (t) => {
  const gw = await gateway(t, {
    locations: {
      '/socket.io/': {},
      '/leeway/': { socketio_jwt_leeway: '600s' },
    },
  });
  const token = sign({ id: 'ann', exp: inSeconds(4) });
  let last;

  await accepted(gw, token);
  await until(async () => {
    last = await verdict(gw, token);
    return last !== 'accepted';
  }, 'it expires');

  assert.equal(last, 'token_expired');
  await accepted(gw, token, '/leeway/');
  assert.equal(await verdict(gw, token), 'token_expired');
});

test('one that was too early is accepted in time', async (t) => {
  const gw = await gateway(t);
  const token = sign({ id: 'ann', nbf: inSeconds(3) });

  assert.equal(await verdict(gw, token), 'token_invalid');
  await until(async () => await verdict(gw, token) === 'accepted', 'its time');
  await accepted(gw, token);
});

test('other locations have their own rules', async (t) => {
  const gw = await gateway(t, {
    locations: {
      '/socket.io/': {},
      '/other-key/': { socketio_jwt_key: `HS256 "${OTHER}"` },
      '/same-key/': { socketio_jwt_key: `HS256 "${SECRET}"` },
      '/other-user/': { socketio_jwt_user: 'name' },
      '/require/': { socketio_jwt_require: 'iss=mew' },
      '/rooms/': { socketio_rooms: 'claim=place' },
    },
  });
  const rows = [
    // claims, location, verdict
    [{ id: 'ann' }, '/other-key/', 'token_invalid'],
    [{ id: 'ann' }, '/same-key/', 'accepted'],
    [{ id: 'ann' }, '/other-user/', 'token_invalid'],
    [{ id: 'ann', name: 'Ann' }, '/other-user/', 'accepted'],
    [{ id: 'ann' }, '/require/', 'token_invalid'],
    [{ id: 'ann', iss: 'mew' }, '/require/', 'accepted'],
    [{ id: 'ann', place: { a: 1 } }, '/rooms/', 'token_invalid'],
    [{ id: 'ann', place: ['here'] }, '/rooms/', 'accepted'],
  ];

  for (const [claims, location, expected] of rows) {
    await t.test(`${JSON.stringify(claims)} ${location}: ${expected}`,
      async () => {
        const token = sign(claims);
        await accepted(gw, token);
        assert.equal(await verdict(gw, token, location), expected);
        assert.equal(await verdict(gw, token, location), expected);
        await accepted(gw, token);
      });
  }
});

test('a reload with another key makes it invalid', async (t) => {
  const gw = await gateway(t);
  const [token, other] = [SECRET, OTHER].map(
    (key) => sign({ id: 'ann' }, { key }));

  await accepted(gw, token);
  assert.equal(await verdict(gw, other), 'token_invalid');

  gw.options.location = { socketio_jwt_key: `HS256 "${OTHER}"` };
  gw.configure();
  await gw.nginx.reload();

  await until(async () => await verdict(gw, token) === 'token_invalid',
              'the other key');
  await accepted(gw, other);
  assert.equal(await verdict(gw, token), 'token_invalid');
});

test('its rooms are its own', async (t) => {
  const gw = await gateway(t);
  const clients = [];

  for (let i = 0; i < 2; i++) {
    clients.push(await gw.joined({ user: 'ann', rooms: ['a', 'b'] }),
                 await gw.joined({ user: 'bob', rooms: ['b', 'c'] }));
  }
  for (const room of ['a', 'c', 'user:ann']) {
    gw.emitter.to(room).emit('to', room);
  }

  for (const [i, client] of clients.entries()) {
    const got = (await gw.drain(client))
      .map((message) => JSON.parse(message.slice(2)))
      .filter(([event]) => event === 'to').map(([, room]) => room);
    assert.deepEqual(got, i % 2 === 0 ? ['a', 'user:ann'] : ['c']);
  }
});
