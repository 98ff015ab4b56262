'use strict';

// Workers run out of descriptors, or of connections.  Who comes then waits or
// is refused; who is connected goes on; and when there is room again, so does
// everybody.

const { skip } = require('./lib/shim');

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');

const { start } = require('./lib/site');
const { websocket } = require('./lib/scenarios');
const { until } = require('../gateway/lib/expect');

/** No new descriptor of a process may be as high as this. */
function limit(pid, most = 4096) {
  execFileSync('prlimit', [`--pid=${pid}`, `--nofile=${most}:4096`]);
}

/** Clients that begin to connect; { clients (those that could), failures }. */
async function flock(site, count) {
  const results = await Promise.allSettled(Array.from(
    { length: count }, (_, i) => site.gw.rawClient({ user: `flock${i}` })));
  return {
    clients: results.filter((it) => it.status === 'fulfilled')
      .map((it) => it.value),
    failures: results.filter((it) => it.status === 'rejected')
      .map((it) => it.reason.message),
  };
}

const closed = (clients) => clients.filter((it) => it.closed).length;

test('descriptors run out', { skip }, async (t) => {
  const site = await start(t, { proxy: true });
  const { gw } = site;
  const pids = gw.nginx.workers();

  gw.nginx.expect(/\[alert\].* socket\(\) failed \(24: /);

  await t.test('for those who come', async () => {
    pids.forEach((pid) => limit(pid, 1));
    const clients = Array.from({ length: 12 }, (_, i) => (
      gw.client({ user: `comer${i}`, reconnection: true, timeout: 500 })));
    await until(() => gw.nginx.log(/accept4\(\) failed \(24: /).length > 0,
                'a worker has none left');
    await site.undisturbed();
    pids.forEach((pid) => limit(pid));
    await Promise.all(clients.map((it) => it.ready(1, 20000)));
    await site.undisturbed();
    clients.forEach((it) => it.close());
  });

  await t.test('for the connections to Redis', async () => {
    pids.forEach((pid) => limit(pid, 1));
    gw.proxy.cut();
    await until(() => gw.nginx.log(/socket\(\) failed \(24: /).length > 0,
                'a worker has none left');
    pids.forEach((pid) => limit(pid));
    await site.paired();
    await site.undisturbed();
    await websocket(site);
    site.forget();
  });

  await t.test('all is as before', () => site.same());
});

test('connections run out', { skip }, async (t) => {
  const site = await start(t, { workers: 1, connections: 24 });
  const { gw } = site;

  gw.nginx.expect(/\[alert\].* 24 worker_connections are not enough/);

  for (const round of [1, 2]) {
    await t.test(`round ${round}`, async () => {
      const { clients, failures } = await flock(site, 40);

      assert.ok(failures.length > 0, 'some are refused');
      assert.ok(clients.length > 0, 'some are not');
      assert.deepEqual(failures.filter((it) => /not within/.test(it)), []);
      await site.undisturbed();
      assert.equal(closed(clients), 0);
      site.forget();
      await until(async () => (
        websocket(site).then(() => true, () => false)), 'there is room again');
      site.forget();
    });
  }

  await t.test('all is as before', () => site.same());
});
