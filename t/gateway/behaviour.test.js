'use strict';

// What a Socket.IO server does with each kind of packet, as rows: the state
// that a connection is in, what it sends, what comes of it.  "close" is a
// close frame without code; "alive" means that nothing came back and that the
// connection goes on; "refused" is token_missing, after which it goes on.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { gateway } = require('./lib/gateway');
const { frame, text, OPCODE } = require('./lib/ws');
const { until } = require('./lib/expect');

const binary = (...bytes) => frame(OPCODE.binary, bytes);
const attached = '"a",{"_placeholder":true,"num":0}';

const OPENED = [
  ['an empty text frame', text(''), 'close'],
  ['an unknown Engine.IO packet, 7', text('7'), 'close'],
  ['an unknown Engine.IO packet, x', text('x'), 'close'],
  ['CONNECT to an unknown namespace', text('40/x,'),
    '44/x,{"message":"Invalid namespace"}'],
  ['the same with arguments', text('40/admin?foo=bar,{"token":"x"}'),
    '44/admin?foo=bar,{"message":"Invalid namespace"}'],
  ['the same without a comma', text('40/x'),
    '44/x,{"message":"Invalid namespace"}'],
  ['CONNECT without payload', text('40'), 'refused'],
  ['CONNECT with an id', text('4012'), 'refused'],
  ['CONNECT to / by name', text('40/,{}'), 'refused'],
  ['CONNECT with an array', text('40[1]'), 'close'],
  ['CONNECT with a string', text('40"x"'), 'close'],
  ['CONNECT with null', text('40null'), 'close'],
  ['CONNECT with broken JSON', text('40{'), 'close'],
  ['CONNECT with more behind the JSON', text('40{}x'), 'close'],
  ['EVENT before CONNECT', text('42["a"]'), 'close'],
  ['EVENT without payload before CONNECT', text('42'), 'close'],
  ['ACK before CONNECT', text('430[]'), 'close'],
  ['DISCONNECT before CONNECT', text('41'), 'close'],
  ['CONNECT_ERROR before CONNECT', text('44{}'), 'close'],
  ['EVENT after a refusal', [text('40'), text('42["a"]')], 'close'],
  ['a pong without a ping', text('3'), 'alive'],
  ['a binary frame', binary(1), 'close'],
];

const JOINED = [
  ['an empty text frame', text(''), 'close'],
  ['an empty binary frame', binary(), 'close'],
  ['an unknown Engine.IO packet, 7', text('7'), 'close'],
  ['an unknown Engine.IO packet, 8', text('8'), 'close'],
  ['Engine.IO close', text('1'), 'alive'],
  ['Engine.IO open', text('0'), 'alive'],
  ['Engine.IO upgrade', text('5'), 'alive'],
  ['Engine.IO noop', text('6'), 'alive'],
  ['Engine.IO pong', text('3'), 'alive'],
  ['Engine.IO ping', text('2'), 'close'],
  ['Engine.IO probe', text('2probe'), 'close'],
  ['an unknown namespace', text('40/x,'),
    '44/x,{"message":"Invalid namespace"}'],
  ['a second CONNECT', text('40{}'), 'close'],
  ['EVENT in a namespace that it is not in', text('42/admin,["a"]'), 'close'],
  ['DISCONNECT of one that it is not in', text('41/admin,'), 'close'],
  ['CONNECT_ERROR', text('44{"message":"x"}'), 'close'],
  ['EVENT without payload', text('42'), 'alive'],
  ['ACK without payload', text('430'), 'alive'],
  ['EVENT with an empty array', text('42[]'), 'close'],
  ['EVENT with an object', text('42{}'), 'close'],
  ['EVENT named null', text('42[null]'), 'close'],
  ['EVENT named true', text('42[true]'), 'close'],
  ['EVENT with broken JSON', text('42["a"'), 'close'],
  ['EVENT with more behind the JSON', text('42["a"]]'), 'close'],
  ['EVENT with white space behind', text('42["a"] \n'), 'alive'],
  ['EVENT named by a number', text('42[5,1]'), 'alive'],
  ...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener',
      'removeListener'].map((name) => (
    [`EVENT with the reserved name ${name}`, text(`42["${name}"]`), 'close'])),
  ['EVENT named error', text('42["error"]'), 'alive'],
  ['EVENT that nobody listens to', text('42["unknown",1]'), 'alive'],
  ['the same with an ack id', text('4217["unknown",1]'), 'alive'],
  ['the same with a long ack id', text('4299999999999999999999["unknown"]'),
    'alive'],
  ['ACK that nobody waits for', text('4399[1]'), 'alive'],
  ['ACK without id', text('43[1]'), 'alive'],
  ['the same ACK twice', [text('430[1]'), text('430[1]')], 'alive'],
  ['ACK with an object', text('430{"a":1}'), 'close'],
  ['Socket.IO packet 7', text('47["a"]'), 'close'],
  ['Socket.IO packet x', text('4x'), 'close'],
  ['an empty Socket.IO packet', text('4'), 'close'],
  ['BINARY_EVENT without attachments', text('450-["a"]'), 'close'],
  ['BINARY_EVENT without a count', text(`45[${attached}]`), 'close'],
  ['BINARY_EVENT with a negative count', text(`45-1-[${attached}]`), 'close'],
  ['BINARY_EVENT with half an attachment', text(`451.5-[${attached}]`),
    'close'],
  ['BINARY_EVENT with its attachment', [text(`451-[${attached}]`), binary(1)],
    'alive'],
  ['ten attachments', [text('4510-["a"]'),
    ...Array.from({ length: 10 }, () => binary(1))], 'alive'],
  ['eleven attachments', text('4511-["a"]'), 'close'],
  ['a placeholder out of range',
    [text('451-["a",{"_placeholder":true,"num":1}]'), binary(1)], 'close'],
  ['a placeholder with a string',
    [text('451-["a",{"_placeholder":true,"num":"0"}]'), binary(1)], 'close'],
  ['no placeholder', [text('451-["a"]'), binary(1)], 'alive'],
  ['text while an attachment is due', [text(`451-[${attached}]`),
    text('42["a"]')], 'close'],
  ['a pong while an attachment is due', [text(`451-[${attached}]`),
    text('3'), binary(1)], 'alive'],
  ['an attachment as base64 text', [text(`451-[${attached}]`),
    text('bAQID')], 'alive'],
  ['a binary frame when none is due', binary(1, 2, 3), 'close'],
  ['BINARY_ACK that nobody waits for',
    [text('461-9[{"_placeholder":true,"num":0}]'), binary(1)], 'alive'],
  ['DISCONNECT with a payload', text('41{}'), 'close'],
  ['JSON nested 60 deep', text(`42["a",${'['.repeat(60)}${']'.repeat(60)}]`),
    'alive'],
];

