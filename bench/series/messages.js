'use strict';

// How many messages of each kind one worker can take: the emitter's, JSON
// commands, and clients' events for the backend.

const path = require('node:path');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');

const { FAR, site, tokens, load, room, number, fixed } = require('./lib');

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

/** What bench/uplink.js says: its last figures of each kind. */
async function uplink() {
  const { stdout } = await promisify(execFile)(
    process.execPath, [UPLINK, '30000', '3'], { timeout: 180000 });
  const rows = [];
  const cost = /^(\w+): ([\d.]+) us for an event .* at (\d+) a second/gm;

  for (const [, name, us, rate] of stdout.matchAll(cost)) {
    rows.push([
      name === 'module' ? 'events of clients, to a stream of Redis'
        : 'the same in a loop that does nothing else',
      ...figures(Number(rate), Number(us))]);
  }
  if (rows.length === 0) {
    throw new Error(`no figures of uplink.js: ${stdout.slice(-200)}`);
  }
  const trips = stdout.match(/^.* answered, ms: .*$/gm) || [];
  return { rows, notes: trips.slice(-1) };
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
      notes: up.notes.map((it) => `Round trip to a backend and back: ${it}.`),
    };
  },
};
