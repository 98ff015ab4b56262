'use strict';

// Rows of the table about namespaces besides "/"; the server has "/admin".

const assert = require('node:assert/strict');

const { LINKS } = require('./links');
const { open, joined, closes, closesNow, gets } = require('./rows');
const { SID } = require('./subject');

const INVALID = '{"message":"Invalid namespace"}';
const REPLY = new RegExp(`^40/admin,\\{"sid":"${SID}"\\}$`);

/** A case for each way to be connected, to "/" and "/admin". */
const both = (row, name, run) => LINKS.map((Link) => ({
  row,
  name: `${name}, ${Link.label}`,
  run: async (s) => {
    const link = await Link.open(s, false);
    await link.join('40/admin', '/admin,');
    const admin = link.id;
    await link.join();
    assert.notEqual(link.id, admin);
    await link.ready();
    await run(s, link, admin);
  },
}));

const rows = [
  ...open('36', ['40/adm', '40/adm,'], gets(`44/adm,${INVALID}`)),
  ...open('36', ['40/admin/'], gets(`44/admin/,${INVALID}`)),
  ...both('36', 'one more that is unknown', async (s, link) => {
    await link.send('40/x,');
    await gets(`44/x,${INVALID}`)(link);
  }),
  ...open('37', ['40/admin?foo=bar,', '40/admin?foo=bar,{"a":1}'],
          gets(`44/admin?foo=bar,${INVALID}`)),
  ...open('38', ['40/admin', '40/admin,', '40/admin,{"a":1}'],
          (link) => link.gets(REPLY)),
  ...both('42', '40/admin, once more', async (s, link) => {
    await link.send('40/admin,');
    await closesNow(link, s);
  }),
  ...open('45', ['42/admin,["a"]', '41/admin,', '43/admin,1[]'], closes),
  ...joined('46', ['42/admin,["a"]', '41/admin,'], closesNow),
  ...both('46', 'a third one', async (s, link) => {
    await link.send('42/x,["a"]');
    await closesNow(link, s);
  }),
  ...both('49', '42/admin,[]', async (s, link) => {
    await link.send('42/admin,[]');
    await closes(link, s);
  }),
  ...both('64', '41/admin, then 40/admin,', async (s, link, admin) => {
    await link.send('41/admin,');
    await link.settle();
    await link.send('40/admin,');
    const reply = await link.gets(REPLY);
    assert.ok(!reply.includes(admin));
    await link.alive();
  }),
  ...both('69', 'disconnect() of one', async (s, link, admin) => {
    s.of('/admin').in(admin).disconnectSockets();
    await link.gets('41/admin,');
    await link.alive();
  }),
  ...both('69', 'disconnect(true) of one', async (s, link, admin) => {
    s.of('/admin').in(admin).disconnectSockets(true);
    const first = await link.gets(/^41(\/admin,)?$/);
    await link.gets(first === '41' ? '41/admin,' : '41');
    await link.dismissed();
    await s.closed('server namespace disconnect');
  }),
];

module.exports = { rows };
