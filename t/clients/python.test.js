'use strict';

// python-socketio over each transport, as far as it does what a client in
// JavaScript does.

const { PYTHON, matrix, together } = require('./lib/matrix');
const connect = require('./lib/rows/connect');
const events = require('./lib/rows/events');
const payloads = require('./lib/rows/payloads');
const uplink = require('./lib/rows/uplink');
const closes = require('./lib/rows/closes');
const recovery = require('./lib/rows/recovery');
const server = require('./lib/rows/server');

const PINGS = {
  location: { socketio_ping_interval: '500ms', socketio_ping_timeout: '3s' },
};
const RECOVERY = { block: { recovery: '20s' } };

for (const library of PYTHON) {
  matrix(library.library, [library], {}, {
    ...connect.table, ...events.table, ...payloads.table, ...uplink.table,
    ...closes.table,
  });
}

matrix('recovery', PYTHON, RECOVERY, { ...recovery.table, ...closes.table });

matrix('pings', PYTHON, PINGS, closes.pings);

for (const [name, harm] of Object.entries(server.HARMS)) {
  together(name, PYTHON, { workers: 2 }, server.happening(harm, { rate: 0 }));
}
