'use strict';

// What "nginx -t" says to socketio_limit.

const { test } = require('node:test');

const {
  located, wrongIn, wrongBlock, twice, eachAccepted, eachRefused,
} = require('./lib/configuration');

const limit = (values) => `socketio_limit ${values};`;

test('accepted', async (t) => {
  await eachAccepted(t, [
    ...[
      'connections_per_user=20 connections_per_ip=1000 events=50/s burst=100',
      'burst=1 events=1/s', 'events=1000000/s', 'connections_per_user=1',
      'connections_per_ip=1000000', 'off',
    ].map((values) => [values, located(limit(values))]),
    ['at every level', { http: [limit('events=1/s')],
                         server: [limit('connections_per_ip=1')],
                         ...located(limit('off')) }],
  ]);
});

test('refused', async (t) => {
  await eachRefused(t, [
    ...[
      'connections_per_user=0', 'connections_per_user=', 'connections_per_ip=x',
      'connections_per_ip=-1', 'connections_per_ip=1000001',
      'connections_per_user=99999999999999999999', 'connections=1',
      'connections_per_user', 'events=50', 'events=50/m', 'events=/s',
      'events=0/s', 'events=1.5/s', 'events=50/ss', 'burst=0', 'burst=1/s',
      'Burst=1', 'on',
    ].map((values) => [values, wrongIn(limit(values)), `"${values}"`]),
    ['a name twice', wrongIn(limit('events=1/s events=2/s')), '"events=2/s"'],
    ['off with others', wrongIn(limit('off events=2/s')), '"off"'],
    ['burst alone', wrongIn(limit('burst=5')), 'without "events"'],
    ['burst without events', wrongIn(limit('connections_per_ip=1 burst=5')),
      'without "events"'],
    ['nothing', wrongIn('socketio_limit;'), '"socketio_limit"'],
    ['too much', wrongIn(limit('events=1/s burst=1 connections_per_ip=1 '
                               + 'connections_per_user=1 more')),
      '"socketio_limit"'],
    ['twice', twice(located, limit('events=1/s')), 'duplicate'],
    ['in the gateway', wrongBlock(limit('events=1/s')), '"socketio_limit"'],
  ]);
});
