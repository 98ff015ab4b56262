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
const NAMES = ['websocket', 'polling', 'broadcast', 'slow', 'deflate'];

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

async function begin(t) {
  const site = await start(t);
  site.gw.nginx.expect(OWN);
  return site;
}

test('calls for clients fail', { skip, ...wide(LANES) }, async (t) => {
  await lanes(t, LANES, () => begin(t), {
    ...steps(CLIENTS, async (site, t, plan) => {
      for (const it of NAMES) {
        const { calls, rounds, ended } = await eachNth(site, scenarios[it], {
          rounds: ROUNDS, ends: false, port: site.gw.port, ...plan,
        });
        t.diagnostic(`${it}: ${rounds} of ${calls}, ${ended} end a client`);
      }
    }),
    ...steps(OTHERS, async (site, t, plan) => {
      await eachNth(site, scenarios.polling, {
        rounds: ROUNDS, ends: false, ...plan,
      });
    }),
  });
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
