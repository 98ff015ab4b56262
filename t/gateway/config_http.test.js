'use strict';

// What "nginx -t" says to socketio_origin and socketio_auth_token.

const { test } = require('node:test');

const {
  located, wrongIn, wrongBlock, twice, eachAccepted, eachRefused,
} = require('./lib/configuration');

const origin = (...values) => `socketio_origin ${values.join(' ')};`;
const A = 'https://a.example';
const B = 'https://b.example';
const LONG = `https://${'a'.repeat(1000)}.example`;

test('origins: accepted', async (t) => {
  await eachAccepted(t, [
    ...[
      '*', A, 'http://a.example', 'http://localhost', 'http://localhost:8080',
      'http://127.0.0.1:3000', 'http://[::1]:3000', 'http://[2001:DB8::1]',
      'https://a.example:1', 'https://a.example:65535', 'HTTPS://A.Example',
      'http://a.example:80', 'https://a.example:443', 'http://a.example:443',
      'https://xn--mnchen-3ya.example', 'https://under_score.a-b.example',
      'capacitor://localhost', 'app://-', 'chrome-extension://abcdefghijklmnop',
      'moz-extension://01234567-89ab-cdef-0123-456789abcdef', 'a+b.c-1://x',
      `"${A}"`, LONG,
    ].map((value) => [value, located(origin(value))]),
    ['several', located(origin(A, B, 'http://a.example'))],
    ['repeated', located(origin(A), origin(B), origin('http://a.example'))],
    ['another port is another origin', located(origin(A, `${A}:8443`))],
    ['at every level', { http: [origin('*')], server: [origin(A)],
                         ...located(origin(A, B)) }],
    ['* inside, others outside',
      { server: [origin(A, B)], ...located(origin('*')) }],
    ['without auth', { location: [
      'socketio mew;', 'socketio_auth off;', origin('*')] }],
    ['where nobody is answered', { server: ['location /other {', origin(A),
                                            '}'] }],
    ['in a condition', located('if ($arg_x) {', 'set $y 1;', '}', origin(A))],
  ]);
});

test('origins: refused', async (t) => {
  await eachRefused(t, [
    ...[
      'a.example', '//a.example', '://a.example', 'https:a.example',
      'https:/a.example', 'https//a.example', '1http://a.example',
      'ht_tp://a.example', '-x://a.example', 'null', 'none', 'off', '**',
      'https://', 'https://:443', 'https:///', `${A}/`, `${A}/path`, `${A}?x`,
      `${A}#x`, 'https://user@a.example', 'https://u:p@a.example',
      'https://*', 'https://*.a.example', 'https://.*', '~^https://a',
      'https://m\u00fcnchen.example', 'https://a%2eexample',
      'https://a.example:', 'https://a.example:0', 'https://a.example:65536',
      'https://a.example:99999999999999999999', 'https://a.example:080',
      'https://a.example:x', 'https://a.example:-1', 'https://a.example:1:2',
      'https://a.example:80/', 'https://[::1', 'https://[]', 'https://::1',
      'https://[::1]x', 'https://[g::1]', 'https://[::1]:', `${A},${B}`,
      'https://$host', '$http_origin', 'file://',
    ].map((value) => [value, wrongIn(origin(value)), `"${value}"`]),
    ['an empty one', wrongIn(origin('""')), 'value ""'],
    ['a space in front', wrongIn(origin(`" ${A}"`)), `" ${A}"`],
    ['two in quotes', wrongIn(origin(`"${A} ${B}"`)), `"${A} ${B}"`],
    ['a good one and a bad one', wrongIn(origin(A, 'b.example')),
      '"b.example"'],

    ['one twice', wrongIn(origin(A, A)), `duplicate origin "${A}"`],
    ['one twice, in two directives', twice(located, origin(A)),
      `duplicate origin "${A}"`],
    ['one twice, with its port', wrongIn(origin(A, `${A}:443`)),
      `duplicate origin "${A}:443"`],
    ['one twice, in capitals', wrongIn(origin(A, 'HTTPS://A.example')),
      'duplicate origin "HTTPS://A.example"'],
    ['* twice', wrongIn(origin('*', '*')), 'duplicate origin "*"'],
    ['* and another', wrongIn(origin('*', A)), `origin "${A}" beside "*"`],
    ['another and *', wrongIn(origin(A, '*')), `origin "*" beside "${A}"`],
    ['* and another, in two directives',
      twice(located, origin('*'), origin(A)), `origin "${A}" beside "*"`],

    ['none at all', wrongIn('socketio_origin;'), '"socketio_origin"'],
    ['in the gateway', wrongBlock(origin(A)), '"socketio_origin"'],
    ['in a condition', wrongIn(`if ($arg_x) { ${origin(A)} }`),
      '"socketio_origin"'],
  ]);
});

test('token sources: accepted', async (t) => {
  await eachAccepted(t, [
    ...[
      'payload', 'header', 'query', 'payload header', 'header payload',
      'query header payload', '"payload" "query"',
    ].map((values) => [values, located(`socketio_auth_token ${values};`)]),
    ['at every level', { http: ['socketio_auth_token payload;'],
                         server: ['socketio_auth_token header;'],
                         ...located('socketio_auth_token query;') }],
    ['without auth', { location: [
      'socketio mew;', 'socketio_auth off;', 'socketio_auth_token query;'] }],
  ]);
});

test('token sources: refused', async (t) => {
  await eachRefused(t, [
    ...[
      ['cookie', '"cookie"'], ['Payload', '"Payload"'], ['payloads', 'payloads'],
      ['pay', '"pay"'], ['""', 'value ""'], ['off', '"off"'],
      ['payload cookie', '"cookie"'], ['payload,header', '"payload,header"'],
      ['payload payload', 'duplicate value "payload"'],
      ['query header query', 'duplicate value "query"'],
      ['payload header query payload', '"socketio_auth_token"'],
    ].map(([values, token]) => [values,
      wrongIn(`socketio_auth_token ${values};`), token]),
    ['none at all', wrongIn('socketio_auth_token;'), '"socketio_auth_token"'],
    ['twice', twice(located, 'socketio_auth_token payload;'),
      '"socketio_auth_token" directive is duplicate'],
    ['twice, different ones', twice(located, 'socketio_auth_token payload;',
                                    'socketio_auth_token header;'),
      '"socketio_auth_token" directive is duplicate'],
    ['in the gateway', wrongBlock('socketio_auth_token payload;'),
      '"socketio_auth_token"'],
  ]);
});
