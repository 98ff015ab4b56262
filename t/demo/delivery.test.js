'use strict';

// What becomes of a message that somebody writes on the page: it goes over the
// socket and a stream to the backend, whose answer the page shows.

const path = require('node:path');
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');

const { Demo, User, launchBrowser, TOP } = require('./lib/demo');
const { Client } = require('../gateway/lib/client');
const { Redis } = require('../gateway/lib/redis');
const { whileStopped } = require('../gateway/lib/processes');
const { until } = require('../gateway/lib/expect');

const STREAM = 'demo:uplink';
const GROUP = 'chat';

const demo = new Demo();
let browser;
let alice;
let bob;
let redis;
let general;        // id of the channel that both have open
let token;          // of alice
let client;         // another one of alice, without a page

before(async () => {
  browser = await launchBrowser();
  await demo.start({ CLAIM_AFTER: '300' });
  redis = new Redis(demo.dir);
  redis.port = demo.redisPort;

  [alice, bob] = await Promise.all(['alice', 'bob'].map(async (name) => (
    (await User.open(browser, demo, name)).loggedIn())));
  token = await alice.token();
  general = await channelOf(token, 'general');

  client = new Client(demo.url, { auth: { token } });
  await client.connected();
});

after(async () => {
  client?.close();
  redis?.close();
  await browser?.close();
  await demo.end();
});

async function channelOf(user, name) {
  const { body } = await demo.backend('GET', '/state', user);
  return body.servers.flatMap((it) => it.channels)
    .find((it) => it.name === name).id;
}

/** The messages with this text that the backend has. */
async function stored(text) {
  const { body } = await demo.backend('GET', `/channels/${general}/messages`,
                                      token);
  return body.filter((it) => it.content === text);
}

/** There is one, and both pages show it once. */
async function assertOnce(text) {
  assert.equal((await stored(text)).length, 1);
  for (const user of [alice, bob]) {
    await user.sees(text);
    assert.equal(await user.message(text).count(), 1);
  }
}

async function pending() {
  const commands = await redis.client();
  const { pending: count } = await commands.xPending(STREAM, GROUP);
  commands.destroy();
  return count;
}

/** The first entry that is new is given to the backend, as if it had asked. */
async function give() {
  const commands = await redis.client();
  const [{ name }] = await commands.xInfoConsumers(STREAM, GROUP);
  await commands.xReadGroup(GROUP, name, { key: STREAM, id: '>' },
                            { COUNT: 1 });
  commands.destroy();
}

const backendPid = () => demo.processes().backend[0];

function restarted(pid) {
  return until(async () => {
    const now = backendPid();
    return now && now !== pid
      && (await demo.backend('GET', '/health').catch(() => ({})))
        .status === 200;
  }, 'the backend runs again');
}

test('a message is sent, then delivered', async () => {
  await whileStopped(backendPid(), async () => {
    await alice.write('slowly');
    await alice.delivery('slowly', 'sent');
  });
  await alice.delivery('slowly', 'delivered');
  await bob.sees('slowly');
  assert.equal(await bob.message('slowly').getAttribute('data-delivery'), null);
  await assertOnce('slowly');
  assert.equal(await pending(), 0);
  assert.deepEqual(alice.trouble, []);
  assert.deepEqual(bob.trouble, []);
});

test('what the backend refuses is shown, and tried again', async () => {
  const { body: { token: carol } } = await demo.backend(
    'POST', '/login', undefined, { name: 'carol', password: 'carol-demo' });
  const channel = `"channelId":"${general}"`;
  const suggestions = await channelOf(carol, 'suggestions');

  for (const [text, from, to, reason] of [
    ['blank', '"blank"', '"  "', 'A message must not be empty.'],
    ['no string', '"no string"', '{"a":1}', 'A message must not be empty.'],
    ['very large', '"very large"', `"${'x'.repeat(2001)}"`,
     'A message is longer than 2000 characters.'],
    ['nowhere', channel, '"channelId":"nowhere"', 'There is no such channel.'],
    ['no member', channel, `"channelId":"${suggestions}"`,
     'There is no such channel.'],
    ['bad id', '"clientId":"', '"clientId":"?',
     'clientId must be 1 to 64 letters or digits.'],
  ]) {
    await alice.sendsInstead(from, to);
    await alice.write(text);
    await alice.delivery(text, 'failed');
    await alice.message(text).getByText(`Not delivered. ${reason}`).waitFor();
  }
  await alice.sendsInstead('', '');

  assert.equal((await stored('nowhere')).length, 0);
  await alice.page.screenshot({
    path: path.resolve(TOP, process.env.BUILD || 'build',
                    'screenshots/1280-light-failed.png'),
                       });

  const button = (text, name) => alice.message(text).getByText(name);
  await button('nowhere', 'Retry').click();
  await alice.delivery('nowhere', 'delivered');
  await assertOnce('nowhere');

  for (const text of ['blank', 'no string', 'very large', 'no member',
                      'bad id']) {
    await button(text, 'Discard').click();
    await alice.message(text).waitFor({ state: 'detached' });
    assert.equal(await bob.message(text).count(), 0);
  }
});

