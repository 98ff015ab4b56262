'use strict';

// Who gets in: tokens, keys, claims, and what the refused are told.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { gateway } = require('./lib/gateway');
const { until } = require('./lib/expect');
const {
  SECRET, sign, forge, hmac, keyPair, inSeconds,
} = require('./lib/token');

const REFUSAL = {
  token_missing: 'Authentication error: Token not provided',
  token_invalid: 'Authentication error: Invalid token',
  token_expired: 'Authentication error: Token expired',
};

const LONG = 'another-secret-that-is-long-enough-for-'.padEnd(80, '0123456789');
const RSA = keyPair('rsa');
const EC = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };
const ecKeys = Object.fromEntries(
  Object.entries(EC).map(([alg, curve]) => [alg, keyPair(curve)]));

/** Key files for the configuration; { name: path }. */
function keyFiles(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-keys-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const write = (name, bytes) => {
    const file = path.join(dir, name);
    fs.writeFileSync(file, bytes);
    return file;
  };
  return {
    rsa: write('rsa.pem', RSA.publicKey),
    ES256: write('es256.pem', ecKeys.ES256.publicKey),
    ES384: write('es384.pem', ecKeys.ES384.publicKey),
    ES512: write('es512.pem', ecKeys.ES512.publicKey),
    text: write('text', `${SECRET}\n`),
    twoLines: write('two-lines', `${SECRET}\n\n`),
    binary: write('binary', BINARY_KEY),
  };
}

// Every byte value, so also NUL and what is no UTF-8.
const BINARY_KEY = Buffer.from(Array.from({ length: 256 }, (_, i) => 255 - i));

/** Sends CONNECT with this payload; gives the first packet of the answer. */
async function connectWith(gw, payload, options) {
  const ws = await gw.socket(options);
  await ws.next();
  ws.text(`40${payload === undefined ? '' : JSON.stringify(payload)}`);
  const answer = await ws.next();
  ws.destroy();
  return answer;
}

async function assertRefused(gw, code, payload, options) {
  const answer = await connectWith(gw, payload, options);
  assert.ok(answer.startsWith('44{'), answer);
  assert.deepEqual(JSON.parse(answer.slice(2)),
                   { message: REFUSAL[code], data: { code } });
}

async function assertAccepted(gw, payload, options) {
  const answer = await connectWith(gw, payload, options);
  assert.match(answer, /^40\{"sid":"[A-Za-z0-9_-]{20}"\}$/);
}

const at = (location) => (
  { path: `${location}?EIO=4&transport=websocket` });

/** The location with other jwt directives than the default. */
const location = (...keys) => ({ socketio_jwt_key: keys });

