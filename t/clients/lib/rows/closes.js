'use strict';

// All ways in which a connection ends, what the client says about it, and what
// it does then.

const assert = require('node:assert/strict');

const { until } = require('../../../gateway/lib/expect');
const { LIMIT, filler } = require('./uplink');

const SERVER = 'io server disconnect';
const CLOSED = 'transport close';

/** That it was disconnected for this reason, as far as it tells. */
function assertReason({ tells, transport }, client, reason) {
  const expected = typeof reason === 'string' ? reason : reason[transport];

  if (tells) {
    assert.ok([].concat(expected).includes(client.disconnects.at(-1)),
              `${client.disconnects}: ${expected}`);
  }
}

/**
 * It has connected again and works: as a new socket; or as the one that it was
 * before, with all events `missed`, if that is to be expected of it.
 */
async function assertIsBack(cell, client, { before, missed, recovers }) {
  await client.ready(2);
  await cell.settled(client);
  await cell.assertWorks(client);
  assert.equal(client.connects, 2);
  assert.equal(client.disconnects.length, 1);
  assert.deepEqual(client.recovered, [false, recovers]);
  assert.equal(client.received('ready').length, 2);

  if (recovers) {
    assert.equal(client.id, before);
    assert.deepEqual(cell.sent(client, missed), [[1], [2], [3]]);
  } else {
    assert.notEqual(client.id, before);
  }
}

/** It does not come back by itself, but when it is asked to. */
async function assertStays(cell, client, { before, missed }) {
  const other = await cell.connect({ user: 'other' });

  await cell.gw.settle(other);
  other.close();
  assert.equal(client.connects, 1);
  if (cell.tells) {
    assert.equal(client.active, false);
  }

  client.again();
  await assertIsBack(cell, client, { before, recovers: false });
  assert.deepEqual(client.received(missed), []);
}

/**
 * A subtest: a client is connected, harm(cell, client, proxy) is done, it is
 * disconnected, and misses something.
 *
 *   reason   what it says, for all transports or by transport, a list if any
 *   stays    it does not come back by itself
 *   closed   the server says that the connection ends; 'perhaps': or not
 *   fresh    it is a new socket even if recovery is on
 *   proxy    there is one in between
 *   suits    see matrix()
 */
function ends({ reason, stays, closed, fresh, proxy, harm, suits }) {
  const body = async (cell) => {
    const front = proxy && await cell.gw.front();
    const client = await cell.connect({ user: 'leaver', url: front?.url });
    const missed = cell.own(`missed${++cell.gw.markers}`);
    const recovers = Boolean(cell.recovery && cell.recovers && !fresh);
    const expected = { before: client.id, missed, recovers };

    await harm(cell, client, front);
    await client.disconnect();
    assertReason(cell, client, reason);
    for (const number of [1, 2, 3]) {
      cell.gw.emitter.to([`user:${client.name}`, expected.before])
        .emit(missed, number);
    }

    if (stays || (closed === true && obeys(cell))) {
      await assertStays(cell, client, expected);
    } else if (!closed || !obeys(cell)) {
      await assertIsBack(cell, client, expected);
    }
    client.close();
  };

  return Object.assign(body, { suits });
}

/** python-socketio takes the answer to a poll that says so for the end. */
const obeys = ({ tells, transport }) => !tells && transport === 'polling';

/** python-socketio does not tell that a POST of its own was refused. */
const noticesPosts = ({ tells, transport }) => tells || transport !== 'polling';

const raw = (packet) => (cell, client) => client.raw(packet);

const table = {
  'disconnectSockets()': ends({
    reason: SERVER, stays: true,
    harm: ({ gw }, client) => gw.emitter.in(client.id).disconnectSockets(),
  }),

  'disconnectSockets(true)': ends({
    reason: SERVER, stays: true,
    harm: ({ gw }, client) => gw.emitter.in(client.id).disconnectSockets(true),
  }),

  'it leaves by itself': ends({
    reason: 'io client disconnect', stays: true,
    harm: (cell, client) => client.leave(),
  }),

  // Between two polls nobody can be told: the session is unknown to the next.
  'an Engine.IO packet of no known type': ends({
    reason: { websocket: CLOSED, polling: [CLOSED, 'transport error'] },
    closed: 'perhaps', fresh: true, harm: raw('7'),
  }),

  'a ping from the wrong side': ends({
    reason: { websocket: CLOSED, polling: [CLOSED, 'transport error'] },
    closed: 'perhaps', harm: raw('2'),
  }),

  'a Socket.IO packet of no known type': ends({
    reason: CLOSED, closed: true, harm: raw('4x'),
  }),

  'broken JSON': ends({
    reason: CLOSED, closed: true, harm: raw('42["e"'),
  }),

  'a second CONNECT': ends({
    reason: CLOSED, closed: true, harm: raw('40{}'),
  }),

  'an event for a namespace that it is not in': ends({
    reason: CLOSED, closed: true, harm: raw('42/admin,["e"]'),
  }),

  'eleven attachments': ends({
    reason: CLOSED, closed: true,
    harm: (cell, client) => client.emit(
      'e', ...Array.from({ length: 11 }, () => Buffer.from('a'))),
  }),

  'one byte more than is allowed': ends({
    reason: { websocket: CLOSED, polling: 'transport error' },
    suits: noticesPosts,
    harm: (cell, client) => client.emit('e', filler(LIMIT + 1)),
  }),

  'three times what is allowed': ends({
    reason: { websocket: CLOSED, polling: 'transport error' },
    suits: noticesPosts,
    harm: (cell, client) => client.emit('e', filler(3 * LIMIT)),
  }),

  'the network breaks': ends({
    reason: { websocket: CLOSED, polling: 'transport error' },
    proxy: true,
    // a client that polls may have no connection at the moment
    harm: (cell, client, proxy) => until(() => {
      proxy.cut();
      return client.disconnects.length > 0;
    }, `${client} notices`),
  }),
};

/** With short pings. */
const pings = {
  'the client does not answer pings': ends({
    reason: CLOSED, closed: true, harm: (cell, client) => client.mute(),
  }),

  'the network falls silent': ends({
    reason: 'ping timeout', proxy: true,
    harm: async (cell, client, proxy) => {
      proxy.freeze();
      await client.disconnect(1, 20000);
      proxy.thaw();
    },
  }),
};

module.exports = { table, pings };
