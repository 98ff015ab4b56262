'use strict';

// demo/run, and users who sit in front of its page in Chromium.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');

const {
  Program, freePort, children, title, alive,
} = require('../../gateway/lib/processes');
const { until, DEADLINE } = require('../../gateway/lib/expect');

const TOP = path.resolve(__dirname, '../../..');
const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic',
  '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

// What no nginx may say: it is one with sanitizers in `make asan`.
const TROUBLE = /^nginx .*(Sanitizer|runtime error:|\[alert\].*socketio).*/m;

/** One demo on ports of its own. */
class Demo {
  constructor() {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'socketio-demo-'));
  }

  async start(env = {}) {
    this.port = await freePort();
    this.redisPort = await freePort();
    this.launch(env);
    await until(() => {
      if (this.program.ended) {
        throw new Error(`the demo has ended: ${this.program.output}`);
      }
      return this.program.output.includes(`http://localhost:${this.port}/`);
    }, () => `the demo starts: ${this.program.output}`);
  }

  launch(env = {}) {
    // the last signal is one that lets it stop what it has started
    this.program = new Program(path.join(TOP, 'demo/run'), [], {
      lastSignal: 'SIGTERM',
      env: {
        ...process.env,
        PORT: String(this.port),
        REDIS_PORT: String(this.redisPort),
        RUN: this.dir,
        ...env,
      },
    });
  }

  get url() {
    return `http://localhost:${this.port}/`;
  }

  /** The pids of all that it has started and that still runs, by name. */
  processes() {
    const all = children(this.program.pid)
      .flatMap((pid) => [pid, ...children(pid)])
      .map((pid) => ({ pid, title: title(pid) }));
    const pids = (pattern) => all.filter((it) => pattern.test(it.title))
      .map((it) => it.pid);

    return {
      redis: pids(/^redis-server /),
      backend: pids(/^node .*main\.js/),
      nginx: pids(/^nginx: master /),
      workers: pids(/^nginx: worker /),
    };
  }

  /** A request to the backend that does not go through nginx. */
  async backend(method, route, token, body) {
    const port = fs.readFileSync(path.join(this.dir, 'backend.port'), 'utf8');
    const response = await fetch(`http://127.0.0.1:${port}/api${route}`, {
      method,
      headers: { Authorization: `Bearer ${token}` },
      body: body && JSON.stringify(body),
    });
    return {
      status: response.status,
      body: await response.json().catch(() => undefined),
    };
  }

  async end() {
    if (this.program && !this.program.ended) {
      const all = Object.values(this.processes()).flat();
      try {
        await this.program.stop('SIGTERM', 20000);
      } finally {
        all.filter(alive).forEach((pid) => process.kill(pid, 'SIGKILL'));
      }
    }
    fs.rmSync(this.dir, { recursive: true, force: true });
    assert.equal(TROUBLE.exec(this.program?.output)?.[0], undefined);
  }
}

/** A user's tab.  `trouble` is what a good page never has. */
class User {
  /** query: of the page, e.g. ?transports=polling. */
  static async open(browser, demo, name, { query = '', ...options } = {}) {
    const user = new User();
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      colorScheme: 'light', reducedMotion: 'reduce', locale: 'en-GB',
      ...options,
    });
    context.setDefaultTimeout(DEADLINE);
    user.name = name;
    user.demo = demo;
    user.page = await context.newPage();
    user.trouble = [];
    user.frames = [];
    user.bodies = Promise.resolve();
    user.polls = 0;
    user.#listen();
    await user.page.goto(demo.url + query);
    return user;
  }

  #listen() {
    const note = (text) => this.trouble.push(`${this.name}: ${text}`);

    this.page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) {
        note(message.text());
      }
    });
    this.page.on('pageerror', (error) => note(error.stack));
    this.page.on('requestfailed', (request) => {
      note(`failed: ${request.url()}`);
    });
    this.page.on('request', (request) => {
      if (!request.url().startsWith(this.demo.url)) {
        note(`elsewhere: ${request.url()}`);
      }
    });
    this.page.on('response', (response) => {
      if (response.status() >= 400) {
        note(`${response.status()}: ${response.url()}`);
      }
      if (response.url().includes('transport=polling')) {
        this.#polled(response);
      }
    });
    this.page.on('websocket', (socket) => {
      socket.on('framereceived', ({ payload }) => {
        this.frames.push(String(payload));
      });
    });
  }

  /** Keeps what a poll was answered with; bodies are kept in their order. */
  #polled(response) {
    const body = response.text().catch(() => '');

    this.polls++;
    this.bodies = this.bodies.then(async () => {
      this.frames.push(await body);
    });
  }

  /** Logs in with the keyboard only. */
  async logIn(password = `${this.name}-demo`) {
    await this.page.getByLabel('Name').fill(this.name);
    await this.page.keyboard.press('Tab');
    await this.page.keyboard.type(password);
    await this.page.keyboard.press('Enter');
  }

  async loggedIn() {
    await this.logIn();
    await this.status('Connected');
    await this.page.locator('.message').first().waitFor();
    return this;
  }

  status(text) {
    return this.page.locator('#connection', { hasText: text }).waitFor();
  }

  token() {
    return this.page.evaluate(() => sessionStorage.getItem('token'));
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  channel(name) {
    return this.page.locator('#channels .channel', { hasText: name });
  }

  async openChannel(name) {
    await this.channel(name).click();
    await this.page.locator('#title', { hasText: name }).waitFor();
  }

  message(text) {
    return this.page.locator('.message', { hasText: text });
  }

  async write(text) {
    await this.page.getByLabel('Message', { exact: true }).fill(text);
    await this.page.keyboard.press('Enter');
  }

  sees(text) {
    return this.message(text).waitFor();
  }

  /** Waits until its page says so of a message it has sent. */
  delivery(text, state) {
    return this.page.locator(`.message[data-delivery="${state}"]`,
                             { hasText: text }).waitFor();
  }

  /** From now on its page sends something else; '': as it is. */
  sendsInstead(from, to) {
    return this.page.evaluate(([before, after]) => {
      window.stockSend ??= WebSocket.prototype.send;
      WebSocket.prototype.send = function send(data) {
        const text = typeof data === 'string';
        window.stockSend.call(this, text ? data.replace(before, after) : data);
      };
    }, [from, to]);
  }

  /** Whether anything with this text has come over the connection. */
  received(text) {
    return this.frames.some((frame) => frame.includes(text));
  }

  /** Waits for it, whether the page shows it or not. */
  receives(text) {
    return until(() => this.received(text), `${this.name} receives ${text}`);
  }
}

function launchBrowser() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
}

module.exports = { Demo, User, launchBrowser, TOP };
