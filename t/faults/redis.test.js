'use strict';

// Redis is lost and comes back, while an allocation or a call fails that the
// workers need to connect to it.  Clients stay, and events flow again.

const { skip } = require('./lib/shim');

const { test } = require('node:test');

const { start } = require('./lib/site');
const { eachNth, isClean } = require('./lib/nth');
const { websocket } = require('./lib/scenarios');
const { until } = require('../gateway/lib/expect');

const OWN = /\[alert\].* socket\(\) failed \(24: /;
const CALLS = [
  ...['EINTR', 'EAGAIN', 'ECONNREFUSED'].map((kind) => (
    { classes: ['connect'], kinds: [kind] })),
  { classes: ['socket'], kinds: ['EMFILE'] },
];

/** All connections to Redis are cut; waits until they are back. */
async function outage(site) {
  const { gw } = site;
  const { lines } = gw.proxy;
  const before = [...lines];

  gw.proxy.cut();
  await until(() => !before.some((line) => lines.has(line)), 'all are cut');
  await site.paired();

  // The rooms of a client may have to wait for a connection for too long.
  await until(() => websocket(site).then(() => true, (error) => {
    if (!isClean(error)) {
      throw error;
    }
  }), 'a client connects', 20000);
}

test('Redis is lost and comes back', { skip }, async (t) => {
  const site = await start(t, { proxy: true });
  site.gw.nginx.expect(OWN);

  await t.test('without memory', async (t) => {
    const { calls, rounds, ended } = await eachNth(site, outage,
                                                   { rounds: 8 });
    t.diagnostic(`${rounds} of ${calls} allocations failed, ${
      ended} of them ended a client`);
  });

  for (const plan of CALLS) {
    await t.test(`${plan.classes}() with ${plan.kinds}`, async () => {
      await eachNth(site, outage, { rounds: 1, ...plan });
    });
  }

  await t.test('all is as before', () => site.same());
});
