'use strict';

// What "nginx -t" takes and refuses, and that settings do what they say.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const {
  KEY, HIDDEN, WRONG, dir, file, configuration, check, located, blocked,
  wrongIn, wrongBlock, twice, eachAccepted, eachRefused,
} = require('./lib/configuration');
const { gateway } = require('./lib/gateway');
const { request } = require('./lib/http');
const { keyPair, sign } = require('./lib/token');
const { until } = require('./lib/expect');

const files = {
  secret: file('secret', `${KEY}\n`),
  empty: file('empty', ''),
  newline: file('newline', '\n'),
  rsa: file('rsa.pem', keyPair('rsa').publicKey),
  ec: file('ec.pem', keyPair('P-256').publicKey),
  include: file('include.conf', 'zone 16m;\nlog 1m;\n'),
};

/** A status page of the gateway, with these lines in its location. */
const status = (name, where = '/status', lines = []) => [
  `location = ${where} {`, `socketio_status ${name};`, ...lines, '}'];
const WITH_REDIS = 'redis redis://127.0.0.1:6379;';

test('accepted', async (t) => {
  const rows = [
    ['the least', {}],
    ['standalone', { block: ['zone 1m;'] }],
    ['a log of half the zone', blocked('log 8m;')],
    ['all of the gateway', blocked(
      'log 1m;', 'redis redis://127.0.0.1:6379/3;', 'redis_prefix "my.app";',
      'node here-1;', 'recovery 2m;', 'drain 90s;', 'presence on;',
      'presence_linger 1500ms;')],
    ['no presence', blocked('presence off;', 'presence_linger 1d;')],
    ['no recovery, no time to drain',
      blocked('recovery off;', 'drain 1ms;')],
    ['recovery without Redis', blocked('recovery 500ms;')],
    ['the gateway by include', { block: [`include ${files.include};`] }],
    ['include beside others',
      { block: [WITH_REDIS, `include ${files.include};`, 'node n;'] }],
    ...['redis://127.0.0.1', 'redis://127.0.0.1:6379',
        'redis://127.0.0.1:6379/', 'redis://127.0.0.1:6379/15',
        'redis://:secret@127.0.0.1', 'redis://user:secret@127.0.0.1:1/2',
        'redis://localhost:6379',
        'unix:/run/redis.sock', 'unix:/run/redis.sock?db=3',
    ].map((url) => [`redis ${url}`, blocked(`redis ${url};`)]),
    ['two gateways', { more: ['socketio_gateway other {', 'zone 1m;', '}'] }],
    ['the gateway behind the server', {
      http: ['server {', 'listen 127.0.0.1:2;', 'location /early/ {',
             'socketio mew;', `socketio_jwt_key HS256 "${KEY}";`, '}', '}'],
    }],
    ['all of the location', located(
      'socketio_auth on;', `socketio_jwt_key HS384 "${KEY.repeat(2)}" kid=a;`,
      `socketio_jwt_key HS256 file=${files.secret};`,
      `socketio_jwt_key RS256 file=${files.rsa};`,
      `socketio_jwt_key RS384 file=${files.rsa} kid=b;`,
      `socketio_jwt_key RS512 file=${files.rsa};`,
      `socketio_jwt_key ES256 file=${files.ec} kid=c;`,
      'socketio_jwt_user id;', 'socketio_jwt_require iss=a iss=b aud=c;',
      'socketio_jwt_leeway 5s;', 'socketio_user_room user:$socketio_user;',
      'socketio_rooms claim=rooms;', 'socketio_rooms claim=more;',
      'socketio_rooms redis=r:$socketio_user;', 'socketio_ready ready;',
      'socketio_ping_interval 25s;', 'socketio_ping_timeout 200ms;',
      'socketio_upgrade_timeout 3s;', 'socketio_connect_timeout 1m;',
      'socketio_max_payload 2m;', 'socketio_send_queue 64k;',
      'socketio_deflate 1k;',
      'socketio_transports polling websocket;')],
    ...['polling', 'websocket', 'websocket polling'].map((transports) => [
      `transports: ${transports}`,
      located(`socketio_transports ${transports};`)]),
    ['deflate off', located('socketio_deflate off;')],
    ['deflate at http level, off at server level', {
      http: ['socketio_deflate 1;'], server: ['socketio_deflate off;'] }],
    ['transports at http level', { http: ['socketio_transports polling;'] }],
    ['transports at server level',
      { server: ['socketio_transports polling;'] }],
    ['a status page', { server: status('mew') }],
    ['a status page in front of its gateway', {
      http: ['server {', 'listen 127.0.0.1:2;', ...status('mew'), '}'],
    }],
    ['a status page inside of the location',
      located(...status('mew', '/socket.io/status'))],
    ['a status page with limits', { server: status('mew', '/status', [
      'allow 127.0.0.1;', 'deny all;', 'limit_except GET {', 'deny all;',
      '}']) }],
    ['no user room, no ready', located('socketio_user_room off;',
                                       'socketio_ready off;')],
    ['no leeway', located('socketio_jwt_leeway 0s;')],
    ['variables in a key', located(
      'socketio_rooms redis=$socketio_claim_org:${socketio_user}:r;')],
    ['keys at http level', { http: [`socketio_jwt_key HS256 "${KEY}";`],
                             location: ['socketio mew;'] }],
    ['keys at server level', { server: [`socketio_jwt_key HS256 "${KEY}";`],
                               location: ['socketio mew;'] }],
    ['no keys without auth',
      { location: ['socketio mew;', 'socketio_auth off;'] }],
    ['jwt directives without auth', { location: [
      'socketio mew;', 'socketio_auth off;', 'socketio_jwt_user id;',
      'socketio_jwt_require iss=a;', 'socketio_rooms claim=rooms;'] }],
  ];

  await eachAccepted(t, rows);

  await t.test('a short key: a warning', () => {
    for (const [algorithm, length] of [['HS256', 31], ['HS384', 47],
                                       ['HS512', 63]]) {
      const secret = HIDDEN.repeat(2).slice(0, length);
      const { ok, output } = check(configuration({ location: [
        'socketio mew;', `socketio_jwt_key ${algorithm} "${secret}";`] }));
      assert.ok(ok, output);
      assert.match(output, /\[warn\].*nginx\.conf:\d+/);
      assert.ok(!output.includes(secret), output);
    }
  });
});

