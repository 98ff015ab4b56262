'use strict';

// What "nginx -t" says to the namespaces of a gateway, what a reload does to
// them, and that any name that is taken works.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const {
  WRONG, file, configuration, check, blocked, wrongBlock, twice, eachAccepted,
  eachRefused,
} = require('./lib/configuration');
const { gateway } = require('./lib/gateway');
const { until } = require('./lib/expect');

const namespace = (...names) => `namespace ${names.join(' ')};`;
const many = (n) => Array.from({ length: n }, (_, i) => `/n${i + 1}`);
/** A name of so many bytes. */
const long = (n, c = 'a') => `/${c.repeat((n - 1) / Buffer.byteLength(c))}`;

const included = file('namespaces.conf', `${namespace('/', '/admin')}\n`);

test('accepted', async (t) => {
  await eachAccepted(t, [
    ...[
      '/', '/admin', '/a/b/c', '//', '/ ', '/admin?a=1', '/a#b', '/a*', '/[a]',
      '/a\\\\b', '/0', '/-', '/\u00e9', '/\u{1f600}', long(126),
      long(125, '\u00e9'), long(125, '\u{1f600}'),
    ].map((name) => [JSON.stringify(name),
                     blocked(namespace(`"${name}"`))]),
    ['without quotes', blocked(namespace('/'))],
    ['several', blocked(namespace('/', '/admin', '/chat'))],
    ['several without "/"', blocked(namespace('/admin', '/chat'))],
    ['"/" behind others', blocked(namespace('/admin', '/'))],
    ['names that differ in little', blocked(namespace(
      '/a', '/A', '/a/', '//a', '/a?', '/ab'))],
    ['63', blocked(namespace(...many(63)))],
    ['63, "/" among them', blocked(namespace('/', ...many(62)))],
    ['63 that are long', blocked(namespace(
      ...many(63).map((name) => name.padEnd(126, 'x'))))],
    ['in front of the zone', { block: [namespace('/admin'), 'zone 16m;'] }],
    ['with Redis', blocked('redis redis://127.0.0.1:6379;',
                           namespace('/', '/a*'))],
    ['by include', blocked(`include ${included};`)],
    ['one for each gateway', {
      ...blocked(namespace(...many(63))),
      more: ['socketio_gateway other {', 'zone 1m;', namespace(...many(63)),
             '}'],
    }],
  ]);
});

const INVALID = (name) => `invalid value "${name}" in "namespace"`;

test('refused', async (t) => {
  await eachRefused(t, [
    ...['admin', 'a/b', '*', ' /', 'https://a.example/', '/a,b', '/,', ',/',
        long(127), long(127, '\u00e9'), `${long(200)}`,
    ].map((name) => [JSON.stringify(name),
                     wrongBlock(namespace(`"${name}"`)), INVALID(name)]),
    ['an empty one', wrongBlock(namespace('""')), INVALID('')],
    ['a list with commas', wrongBlock(namespace('/,', '/admin')),
      INVALID('/,')],
    ['a wrong one behind good ones',
      wrongBlock(namespace('/', '/admin', 'chat', '/x')), INVALID('chat')],
    ['an empty one behind a good one', wrongBlock(namespace('/', '""')),
      INVALID('')],

    ['twice the same', wrongBlock(namespace('/admin', '/admin')),
      'duplicate namespace "/admin"'],
    ['"/" twice', wrongBlock(namespace('/', '/admin', '/')),
      'duplicate namespace "/"'],
    ['a name with and without quotes', wrongBlock(namespace('/a', '"/a"')),
      'duplicate namespace "/a"'],

    ['64', wrongBlock(namespace(...many(64))),
      'namespace "/n64" is one too many, the maximum is 63'],
    ['64, "/" among them', wrongBlock(namespace(...many(63), '/')),
      'namespace "/" is one too many, the maximum is 63'],
    ['70', wrongBlock(namespace(...many(70))), '"/n64" is one too many'],

    ['the parameter twice', twice(blocked, namespace('/'),
                                  namespace('/admin')),
      '"namespace" directive is duplicate'],
    ['the same parameter twice', twice(blocked, namespace('/admin')),
      '"namespace" directive is duplicate'],
    ['no argument', wrongBlock('namespace;'),
      'invalid number of arguments in "namespace" directive'],
    ['in the location', {
      location: ['socketio mew;', 'socketio_auth off;',
                 `${namespace('/')} ${WRONG}`] }, 'namespace'],
    ['by the name of a directive', wrongBlock('socketio_namespace /;'),
      'unknown parameter "socketio_namespace"'],
    ['several values for another parameter', wrongBlock('drain 1s 2s;'),
      'invalid number of arguments in "drain" directive'],
  ]);
});