test('refusals', async (t) => {
  const gw = await gateway(t);
  const good = sign({ id: 'ann' });
  const [header, claims, signature] = good.split('.');
  const by = (alg, key) => sign({ id: 'ann' }, { algorithm: alg, key });
  const raw = (json) => {
    const body = Buffer.from(json).toString('base64url');
    return `${header}.${body}.${hmac('sha256', SECRET)(`${header}.${body}`)}`;
  };

  await assertAccepted(gw, { token: good });

  const rows = [
    ['no payload', undefined, 'token_missing'],
    ['an empty payload', {}, 'token_missing'],
    ['null', { token: null }, 'token_missing'],
    ['an empty token', { token: '' }, 'token_missing'],
    ['a token under another name', { jwt: good }, 'token_missing'],
    ['a number', { token: 5 }, 'token_invalid'],
    ['true', { token: true }, 'token_invalid'],
    ['an array', { token: [good] }, 'token_invalid'],
    ['an object', { token: { token: good } }, 'token_invalid'],
    ['a word', { token: 'nonsense' }, 'token_invalid'],
    ['dots', { token: '..' }, 'token_invalid'],
    ['three words', { token: 'a.b.c' }, 'token_invalid'],
    ['100 kB of nonsense', { token: 'x.'.repeat(50000) }, 'token_invalid'],
    ['white space around', { token: ` ${good} ` }, 'token_invalid'],
    ['no signature', { token: `${header}.${claims}.` }, 'token_invalid'],
    ['half a signature',
      { token: `${header}.${claims}.${signature.slice(0, 20)}` },
      'token_invalid'],
    ['a part too many', { token: `${good}.${signature}` }, 'token_invalid'],
    ['another signature',
      { token: `${header}.${claims}.${[...signature].reverse().join('')}` },
      'token_invalid'],
    ['another secret', { token: by('HS256', LONG) }, 'token_invalid'],
    ['an empty secret',
      { token: forge({ alg: 'HS256' }, { id: 'ann' }, hmac('sha256', '')) },
      'token_invalid'],
    ['HS384 with the right secret', { token: by('HS384', SECRET) },
      'token_invalid'],
    ['RS256', { token: by('RS256', RSA.privateKey) }, 'token_invalid'],
    ['alg none', { token: forge({ alg: 'none' }, { id: 'ann' }) },
      'token_invalid'],
    ['alg None, signed', { token: forge({ alg: 'None' }, { id: 'ann' },
                                        hmac('sha256', SECRET)) },
      'token_invalid'],
    ['no alg', { token: forge({ typ: 'JWT' }, { id: 'ann' },
                              hmac('sha256', SECRET)) }, 'token_invalid'],
    ['claims that are no JSON', { token: raw('{"id":') }, 'token_invalid'],
    ['claims that are an array', { token: raw('["id"]') }, 'token_invalid'],
    ['no user', { token: sign({ sub: 'ann' }) }, 'token_invalid'],
    ['user null', { token: sign({ id: null }) }, 'token_invalid'],
    ['user empty', { token: sign({ id: '' }) }, 'token_invalid'],
    ['user true', { token: sign({ id: true }) }, 'token_invalid'],
    ['user 1.5', { token: sign({ id: 1.5 }) }, 'token_invalid'],
    ['user an object', { token: sign({ id: {} }) }, 'token_invalid'],
    ['exp in the past', { token: sign({ id: 'ann', exp: inSeconds(-1) }) },
      'token_expired'],
    ['exp long ago', { token: sign({ id: 'ann', exp: 1 }) }, 'token_expired'],
    ['exp in the past, wrong secret',
      { token: sign({ id: 'ann', exp: inSeconds(-9) }, { key: LONG }) },
      'token_invalid'],
    ['exp a string', { token: raw('{"id":"ann","exp":"9999999999"}') },
      'token_invalid'],
    ['nbf in the future', { token: sign({ id: 'ann', nbf: inSeconds(30) }) },
      'token_invalid'],
    ['nbf a string', { token: raw('{"id":"ann","nbf":"1"}') },
      'token_invalid'],
  ];

  for (const [name, payload, code] of rows) {
    await t.test(`${name}: ${code}`,
                 () => assertRefused(gw, code, payload));
  }

  await t.test('the official client sees message and data', async () => {
    const client = gw.client({ auth: { token: 'nonsense' } });
    assert.deepEqual(await client.refusal(), {
      message: REFUSAL.token_invalid, data: { code: 'token_invalid' },
    });
  });

  await t.test('a client whose auth is a function gets in later', async () => {
    const tokens = [sign({ id: 'ann', exp: 1 }), good];
    const client = gw.client({ auth: (cb) => cb({ token: tokens.shift() }) });
    assert.equal((await client.refusal()).data.code, 'token_expired');
    client.socket.connect();
    await client.event('ready');
  });

  await t.test('live connections outlast exp', async () => {
    const exp = inSeconds(2);
    const client = await gw.connect(
      { auth: { token: sign({ id: 'ann', exp }) } });
    await until(() => Date.now() / 1000 > exp + 0.2, 'the token expires');
    await gw.settle(client);
    assert.deepEqual(client.disconnects, []);
  });
});