const jwtKey = (rest) => (
  { location: ['socketio mew;', `socketio_jwt_key ${rest}; ${WRONG}`] });

// Name, parts, the token that the message has to name.
const REFUSED = [
  ['an unknown gateway', { location: [
    `socketio nobody; ${WRONG}`, `socketio_jwt_key HS256 "${KEY}";`] },
    'nobody'],
  ['a gateway twice', { more: [
    `socketio_gateway mew { ${WRONG}`, 'zone 1m;', `} ${WRONG}`] }, 'mew'],
  ['no zone', { block: [`${WITH_REDIS} ${WRONG}`, WRONG] }, 'zone'],
  ['an empty block', { block: [WRONG] }, 'zone'],
  ['a zone of 1023k', { block: [`zone 1023k; ${WRONG}`] }, '1023k'],
  ['a zone of 0', { block: [`zone 0; ${WRONG}`] }, '0'],
  ['a zone of lots', { block: [`zone lots; ${WRONG}`] }, 'lots'],
  ['a log of more than half', blocked(`log 8193k; ${WRONG}`), '8193k'],
  ['the same, log first',
    { block: [`log 8193k; ${WRONG}`, `zone 16m; ${WRONG}`] }, '8193k'],
  ['a log of 0', wrongBlock('log 0;'), '0'],
  ['a log of x', wrongBlock('log x;'), 'x'],
  ['zone with two values', { block: [`zone 16m 32m; ${WRONG}`] }, 'zone'],
  ['zone without value', { block: [`zone; ${WRONG}`] }, 'zone'],
  ['a name that the block does not know', wrongBlock('zones 16m;'), 'zones'],
  ['a directive of nginx in the block', wrongBlock('gzip on;'), 'gzip'],
  ...[
    ['zone 16m;', 'zone'], ['log 1m;', 'log'], [WITH_REDIS, 'redis'],
    ['redis_prefix a;', 'redis_prefix'], ['node a;', 'node'],
    ['recovery 1s;', 'recovery'], ['recovery off;', 'recovery'],
    ['drain 1s;', 'drain'], ['presence on;', 'presence'],
    ['presence_linger 1s;', 'presence_linger'],
  ].map(([line, name]) => [
    `${line} twice`,
    name === 'zone' ? blocked(`${line} ${WRONG}`) : twice(blocked, line),
    name]),
  ...['a*', 'a?b', '[a', 'a]', 'a\\\\b'].map((prefix) => [
    `the prefix ${prefix}`, wrongBlock(`redis_prefix "${prefix}";`),
    prefix.replace('\\\\', '\\')]),

  ...['recovery', 'drain', 'presence_linger'].flatMap((name) => [
    ...['0', '0s', '-1', '5x', 'on', '""', '400d'].map((value) => [
      `${name} ${value}`, wrongBlock(`${name} ${value};`),
      value === '""' ? `"" in "${name}"` : value]),
    [`${name} without value`, wrongBlock(`${name};`), name],
    [`${name} with two values`, wrongBlock(`${name} 1s 2s;`), name],
  ]),
  ['drain off', wrongBlock('drain off;'), 'off'],
  ...['yes', '1', 'ON', '5s'].map((value) => [
    `presence ${value}`, wrongBlock(`presence ${value};`), value]),
  ['presence without value', wrongBlock('presence;'), 'presence'],

  ['a Redis URL of another scheme', wrongBlock('redis http://127.0.0.1;'),
    'http://127.0.0.1'],
  ['a Redis URL without scheme', wrongBlock('redis 127.0.0.1:6379;'),
    '127.0.0.1:6379'],
  ['no host', wrongBlock('redis redis://:6379;'), 'redis://'],
  ['no path', wrongBlock('redis unix:;'), 'unix:'],
  ['an unknown argument', wrongBlock('redis unix:/tmp/s?x=1;'), 'unix:/tmp/s'],
  ['a database that is no number', wrongBlock('redis unix:/tmp/s?db=x;'),
    'unix:/tmp/s'],
  ...['127.0.0.1:port', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1/x',
      '127.0.0.1/-1', '127.0.0.1/1/2'].map((rest) => [
    `redis://${rest}`, wrongBlock(`redis redis://${rest};`), 'redis://']),
  ...[`redis://:${HIDDEN}@127.0.0.1:port`, `redis://u:${HIDDEN}@127.0.0.1/x`,
      `redis://u:${HIDDEN}@`, `http://u:${HIDDEN}@127.0.0.1`,
      `redis://${HIDDEN}@127.0.0.1:port`,
  ].map((url) => [`${url}, masked`, wrongBlock(`redis ${url};`), 'redis']),

  ['a key without algorithm', jwtKey(`"${HIDDEN}"`), 'socketio_jwt_key'],
  ['the algorithm HS999', jwtKey(`HS999 "${HIDDEN}"`), 'HS999'],
  ['the algorithm hs256', jwtKey(`hs256 "${HIDDEN}"`), 'hs256'],
  ['the algorithm none', jwtKey('none ""'), 'none'],
  ['an empty key', jwtKey('HS256 ""'), 'key'],
  ['a missing file', jwtKey('HS256 file=/does/not/exist'), '/does/not/exist'],
  ['an empty file', jwtKey(`HS256 file=${files.empty}`), files.empty],
  ['a file of a newline', jwtKey(`HS256 file=${files.newline}`),
    files.newline],
  ['a directory', jwtKey(`HS256 file=${dir}`), dir],
  ['RS256 with something else than PEM', jwtKey(`RS256 file=${files.secret}`),
    files.secret],
  ['RS256 with a secret', jwtKey(`RS256 "${HIDDEN}"`), 'PEM'],
  ['RS256 with an EC key', jwtKey(`RS256 file=${files.ec}`), files.ec],
  ['ES256 with an RSA key', jwtKey(`ES256 file=${files.rsa}`), files.rsa],
  ['an unknown parameter of a key', jwtKey(`HS256 "${HIDDEN}" kind=a`),
    'parameter'],
  ['kid twice', jwtKey(`HS256 "${HIDDEN}" kid=a kid=b`), 'kid'],

  ['auth without a key', { location: [`socketio mew; ${WRONG}`] },
    'socketio_jwt_key'],
  ['auth maybe', wrongIn('socketio_auth maybe;'), 'maybe'],
  ['a claim without value', wrongIn('socketio_jwt_require iss;'), 'iss'],
  ['a value without claim', wrongIn('socketio_jwt_require =x;'), '=x'],
  ['a good claim and a bad one', wrongIn('socketio_jwt_require iss=a aud;'),
    'aud'],
  ['an empty user claim', wrongIn('socketio_jwt_user "";'),
    'socketio_jwt_user'],
  ['leeway x', wrongIn('socketio_jwt_leeway x;'), 'x'],
  ['an unknown source of rooms', wrongIn('socketio_rooms sql=rooms;'),
    'sql=rooms'],
  ['rooms without source', wrongIn('socketio_rooms rooms;'), 'rooms'],
  ['rooms of no claim', wrongIn('socketio_rooms claim=;'), 'claim='],
  ['rooms of no key', wrongIn('socketio_rooms redis=;'), 'redis='],
  ['rooms in Redis without Redis', { block: ['zone 16m;'],
    location: ['socketio mew;', `socketio_jwt_key HS256 "${KEY}";`,
               `socketio_rooms redis=r:$socketio_user; ${WRONG}`] },
    'redis='],
  ...['$remote_addr', '$socketio_sid', '$socketio_claim_', '$http_x', '$1',
      '${socketio_user'].map((variable) => [
    `${variable} in a key`, wrongIn(`socketio_rooms "redis=r:${variable}";`),
    variable]),

  ...['socketio_ping_interval', 'socketio_ping_timeout',
      'socketio_upgrade_timeout', 'socketio_connect_timeout',
      'socketio_max_payload', 'socketio_send_queue',
      'socketio_deflate'].flatMap((name) => [
    [`${name} 0`, wrongIn(`${name} 0;`), '0'],
    [`${name} -1`, wrongIn(`${name} -1;`), '-1'],
    [`${name} 5x`, wrongIn(`${name} 5x;`), '5x'],
    [`${name} without value`, wrongIn(`${name};`), name],
    [`${name} twice`, twice(located, `${name} 5;`), name],
  ]),
  ...['on', '1k 2k', '""'].map((values) => [`socketio_deflate ${values}`,
    wrongIn(`socketio_deflate ${values};`), 'socketio_deflate']),
  ['deflate off twice', twice(located, 'socketio_deflate off;'),
    'socketio_deflate'],
  ['deflate in the gateway', wrongBlock('socketio_deflate 1k;'),
    'socketio_deflate'],
  ...['socketio_jwt_user a;', 'socketio_user_room a;', 'socketio_ready a;',
      'socketio_jwt_leeway 1s;', 'socketio_auth on;', 'socketio mew;',
      'socketio_transports polling;',
  ].map((line) => [`${line} twice`,
    line === 'socketio mew;' ? wrongIn(line) : twice(located, line),
    line.split(/[ ;]/)[0]]),
  ...[['sse', 'sse'], ['polling sse', 'sse'], ['Polling', 'Polling'],
      ['""', '"" in "socketio_transports"'], ['polling polling', 'polling'],
      ['websocket websocket', 'websocket'],
      ['polling websocket polling', 'socketio_transports'],
  ].map(([values, token]) => [`socketio_transports ${values}`,
    wrongIn(`socketio_transports ${values};`), token]),
  ['no transports', wrongIn('socketio_transports;'), 'socketio_transports'],
  ['transports in the gateway',
    wrongBlock('socketio_transports polling;'), 'socketio_transports'],

  ['a status page of an unknown gateway', {
    server: ['location /status {', `socketio_status nobody; ${WRONG}`, '}'] },
    'nobody'],
  ['a status page of no gateway', {
    server: ['location /status {', `socketio_status ""; ${WRONG}`, '}'] },
    'socketio_status'],
  ['a status page without gateway', {
    server: ['location /status {', `socketio_status; ${WRONG}`, '}'] },
    'socketio_status'],
  ['a status page twice', {
    server: status('mew', '/status', [`socketio_status mew; ${WRONG}`]) },
    'socketio_status'],
  ['a status page where clients are answered',
    wrongIn('socketio_status mew;'), 'socketio_status'],
  ['clients where the status page is', {
    server: status('mew', '/status', [`socketio mew; ${WRONG}`]) },
    'socketio'],
  ['a status page at server level',
    { server: [`socketio_status mew; ${WRONG}`] }, 'socketio_status'],
  ['a status page in a condition', wrongIn(
    'if ($arg_x) { socketio_status mew; }'), 'socketio_status'],

  ['a directive that does not exist', wrongIn('socketio_bogus on;'),
    'socketio_bogus'],
  ['the handler at server level', { server: [`socketio mew; ${WRONG}`] },
    'socketio'],
  ['the gateway at server level', {
    server: [`socketio_gateway x { ${WRONG}`, 'zone 1m;', '}'] },
    'socketio_gateway'],
];

