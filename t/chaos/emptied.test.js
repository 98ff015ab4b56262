'use strict';

// A zone that is damaged so that no repair helps: what all workers have in it
// is given up.  All clients are closed, come again, and nothing remains of what
// they were; neither where something was under way for them.

const { Faults, skip } = require('./lib/faults');

const fs = require('node:fs');
const { test } = require('node:test');
const assert = require('node:assert/strict');

const { start, counts } = require('./lib/site');
const { Zone } = require('./lib/zone');
const { scale } = require('./lib/scale');
const { until, parallel } = require('../gateway/lib/expect');

const CLIENTS = scale(24, 200);
const ROUNDS = scale(2, 10);

const KINDS = [
  { transports: ['websocket'] },
  { transports: ['polling'] },
  { transports: ['polling', 'websocket'] },
  { transports: ['websocket'], nsp: '/admin' },
];

const key = (user) => `mew:rooms:${user}`;

const EMPTIED = /zone of gateway "mew" was damaged and emptied/;

const isStopped = (pid) => / T /.test(
  fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));

test('a zone that is given up', { skip }, async (t) => {
  let faults;
  const gw = await start(t, {
    main: { env: 'SIO_FAULTS' },
    proxy: true,
    block: { namespace: '/ /admin', recovery: '30s' },
    setup: (it) => { faults = new Faults(it.dir); },
  });
  t.after(() => faults.close());
  gw.nginx.expect(EMPTIED);
  const command = (...list) => gw.redis.commands.publish(
    'socket.io-command', JSON.stringify(list));

  await gw.live();
  await until(async () => (await counts(gw)).sessions === 0, 'nobody is there');
  const before = await counts(gw);

  await gw.redis.commands.sAdd(key('ann'), ['a', 'b']);
  const clients = await parallel(
    Array.from({ length: CLIENTS }, (_, i) => i), 20, (i) => {
      const { nsp = '/', ...options } = KINDS[i % KINDS.length];
      return gw.connect({
        user: 'ann', url: `${gw.url}${nsp}`, reconnectionDelayMax: 500,
        ...options,
      });
    });

  for (let round = 0; round < ROUNDS; round++) {
    await t.test(`round ${round + 1}`, async () => {
      const ids = clients.map((client) => client.socket.id);

      // Everybody waits for Redis as it happens.
      gw.proxy.hold('smembers');
      await command(...['/', '/admin'].map((nsp) => (
        { nsp, op: 'refresh', to: 'user:ann' })));
      await until(() => gw.proxy.seen > 0, 'the set is read');

      // One stops with the lock, and dies of it when the damage is done.
      faults.arm({ file: 'ngx_sio_session_rooms', left: 1, signal: 'SIGSTOP' });
      await command({ op: 'join', to: 'user:ann', rooms: [`new${round}`] });
      await until(() => faults.deaths > 0, 'one stops');
      faults.disarm();
      const stopped = await until(() => gw.nginx.workers().find(isStopped),
                                  'its pid');
      const zone = new Zone(stopped);
      const epoch = zone.get('epoch');

      const emptied = gw.nginx.log(EMPTIED).length;
      zone.damage('top_tail');
      gw.nginx.killWorker(stopped);
      zone.close();

      // What Redis says then comes too late for who had asked.
      const others = gw.nginx.workers().length - 1;
      await until(() => gw.nginx.log(EMPTIED).length - emptied >= others,
                  'all workers know');
      gw.proxy.release();

      await until(() => clients.every((client, i) => (
        client.socket.connected && client.socket.id !== ids[i])),
                  'all are there again');

      const other = new Zone(gw.nginx.workers()[0]);
      assert.notDeepEqual(other.get('epoch'), epoch);
      other.close();

      await command(...['/', '/admin'].map((nsp) => (
        { nsp, to: 'a', event: 'round', args: [round] })));
      await Promise.all(clients.map((client) => (
        client.eventWith('round', round))));
    });
  }

  clients.forEach((client) => client.close());
  await until(async () => (await counts(gw)).sessions === 0, 'all have gone');
  assert.deepEqual(await counts(gw), before);
});
