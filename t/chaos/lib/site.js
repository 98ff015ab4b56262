'use strict';

// The gateway of a chaos test: four workers, a status page, and if asked for
// a second port with TLS in front of the same location.

const fs = require('node:fs');
const assert = require('node:assert/strict');
const { isDeepStrictEqual } = require('node:util');

const { gateway } = require('../../gateway/lib/gateway');
const { exchange } = require('../../gateway/lib/http');
const { freePort } = require('../../gateway/lib/processes');
const { until } = require('../../gateway/lib/expect');

const WORKERS = 4;
const STATUS = 'GET /status HTTP/1.1\r\nHost: localhost\r\n'
  + 'Connection: close\r\n\r\n';

/** Options: those of gateway(), and tls: true for both kinds of port. */
async function start(t, { location, server, ...options } = {}) {
  const { tls, listen = 'reuseport' } = options;
  const plain = tls && await freePort();
  const gw = await gateway(t, {
    workers: WORKERS,
    connections: 8192,
    ...options,
    listen,
    server: {
      listen: plain ? `127.0.0.1:${plain} ${listen}` : null, ...server,
    },
    locations: {
      '/socket.io/': location,
      '= /status': { socketio: null, socketio_status: 'mew' },
    },
  });

  gw.plain = { port: plain || gw.port, tls: false };
  gw.secure = tls ? { port: gw.port, tls: true } : gw.plain;
  return gw;
}

/** Where official clients connect to. */
function url({ port, tls }) {
  return `http${tls ? 's' : ''}://127.0.0.1:${port}`;
}

/** What the status page says. */
async function status(gw) {
  const answer = await exchange(gw.plain, STATUS);
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body);
}

/** What has to be as before when all clients are gone. */
async function counts(gw) {
  const { sessions, users, rooms, memberships, zone } = await status(gw);
  return {
    sessions: sessions.live, users, rooms, memberships, free: zone.free,
  };
}

/** Waits until the counts are again as they were. */
async function same(gw, before, ms = 20000) {
  let now;
  await until(async () => {
    now = await counts(gw);
    return isDeepStrictEqual(now, before);
  }, 'all is as before', ms).catch(() => {});
  assert.deepEqual(now, before);
}

/** How many descriptors each worker has open. */
function descriptors(gw) {
  return gw.nginx.workers().map(
    (pid) => fs.readdirSync(`/proc/${pid}/fd`).length);
}

/** Waits until all workers are there, none of them one of these. */
async function replaced(gw, gone) {
  await until(() => {
    const now = gw.nginx.workers();
    return now.length === WORKERS && !now.some((pid) => gone.includes(pid));
  }, () => `workers in place of ${gone}: ${gw.nginx.workers()}`, 20000);
}

/** Waits for a moment that was planned beforehand. */
function moment(time) {
  const wait = time - performance.now();
  return until(() => performance.now() >= time, 'time passes',
               Math.max(wait, 0) + 5000);
}

/** Fails if an event of the feed was lost. */
function assertNoGap(gw) {
  assert.deepEqual(gw.nginx.log(/\[error\].*(lost|gap)/), []);
}

module.exports = {
  start, url, status, counts, same, descriptors, replaced,
  moment, assertNoGap, WORKERS,
};