test('refused', (t) => eachRefused(t, REFUSED));

test('the name of a gateway is UTF-8', async (t) => {
  for (const [name, good] of [['mew', true], ['m\xc3\xa9w', true],
                              ['m\xe9w', false]]) {
    await t.test(name, () => {
      const text = configuration().replaceAll('mew', name);
      const { ok, output } = check(Buffer.from(text, 'latin1'));
      assert.equal(ok, good, output);
      assert.match(output, good ? /successful/ : /\[emerg\] invalid value/);
    });
  }
});

test('repeatable directives are inherited as a whole', async (t) => {
  const [outer, inner] = ['outer '.repeat(8), 'inner '.repeat(8)];
  const gw = await gateway(t, {
    server: {
      socketio_jwt_key: `HS256 "${outer}"`,
      socketio_rooms: ['claim=a', 'claim=b'],
      socketio_jwt_require: 'iss=mew',
    },
    locations: {
      '/inherits/': {
        socketio_jwt_key: null, socketio_rooms: null,
      },
      '/own-key/': {
        socketio_jwt_key: `HS256 "${inner}"`, socketio_rooms: null,
      },
      '/own-rooms/': {
        socketio_jwt_key: null, socketio_rooms: 'claim=c',
        socketio_jwt_require: 'aud=chat',
      },
    },
  });
  const token = (key, claims) => ({ token: sign(
    { id: 'ann', a: ['a'], b: ['b'], c: ['c'], ...claims }, { key }) });
  const mew = { iss: 'mew' };

  const rows = [
    ['/inherits/', outer, mew, ['a', 'b']],
    ['/inherits/', inner, mew, 'refused'],
    ['/inherits/', outer, {}, 'refused'],
    ['/own-key/', inner, mew, ['a', 'b']],
    ['/own-key/', outer, mew, 'refused'],
    ['/own-rooms/', outer, { aud: 'chat' }, ['c']],
    ['/own-rooms/', outer, mew, 'refused'],
  ];

  for (const [where, key, claims, expected] of rows) {
    const name = `${where} ${key.slice(0, 5)} ${JSON.stringify(claims)}`;
    await t.test(name, async () => {
      const client = gw.client({ auth: token(key, claims), path: where });
      if (expected === 'refused') {
        assert.equal((await client.refusal()).data.code, 'token_invalid');
        return;
      }
      await client.ready();
      for (const room of ['a', 'b', 'c']) {
        gw.emitter.to(room).emit('room', room);
      }
      await gw.settle(client);
      assert.deepEqual(client.received('room').flat(), expected);
    });
  }
});

