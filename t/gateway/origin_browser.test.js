'use strict';

// Pages of other origins than the gateway's, in Chromium, with the official
// client: what the browser lets them do.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const assert = require('node:assert/strict');

const { launchBrowser } = require('../demo/lib/demo');
const { gateway } = require('./lib/gateway');
const { request } = require('./lib/http');
const { sign } = require('./lib/token');
const { until } = require('./lib/expect');

const LIBRARIES = {
  '/4.js': 'socket.io-client/dist/socket.io.min.js',
  '/2.js': 'socket.io-client-2/dist/socket.io.js',
};

/** Runs in the page: window.clients, and a function that adds one. */
function script() {
  window.clients = [];
  window.begin = (url, options) => {
    const socket = io(url, { forceNew: true, reconnection: false, ...options });
    const it = { socket, received: [], errors: [] };
    for (const event of ['ready', 'hello', 'marker']) {
      socket.on(event, (...args) => it.received.push([event, ...args]));
    }
    socket.on('connect_error', ({ message, description }) => it.errors.push({
      message,
      status: typeof description === 'number' ? description : null,
    }));
    return window.clients.push(it) - 1;
  };
}

/** A web server with nothing but a page that has the client. */
async function site(t) {
  const server = http.createServer((req, res) => {
    const { pathname } = new URL(req.url, 'http://localhost');
    if (LIBRARIES[pathname]) {
      res.setHeader('Content-Type', 'text/javascript');
      res.end(fs.readFileSync(path.join(__dirname, 'node_modules',
                                        LIBRARIES[pathname])));
      return;
    }
    const version = pathname === '/2' ? 2 : 4;
    res.setHeader('Content-Type', 'text/html');
    res.end(`<!doctype html><link rel="icon" href="data:,">
      <script src="/${version}.js"></script><script>(${script})()</script>`);
  });
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  }));
  return `http://127.0.0.1:${server.address().port}`;
}

/** A tab; `trouble` is what stands in its console. */
class Tab {
  static async open(browser, url) {
    const tab = new Tab();
    tab.page = await browser.newPage();
    tab.trouble = [];
    tab.page.on('console', (it) => tab.trouble.push(it.text()));
    tab.page.on('pageerror', (error) => tab.trouble.push(String(error)));
    await tab.page.goto(url);
    return tab;
  }

  /** A client in this tab that begins to connect. */
  async client(url, options) {
    const index = await this.page.evaluate(
      ([to, rest]) => window.begin(to, rest), [url, options]);
    return new TabClient(this.page, index);
  }

  /** What fetch() gives the page: { status, body }, or { error }. */
  fetch(url, options) {
    return this.page.evaluate(([to, rest]) => fetch(to, rest).then(
      async (it) => ({ status: it.status, body: await it.text() }),
      (error) => ({ error: error.name })), [url, options]);
  }
}

class TabClient {
  constructor(page, index) {
    this.page = page;
    this.index = index;
  }

  state() {
    return this.page.evaluate((index) => {
      const { socket, received, errors } = window.clients[index];
      const { engine } = socket.io;
      return { received, errors, connected: socket.connected,
               transport: engine && engine.transport.name };
    }, this.index);
  }

  /** Waits until the state is as wanted; the state. */
  async reaches(wanted, what) {
    let state;
    await until(async () => {
      state = await this.state();
      return wanted(state);
    }, () => `${what}: ${JSON.stringify(state)}`);
    return state;
  }

  /** Waits until it is connected and gets what is published. */
  async works(gw) {
    const has = (name) => ({ received, errors }) => errors.length > 0
      || received.some(([event]) => event === name);
    await this.reaches(has('ready'), 'it is ready');
    gw.emitter.emit('hello');
    const state = await this.reaches(has('hello'), 'it gets an event');
    assert.deepEqual(state.errors, []);
    await this.close();
  }

  /** Waits for connect_error: { message, status }. */
  async fails() {
    const { errors, received, connected } = await this.reaches(
      (it) => it.errors.length > 0 || it.received.length > 0, 'it fails');
    assert.deepEqual(received, []);
    assert.equal(connected, false);
    return errors[0];
  }

  close() {
    return this.page.evaluate(
      (index) => { window.clients[index].socket.disconnect(); }, this.index);
  }
}

const BLOCKED = { message: 'xhr poll error', status: 0 };
const NO_SOCKET = { message: 'websocket error', status: null };
const token = sign({ id: 'ann' });
const auth = { token };

