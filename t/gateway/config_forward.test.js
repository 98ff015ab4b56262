'use strict';

// What "nginx -t" says to socketio_forward.

const { test } = require('node:test');

const {
  KEY, WRONG, located, wrongIn, wrongBlock, twice, eachAccepted, eachRefused,
} = require('./lib/configuration');

const forward = (values) => `socketio_forward ${values};`;

test('accepted', async (t) => {
  await eachAccepted(t, [
    ...[
      'message/create stream=up', 'message/create stream=mew:uplink maxlen=1',
      'a maxlen=0 stream=up', '* stream=up', '"a b" "stream=a b"',
      '7 stream=up', 'nachricht/ä stream=ü',
      `a stream=${'k'.repeat(300)}`, `$disconnect stream=${'k'.repeat(232)}`,
    ].map((values) => [values, located(forward(values))]),
    ['several', located(forward('a stream=x'), forward('b stream=y'),
                        forward('* stream=x maxlen=0'))],
    ['at every level', { http: [forward('a stream=x')],
                         server: [forward('a stream=y')],
                         ...located(forward('a stream=z')) }],
    ['without auth', { location: [
      'socketio mew;', 'socketio_auth off;', forward('* stream=up')] }],
  ]);
});

test('refused', async (t) => {
  await eachRefused(t, [
    ...[
      ['"" stream=up', 'value ""'],
      ['connect stream=up', '"connect"'],
      ['disconnecting stream=up', '"disconnecting"'],
      ['$connected stream=up', '"$connected"'],
      ['$connec stream=up', '"$connec"'],
      ['$ stream=up', '"$"'],
      ['a stream=', '"stream="'],
      ['a Stream=up', '"Stream=up"'],
      ['a up', '"up"'],
      ['a stream=up maxlen=', '"maxlen="'],
      ['a stream=up maxlen=-1', '"maxlen=-1"'],
      ['a stream=up maxlen=1k', '"maxlen=1k"'],
      ['a stream=up maxlen=99999999999999999999',
        '"maxlen=99999999999999999999"'],
      ['a stream=up stream=other', '"stream=other"'],
      ['a maxlen=1 maxlen=2', '"maxlen=2"'],
      ['a maxlen=1', 'stream=<key>'],
      ['a', '"socketio_forward"'],
      ['a stream=x maxlen=1 more', '"socketio_forward"'],
      [`$disconnect stream=${'k'.repeat(233)}`, '"$disconnect"'],
      [`* stream=${'k'.repeat(233)}`, '"socketio_forward *"'],
      ['$disconnect stream=x maxlen=000000000000000000001', '"$disconnect"'],
    ].map(([values, token]) => [values, wrongIn(forward(values)), token]),
    ['the same event twice', twice(located, forward('a stream=x'),
                                   forward('a stream=y')),
      'duplicate "socketio_forward a"'],
    ['* twice', twice(located, forward('* stream=x')),
      'duplicate "socketio_forward *"'],
    ['in the gateway', wrongBlock(forward('a stream=x')),
      '"socketio_forward"'],
    ['without redis', {
      block: ['zone 16m;'],
      location: ['socketio mew;', `socketio_jwt_key HS256 "${KEY}";`,
                 `${forward('a stream=x')} ${WRONG}`],
    }, 'needs "redis"'],
  ]);
});