test('the author is who the socket belongs to', async () => {
  const { userId } = (await demo.backend('GET', '/state', token)).body;
  const answer = await client.socket.emitWithAck('message/create', {
    channelId: general, content: 'whose?', authorId: '2', userId: '2',
  });
  const [message] = await stored('whose?');

  assert.deepEqual(answer, { ok: true, id: message.id });
  assert.equal(message.authorId, userId);
  await bob.message('whose?').getByText('alice').waitFor();
});

test('without a callback a failure is an event "error"', async () => {
  client.socket.emit('message/create', { channelId: general, content: '' });
  assert.deepEqual(await client.event('error'), [{
    event: 'message/create', message: 'A message must not be empty.',
  }]);

  client.socket.emit('message/create');
  assert.deepEqual(await client.event('error', 2), [{
    event: 'message/create', message: 'This has to be an object.',
  }]);

  client.socket.emit('message/create', {
    channelId: general, content: 'no callback',
  });
  await bob.sees('no callback');
  assert.equal(client.received('error').length, 2);
});

test('a message that is sent twice is one', async () => {
  const send = (clientId, content) => client.socket.emitWithAck(
    'message/create', { clientId, channelId: general, content });

  const first = await send('twice', 'once only');
  assert.equal(first.ok, true);
  assert.deepEqual(await send('twice', 'once only'), first);
  assert.notDeepEqual(await send('thrice', 'another'), first);
  await assertOnce('once only');
});

test('an entry that comes twice is one message', async () => {
  const load = (file) => import(path.join(TOP, 'demo/backend', file));
  const { createMessages } = await load('messages.js');
  const { State } = await load('state.js');
  const { seed } = await load('seed.js');

  const state = new State(await seed());
  const log = [];
  const { events } = createMessages({
    state,
    save: async () => log.push('save'),
    socketManager: {
      broadcast: (event, room, { id }) => log.push(`${event} ${room} ${id}`),
    },
  });
  const { id: channelId } = state.data.servers[0].channels[0];
  const create = (entryId) => events['message/create'](
    { userId: '1', entryId }, { channelId, content: 'x' });

  const { id } = await create('1-0');
  assert.deepEqual(await create('1-0'), { ok: true, id });
  assert.notEqual((await create('1-1')).id, id);

  // nobody knows whether it was published the last time
  assert.deepEqual(log.slice(0, 4), [
    'save', `MESSAGE_CREATE channel:${channelId} ${id}`,
    'save', `MESSAGE_CREATE channel:${channelId} ${id}`,
  ]);
  assert.equal(state.messages(channelId)
    .filter((it) => it.content === 'x').length, 2);
});

test('the backend is killed with a message in hand', async () => {
  const pid = backendPid();
  const texts = ['it is in hand', 'it is behind', 'it is the last'];

  await whileStopped(pid, async () => {
    for (const text of texts) {
      await alice.write(text);
      await alice.delivery(text, 'sent');
    }
    // It may have been waiting for entries when it was stopped, or not.
    if (await pending() === 0) {
      await give();
    }
    assert.equal(await pending(), 1);
    process.kill(pid, 'SIGKILL');
  });

  for (const text of texts) {
    await alice.delivery(text, 'delivered');
    await assertOnce(text);
  }
  const { body } = await demo.backend('GET', `/channels/${general}/messages`,
                                      token);
  assert.deepEqual(body.slice(-3).map((it) => it.content), texts);
  assert.equal(await pending(), 0);
});

test('a poisoned entry is put aside, and others go on', async () => {
  const errors = client.received('error').length;
  const commands = await redis.client();
  const id = await commands.xAdd(STREAM, '*', {
    event: 'message/create', user: '1', sid: client.id, nsp: '/',
    args: '[no JSON', ack: '',
  });

  await alice.write('beside the poison');
  await alice.delivery('beside the poison', 'delivered');

  const [{ message }] = await client.event('error', errors + 1);
  assert.equal(message, 'This does not work at the moment.');
  const letters = await commands.xRange(`${STREAM}:dead`, '-', '+');
  assert.deepEqual(letters.map((it) => it.message.entry), [id]);
  assert.equal(letters[0].message.deliveries, '5');
  assert.match(letters[0].message.reason, /JSON/);
  assert.equal(await pending(), 0);
  commands.destroy();
});

test('a backend that is told to stop does so', async () => {
  const pid = backendPid();

  process.kill(pid, 'SIGTERM');
  await alice.write('to the next one');
  await restarted(pid);
  await alice.delivery('to the next one', 'delivered');
  await assertOnce('to the next one');
});

test('without Redis a message fails, and is delivered later', async () => {
  await whileStopped(demo.program.pid, async () => {
    const [pid] = demo.processes().redis;
    process.kill(pid, 'SIGKILL');
    await until(() => demo.program.output.includes('Redis is away'),
                'the backend has noticed');

    await alice.write('without Redis');
    await alice.delivery('without Redis', 'failed');
    await alice.message('without Redis')
      .getByText('The server is unavailable.').waitFor();
  });

  await until(async () => {
    const message = alice.message('without Redis');
    const state = await message.getAttribute('data-delivery');
    if (state === 'failed') {
      await message.getByText('Retry').click();
    }
    return state === 'delivered';
  }, 'it is delivered', 20000);
  await assertOnce('without Redis');
});
