'use strict';

// Configurations for "nginx -t", and what it has to say about them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { Nginx, LOAD_MODULE } = require('./nginx');

const KEY = '0123456789abcdef0123456789abcdef';
const HIDDEN = 'hidden-Secret-never-to-be-printed-17';

// What the line with the fault ends in.
const WRONG = '# wrong';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-config-'));
process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));

/** Writes a file that is there until the tests end; its path. */
function file(name, content) {
  const full = path.join(dir, name);
  fs.writeFileSync(full, content);
  return full;
}

/**
 * A configuration of one gateway and one location.  Each part is a list of
 * lines in place of the usual ones.
 */
function configuration({
  http = [], block = ['zone 16m;', 'redis redis://127.0.0.1:6379/0;'],
  server = [], location = ['socketio mew;', `socketio_jwt_key HS256 "${KEY}";`],
  more = [],
} = {}) {
  return [
    LOAD_MODULE, 'user root;', `pid ${dir}/nginx.pid;`,
    'events {', '}', 'http {', 'access_log off;', ...http,
    'socketio_gateway mew {', ...block, '}', ...more,
    'server {', 'listen 127.0.0.1:1;', ...server,
    'location /socket.io/ {', ...location, '}', '}', '}', '',
  ].join('\n');
}

/** Runs "nginx -t" with this text: { ok, output, confFile }. */
function check(text) {
  const run = fs.mkdtempSync(path.join(dir, 'run-'));
  const nginx = new Nginx(run);
  nginx.configure(text);
  return { ...nginx.check(), confFile: nginx.confFile };
}

/** These lines in the location, behind those that it needs. */
const located = (...lines) => ({
  location: ['socketio mew;', `socketio_jwt_key HS256 "${KEY}";`, ...lines],
});
/** These lines in the gateway, behind its zone. */
const blocked = (...lines) => ({ block: ['zone 16m;', ...lines] });

const wrongIn = (line) => located(`${line} ${WRONG}`);
const wrongBlock = (line) => blocked(`${line} ${WRONG}`);
/** The same twice, or one and another, of which the second is wrong. */
const twice = (make, first, second = first) => (
  make(first, `${second} ${WRONG}`));

/** A test for each row of name, parts: taken, without a warning. */
async function eachAccepted(t, rows) {
  for (const [name, parts] of rows) {
    await t.test(name, () => {
      const { ok, output } = check(configuration(parts));
      assert.ok(ok, output);
      assert.doesNotMatch(output, /\[(warn|error|alert)\]/);
    });
  }
}

/**
 * A test for each row: name, parts, the token that the message has to name
 * (keys and most of a Redis URL are masked, so something near them there).
 * The line with the fault ends in WRONG; where a whole block is at fault, all
 * of its lines will do.
 */
async function eachRefused(t, rows) {
  for (const [name, parts, token] of rows) {
    await t.test(name, () => {
      const text = configuration(parts);
      const lines = text.split('\n').flatMap((line, i) => (
        line.endsWith(WRONG) ? [i + 1] : []));
      // A block is also named by the lines that open and close it.
      if (parts.block && lines.length > 0 && token === 'zone') {
        lines.push(lines[0] - 1, lines.at(-1) + 1);
      }

      const { ok, output, confFile } = check(text);
      assert.ok(!ok, `accepted: ${output}`);
      assert.match(output, /\[emerg\]/);
      assert.ok(output.includes(token), `"${token}" is not in: ${output}`);
      assert.ok(!output.includes(HIDDEN), `a secret is in: ${output}`);
      assert.ok(lines.some((line) => output.includes(`${confFile}:${line}`)),
                `none of the lines ${lines} in: ${output}`);
    });
  }
}

module.exports = {
  KEY, HIDDEN, WRONG, dir, file, configuration, check, located, blocked,
  wrongIn, wrongBlock, twice, eachAccepted, eachRefused,
};
