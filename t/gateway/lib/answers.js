'use strict';

// What the answers to polls and handshakes have to be, to the byte.

const assert = require('node:assert/strict');

const ERRORS = [
  'Transport unknown', 'Session ID unknown', 'Bad handshake method',
  'Bad request', 'Forbidden', 'Unsupported protocol version',
];

// What any HTTP server adds.
const COMMON = ['server', 'date', 'connection', 'keep-alive'];

/** These headers and no others, but for those that every answer has. */
function assertAnswer(answer, status, headers, body) {
  const {
    'content-length': length, 'transfer-encoding': encoding, ...rest
  } = answer.headers;
  const own = Object.entries(rest).filter(([name]) => !COMMON.includes(name));

  assert.deepEqual(
    { status: answer.status, headers: Object.fromEntries(own),
      body: answer.body },
    { status, headers, body });

  if (length !== undefined) {
    assert.equal(length, String(Buffer.byteLength(body)));
  }
  assert.ok(length === undefined || encoding === undefined);
}

/** The same, not in chunks. */
function assertWhole(answer, ...rest) {
  assertAnswer(answer, ...rest);
  assert.notEqual(answer.headers['content-length'], undefined);
}

/** A refusal, as JSON. */
function assertError(answer, code) {
  assertAnswer(answer, 400, { 'content-type': 'application/json' },
               `{"code":${code},"message":"${ERRORS[code]}"}`);
}

/** A refusal of an Upgrade, as text; headers: others besides. */
function assertBadUpgrade(answer, text, headers) {
  assertWhole(answer, 400, { 'content-type': 'text/html', ...headers }, text);
  assert.equal(answer.reason, 'Bad Request');
  assert.equal(answer.headers.connection, 'close');
}

/** The answer to a GET: packets. */
function assertPayload(answer, body) {
  assertWhole(answer, 200, {
    'content-type': 'text/plain; charset=UTF-8', 'cache-control': 'no-store',
  }, body);
}

/** The answer to a POST. */
function assertOk(answer) {
  assertWhole(answer, 200, {
    'content-type': 'text/html', 'cache-control': 'no-store',
  }, 'ok');
}

function assertEmpty(answer, status) {
  assertAnswer(answer, status, {}, '');
}

module.exports = {
  ERRORS, assertError, assertBadUpgrade, assertPayload, assertOk, assertEmpty,
};
