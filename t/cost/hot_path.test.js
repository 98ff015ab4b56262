'use strict';

// What the hot path costs, in instructions of the worker, is what counts.json
// says, and no more than 5 % above.  They do not depend on the load of the
// machine, but on the compiler and the libraries: where these are others than
// counts.json was made with, nothing can be told.
//
//     make cost             counts
//     make cost RENEW=1     and writes counts.json

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');

const { gateway } = require('../gateway/lib/gateway');
const { until } = require('../gateway/lib/expect');
const { Callgrind } = require('./lib/callgrind');
const { madeWith } = require('./lib/made_with');
const scenarios = require('./lib/scenarios');

const FILE = path.join(__dirname, 'counts.json');
const SLACK = 0.05;
const RENEW = Boolean(process.env.RENEW);

const known = JSON.parse(fs.readFileSync(FILE, 'utf8'));

async function start(t, options) {
  const gw = await gateway(t, {
    level: 'info',
    setup: (it) => { it.nginx = new Callgrind(it.dir); },
    http: { keepalive_requests: '1000000', keepalive_timeout: '300s' },
    ...options,
  });
  if (gw.redis) {
    await until(() => gw.nginx.log(/feed .* is read by this worker/).length > 0,
                'the feed', 30000);
  }
  return gw;
}

/** Fails if a count is too high, and tells of one that has become lower. */
function compare(t, name, count) {
  const before = known.instructions[name];
  const change = count / before - 1;
  const text = `${count}, ${(change * 100).toFixed(1)} % from ${before}`;

  t.diagnostic(text);
  if (RENEW) {
    return;
  }
  assert.ok(change <= SLACK, `${text}: if it is worth that, make cost RENEW=1`);
  if (change < -SLACK) {
    t.diagnostic('to keep that, make cost RENEW=1');
  }
}

test('all that is counted has a count', { skip: RENEW }, () => {
  assert.deepEqual(Object.keys(known.instructions),
                   scenarios.ALL.map(({ name }) => name));
});

test('instructions of the hot path', async (t) => {
  const here = madeWith();
  const instructions = {};

  if (!RENEW) {
    for (const [what, there] of Object.entries(known.made_with)) {
      if (String(here[what]) !== String(there)) {
        t.skip(`counts.json is for ${what} ${there}, here is ${here[what]}`);
        return;
      }
    }
  }

  const gw = await start(t, { locations: scenarios.LOCATIONS });
  const state = await scenarios.prepare(gw);

  for (const { name, count } of scenarios.ALL) {
    await t.test(name, async (st) => {
      const exact = await count(gw, state, (options) => start(st, options));
      instructions[name] = Number(exact.toPrecision(4));
      compare(st, name, instructions[name]);
    });
  }

  if (RENEW) {
    fs.writeFileSync(FILE, `${JSON.stringify(
      { made_with: here, instructions }, null, 2)}\n`);
  }
});
