'use strict';

// Who is online while calls fail: what becomes of users of this node, and of
// those of others, which Redis tells of.  In the end all who are connected, and
// Redis, know the same users.

const assert = require('node:assert/strict');

const { met } = require('./site');
const { View } = require('../../gateway/lib/presence');
const { until } = require('../../gateway/lib/expect');

const BASE = 'socket.io:sio:presence:';
const CHANNEL = 'socket.io-sio#presence';

/** What a change of another node does to the list, and to its version. */
const CHANGE = `
  local epoch = redis.call('HGET', KEYS[2], 'epoch')
  local version = redis.call('HINCRBY', KEYS[2], 'version', 1)
  redis.call(ARGV[1] == '+' and 'SADD' or 'SREM', KEYS[1], ARGV[2])
  return {epoch, version}`;

/** A user who is elsewhere comes ("+") or goes ("-"); or nobody is told. */
async function elsewhere(site, sign, user, { told = true } = {}) {
  const redis = site.gw.redis.commands;
  const [epoch, version] = await redis.eval(CHANGE, {
    keys: [`${BASE}online`, `${BASE}state`], arguments: [sign, user],
  });

  if (told) {
    await redis.publish(CHANNEL, JSON.stringify(
      [epoch, version, `${sign}${user}`]));
  }
}

/** A client of a user of its own, with a view, that has a list. */
async function comer(site, open) {
  const client = await site.gw[open]({
    user: `comer${site.next()}`, onopen: (it) => { it.view = new View(it); },
  });
  await met(client, () => client.view.users, 'has a list');
  return client;
}

/**
 * Waits until all know that those who stay, these clients and users of
 * elsewhere are online, and nobody else; fails if one of the clients is closed.
 */
async function known(site, clients, others = []) {
  const redis = site.gw.redis.commands;
  const staying = () => site.bystanders.filter((it) => !it.closed);
  const watching = () => [...staying(), ...clients];
  const wanted = () => [...watching().map((it) => it.name), ...others].sort()
    .join();
  const shown = (users) => [...users || []].sort().join();
  const state = () => watching().map((it) => `${it}: ${shown(it.view.users)}`);
  const gone = () => clients.find((it) => it.closed || it.failure);

  await until(async () => gone() || (
    watching().every((it) => shown(it.view.users) === wanted())
    && shown(await redis.sMembers(`${BASE}online`)) === wanted()),
              () => `all know ${wanted()}; ${state().join('; ')}`);
  if (gone()) {
    throw new Error(`${gone()} was closed`);
  }
  for (const it of watching()) {
    assert.deepEqual(it.view.faults, [], `${it.view}`);
    assert.equal(it.view.doubled, 0, `${it.view}`);
  }
}

/** Users come and go, by WebSocket and by polling. */
async function visits(site) {
  const first = await comer(site, 'rawClient');
  await known(site, [first]);
  const second = await comer(site, 'pollingClient');
  await known(site, [first, second]);
  await second.send('41');
  if (second.failure) {
    throw new Error(`${second} was refused: ${second.failure.message}`);
  }
  await known(site, [first]);
  first.close();
  await known(site, []);
  await site.check(1);
}

/** Users of another node come and go; a message about some is missing. */
async function others(site) {
  const [one, two, three] = [1, 2, 3].map(() => `far${site.next()}`);

  try {
    await elsewhere(site, '+', one);
    await known(site, [], [one]);
    await elsewhere(site, '+', two, { told: false });
    await elsewhere(site, '-', one);
    await elsewhere(site, '+', three);
    await known(site, [], [two, three]);
  } finally {
    for (const user of [one, two, three]) {
      await elsewhere(site, '-', user);
    }
  }
  await known(site, []);
  await site.check(1);
}

/** The connection that is told of changes is lost: the list is read again. */
async function subscription(site) {
  const redis = site.gw.redis.commands;
  const user = `far${site.next()}`;
  const own = async () => (await redis.sendCommand(['CLIENT', 'LIST']))
    .split('\n').filter((line) => / sub=1 psub=0 .* cmd=subscribe /.test(line))
    .map((line) => /^id=(\d+)/.exec(line)[1]);

  const lines = await own();
  assert.equal(lines.length, 1);
  await redis.sendCommand(['CLIENT', 'KILL', 'ID', lines[0]]);
  await elsewhere(site, '+', user);
  try {
    await known(site, [], [user]);
  } finally {
    await elsewhere(site, '-', user);
  }
  await known(site, []);
  await site.check(1);
}

module.exports = { visits, others, subscription };
