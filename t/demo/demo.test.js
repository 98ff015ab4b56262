'use strict';

// The demo as its users see it: three of them, in Chromium.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');

const { Demo, User, launchBrowser, TOP } = require('./lib/demo');
const { alive } = require('../gateway/lib/processes');
const { until } = require('../gateway/lib/expect');

const SHOTS = path.resolve(TOP, process.env.BUILD || 'build', 'screenshots');

const demo = new Demo();
let browser;
let alice;
let bob;
let carol;

before(async () => {
  [, browser] = await Promise.all([demo.start(), launchBrowser()]);
  [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map(
    (name) => User.open(browser, demo, name)));
});

after(async () => {
  await browser?.close();
  await demo.end();
});

/** What happened in the pages since the last call; it should be nothing. */
function assertNoTrouble() {
  const trouble = [alice, bob, carol].flatMap((it) => it.trouble.splice(0));
  assert.deepEqual(trouble, []);
}

test('log in', async () => {
  await carol.logIn('wrong');
  await carol.page.getByText('Name or password is wrong.').waitFor();
  assert.match(carol.trouble.splice(0).join(), /401/);

  await Promise.all([alice, bob, carol].map((it) => it.loggedIn()));
  await alice.status('websocket');
  assertNoTrouble();
});

test('screenshots of each width and theme', async () => {
  const shoot = async (user, width, name = '') => {
    for (const colorScheme of ['light', 'dark']) {
      await user.page.emulateMedia({ colorScheme });
      await user.page.screenshot({
        path: path.join(SHOTS, `${width}-${colorScheme}${name}.png`),
      });
    }
  };
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

test('messages go both ways', async () => {
  await alice.write('to bob: <b>not bold</b>');
  await bob.sees('to bob: <b>not bold</b>');
  await bob.write('to alice');
  await alice.sees('to alice');
  await alice.sees('to bob');
  assert.equal(await bob.page.locator('.content b').count(), 0);
  assertNoTrouble();
});

test('a reaction is added, seen and taken back', async () => {
  await alice.message('to alice').hover();
  await alice.message('to alice').getByLabel('React with party').click();

  const seen = bob.message('to alice').locator('.reactions button');
  await seen.waitFor();
  assert.equal(await seen.getAttribute('aria-pressed'), 'false');

  await alice.message('to alice').locator('.reactions button').click();
  await seen.waitFor({ state: 'detached' });
  assertNoTrouble();
});

test('a message is edited', async () => {
  await bob.message('to alice').hover();
  await bob.message('to alice').getByLabel('Edit message').click();
  await bob.page.keyboard.press('Control+A');
  await bob.page.keyboard.type('changed');
  await bob.page.keyboard.press('Enter');
  await alice.sees('changed (edited)');
  assertNoTrouble();
});

test('a direct message is seen by the two only', async () => {
  await alice.button('Message bob').click();
  await alice.page.locator('#title', { hasText: 'bob' }).waitFor();
  await alice.write('between us');

  await bob.button('Direct messages').locator('.dot').waitFor();
  await bob.button('Direct messages').click();
  await bob.sees('between us');
  await bob.write('so it is');
  await alice.sees('so it is');

  // what came before this has come to carol, or never will
  await alice.button('Northlight').click();
  await alice.write('after the direct ones');
  await carol.sees('after the direct ones');
  assert.equal(carol.received('between us'), false);
  assert.equal(carol.received('so it is'), false);
  assertNoTrouble();
});

test('a private channel is not seen by the third', async () => {
  await bob.button('Northlight').click();
  await alice.openChannel('budget');
  await bob.openChannel('budget');
  await alice.write('in private');
  await bob.sees('in private');

  await alice.openChannel('general');
  await alice.write('after the private one');
  await carol.sees('after the private one');
  assert.equal(carol.received('in private'), false);
  assert.equal(await carol.channel('budget').count(), 0);
  assertNoTrouble();
});

test('permissions open a private channel', async () => {
  await alice.channel('budget').hover();
  await alice.button('Menu of budget').click();
  await alice.page.getByRole('menuitem', { name: 'Permissions' }).click();
  await alice.page.getByRole('dialog').getByLabel('carol').check();
  await alice.button('Save').click();

  await carol.openChannel('budget');
  await carol.sees('in private');
  await bob.write('all three of us');
  await carol.sees('all three of us');
  await carol.openChannel('general');
  assertNoTrouble();
});

test('a channel comes and goes', async () => {
  await alice.button('Menu of Northlight').click();
  await alice.page.getByRole('menuitem', { name: 'New channel' }).click();
  await alice.page.getByRole('dialog').getByLabel('Name').fill('Short Lived');
  await alice.button('Create').click();

  await bob.openChannel('short-lived');
  await alice.page.locator('#title', { hasText: 'short-lived' }).waitFor();
  await alice.write('first and last');
  await bob.sees('first and last');

  await alice.channel('short-lived').hover();
  await alice.button('Menu of short-lived').click();
  await alice.page.getByRole('menuitem', { name: 'Delete channel' }).click();
  await alice.button('Delete').click();
  await bob.channel('short-lived').waitFor({ state: 'detached' });
  await bob.page.locator('#title', { hasText: 'general' }).waitFor();
  assertNoTrouble();
});

test('a kick works at once', async () => {
  await alice.openChannel('general');
  await alice.button('Kick carol').click();
  await alice.button('Kick').click();

  await carol.page.getByText('You were removed from Northlight.').waitFor();
  await carol.button('Northlight').waitFor({ state: 'detached' });
  await bob.button('Message carol').waitFor({ state: 'detached' });

  await alice.write('without carol');
  await bob.sees('without carol');

  // the backend publishes this later, so the other one cannot come any more
  const token = await alice.token();
  const { body: { users } } = await demo.backend('GET', '/state', token);
  const { body: dm } = await demo.backend('POST', '/dms', token, {
    userId: users.find((it) => it.name === 'carol').id,
  });
  await demo.backend('POST', `/channels/${dm.id}/messages`, token,
                     { content: 'to carol' });
  await carol.receives('to carol');
  assert.equal(carol.received('without carol'), false);
  assertNoTrouble();
});

test('the page comes back when nginx was restarted', async () => {
  const { nginx: [master] } = demo.processes();
  const token = await bob.token();
  const { body: state } = await demo.backend('GET', '/state', token);
  const general = state.servers.find((it) => it.name === 'Northlight')
    .channels.find((it) => it.name === 'general');

  await bob.openChannel('general');
  const lost = alice.page.getByText('The connection is lost.');
  const back = [alice, bob].map((it) => it.status('reconnected once'));

  process.kill(master, 'SIGTERM');
  await lost.waitFor();

  // nginx is not needed for this, so both pages miss the event
  await demo.backend('POST', `/channels/${general.id}/messages`, token,
                     { content: 'while nobody listened' });

  await Promise.all(back);
  await Promise.all([alice, bob].map((it) => it.status('websocket')));
  await lost.waitFor({ state: 'hidden' });
  await alice.sees('while nobody listened');
  await bob.sees('while nobody listened');

  await bob.write('here again');
  await alice.sees('here again');

  // the browser tells of connections that were refused meanwhile
  const trouble = [alice, bob, carol].flatMap((it) => it.trouble.splice(0))
    .filter((line) => !/WebSocket connection to .* failed/.test(line));
  assert.deepEqual(trouble, []);
});

test('nothing is lost when the backend or Redis was restarted', async () => {
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
  await again.program.stop('SIGINT', 10000);

  const begin = performance.now();
  again.launch({ RUN: demo.dir });
  await until(() => again.program.output.includes(again.url), 'a second start');
  assert.ok(performance.now() - begin < 3000);
});
