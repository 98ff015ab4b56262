'use strict';

// A gateway with that backend behind it: together what the protocol's test
// suite takes for a server.

const { gateway } = require('../../gateway/lib/gateway');
const { Backend } = require('./backend');

/** The location: nobody has to say who he is, and all he sends is forwarded. */
const LOCATION = {
  socketio_auth: 'off',
  socketio_jwt_key: null,
  socketio_jwt_user: null,
  socketio_user_room: null,
  socketio_rooms: null,
  socketio_ready: null,
  socketio_forward: '* stream=up',
};

/** The times and limits that the suite expects. */
const SUITE = {
  socketio_ping_interval: '300ms',
  socketio_ping_timeout: '200ms',
  socketio_connect_timeout: '1s',
  socketio_max_payload: '1000000',
};

/**
 * Starts both; options: form (of the backend), location (more directives), and
 * those of gateway().
 */
async function server(t, { form, location, ...options } = {}) {
  const gw = await gateway(t, {
    listen: options.workers > 1 ? 'reuseport' : undefined,
    block: { namespace: '/ /custom' },
    location: { ...LOCATION, ...location },
    ...options,
  });
  gw.backend = await Backend.start(gw.redis, { form });
  // Before Redis goes, so that its failure is its own.
  gw.closers.push(() => gw.backend.close());
  return gw;
}

/** What came from the clients of a namespace: [event, arguments], in order. */
async function forwarded(gw, nsp) {
  const list = await gw.redis.commands.xRange('up', '-', '+');

  return list.filter(({ message }) => message.nsp === nsp)
    .map(({ message }) => [message.event, JSON.parse(message.args)]);
}

module.exports = { server, forwarded, SUITE };
