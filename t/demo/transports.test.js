'use strict';

// The page with the bundle of the stock client that browsers load as a module,
// over one transport or the other, and from one to the other.

const fs = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');

const { launchBrowser, TOP } = require('./lib/demo');
const { Scene, logIn, walk } = require('./lib/walk');

const DIST = path.join(TOP, 'demo/node_modules/socket.io-client/dist');
const BUNDLE = 'socket.io.esm.min.js';

let browser;

before(async () => {
  browser = await launchBrowser();
});

after(() => browser?.close());

/** Registers tests with a demo of their own. */
function over(transports, register) {
  describe(`the page with transports=${transports}`, () => {
    const scene = new Scene(transports);

    before(() => scene.open(browser));
    after(() => scene.close());

    logIn(scene);
    register(scene);
  });
}

over('websocket', (scene) => {
  test('the page loads the bundle, as npm has it', async (t) => {
    const url = `${scene.demo.url}lib/${BUNDLE}`;
    const response = await fetch(url);
    const loaded = await scene.alice.page.evaluate(() => performance
      .getEntriesByType('resource').map((it) => it.name));

    assert.ok(loaded.includes(url), String(loaded));
    assert.match(response.headers.get('content-type'), /^text\/javascript/);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()),
                     fs.readFileSync(path.join(DIST, BUNDLE)));

    for (const name of [BUNDLE, 'socket.io.min.js']) {
      const bytes = fs.readFileSync(path.join(DIST, name));
      t.diagnostic(`${name}: ${bytes.length} bytes, ${
        zlib.gzipSync(bytes).length} with gzip`);
    }
  });

  walk(scene);
});

over('polling', (scene) => walk(scene));

over('polling,websocket', (scene) => {
  test('messages come over the WebSocket', async () => {
    const { alice, bob } = scene;

    await bob.status('websocket');
    const { polls } = bob;
    await alice.write('over the WebSocket');
    await bob.sees('over the WebSocket');
    await bob.receives('over the WebSocket');
    assert.ok(polls > 0);
    assert.equal(bob.polls, polls);
    scene.assertNoTrouble();
  });
});
