'use strict';

// The demo as its users see it: three of them, in Chromium.
//
// Runs alone: it measures how long a start takes.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');

const { Demo, User, launchBrowser, TOP } = require('./lib/demo');
const { Scene, logIn, walk } = require('./lib/walk');
const { alive } = require('../gateway/lib/processes');
const { until } = require('../gateway/lib/expect');

const SHOTS = path.resolve(TOP, process.env.BUILD || 'build', 'screenshots');

const scene = new Scene();
const { demo } = scene;
let browser;

before(async () => {
  browser = await launchBrowser();
  await scene.open(browser);
});

after(async () => {
  await browser?.close();
  await demo.end();
});

logIn(scene);

test('screenshots of each width and theme', async () => {
  const shoot = async (user, width, name = '') => {
    for (const colorScheme of ['light', 'dark']) {
      await user.page.emulateMedia({ colorScheme });
      await user.page.screenshot({
        path: path.join(SHOTS, `${width}-${colorScheme}${name}.png`),
      });
    }
  };
  const { carol } = scene;
  fs.mkdirSync(SHOTS, { recursive: true });

  const wide = await User.open(browser, demo, 'alice');
  await shoot(wide, 1280, '-login');
  await wide.loggedIn();

  const narrow = await User.open(browser, demo, 'bob', {
    viewport: { width: 400, height: 800 }, hasTouch: true, isMobile: true,
  });
  await narrow.loggedIn();

  // something that has not been read
  await carol.openChannel('lunch');
  await carol.write('The table is booked for three.');
  await carol.openChannel('general');
  await wide.page.locator('.unread').waitFor();
  await shoot(wide, 1280);

  await shoot(narrow, 400);
  await narrow.button('Servers and channels').click();
  await shoot(narrow, 400, '-drawer');
  await narrow.page.keyboard.press('Escape');
  await narrow.button('Members').click();
  await shoot(narrow, 400, '-members');

  // nothing is wider than the screen
  assert.equal(await narrow.page.evaluate(() => (
    document.documentElement.scrollWidth)), 400);

  for (const user of [wide, narrow]) {
    assert.deepEqual(user.trouble, []);
    await user.page.context().close();
  }
});

walk(scene);

test('nothing is lost when the backend or Redis was restarted', async () => {
  const { alice, bob, carol } = scene;

  await carol.status('reconnected once');
  carol.trouble.splice(0);

  for (const name of ['backend', 'redis']) {
    const [pid] = demo.processes()[name];
    process.kill(pid, 'SIGKILL');

    const token = await alice.token();
    await until(async () => {
      const [now] = demo.processes()[name];
      return now && now !== pid
        && (await demo.backend('GET', '/health', token).catch(() => ({})))
          .status === 200;
    }, `${name} runs again`);

    await until(async () => {
      await alice.write(`after ${name}`);
      return bob.received(`after ${name}`);
    }, `messages after ${name} was killed`);
    await bob.message(`after ${name}`).first().waitFor();
    await bob.sees('here again');
  }
});

test('ports in use are told', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => { server.once('listening', resolve); });
  t.after(() => server.close());
  const { port } = server.address();

  for (const name of ['PORT', 'REDIS_PORT']) {
    const other = new Demo();
    t.after(() => other.end());
    other.port = 1;
    other.redisPort = 2;
    other.launch({ [name]: String(port) });

    const { code } = await other.program.exited;
    assert.equal(code, 1);
    assert.match(other.program.output,
                 new RegExp(`port ${port} is in use.*make run ${name}=`));
  }
});

test('Ctrl-C ends all of it', async () => {
  const { redis, backend, nginx, workers } = demo.processes();
  const all = [...redis, ...backend, ...nginx, ...workers];
  assert.deepEqual([redis, backend, nginx, workers].map((it) => it.length),
                   [1, 1, 1, 2]);

  const { code } = await demo.program.stop('SIGINT', 10000);
  assert.equal(code, 0);
  assert.deepEqual(all.filter(alive), []);
});

test('the second start takes less than 3 s', async (t) => {
  const again = new Demo();
  t.after(() => again.end());
  await again.start({ RUN: demo.dir });

  // the machine may be busy, though not each time
  const times = [];
  while (times.length < 5 && !(times.at(-1) < 3000)) {
    await again.program.stop('SIGINT', 10000);
    const begin = performance.now();
    again.launch({ RUN: demo.dir });
    await until(() => again.program.output.includes(again.url), 'a start');
    times.push(performance.now() - begin);
  }
  assert.ok(times.at(-1) < 3000, `${times.map(Math.round)} ms`);
});