test('algorithms', async (t) => {
  const files = keyFiles(t);
  const gw = await gateway(t, {
    locations: {
      '/hs384/': location(`HS384 "${LONG}"`),
      '/hs512/': location(`HS512 "${LONG}"`),
      '/rs256/': location(`RS256 file=${files.rsa}`),
      '/rs384/': location(`RS384 file=${files.rsa}`),
      '/rs512/': location(`RS512 file=${files.rsa}`),
      '/es256/': location(`ES256 file=${files.ES256}`),
      '/es384/': location(`ES384 file=${files.ES384}`),
      '/es512/': location(`ES512 file=${files.ES512}`),
      '/text/': location(`HS256 file=${files.text}`),
      '/two-lines/': location(`HS256 file=${files.twoLines}`),
      '/binary/': location(`HS256 file=${files.binary}`),
    },
  });

  const keys = {
    HS384: LONG, HS512: LONG,
    RS256: RSA.privateKey, RS384: RSA.privateKey, RS512: RSA.privateKey,
    ES256: ecKeys.ES256.privateKey, ES384: ecKeys.ES384.privateKey,
    ES512: ecKeys.ES512.privateKey,
  };
  const tokens = Object.fromEntries(Object.entries(keys).map(
    ([algorithm, key]) => (
      [algorithm, sign({ id: 'ann' }, { algorithm, key })])));

  for (const algorithm of Object.keys(keys)) {
    await t.test(`${algorithm} takes its own tokens and no others`,
      async () => {
        for (const [other, token] of Object.entries(tokens)) {
          const options = at(`/${algorithm.toLowerCase()}/`);
          if (other === algorithm) {
            await assertAccepted(gw, { token }, options);
          } else {
            await assertRefused(gw, 'token_invalid', { token }, options);
          }
        }
      });
  }

  await t.test('HS256 with the public key as secret is refused', async () => {
    const secrets = [RSA.publicKey, RSA.publicKey.trimEnd(),
                     ecKeys.ES256.publicKey];
    for (const secret of secrets) {
      const token = forge({ alg: 'HS256', typ: 'JWT' }, { id: 'ann' },
                          hmac('sha256', secret));
      await assertRefused(gw, 'token_invalid', { token }, at('/rs256/'));
      await assertRefused(gw, 'token_invalid', { token }, at('/es256/'));
    }
  });

  await t.test('RS256 and ES256 of other keys are refused', async () => {
    const rsa = sign({ id: 'ann' }, {
      algorithm: 'RS256', key: keyPair('rsa').privateKey });
    const ec = sign({ id: 'ann' }, {
      algorithm: 'ES256', key: keyPair('P-256').privateKey });
    await assertRefused(gw, 'token_invalid', { token: rsa }, at('/rs256/'));
    await assertRefused(gw, 'token_invalid', { token: ec }, at('/es256/'));
  });

  await t.test('a file loses one newline and nothing else', async () => {
    const sure = sign({ id: 'ann' });
    const newline = sign({ id: 'ann' }, { key: `${SECRET}\n` });
    await assertAccepted(gw, { token: sure }, at('/text/'));
    await assertRefused(gw, 'token_invalid', { token: newline }, at('/text/'));
    await assertAccepted(gw, { token: newline }, at('/two-lines/'));
    await assertRefused(gw, 'token_invalid', { token: sure },
                        at('/two-lines/'));
  });

  await t.test('a secret of any bytes', async () => {
    const token = sign({ id: 'ann' }, {
      key: crypto.createSecretKey(BINARY_KEY) });
    await assertAccepted(gw, { token }, at('/binary/'));
  });
});

test('several keys', async (t) => {
  const files = keyFiles(t);
  const [first, second, third] = ['1', '2', '3'].map((n) => n.repeat(40));
  const gw = await gateway(t, {
    location: location(`HS256 "${first}"`, `HS256 "${second}" kid=two`,
                       `HS256 "${third}" kid=two`, `RS256 file=${files.rsa}`),
  });
  const token = (key, options) => (
    { token: sign({ id: 'ann' }, { key, ...options }) });
  const kid = (keyid) => ({ keyid });

  const rows = [
    // name, payload, accepted
    ['without kid, by the key without kid', token(first), true],
    ['without kid, by a key with kid', token(second), false],
    ['kid, by its first key', token(second, kid('two')), true],
    ['kid, by its second key', token(third, kid('two')), true],
    ['kid, by the key without', token(first, kid('two')), false],
    ['unknown kid, by the key without', token(first, kid('x')), true],
    ['unknown kid, by a key with another', token(second, kid('x')), false],
    ['RS256', token(RSA.privateKey, { algorithm: 'RS256' }), true],
    ['HS256 by the public key', {
      token: forge({ alg: 'HS256' }, { id: 'ann' },
                   hmac('sha256', RSA.publicKey)),
    }, false],
  ];

  for (const [name, payload, accepted] of rows) {
    await t.test(`${name}: ${accepted ? 'accepted' : 'refused'}`, async () => {
      if (accepted) {
        await assertAccepted(gw, payload);
      } else {
        await assertRefused(gw, 'token_invalid', payload);
      }
    });
  }
});