async function expectOutcome(ws, outcome) {
  if (outcome === 'close') {
    assert.equal(await ws.closing(), 1005);
    assert.deepEqual(ws.messages.filter((m) => !m.startsWith('44')), []);
    return;
  }

  if (outcome === 'refused') {
    assert.match(await ws.next(), /^44\{.*"code":"token_missing"/);
  } else if (outcome !== 'alive') {
    assert.equal(await ws.next(), outcome);
  }

  await ws.roundTrip();
  assert.equal(ws.closeCode, undefined);
  assert.deepEqual(ws.messages, []);
}

test('packets of a connection that is only open', async (t) => {
  const gw = await gateway(t);

  for (const [name, bytes, outcome] of OPENED) {
    await t.test(`${name}: ${outcome}`, async () => {
      const ws = await gw.socket();
      await ws.next();
      ws.write(Buffer.concat([].concat(bytes)));
      await expectOutcome(ws, outcome);
    });
  }
});

test('packets of a connected client', async (t) => {
  const gw = await gateway(t);

  for (const [name, bytes, outcome] of JOINED) {
    await t.test(`${name}: ${outcome}`, async () => {
      const ws = await gw.joined({ user: 'ann' });
      ws.write(Buffer.concat([].concat(bytes)));
      await expectOutcome(ws, outcome);
      if (outcome === 'alive') {
        assert.deepEqual(await gw.drain(ws), []);
      }
    });
  }
});

test('coming and going in the namespace', async (t) => {
  const gw = await gateway(t);

  await t.test('EVENT glued to CONNECT: closed, or ignored', async () => {
    const ws = await gw.socket();
    await ws.next();
    ws.write(Buffer.concat([
      text(`40${JSON.stringify(gw.auth({ user: 'ann' }))}`), text('42["a"]'),
    ]));
    await until(() => ws.closed || ws.messages.length === 2, 'either');
    if (!ws.closed) {
      assert.match(ws.messages[0], /^40\{"sid":/);
      assert.equal(ws.messages[1], '42["ready"]');
    }
  });

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

  await t.test('the server disconnects a socket', async () => {
    const ws = await gw.joined({ user: 'cid' });
    gw.emitter.in('user:cid').disconnectSockets();
    assert.equal(await ws.next(), '41');
    await ws.roundTrip();
    assert.equal(ws.closeCode, undefined);
  });

  await t.test('the server disconnects and closes', async () => {
    const ws = await gw.joined({ user: 'cid' });
    gw.emitter.in('user:cid').disconnectSockets(true);
    assert.equal(await ws.next(), '41');
    assert.equal(await ws.closing(), 1005);
  });

  await t.test('a refused CONNECT may be tried again', async () => {
    const ws = await gw.socket();
    await ws.next();
    ws.text('40{"token":"nonsense"}');
    assert.match(await ws.next(), /^44\{"message":"Authentication error: Inv/);
    ws.text(`40${JSON.stringify(gw.auth({ user: 'dan' }))}`);
    assert.match(await ws.next(), /^40\{"sid":/);
  });
});
