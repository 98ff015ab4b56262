'use strict';

// Clients that poll, beside the same by WebSocket: a delivery is an answer and
// the next request.

const {
  site, tokens, five, publisher, load, fixed, number,
} = require('./lib');

const CONNS = 1000;
const RATE = 10;

async function measure(mode) {
  return site({}, (gw) => load(gw, {
    conns: CONNS, mode, tokens: tokens(gw, CONNS, five(1)),
    expect: CONNS * RATE * 5, 'recv-timeout': 30,
    publish: publisher(gw, { count: RATE * 5, rate: RATE }),
  }));
}

module.exports = {
  title: 'Clients that poll',
  what: `a room of ${CONNS.toLocaleString('en')}, ${RATE} messages a second`,
  columns: ['', 'CPU µs per delivery', 'p50 / p99 ms', 'CPU µs per connection'],
  async run() {
    const rows = [];
    for (const mode of ['sio', 'polling']) {
      const { recv, connect } = await measure(mode);
      rows.push([
        mode === 'sio' ? 'WebSocket' : 'long-polling',
        fixed(recv.cpu_us_per_event),
        `${fixed(recv.lat_p50_us / 1e3)} / ${fixed(recv.lat_p99_us / 1e3)}`,
        fixed(connect.cpu_us_per_conn, 1)]);
    }
    return { rows };
  },
};