test('client_max_body_size holds for others only', async (t) => {
  const gw = await gateway(t, {
    redis: false,
    http: { client_max_body_size: '10' },
    location: {
      'location /socket.io/files/': {},
      'location /socket.io/large/': { client_max_body_size: '1k' },
      'if ($arg_x)': { set: '$y 1' },
    },
    server: {
      'location /limited/': {
        socketio: 'mew', socketio_auth: 'off',
        'limit_except GET': { deny: '10.1.2.3' },
      },
      'location /own/': {
        socketio: 'mew', socketio_auth: 'off', client_max_body_size: '5',
      },
      'location /other/': {},
    },
  });
  const unknown = '?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA';

  for (const [path, size, status] of [
    ['/socket.io/', 100, 400],
    ['/socket.io/', 100000, 400],
    ['/socket.io/?x=1', 100, 400],
    ['/limited/', 100, 400],
    ['/own/', 100, 400],
    ['/socket.io/files/', 100, 413],
    ['/socket.io/files/', 10, 404],
    ['/socket.io/large/', 1000, 404],
    ['/socket.io/large/', 1025, 413],
    ['/other/', 100, 413],
  ]) {
    await t.test(`${size} bytes to ${path}`, async () => {
      const args = path.includes('?') ? unknown.replace('?', '&') : unknown;
      const answer = await gw.exchange(request('POST', path + args, {
        body: 'x'.repeat(size) }));
      assert.equal(answer.status, status);
    });
  }

  for (const path of ['/socket.io/', '/socket.io/?x=1', '/limited/']) {
    await t.test(`a body in chunks to ${path}`, async () => {
      const [location, query] = path.split('?');
      const session = await gw.polling({
        path: location, query: query ? `&${query}` : '' });
      const body = Array(100).fill('6').join('\x1e');
      assert.equal((await session.post(body, { chunks: 50 })).body, 'ok');
    });
  }
});