// What is sent to clients has to be UTF-8.
test('bad UTF-8', async (t) => {
  for (const [name, good] of [
    ['/\xc3\xa9', true], ['/\xe9', false], ['/\xc3', false],
    ['/\xed\xa0\x80', false], ['/\xc0\xaf', false],
    ['/\xf4\x90\x80\x80', false],
  ]) {
    await t.test(Buffer.from(name, 'latin1').toString('hex'), () => {
      const text = configuration(blocked(`${namespace(`"${name}"`)} ${WRONG}`));
      const line = text.split('\n').findIndex((it) => it.endsWith(WRONG)) + 1;
      const { ok, output, confFile } = check(Buffer.from(text, 'latin1'));
      assert.equal(ok, good, output);
      assert.match(output, good ? /successful/
        : /\[emerg\].*invalid value ".+" in "namespace"/);
      assert.equal(output.includes(`${confFile}:${line}`), !good, output);
    });
  }
});

/** What a client is told about a namespace: connected, or why not. */
async function attempt(gw, nsp) {
  const client = gw.client({ user: 'ann', url: gw.url + nsp });

  await until(() => client.connects > 0 || client.failures.length > 0,
              `an answer for ${nsp}`);
  return client.connects > 0 ? 'connected' : client.failures[0].message;
}

test('the default is "/"', async (t) => {
  const gw = await gateway(t, { redis: false });

  assert.equal(await attempt(gw, '/'), 'connected');
  assert.equal(await attempt(gw, '/admin'), 'Invalid namespace');
});

test('what is configured is all there is', async (t) => {
  const gw = await gateway(t, {
    redis: false, block: { namespace: '/admin /chat' },
  });

  assert.equal(await attempt(gw, '/admin'), 'connected');
  assert.equal(await attempt(gw, '/chat'), 'connected');
  assert.equal(await attempt(gw, '/'), 'Invalid namespace');
  assert.equal(await attempt(gw, '/chat/'), 'Invalid namespace');
});

// Characters that mean something to Redis mean themselves, and a namespace
// whose channels look like rooms of another is not that one.
test('names in channels', async (t) => {
  const names = ['/', '/a*', '/ab', '/a?', '/[ab]', '/a', '/a#b', '/a\\b',
                 '/\u00e9', long(126)];
  const gw = await gateway(t, {
    block: { namespace: names.map((name) => (
      `"${name.replace('\\', '\\\\')}"`)).join(' ') },
  });
  await gw.live();
  const ws = await gw.socket();
  await ws.next();

  for (const name of names) {
    const prefix = name === '/' ? '' : `${name},`;
    ws.text(`40${prefix}${JSON.stringify(gw.auth({ user: 'ann' }))}`);
    assert.match(await ws.next(), /^40.*\{"sid":/);
    assert.equal(await ws.next(), `42${prefix}["ready"]`);
  }

  for (const name of names) {
    const prefix = name === '/' ? '' : `${name},`;
    const nsp = gw.emitter.of(name);
    nsp.emit('all', name);
    nsp.to('user:ann').emit('one', name);
    nsp.to('b').emit('nobody');
    nsp.in('user:ann').socketsJoin('b');
    nsp.to('b').emit('room', name);
    nsp.in('user:ann').socketsLeave('b');
    for (const event of ['all', 'one', 'room']) {
      assert.equal(await ws.next(),
                   `42${prefix}${JSON.stringify([event, name])}`);
    }
  }
  assert.deepEqual(await gw.drain(ws), []);
});

// Names keep their numbers for the life of the zone, which has 64 of them.
test('a reload that would need one name too many', async (t) => {
  const gw = await gateway(t, {
    redis: false, block: { drain: '100ms', namespace: many(62).join(' ') },
  });
  const emerg = () => gw.nginx.log(/\[emerg\]/);
  const answer = (names) => Promise.all(names.map((it) => attempt(gw, it)));
  const configure = (names) => {
    gw.options.block.namespace = names.join(' ');
    gw.configure();
  };

  await t.test('the last number', async () => {
    configure(['/other', '/n1']);
    await gw.nginx.reload();
    assert.deepEqual(await answer(['/other', '/n1', '/n2']),
                     ['connected', 'connected', 'Invalid namespace']);
  });

  await t.test('one more is refused, the old ones go on', async () => {
    gw.nginx.expect(/\[emerg\].*is one too many/);
    configure(['/n1', '/one-more']);
    process.kill(gw.nginx.pid, 'SIGHUP');
    await until(() => emerg().length > 0, 'a refusal');
    assert.match(emerg()[0],
                 /socketio zone of gateway "mew" has known 64 namespaces, /);
    assert.match(emerg()[0],
                 /"\/one-more" is one too many: only a restart makes room/);
    assert.deepEqual(await answer(['/other', '/n1', '/one-more']),
                     ['connected', 'connected', 'Invalid namespace']);
  });

  await t.test('known ones are taken', async () => {
    configure(many(62).concat('/other'));
    await gw.nginx.reload();
    assert.deepEqual(await answer(['/other', '/n1', '/n62', '/one-more']), [
      'connected', 'connected', 'connected', 'Invalid namespace']);
  });

  await t.test('a zone of another size begins anew', async () => {
    gw.options.block.zone = '32m';
    configure(['/one-more', '/n1']);
    await gw.nginx.reload();
    assert.deepEqual(await answer(['/one-more', '/n1', '/other']),
                     ['connected', 'connected', 'Invalid namespace']);
    assert.equal(emerg().length, 1);
  });
});
