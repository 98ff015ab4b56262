'use strict';

// Calls of the system that fail, or do less than they could.  What only has to
// be tried again is noticed by nobody; what ends a connection ends that one.

const { skip, SHORT } = require('./lib/shim');

const { test } = require('node:test');

const { start } = require('./lib/site');
const { eachNth } = require('./lib/nth');
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

test('calls for clients fail', { skip }, async (t) => {
  const site = await start(t);
  site.gw.nginx.expect(OWN);

  for (const plan of CLIENTS) {
    await t.test(name(plan), async (t) => {
      for (const it of NAMES) {
        const { calls, rounds, ended } = await eachNth(site, scenarios[it], {
          rounds: 4, ends: false, port: site.gw.port, ...plan,
        });
        t.diagnostic(`${it}: ${rounds} of ${calls}, ${ended} end a client`);
      }
    });
  }

  for (const plan of OTHERS) {
    await t.test(name(plan), async () => {
      await eachNth(site, scenarios.polling, {
        rounds: 4, ends: false, ...plan,
      });
    });
  }

  await t.test('all is as before', () => site.same());
});

test('calls for Redis fail', { skip }, async (t) => {
  const site = await start(t);
  const port = site.gw.redis.port;

  for (const plan of CLIENTS.map((it) => ({ ...it, ends: false }))) {
    await t.test(name(plan), async (t) => {
      for (const it of ['websocket', 'commands']) {
        const { calls, rounds } = await eachNth(site, scenarios[it], {
          rounds: 4, port, ...plan,
        });
        t.diagnostic(`${it}: ${rounds} of ${calls}`);
      }
    });
  }

  await t.test('all is as before', () => site.same());
});
