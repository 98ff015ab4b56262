'use strict';

// Calls of the system that fail, or do less than they could.  What only has to
// be tried again is noticed by nobody; what ends a connection ends that one.

const { skip, SHORT } = require('./lib/shim');

const { test } = require('node:test');

const { start } = require('./lib/site');
const { eachNth } = require('./lib/nth');
const { lanes, wide } = require('./lib/lanes');
const scenarios = require('./lib/scenarios');

const AGAIN = ['EAGAIN', 'EINTR', SHORT];

// Those who only listen are not heard of.
const NAMES = {
  recv: ['websocket', 'polling', 'slow', 'deflate'],
  send: ['websocket', 'polling', 'broadcast', 'slow', 'deflate'],
};

/** What nginx itself says of calls that nobody expects to fail. */
const OWN = /\[alert\].* (socket|epoll_ctl)\(.*failed \(/;

/** Calls, what they fail with, and if that ends somebody. */
const CLIENTS = [
  ...AGAIN.map((kind) => ({ classes: ['recv'], kinds: [kind] })),
  ...AGAIN.map((kind) => ({ classes: ['send'], kinds: [kind] })),
  { classes: ['recv'], kinds: ['ECONNRESET'], ends: true },
  { classes: ['send'], kinds: ['ECONNRESET'], ends: true },
];

const OTHERS = [
  ['EAGAIN', 'ECONNABORTED', 'EMFILE'].map((kind) => (
    { classes: ['accept'], kinds: [kind] })),
  { classes: ['epoll'], kinds: ['ENOMEM'], ends: true },
].flat();

const name = ({ classes, kinds }) => `${classes}() with ${kinds}`;

const LANES = 4;
const ROUNDS = 3;

const steps = (plans, step) => Object.fromEntries(
  plans.map((plan) => [name(plan), (site, t) => step(site, t, plan)]));

async function begin(t, options) {
  const site = await start(t, options);
  site.gw.nginx.expect(OWN);
  return site;
}

/** Calls on the port of clients, in each of these scenarios. */
async function forClients(site, t, plan, names) {
  for (const it of names) {
    const { calls, rounds, ended } = await eachNth(site, scenarios[it], {
      rounds: ROUNDS, ends: false, port: site.gw.port, ...plan,
    });
    t.diagnostic(`${it}: ${rounds} of ${calls}, ${ended} end a client`);
  }
}

test('calls for clients fail', { skip, ...wide(LANES) }, async (t) => {
  await lanes(t, LANES, () => begin(t), {
    ...steps(CLIENTS, (site, t, plan) => (
      forClients(site, t, plan, NAMES[plan.classes[0]]))),
    ...steps(OTHERS, async (site, t, plan) => {
      await eachNth(site, scenarios.polling, {
        rounds: ROUNDS, ends: false, ...plan,
      });
    }),
  });
});

// Bytes come and go through OpenSSL, which has its own view of what they mean.
test('calls for clients fail, over TLS', { skip, ...wide(LANES) }, async (t) => {
  await lanes(t, LANES, () => begin(t, { tls: true }), steps(
    CLIENTS, (site, t, plan) => (
      forClients(site, t, plan, ['websocket', 'polling', 'slow']))));
});

test('calls for Redis fail', { skip, ...wide(LANES) }, async (t) => {
  await lanes(t, LANES, () => start(t), steps(CLIENTS, async (site, t, plan) => {
    for (const it of ['websocket', 'commands']) {
      const { calls, rounds } = await eachNth(site, scenarios[it], {
        rounds: ROUNDS, port: site.gw.redis.port, ...plan, ends: false,
      });
      t.diagnostic(`${it}: ${rounds} of ${calls}`);
    }
  }));
});
