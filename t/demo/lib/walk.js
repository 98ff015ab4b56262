'use strict';

// What three users do, and what each of them gets to see of it.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { Demo, User } = require('./demo');

// A session that was not over before nginx stopped is unknown to the next one.
const REFUSED = new RegExp(['WebSocket connection to .* failed',
                            'Failed to load resource: net::ERR_',
                            'Failed to load resource: .* status of 400',
                            '400: .*transport=polling.*&sid=',
                            'failed: .*transport=polling'].join('|'));

/** A demo and three users; transports: what they are told, none: nothing. */
class Scene {
  constructor(transports) {
    this.demo = new Demo();
    this.query = transports ? `?transports=${transports}` : '';
    this.transport = transports ? transports.split(',').at(-1) : 'websocket';
  }

  async open(browser) {
    await this.demo.start();
    this.users = await Promise.all(['alice', 'bob', 'carol'].map((name) => (
      User.open(browser, this.demo, name, { query: this.query }))));
    [this.alice, this.bob, this.carol] = this.users;
  }

  async close() {
    for (const user of this.users ?? []) {
      await user.page.context().close();
    }
    await this.demo.end();
  }

  /** What happened in the pages since the last call. */
  trouble() {
    return this.users.flatMap((it) => it.trouble.splice(0));
  }

  assertNoTrouble() {
    assert.deepEqual(this.trouble(), []);
  }
}

/** Registers the test that comes first. */
function logIn(scene) {
  test('log in', async () => {
    const { alice, bob, carol } = scene;

    await carol.logIn('wrong');
    await carol.page.getByText('Name or password is wrong.').waitFor();
    assert.match(carol.trouble.splice(0).join(), /401/);

    await Promise.all([alice, bob, carol].map((it) => it.loggedIn()));
    await alice.status(scene.transport);
    scene.assertNoTrouble();
  });
}

/** Registers all that can be done then, up to a restart of nginx. */
function walk(scene) {
  test('messages go both ways', async () => {
    const { alice, bob } = scene;

    await alice.write('to bob: <b>not bold</b>');
    await bob.sees('to bob: <b>not bold</b>');
    await bob.write('to alice');
    await alice.sees('to alice');
    await alice.delivery('to bob', 'delivered');
    await bob.delivery('to alice', 'delivered');
    assert.equal(await bob.page.locator('.content b').count(), 0);
    scene.assertNoTrouble();
  });

  test('a reaction is added, seen and taken back', async () => {
    const { alice, bob } = scene;

    await alice.message('to alice').hover();
    await alice.message('to alice').getByLabel('React with party').click();

    const seen = bob.message('to alice').locator('.reactions button');
    await seen.waitFor();
    assert.equal(await seen.getAttribute('aria-pressed'), 'false');

    await alice.message('to alice').locator('.reactions button').click();
    await seen.waitFor({ state: 'detached' });
    scene.assertNoTrouble();
  });

  test('a message is edited', async () => {
    const { alice, bob } = scene;

    await bob.message('to alice').hover();
    await bob.message('to alice').getByLabel('Edit message').click();
    await bob.page.keyboard.press('Control+A');
    await bob.page.keyboard.type('changed');
    await bob.page.keyboard.press('Enter');
    await alice.sees('changed (edited)');
    scene.assertNoTrouble();
  });

  test('a direct message is seen by the two only', async () => {
    const { alice, bob, carol } = scene;

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
    await carol.receives('after the direct ones');
    assert.equal(carol.received('between us'), false);
    assert.equal(carol.received('so it is'), false);
    scene.assertNoTrouble();
  });

  test('a private channel is not seen by the third', async () => {
    const { alice, bob, carol } = scene;

    await bob.button('Northlight').click();
    await alice.openChannel('budget');
    await bob.openChannel('budget');
    await alice.write('in private');
    await bob.sees('in private');

    await alice.openChannel('general');
    await alice.write('after the private one');
    await carol.sees('after the private one');
    await carol.receives('after the private one');
    assert.equal(carol.received('in private'), false);
    assert.equal(await carol.channel('budget').count(), 0);
    scene.assertNoTrouble();
  });

  test('permissions open a private channel', async () => {
    const { alice, bob, carol } = scene;

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
    scene.assertNoTrouble();
  });

  test('a channel comes and goes', async () => {
    const { alice, bob } = scene;

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
    scene.assertNoTrouble();
  });

  test('a kick works at once', async () => {
    const { alice, bob, carol, demo } = scene;

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
    scene.assertNoTrouble();
  });

  test('the page comes back when nginx was restarted', async () => {
    const { alice, bob, demo } = scene;
    const { nginx: [master] } = demo.processes();
    const token = await bob.token();
    const { body: state } = await demo.backend('GET', '/state', token);
    const general = state.servers.find((it) => it.name === 'Northlight')
      .channels.find((it) => it.name === 'general');

    await Promise.all([
      bob.page.waitForResponse(`**/channels/${general.id}/messages`)
        .then((it) => it.finished()),
      bob.openChannel('general'),
    ]);
    const lost = alice.page.getByText('The connection is lost.');
    const back = [alice, bob].map((it) => it.status('reconnected once'));

    process.kill(master, 'SIGTERM');
    await lost.waitFor();

    // nginx is not needed for this, so both pages miss the event
    await demo.backend('POST', `/channels/${general.id}/messages`, token,
                       { content: 'while nobody listened' });

    await Promise.all(back);
    await Promise.all([alice, bob].map((it) => it.status(scene.transport)));
    await lost.waitFor({ state: 'hidden' });
    await alice.sees('while nobody listened');
    await bob.sees('while nobody listened');

    await bob.write('here again');
    await alice.sees('here again');

    // the browser tells of connections that were cut or refused meanwhile
    assert.deepEqual(scene.trouble().filter((line) => !REFUSED.test(line)), []);
  });
}

module.exports = { Scene, logIn, walk };
