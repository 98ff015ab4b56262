'use strict';

// How many messages of each kind one worker can take: the emitter's, JSON
// commands, and clients' events for the backend.

const fs = require('node:fs');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');

const {
  FAR, OUT, site, tokens, load, room, number, fixed,
} = require('./lib');

const COUNT = 200000;
const UPLINK = path.join(__dirname, '..', 'uplink.js');
const FLOOD = path.join(__dirname, 'flood.js');

/** By rate and CPU us of each; what one CPU could take follows. */
const figures = (rate, us) => (
  [number(rate), fixed(us), number(1e6 / us)]);

/** One receiver, which is on the other CPU. */
async function published(kind) {
  return site({}, async (gw) => {
    const { recv } = await load(gw, {
      conns: 1, tokens: tokens(gw, 1, () => [room(0)]), expect: COUNT,
      publish: `exec taskset -c ${FAR} node ${FLOOD} ${gw.redis.port} ${kind} ${
        COUNT}`,
    }, { on: FAR });
    return figures(recv.events_per_s, recv.cpu_us_per_event);
  });
}

/** What bench/uplink.js says. */
async function uplink() {
  const folder = path.join(OUT, 'series');
  const file = path.join(folder, 'uplink.json');

  fs.mkdirSync(folder, { recursive: true });
  await promisify(execFile)(
    process.execPath, [UPLINK, '30000', '2', '--realtime', '--json', file],
    { timeout: 180000 });

  const { cost, answers } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const names = {
    module: 'events of clients, to a stream of Redis',
    loop: 'the same in a loop that does nothing else',
  };
  const ms = (it) => `${fixed(it.p50)} / ${fixed(it.p99)}`;

  return {
    rows: Object.entries(names).map(([key, name]) => (
      [name, ...figures(cost[key].rate, cost[key].all)])),
    notes: Object.entries(answers).map(([kind, it]) => (
      `From a client to a backend in ${kind} and back, p50 / p99 ms: ${
        ms(it.gateway)}; without a gateway ${ms(it.floor)}.`)),
  };
}

module.exports = {
  title: 'Messages, by kind',
  what: 'one worker, one receiver; published as fast as Redis passes them on, '
        + 'clients\' events at a rate of 30,000',
  columns: ['', 'a second', 'CPU µs each', 'one CPU could take'],
  async run() {
    const emitter = await published('emitter');
    const command = await published('command');
    const up = await uplink();
    return {
      rows: [['messages of the emitter', ...emitter],
             ['JSON commands', ...command], ...up.rows],
      notes: up.notes,
    };
  },
};
