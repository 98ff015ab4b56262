'use strict';

// Who is online in a cluster of three nodes, whatever happens: users come and
// go, workers, nodes and Redis die, stop and lose their data.  After each
// trouble all clients show what the model says, and nobody was ever told that a
// user is offline who was not.
//
// SEED=n begins with the same random numbers again.

const { test } = require('node:test');

const { cluster, status } = require('../cluster/lib/cluster');
const { Trouble } = require('../cluster/lib/trouble');
const { generator } = require('../cluster/lib/people');
const { scale } = require('./lib/scale');

const SECONDS = scale(60, 600);
const LINGER = 2000;

test('who is online, whatever happens', async (t) => {
  const seed = Number(process.env.SEED || Date.now() % 1e6);
  t.diagnostic(`SEED=${seed}`);
  const it = await cluster(t, { nodes: 3, workers: 2, linger: LINGER });
  const trouble = new Trouble(it, generator(seed));
  const end = performance.now() + SECONDS * 1000;

  await trouble.begin();
  while (performance.now() < end) {
    await trouble.round();
  }

  const { told } = trouble.people;
  t.diagnostic(`${JSON.stringify(trouble.done)}; told of ${told.online} online`
    + `, ${told.offline} offline`);
  for (const node of it.nodes) {
    t.diagnostic(JSON.stringify(await status(node)));
  }
});