test('claims', async (t) => {
  const gw = await gateway(t, {
    locations: {
      '/require/': { socketio_jwt_require: 'iss=mew aud=chat' },
      '/any/': { socketio_jwt_require: 'iss=a iss=b' },
      '/leeway/': { socketio_jwt_leeway: '60s' },
      '/sub/': { socketio_jwt_user: null },
    },
  });

  const rows = [
    // location, claims, code or undefined
    ['/require/', { iss: 'mew', aud: 'chat' }],
    ['/require/', { iss: 'mew', aud: ['x', 'chat'] }],
    ['/require/', { iss: 'mew' }, 'token_invalid'],
    ['/require/', { aud: 'chat' }, 'token_invalid'],
    ['/require/', { iss: 'me', aud: 'chat' }, 'token_invalid'],
    ['/require/', { iss: 'mews', aud: 'chat' }, 'token_invalid'],
    ['/require/', { iss: 'mew', aud: ['x', 'y'] }, 'token_invalid'],
    ['/require/', { iss: 'mew', aud: [] }, 'token_invalid'],
    ['/any/', { iss: 'a' }],
    ['/any/', { iss: 'b' }],
    ['/any/', { iss: 'c' }, 'token_invalid'],
    ['/leeway/', { exp: inSeconds(-30) }],
    ['/leeway/', { exp: inSeconds(-90) }, 'token_expired'],
    ['/leeway/', { nbf: inSeconds(30) }],
    ['/leeway/', { nbf: inSeconds(90) }, 'token_invalid'],
    ['/leeway/', { exp: inSeconds(3600), nbf: inSeconds(-3600) }],
    ['/sub/', { sub: 'ann' }],
    ['/sub/', {}, 'token_invalid'],
  ];

  for (const [where, claims, code] of rows) {
    await t.test(`${where} ${JSON.stringify(claims)}: ${code || 'accepted'}`,
      async () => {
        const id = where === '/sub/' ? {} : { id: 'ann' };
        const payload = { token: sign({ ...id, ...claims }) };
        if (code) {
          await assertRefused(gw, code, payload, at(where));
        } else {
          await assertAccepted(gw, payload, at(where));
        }
      });
  }
});

test('users', async (t) => {
  const gw = await gateway(t);

  const users = [
    // the claim as JSON, the name in the room
    ['"ann"', 'ann'],
    ['42', '42'],
    ['0', '0'],
    ['-7', '-7'],
    ['9007199254740993', '9007199254740993'],
    ['"\u00e9\u4e16\\ud83d\\ude00 x"', '\u00e9\u4e16\u{1f600} x'],
    [JSON.stringify('a'.repeat(100)), 'a'.repeat(100)],
  ];

  for (const [json, name] of users) {
    await t.test(`user ${json.slice(0, 40)}`, async () => {
      const head = Buffer.from('{"alg":"HS256"}').toString('base64url');
      const body = Buffer.from(`{"id":${json}}`).toString('base64url');
      const mac = hmac('sha256', SECRET)(`${head}.${body}`);
      const client = await gw.connect(
        { auth: { token: `${head}.${body}.${mac}` } });

      gw.emitter.to(`user:${name}`).emit('hello');
      await gw.settle(client);
      assert.equal(client.received('hello').length, 1);
    });
  }
});