test('pages of other origins', async (t) => {
  const browser = await launchBrowser();
  t.after(() => browser.close());
  const [listed, foreign] = [await site(t), await site(t)];
  const gw = await gateway(t, {
    locations: {
      '/socket.io/': { socketio_origin: listed },
      '/query/': { socketio_origin: listed, socketio_auth_token: 'query' },
      '/any/': { socketio_origin: '*' },
      '/none/': {},
    },
    server: { 'location = /status': { socketio_status: 'mew' } },
  });
  const handshakes = async () => JSON.parse(
    (await gw.exchange(request('GET', '/status'))).body).handshakes;
  const [friend, stranger, old] = [
    await Tab.open(browser, listed), await Tab.open(browser, foreign),
    await Tab.open(browser, `${listed}/2`)];
  const poll = (where, rest = '') => (
    `${gw.url}${where}?EIO=4&transport=polling${rest}`);

  for (const transports of [['polling'], ['websocket'],
                            ['polling', 'websocket']]) {
    await t.test(`a listed page: ${transports}`, async () => {
      for (const options of [{ auth }, { auth, withCredentials: true },
                             { query: { token }, path: '/query/' }]) {
        const client = await friend.client(gw.url, { transports, ...options });
        await client.works(gw);
      }
    });
  }

  await t.test('a listed page changes over to a WebSocket', async () => {
    const client = await friend.client(gw.url, { auth });
    await client.reaches((it) => it.transport === 'websocket' && it.connected,
                         'it is upgraded');
    await client.works(gw);
  });

  await t.test('a listed page with a header, so with a preflight', async () => {
    const client = await friend.client(gw.url, {
      transports: ['polling'],
      extraHeaders: { Authorization: `Bearer ${token}`, 'X-More': '1' },
    });
    await client.works(gw);
  });

  await t.test('a listed page reads refusals', async () => {
    assert.deepEqual(friend.trouble.splice(0), []);
    assert.deepEqual(
      await friend.fetch(poll('/socket.io/', '&sid=nobody'),
                         { credentials: 'include' }),
      { status: 400, body: '{"code":1,"message":"Session ID unknown"}' });
    friend.trouble.splice(0);
  });

  await t.test('a foreign page gets nothing', async () => {
    const before = await handshakes();

    for (const [transports, failure] of [[['polling'], BLOCKED],
                                         [['websocket'], NO_SOCKET],
                                         [['polling', 'websocket'], BLOCKED]]) {
      const client = await stranger.client(gw.url, { transports, auth });
      assert.deepEqual(await client.fails(), failure);
    }
    for (const options of [{}, { credentials: 'include' }, { method: 'POST' },
                           { headers: { Authorization: 'x' } }]) {
      assert.deepEqual(await stranger.fetch(poll('/socket.io/'), options),
                       { error: 'TypeError' });
    }
    assert.equal(await handshakes(), before);
  });

  await t.test('any page, where any origin will do', async () => {
    for (const transports of [['polling'], ['websocket']]) {
      const client = await stranger.client(gw.url, {
        transports, auth, path: '/any/' });
      await client.works(gw);
    }
    const client = await stranger.client(gw.url, {
      transports: ['polling'], path: '/any/',
      extraHeaders: { Authorization: `Bearer ${token}` } });
    await client.works(gw);
  });

  await t.test('no cookies, where any origin will do', async () => {
    const client = await stranger.client(gw.url, {
      transports: ['polling'], auth, path: '/any/', withCredentials: true });
    assert.deepEqual(await client.fails(), BLOCKED);
  });

  await t.test('by default only WebSockets are for all pages', async () => {
    const poller = await stranger.client(gw.url, {
      transports: ['polling'], auth, path: '/none/' });
    assert.deepEqual(await poller.fails(), BLOCKED);
    const other = await stranger.client(gw.url, {
      transports: ['websocket'], auth, path: '/none/' });
    await other.works(gw);
  });

  await t.test('clients of Socket.IO 2 read why they are refused', async () => {
    for (const [transports, failure] of [
      [['polling'], { message: 'xhr poll error', status: 400 }],
      [['websocket'], NO_SOCKET],
    ]) {
      const client = await old.client(gw.url, { transports });
      assert.deepEqual(await client.fails(), failure);
    }
    const blocked = await old.client(gw.url, { transports: ['polling'],
                                               path: '/none/' });
    assert.deepEqual(await blocked.fails(), BLOCKED);
  });
});
