'use strict';

// What TLS adds, with OpenSSL as nginx uses it: a certificate on P-256.

const {
  site, tokens, five, publisher, load, RATE, fixed, number, check,
} = require('./lib');

const CONNS = 10000;

async function measure(tls) {
  return site({ tls }, async (gw) => {
    const idle = await load(gw, {
      conns: CONNS, hold: 10, tokens: tokens(gw, CONNS, five(CONNS)),
    });
    const { recv } = await load(gw, {
      conns: 1000, tokens: tokens(gw, 1000, five(1)), expect: RATE * 4000,
      publish: publisher(gw, { count: RATE * 4, rate: RATE / 2 }),
    });
    return {
      tls, recv, connect: idle.connect.cpu_us_per_conn,
      bytes: idle.idle.pss_bytes_per_conn,
    };
  });
}

module.exports = {
  title: 'TLS',
  what: `S4 and S5 with ${CONNS.toLocaleString('en')} connections, S1 at half `
        + 'its rate; memory includes that of OpenSSL',
  columns: ['', 'CPU µs per delivery (S1)', 'user + sys',
            'CPU µs per connection (S5)', 'bytes per idle connection (S4)'],
  async run() {
    const list = [await measure(false), await measure(true)];
    return {
      rows: list.map(({ tls, recv, connect, bytes }) => [
        tls ? 'TLS' : 'plain', fixed(recv.cpu_us_per_event),
        `${fixed(recv.cpu_user_us_per_event)} + ${
          fixed(recv.cpu_sys_us_per_event)}`,
        fixed(connect, 1), number(bytes)]),
      checks: [
        check('bytes per idle connection', list[0].bytes, 1400, { digits: 0 }),
        check('bytes per idle connection with TLS', list[1].bytes, 15500,
              { digits: 0 }),
      ],
    };
  },
};
