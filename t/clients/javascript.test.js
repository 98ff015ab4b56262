'use strict';

// socket.io-client, old and new, over each transport.

const { JAVASCRIPT, matrix, together } = require('./lib/matrix');
const connect = require('./lib/rows/connect');
const events = require('./lib/rows/events');
const payloads = require('./lib/rows/payloads');
const uplink = require('./lib/rows/uplink');
const closes = require('./lib/rows/closes');
const recovery = require('./lib/rows/recovery');
const server = require('./lib/rows/server');
const namespaces = require('./lib/rows/namespaces');

const PINGS = {
  location: { socketio_ping_interval: '500ms', socketio_ping_timeout: '2s' },
};
const RECOVERY = { block: { recovery: '20s' } };

for (const library of JAVASCRIPT) {
  matrix(library.library, [library], {}, {
    ...connect.table, ...connect.javascript, ...events.table,
    ...payloads.table, ...uplink.table, ...uplink.javascript, ...closes.table,
  });
}

matrix('namespaces', JAVASCRIPT, namespaces.OPTIONS, namespaces.table);

matrix('recovery', JAVASCRIPT, RECOVERY, {
  ...recovery.table, ...recovery.javascript, ...closes.table,
});

matrix('pings', JAVASCRIPT, PINGS, closes.pings);
matrix('pings, recovery', JAVASCRIPT, { ...PINGS, ...RECOVERY }, closes.pings);

for (const [name, harm] of Object.entries(server.HARMS)) {
  together(name, JAVASCRIPT, { workers: 2 }, server.happening(harm));
  together(`${name}, recovery`, JAVASCRIPT, { workers: 2, ...RECOVERY },
           server.happening(harm));
}
