'use strict';

// Rows of the table about Socket.IO packets, by either transport.

const assert = require('node:assert/strict');

const { LINKS, WebSocketLink } = require('./links');
const {
  REPLY, open, joined, closes, closesNow, faultBehindConnect, gets, alive,
} = require('./rows');

const RESERVED = ['connect', 'connect_error', 'disconnect', 'disconnecting',
                  'newListener', 'removeListener'];

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = Buffer.from([1, 2, 3]);
const times = (n, it) => Array.from({ length: n }, () => it);

/** A case for each way to be connected. */
const each = (row, name, run, links = LINKS) => links.map((Link) => ({
  row,
  name: `${name}, ${Link.label}`,
  run: async (s) => run(s, await Link.open(s, true)),
}));

/** Two sockets on one connection. */
async function twoReplies(link) {
  const first = await link.gets(REPLY);
  assert.notEqual(await link.gets(REPLY), first);
}

/** Accepted, and no harm done. */
async function accepted(link) {
  link.id = JSON.parse((await link.gets(REPLY)).slice(2)).sid;
  await link.alive();
}

const connects = [
  ...open('36', ['40/x,', '40/x,{"a":1}'],
          gets('44/x,{"message":"Invalid namespace"}')),
  ...joined('36', ['40/x', '40/x,'],
            gets('44/x,{"message":"Invalid namespace"}')),
  ...open('37', ['40/x?foo=bar,', '40/x?foo=bar,{"a":1}'],
          gets('44/x?foo=bar,{"message":"Invalid namespace"}')),

  ...open('39', ['4012{"a":1}', '40{"a":1}', '40/,{}', '40 {} '], accepted),
  ...open('40', ['40[1]', '40"x"', '40null', '40{', '40{}x'], closes),
  ...joined('42', ['40', '40{"a":1}'], closesNow),

  // Both would get each event, so here it is a fault.
  ...open('43', [['40', '40']], (link, s) => (
    s.pick(faultBehindConnect('forced close'), twoReplies)(link, s))),

  // Accepted here at once if there are no rooms to wait for; see below.
  ...open('44', [['40', '42["a"]']],
          (link, s) => s.pick(accepted, closes)(link, s)),

  ...open('45', ['42["a"]', '42', '43[]', '430[]', '41', '44', '44{}',
                 [`451-["a",${placeholder(0)}]`, bytes]], closes),
];

const states = [
  ...joined('46', ['42/x,["a"]', '41/x,', '43/x,1[]'], closesNow),
  ...joined('47', ['44{"message":"x"}', '44"x"'], closesNow),

  ...each('64', '41, then 40', async (s, link) => {
    const { id } = link;
    await link.send('41');
    await link.settle();
    await link.join();
    assert.notEqual(link.id, id);
    await link.alive();
  }),

  ...joined('65', ['41{}', '41[]'], closes),

  ...each('69', 'disconnect()', async (s, link) => {
    await link.ready();
    s.of().in(link.id).disconnectSockets();
    await link.gets('41');
    link.id = null;
    await link.alive();
  }),
  ...each('69', 'disconnect(true)', async (s, link) => {
    s.of().in(link.id).disconnectSockets(true);
    await link.gets('41');
    await link.dismissed();
    await s.closed('server namespace disconnect');
  }),
];

const events = [
  ...joined('48', ['42', '430'], alive),
  ...joined('49', ['42[]', '42{}', '42[null]', '42[true]', '42["a"', '42["a"]]',
                   '42x', '42"a"'], closes),
  ...joined('49', ['42["a"] \n'], alive),
  ...joined('50', ['42[5,1]', '42[-1.5]'], alive),
  ...joined('51', RESERVED.map((name) => `42["${name}"]`), closes),
  ...joined('51', ['42["error"]', '42["connection"]'], alive),
  ...joined('52', ['42["unknown",1]', '4217["unknown",1]',
                   '4299999999999999999999["unknown"]',
                   `42["unknown",${'['.repeat(60)}${']'.repeat(60)}]`], alive),
  ...joined('53', ['4399[1]', '43[1]', ['430[1]', '430[1]'],
                   [`461-9[${placeholder(0)}]`, bytes]], alive),
  ...joined('54', ['430{"a":1}'], closes),
  ...open('55', ['47', '4x', '4'], closes),
  ...joined('55', ['47["a"]', '48', '4x', '4'], closes),
];

const binary = [
  ...open('56', ['450-["a"]'], closes),
  ...joined('56', ['450-["a"]', `45["a",${placeholder(0)}]`,
                   `45-1-["a",${placeholder(0)}]`,
                   `451.5-["a",${placeholder(0)}]`], closes),

  // A number to JavaScript only.
  ...joined('57', [[`451e0-["a",${placeholder(0)}]`, bytes]],
            (link, s) => s.pick(closes, alive)(link, s)),

  ...joined('58', [['4510-["a"]', ...times(10, bytes)]], alive),
  ...joined('58', ['4511-["a"]'], closes),
  ...joined('59', [[`451-["a",${placeholder(1)}]`, bytes],
                   [`451-["a",${placeholder('"0"')}]`, bytes],
                   [`451-["a",${placeholder(-1)}]`, bytes]], closes),
  ...open('60', [bytes], closes),
  ...joined('60', [[`451-["a",${placeholder(0)}]`, '42["a"]'],
                   bytes, ['451-["a"]', bytes, bytes]], closes),
  ...joined('61', [['451-["a"]', bytes]], alive),

  ...joined('62', [[`451-["a",${placeholder(0)}]`, '3', bytes]], alive),
  ...each('62', 'an attachment that is never sent', async (s, link) => {
    await link.send(`451-["a",${placeholder(0)}]`);
    await link.settle();
    await link.heard();
    await link.ready();
    await link.send('3');
    await link.settle();
    await s.open();
    await link.send('42["a"]');
    await closes(link, s);
  }),

  ...joined('63', [[`451-["a",${placeholder(0)}]`, 'bAQID']], alive,
            [WebSocketLink]),
];

/** With rooms to wait for the gateway does as the reference. */
const waiting = {
  name: 'room sets',
  directives: { socketio_rooms: 'redis=table:rooms' },
  rows: [
    ...open('43', [['40', '40']],
            (link, s) => s.pick(closes, twoReplies)(link, s)),
    ...open('44', [['40', '42["a"]']], closes),
  ],
};

const rows = [...connects, ...states, ...events, ...binary];

module.exports = { rows, groups: [waiting] };
