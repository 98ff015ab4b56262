'use strict';

// Coming and going in the namespace.  What each kind of packet does is in the
// table (table.test.js).

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');

test('coming and going in the namespace', async (t) => {
  const gw = await gateway(t);

  await t.test('DISCONNECT and CONNECT again: a new sid', async () => {
    const witness = await gw.rawConnect({ user: 'witness' });
    const ws = await gw.joined({ user: 'ann', rooms: ['before'] });
    ws.text('41');
    await ws.roundTrip();
    gw.emitter.emit('not for those who left');
    gw.emitter.to(ws.sid).emit('neither');
    await gw.settle(witness);
    ws.text(`40${JSON.stringify(gw.auth({ user: 'ann', rooms: ['after'] }))}`);
    const reply = JSON.parse((await ws.next()).slice(2));
    assert.notEqual(reply.sid, ws.sid);
    assert.equal(await ws.next(), '42["ready"]');

    gw.emitter.to(ws.sid).emit('to the old sid');
    gw.emitter.to('before').emit('to the old room');
    gw.emitter.to(reply.sid).emit('to the new sid');
    gw.emitter.to('after').emit('to the new room');
    gw.emitter.to('user:ann').emit('to the user');
    assert.deepEqual(await gw.drain(ws), [
      '42["to the new sid"]', '42["to the new room"]', '42["to the user"]',
    ]);
  });

  await t.test('EVENT after DISCONNECT closes', async () => {
    const ws = await gw.joined({ user: 'ann' });
    ws.text('41');
    await ws.roundTrip();
    assert.equal(ws.closeCode, undefined);
    ws.text('42["a"]');
    assert.equal(await ws.closing(), 1005);
  });

  await t.test('an official client leaves and comes back', async () => {
    const client = await gw.connect({ user: 'bob' });
    const first = client.id;
    client.socket.disconnect();
    assert.equal(await client.disconnect(), 'io client disconnect');
    client.socket.connect();
    await client.ready(2);
    assert.notEqual(client.id, first);
  });

  await t.test('a refused CONNECT may be tried again', async () => {
    const ws = await gw.socket();
    await ws.next();
    ws.text('40{"token":"nonsense"}');
    assert.match(await ws.next(), /^44\{"message":"Authentication error: Inv/);
    ws.text(`40${JSON.stringify(gw.auth({ user: 'dan' }))}`);
    assert.match(await ws.next(), /^40\{"sid":/);
  });

  await t.test('EVENT after a refusal closes', async () => {
    const ws = await gw.socket();
    await ws.next();
    ws.text('40');
    assert.match(await ws.next(), /^44\{.*"code":"token_missing"/);
    ws.text('42["a"]');
    assert.equal(await ws.closing(), 1005);
  });
});