test('where the token stands', async (t) => {
  const gw = await gateway(t);
  const token = (user) => sign({ id: user });
  const bearer = (value) => ({ headers: { Authorization: value } });

  /** The user that a connection with these becomes. */
  const userOf = async (payload, options) => {
    const ws = await gw.socket(options);
    await ws.next();
    ws.text(`40${JSON.stringify(payload)}`);
    assert.match(await ws.next(), /^40/);
    await ws.next();
    for (const user of ['ann', 'bob']) {
      gw.emitter.to(`user:${user}`).emit('user', user);
    }
    const [message] = await gw.drain(ws);
    return JSON.parse(message.slice(2))[1];
  };

  await t.test('in the Authorization header', async () => {
    assert.equal(await userOf({}, bearer(`Bearer ${token('bob')}`)), 'bob');
  });

  await t.test('the payload wins', async () => {
    assert.equal(await userOf({ token: token('ann') },
                              bearer(`Bearer ${token('bob')}`)), 'ann');
    await assertRefused(gw, 'token_invalid', { token: 'nonsense' },
                        bearer(`Bearer ${token('bob')}`));
  });

  await t.test('a bad one in the header', async () => {
    await assertRefused(gw, 'token_invalid', {}, bearer('Bearer nonsense'));
    await assertRefused(gw, 'token_expired', {}, bearer(
      `Bearer ${sign({ id: 'bob', exp: 1 })}`));
  });

  await t.test('other schemes are no token', async () => {
    await assertRefused(gw, 'token_missing', {}, bearer('Basic Ym9iOng='));
  });

  await t.test('not in the query, by default', async () => {
    await assertRefused(gw, 'token_missing', {}, {
      path: `/socket.io/?EIO=4&transport=websocket&token=${token('ann')}` });
  });

  await t.test('the official client sends it as extraHeaders', async () => {
    const client = await gw.connect({
      auth: {}, extraHeaders: { Authorization: `Bearer ${token('bob')}` },
    });
    gw.emitter.to('user:bob').emit('hello');
    await client.event('hello');
  });
});

test('without authentication', async (t) => {
  const gw = await gateway(t, { location: { socketio_auth: 'off' } });

  await t.test('everybody gets in', async () => {
    for (const payload of [undefined, {}, { token: 'nonsense' }]) {
      await assertAccepted(gw, payload);
    }
  });

  await t.test('as nobody', async () => {
    const client = await gw.connect({ user: 'ann', rooms: ['r'] });
    gw.emitter.to('user:ann').emit('a user room');
    gw.emitter.to('user:').emit('an empty user room');
    gw.emitter.to('r').emit('a claimed room');
    gw.emitter.to(client.id).emit('own id');
    await gw.settle(client);
    assert.deepEqual(client.order, ['ready', 'own id', 'marker']);
  });
});

for (const level of ['info', 'debug']) {
  test(`no token and no secret in the ${level} log`, async (t) => {
    const files = keyFiles(t);
    const gw = await gateway(t, {
      level,
      location: location(`HS256 "${SECRET}"`, `RS256 file=${files.rsa}`),
    });
    const tokens = [
      sign({ id: 'ann' }),
      sign({ id: 'ann', exp: 1 }),
      sign({ id: 'ann' }, { key: LONG }),
      sign({ id: 'ann' }, { algorithm: 'RS256', key: RSA.privateKey }),
      sign({ id: 'ann' }, { algorithm: 'RS256',
                            key: keyPair('rsa').privateKey }),
      'not-a-token-but-secret-all-the-same',
    ];

    for (const token of tokens) {
      await connectWith(gw, { token });
      if (level === 'info') {
        // At debug level nginx itself prints every header.
        await connectWith(gw, {}, {
          headers: { Authorization: `Bearer ${token}` } });
      }
    }
    await gw.nginx.stop();

    const log = gw.nginx.log();
    for (const secret of [SECRET, LONG, ...tokens.map(
      (token) => token.split('.').pop())]) {
      assert.ok(!log.includes(secret), `the log holds ${secret}`);
    }
    const [pem] = RSA.publicKey.split('\n').slice(1);
    assert.ok(!log.includes(pem));
  });
}
