'use strict';

// What happens to a whole server, and so to all of its clients at once.

const assert = require('node:assert/strict');

const { until } = require('../../../gateway/lib/expect');
const {
  Stream, numbers, assertNumbers,
} = require('../../../gateway/lib/stream');

const CLOSED = 'transport close';
const BROKEN = { websocket: CLOSED, polling: 'transport error' };

async function restart({ nginx, port }, signal) {
  await nginx.stop(signal);
  await nginx.start(port);
}

async function reload({ nginx }) {
  const old = await nginx.reload();
  await until(() => {
    const now = nginx.workers({ leaving: true });
    return !old.some((pid) => now.includes(pid));
  }, 'the old workers are gone');
}

/**
 * harm: what happens.  reason: what clients say, by transport; without one
 * they notice nothing.  fresh: they are new sockets even with recovery on.
 */
const HARMS = {
  'a reload': { harm: reload, reason: { websocket: CLOSED } },
  'a restart': { harm: (gw) => restart(gw), reason: BROKEN, fresh: true },
  'a restart after a graceful stop': {
    harm: (gw) => restart(gw, 'SIGQUIT'), reason: BROKEN, fresh: true,
  },
};

/** A user with a room in which numbers may be published all the time. */
const who = { user: 'witness', rooms: ['numbers'] };

/**
 * What together() takes for one of them.  rate: of the numbers.  With 0 there
 * is none: when polls follow each other quickly, nginx may close a connection
 * on which nothing is under way just when a client sends the next one, and not
 * every client tries that again.
 */
function happening({ harm, reason, fresh }, { rate = 100 } = {}) {
  let stream;

  return {
    who,

    async harm(gw, places) {
      stream = rate ? new Stream(gw, 'numbers', { rate }).start() : null;
      try {
        for (const place of places) {
          await (stream && place.client.event('n'));
          place.before = place.client.id;
        }
        await harm(gw);
        await Promise.all(places.map(({ cell, client }) => (
          client.connected(reason[cell.transport] ? 2 : 1, 20000))));
      } finally {
        stream?.stop();
      }
    },

    async check({ cell, client, before }) {
      const why = reason[cell.transport];
      const recovers = Boolean(why && cell.recovery && cell.recovers && !fresh);

      await cell.settled(client);
      await cell.assertWorks(client);
      assert.deepEqual(client.disconnects,
                       why ? [cell.tells ? why : undefined] : []);
      assert.deepEqual(client.recovered, why ? [false, recovers] : [false]);
      assert.equal(client.id === before, recovers || !why);

      const seen = numbers(client);
      if (stream && (recovers || !why)) {
        assertNumbers(client, seen[0], stream.sent);
      } else {
        assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => a - b));
      }
    },
  };
}

module.exports = { HARMS, happening };
