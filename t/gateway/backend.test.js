'use strict';

// The examples of doc/backend.md do what it says: those for the shell, for
// Node.js and for Python are run as they stand there.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');

const { gateway } = require('./lib/gateway');

const run = promisify(execFile);
const DOC = fs.readFileSync(
  path.join(__dirname, '../../doc/backend.md'), 'utf8');

/** The first block of code below a heading. */
function snippet(heading) {
  const at = DOC.indexOf(`\n### ${heading}\n`);
  const block = /\n```\w+\n(.*?)\n```\n/s.exec(DOC.slice(at));
  assert.ok(at > 0 && block, `an example for ${heading}`);
  return block[1];
}

const start = (t) => gateway(t, {
  workers: 2,
  block: { namespace: '/ /admin' },
  locations: {
    '/socket.io/': {},
    '= /status': { socketio: null, socketio_status: 'mew' },
  },
});

const malformed = async (gw) => (
  (await (await fetch(`${gw.url}/status`)).json()).malformed);

const LANGUAGES = {
  'Node.js': async (gw, code, env) => {
    const file = path.join(gw.dir, 'backend.mjs');
    fs.symlinkSync(path.join(__dirname, 'node_modules'),
                   path.join(gw.dir, 'node_modules'));
    fs.writeFileSync(file, code);
    await run(process.execPath, [file], { env, timeout: 30000 });
  },
  Python: async (gw, code, env) => {
    const file = path.join(gw.dir, 'backend.py');
    fs.writeFileSync(file, code);
    await run('/usr/bin/python3', [file], { env, timeout: 30000 });
  },
};

for (const [language, execute] of Object.entries(LANGUAGES)) {
  test(language, async (t) => {
    const gw = await start(t);
    const [ann, bob, mallory] = await Promise.all([
      gw.connect({ user: 'ann' }),
      gw.connect({ user: 'bob', rooms: ['channel:42'] }),
      gw.connect({ user: 'mallory' }),
    ]);
    mallory.stay();

    await execute(gw, snippet(language), {
      ...process.env, REDIS_URL: `redis://127.0.0.1:${gw.redis.port}`,
    });

    assert.equal(await mallory.disconnect(), 'io server disconnect');
    await gw.settle(ann, bob);
    assert.deepEqual(bob.received('MESSAGE_CREATE'),
                     [[{ id: '9007199254740993', content: 'hello' }]]);
    assert.deepEqual(ann.received('MEMBER_JOIN'), [[{ userId: 'ann' }]]);
    assert.deepEqual(ann.received('MESSAGE_CREATE'), []);
    assert.deepEqual(bob.received('MEMBER_JOIN'), []);
    assert.deepEqual(await gw.redis.commands.sMembers('chat:rooms:ann'),
                     ['channel:43']);
    assert.equal(await malformed(gw), 0);
  });
}

test('redis-cli', async (t) => {
  const gw = await start(t);
  const [ann, carol, mallory] = await Promise.all(
    ['ann', 'carol', 'mallory'].map((user) => gw.connect({ user })));
  const lines = DOC.split('\n').filter(
    (it) => /^ {4}redis-cli PUBLISH /.test(it));
  assert.ok(lines.length > 5);
  mallory.stay();

  for (const line of lines) {
    const { stdout } = await run('sh', ['-c', line.replace(
      'redis-cli', `redis-cli -p ${gw.redis.port}`)]);
    assert.match(stdout, /^[12]\n$/, line);
  }

  assert.equal(await mallory.disconnect(), 'io server disconnect');
  await gw.settle(ann, carol);
  assert.deepEqual(carol.received('NEWS'), [['to all']]);
  assert.deepEqual(ann.received('TYPING'), [[]]);
  assert.deepEqual(carol.received('TYPING'), []);
  assert.equal(await malformed(gw), 0);
});