test('a reload that changes the zone', async (t) => {
  const gw = await gateway(t, { redis: false, block: { drain: '200ms' } });
  const client = await gw.connect({ user: 'ann' });
  const reload = async () => {
    await gw.nginx.reload();
    await until(() => gw.nginx.workers({ leaving: true }).length === 1,
                'the old worker is gone');
  };
  const warnings = (name) => gw.nginx.log(
    /\[warn\].*socketio zone of gateway "\w+" was changed, it starts empty/)
    .filter((line) => line.includes(`"${name}"`)).length;

  // What is changed, and how many warnings there are by then.
  const rows = [
    ['nothing', {}, 0],
    ['other things', { recovery: '1s' }, 0],
    ['the zone', { zone: '32m' }, 1],
    ['nothing', {}, 1],
    ['the log', { log: '1m' }, 2],
    ['the log, to what it was', { log: null }, 3],
  ];

  for (const [what, block, count] of rows) {
    await t.test(what, async () => {
      Object.assign(gw.options.block, block);
      gw.configure();
      assert.ok(gw.nginx.check().ok, 'nginx -t');

      const { connects } = client;
      await reload();
      assert.equal(warnings('mew'), count);
      await until(() => client.connects > connects, 'the client comes back');
    });
  }

  await t.test('another gateway', async () => {
    gw.options.http = { 'socketio_gateway other': { zone: '1m' } };
    gw.configure();
    await reload();
    assert.equal(warnings('other'), 0);
    gw.options.http = { 'socketio_gateway other': { zone: '2m' } };
    gw.configure();
    await reload();
    assert.equal(warnings('other'), 1);
    assert.equal(warnings('mew'), rows.at(-1)[2]);
  });
});

