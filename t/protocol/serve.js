'use strict';

// What the protocol's test suite may be pointed at: nginx with the module on
// port 3000, with a Redis and a backend of its own, until it is interrupted.
//
//     node t/protocol/serve.js [port] [commands | adapter] [workers]

const os = require('node:os');

const { server, SUITE } = require('./lib/server');
const { FORMS } = require('./lib/answers');

const [port = '3000', form = FORMS[0], workers = '2'] = process.argv.slice(2);

/** Both, since "localhost" may be either. */
const loopback = () => Object.values(os.networkInterfaces()).flat()
  .map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address))
  .filter((address) => ['127.0.0.1', '[::1]'].includes(address));

async function main() {
  const ends = [];
  const parent = { after: (end) => ends.push(end) };
  let stop;
  const stopped = new Promise((resolve) => { stop = resolve; });

  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.removeAllListeners(signal);
    process.once(signal, stop);
  }

  try {
    const gw = await server(parent, {
      form,
      workers: Number(workers),
      location: { ...SUITE, socketio_origin: '*' },
      server: { listen: loopback().map((address) => `${address}:${port}`) },
    });
    console.log(`http://localhost:${port}/socket.io/`);
    await Promise.race([stopped, gw.backend.running]);
  } finally {
    for (const end of ends) {
      await end();
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
