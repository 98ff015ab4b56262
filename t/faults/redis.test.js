'use strict';

// Redis is lost and comes back, while an allocation or a call fails that the
// workers need to connect to it.  Clients stay, and events flow again.

const { skip } = require('./lib/shim');

const { test } = require('node:test');

const { start, met } = require('./lib/site');
const { eachNth, isClean } = require('./lib/nth');
const { lanes, wide } = require('./lib/lanes');
const { until } = require('../gateway/lib/expect');

const OWN = /\[alert\].* socket\(\) failed \(24: /;
const CALLS = [
  // Usually it is EINPROGRESS.
  ...['ECONNREFUSED', 'ECONNRESET', 'EAGAIN', 'EINTR'].map(
    (kind) => ({ classes: ['connect'], kinds: [kind] })),
  { classes: ['socket'], kinds: ['EMFILE'] },
];
const LANES = 1 + CALLS.length;

/** A client connects; what it is sent then may be in a gap of the feed. */
async function enter({ gw }) {
  const client = await gw.rawClient({ user: 'guest0', rooms: ['one'] });
  await met(client, () => client.received('ready').length > 0, 'is ready');
}

/** All connections to Redis are cut; waits until they are back. */
async function outage(site) {
  const { gw } = site;
  const { lines } = gw.proxy;
  const before = [...lines];

  gw.proxy.cut();
  await until(() => !before.some((line) => lines.has(line)), 'all are cut');
  await site.connected();

  // The rooms of a client may have to wait for a connection for too long.
  await until(() => enter(site).then(() => true, (error) => {
    if (!isClean(error)) {
      throw error;
    }
  }), 'a client connects', 20000);
}

const name = ({ classes, kinds }) => `${classes}() with ${kinds}`;

async function begin(t) {
  const site = await start(t, { proxy: true });
  site.gw.nginx.expect(OWN);
  return site;
}

test('Redis is lost and comes back', { skip, ...wide(LANES) }, async (t) => {
  await lanes(t, LANES, () => begin(t), {
    'without memory': async (site, t) => {
      const { calls, rounds, ended } = await eachNth(site, outage,
                                                     { rounds: 6, gap: true });
      t.diagnostic(`${rounds} of ${calls} allocations failed, ${
        ended} of them ended a client`);
    },
    ...Object.fromEntries(CALLS.map((plan) => [name(plan), async (site) => {
      await eachNth(site, outage, { rounds: 1, gap: true, ...plan });
    }])),
  });
});
