'use strict';

// Rows of the table about time, and about the end of the server.

const assert = require('node:assert/strict');

const { assertPayload } = require('./answers');
const { LINKS, WebSocketLink, IdleLink, PendingLink } = require('./links');
const { closes, ends } = require('./rows');
const { until } = require('./expect');

const INTERVAL = 200;
const TIMEOUT = 600;
const CONNECT = 300;

// A timer may fire a little early, and late when the machine is busy.
const EARLY = 20;
const LATE = 400;

const HEARTBEAT = {
  socketio_ping_interval: `${INTERVAL}ms`,
  socketio_ping_timeout: `${TIMEOUT}ms`,
};

/** What shows how many milliseconds have passed since. */
function watch() {
  const begin = performance.now();
  const passed = () => performance.now() - begin;

  passed.reach = (ms) => until(() => passed() > ms, `${ms} ms pass`);
  passed.is = (ms, late = LATE) => assert.ok(
    passed() > ms - EARLY && passed() < ms + late,
    `after ${Math.round(passed())} ms, not ${ms} ms`);
  return passed;
}

/** Does not send CONNECT, or such a one. */
const unconnected = (input) => [WebSocketLink, PendingLink].map((Link) => ({
  row: '66',
  name: `${input || 'nothing'}, ${Link.label}`,
  run: async (s) => {
    const passed = watch();
    const link = await Link.open(s, false);
    if (input) {
      await link.send(input);
      await link.gets('44/x,{"message":"Invalid namespace"}');
      await link.ready();
    }
    await closes(link, s);
    passed.is(CONNECT);
  },
}));

const late = {
  row: '66',
  name: 'nothing, polling',
  run: async (s) => {
    const passed = watch();
    const link = await IdleLink.open(s, false);
    await passed.reach(CONNECT + 100);
    await closes(link, s);
  },
};

const connected = LINKS.map((Link) => ({
  row: '66',
  name: `who has been connected stays, ${Link.label}`,
  run: async (s) => {
    const link = await Link.open(s, true);
    const passed = watch();
    await link.send('41');
    await passed.reach(CONNECT + 100);
    link.id = null;
    await link.alive();
  },
}));

const silent = [WebSocketLink, PendingLink].map((Link) => ({
  row: '67',
  name: `no pong, ${Link.label}`,
  run: async (s) => {
    const passed = watch();
    const link = await Link.open(s, true);
    await link.gets('2');
    passed.is(INTERVAL);
    await link.ready();
    await ends('ping timeout')(link, s);
    passed.is(INTERVAL + TIMEOUT);
  },
}));

/** Nobody polls, be it that the ping has been taken. */
const away = [false, true].map((pinged) => ({
  row: '67',
  name: `no pong, polling, ${pinged ? 'pinged' : 'never polled'}`,
  run: async (s) => {
    const passed = watch();
    const link = await IdleLink.open(s, pinged);
    if (pinged) {
      await link.gets('2');
    }
    await s.closed('ping timeout');
    passed.is(INTERVAL + TIMEOUT);
    await link.gone();
  },
}));

/** The first one is worth one more timeout, the second one nothing. */
const extended = LINKS.map((Link) => ({
  row: '68',
  name: `two events but no pong, ${Link.label}`,
  run: async (s) => {
    const link = await Link.open(s, true);
    await link.gets('2');
    const passed = watch();
    await link.ready();
    await passed.reach(100);
    await link.send('42["a"]');
    const since = watch();
    await passed.reach(TIMEOUT - 100);
    await link.send('42["a"]');
    await s.closed('ping timeout');
    since.is(TIMEOUT, 300);
    await link.closed(false);
  },
}));

const shutDown = {
  row: '70',
  name: 'the server ends',
  run: async (s) => {
    const { ws } = await WebSocketLink.open(s, true);
    const polling = await PendingLink.open(s, true);
    s.server.shutDown();
    assert.equal(await ws.closing(), 1005);
    assert.deepEqual(ws.messages, []);

    // One who polls goes on with the next worker, if there is one.
    assertPayload(await polling.answer, s.pick('6', '1'));
    await s.server.shutDownLogged();
  },
};

/** Rows that need another configuration, or the server for themselves. */
const groups = [{
  name: 'heartbeat',
  directives: HEARTBEAT,
  rows: [...silent, ...away, ...extended],
}, {
  name: 'connect timeout',
  directives: { socketio_connect_timeout: `${CONNECT}ms` },
  rows: [...unconnected(), ...unconnected('40/x,'), late, ...connected],
}, {
  name: 'the end',
  rows: [shutDown],
}];

module.exports = { groups };
