'use strict';

// Tokens, and the keys that sign them.

const crypto = require('node:crypto');
const jwt = require('jsonwebtoken');

const SECRET = 'gateway-test-secret-0123456789abcdef';

/**
 * A signed token with these claims.  options are those of jsonwebtoken, and
 * key (default: the secret of the default configuration).
 */
function sign(claims, { key = SECRET, ...options } = {}) {
  return jwt.sign(claims, key, { noTimestamp: true, ...options });
}

/** A token put together by hand, for what no library would sign. */
function forge(header, claims, mac) {
  const part = (value) => Buffer.from(JSON.stringify(value))
    .toString('base64url');
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${mac ? mac(text) : ''}`;
}

/** HMAC in base64url, as a signature for forge(). */
function hmac(hash, key) {
  return (text) => crypto.createHmac(hash, key).update(text)
    .digest('base64url');
}

/** A key pair in PEM: "rsa" or a curve as node names it ("P-256"). */
function keyPair(kind) {
  const encoding = {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  };
  return kind === 'rsa'
    ? crypto.generateKeyPairSync('rsa', { modulusLength: 2048, ...encoding })
    : crypto.generateKeyPairSync('ec', { namedCurve: kind, ...encoding });
}

/** Seconds since 1970, moved by some: what exp and nbf are made of. */
function inSeconds(offset) {
  return Math.floor(Date.now() / 1000) + offset;
}

module.exports = { SECRET, sign, forge, hmac, keyPair, inSeconds };