test('every form of Redis URL reaches Redis', async (t) => {
  const password = 'p%40ss"w@rd:/?#';
  const forms = {
    'host and port': (r) => `redis://127.0.0.1:${r.port}`,
    'a name': (r) => `redis://localhost:${r.port}`,
    'a database': (r) => `redis://127.0.0.1:${r.port}/5`,
    'a unix socket': (r) => `unix:${r.socketPath}`,
    'a unix socket and a database': (r) => `unix:${r.socketPath}?db=5`,
    'a password': (r) => `redis://:plain-password@127.0.0.1:${r.port}`,
    'a user': (r) => `redis://tester:plain-password@127.0.0.1:${r.port}/5`,
    'a password with escapes': (r) => (
      `redis://:${encodeURIComponent(password)}@127.0.0.1:${r.port}`),
  };

  for (const [name, form] of Object.entries(forms)) {
    await t.test(name, async (t) => {
      const secret = name.includes('escapes') ? password : 'plain-password';
      const locked = name.includes('password') || name.includes('user');
      const gw = await gateway(t, {
        redis: locked ? {
          password: secret,
          args: ['--requirepass', secret, '--user', 'tester', 'on',
                 '>plain-password', '~*', '&*', '+@all'],
        } : {},
        redisUrl: ({ redis }) => form(redis),
      });

      const db = /database|user/.test(name) ? 5 : 0;
      await gw.redis.commands.select(db);
      await gw.redis.commands.sAdd('mew:rooms:ann', 'stored');
      const client = await gw.connect({ user: 'ann' });
      gw.emitter.to('stored').emit('hello');
      await client.event('hello');

      assert.ok(!gw.nginx.log().includes(secret), 'no password in the log');
    });
  }
});

test('a wrong password is reported and not shown', async (t) => {
  const gw = await gateway(t, {
    redis: { password: 'right-password',
             args: ['--requirepass', 'right-password'] },
    redisUrl: ({ redis }) => `redis://:${HIDDEN}@127.0.0.1:${redis.port}`,
  });
  await until(() => gw.nginx.log(/\[error\].*redis/i).length > 0, 'a line');
  assert.ok(!gw.nginx.log().includes(HIDDEN));
});

test('standalone', async (t) => {
  const gw = await gateway(t, { redis: false });
  const client = await gw.connect({ user: 'ann', rooms: ['r'] });
  assert.equal(client.received('ready').length, 1);
});

test('included settings count', async (t) => {
  const included = file('settings.conf', 'redis_prefix included;\n');
  const gw = await gateway(t, { block: { include: included } });
  const client = gw.client({ user: 'ann' });
  await client.ready();
  const emitter = gw.redis.emitterWith({ key: 'included' });
  emitter.emit('hello');
  await client.event('hello');
});
