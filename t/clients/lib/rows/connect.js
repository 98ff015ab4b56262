'use strict';

// Who gets in, and over what.

const assert = require('node:assert/strict');

const { until } = require('../../../gateway/lib/expect');
const { sign, inSeconds } = require('../../../gateway/lib/token');

const REFUSALS = {
  token_missing: [{}, 'Authentication error: Token not provided'],
  token_invalid: [{ token: sign({ id: 'x' }, { key: 'another' }) },
                  'Authentication error: Invalid token'],
  token_expired: [{ token: sign({ id: 'x', exp: inSeconds(-60) }) },
                  'Authentication error: Token expired'],
};

const table = {
  async 'connect with a token'(cell) {
    const client = await cell.connect({ user: 'ann' });

    assert.match(client.id, /^[\w-]{20}$/);
    assert.deepEqual(client.received('ready'), [[]]);
    await cell.assertWorks(client);

    // it has stayed where it was asked to be
    assert.equal(client.transport, cell.transport);
    assert.equal(client.connects, 1);
    assert.deepEqual(client.disconnects, []);
  },
};

for (const [code, [auth, message]] of Object.entries(REFUSALS)) {
  table[`${code}, then a good token`] = async (cell) => {
    const client = cell.client({ user: 'bob', auth });

    assert.deepEqual(await client.refusal(), { message, data: { code } });
    assert.equal(client.connects, 0);

    client.again(cell.gw.auth({ user: client.name }));
    await client.ready();
    await cell.settled(client);
    await cell.assertWorks(client);
  };
}

/** What only clients in JavaScript can do. */
const javascript = {
  async 'a token from a function, which is asked again'(cell) {
    const auths = [{ token: 'bad' }, cell.gw.auth({ user: cell.own('cid') })];
    const client = cell.client({
      user: 'cid', auth: (callback) => callback(auths.shift()),
    });

    assert.equal((await client.refusal()).data.code, 'token_invalid');
    client.again();
    await client.ready();
    await cell.settled(client);
    await cell.assertWorks(client);
    assert.deepEqual(auths, []);
  },

  async 'how often it upgrades'(cell) {
    const client = await cell.connect({ user: 'dan' });

    await until(() => client.upgrades === (cell.mode === 'upgrade' ? 1 : 0),
                `${client} has upgraded once, or never`);
    await cell.assertWorks(client);
    assert.equal(client.upgrades, cell.mode === 'upgrade' ? 1 : 0);
  },
};

module.exports = { table, javascript };
