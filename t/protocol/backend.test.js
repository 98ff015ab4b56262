'use strict';

// What clients get of a backend behind the uplink, packet by packet: whatever
// carries the packets, and in whatever form the backend answers.

const { test } = require('node:test');
const assert = require('node:assert/strict');

const { server, forwarded } = require('./lib/server');
const { FORMS } = require('./lib/answers');
const { PEERS } = require('./lib/peers');
const { until, parallel } = require('../gateway/lib/expect');

const NAMESPACES = ['', '/custom,'];
const INVALID = '{"message":"Invalid namespace"}';

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = (n, from = 0) => Buffer.from(
  Array.from({ length: n }, (_, i) => (from + i * 7) & 255));

/** A random order that is the same each time. */
function shuffled(list) {
  let seed = 1;
  const rank = () => {
    seed = (seed * 48271) % 2147483647;
    return seed;
  };
  return list.map((it) => [rank(), it]).sort(([a], [b]) => a - b)
    .map(([, it]) => it);
}

/**
 * A test for each number of workers and each form, and in it one for each kind
 * of peer: body(t, gw, () => a new peer, form).
 */
function everyhow(name, body, options) {
  for (const form of FORMS) {
    for (const workers of [1, 3]) {
      test(`${name}, ${form}, workers: ${workers}`, async (t) => {
        const gw = await server(t, { ...options, form, workers });

        for (const [kind, Kind] of Object.entries(PEERS)) {
          await t.test(kind, (inner) => (
            body(inner, gw, () => Kind.open(gw), form)));
        }
      });
    }
  }
}

everyhow('what a client says of itself', async (t, gw, open) => {
  for (const nsp of NAMESPACES) {
    for (const [payload, auth = payload] of [
      ['', '{}'],
      ['{}'],
      ['{"token":"123"}'],
      ['{"token":null,"a":{"b":[1,2.5,"\u00e4\\n",true,null]},"c":""}'],
      ['{"b":1,"a":2}'],
      // These are between the client's library and the gateway.
      ['{"pid":"x","offset":"y","z":1}', '{"z":1}'],
    ]) {
      await t.test(`40${nsp}${payload}`, async () => {
        const peer = await open();
        assert.equal((await peer.join(nsp, payload)).auth, auth);
      });
    }
  }

  await t.test('a namespace without a comma', async () => {
    const peer = await open();
    assert.equal((await peer.join('/custom')).auth, '{}');
  });

  await t.test('in each namespace something else', async () => {
    const peer = await open();
    const first = await peer.join('', '{"n":1}');
    const second = await peer.join('/custom,', '{"n":2}');
    assert.deepEqual([first.auth, second.auth], ['{"n":1}', '{"n":2}']);
    assert.notEqual(first.sid, second.sid);
  });
});

everyhow('an unknown namespace', async (t, gw, open) => {
  const peer = await open();
  await peer.send('40/random');
  await peer.gets(`44/random,${INVALID}`);
  await peer.send('40/random,{"token":"123"}');
  await peer.gets(`44/random,${INVALID}`);
  await peer.join('/custom,');
  await peer.send('40/customs,');
  await peer.gets(`44/customs,${INVALID}`);
  await peer.send('42/custom,["message"]');
  await peer.gets('42/custom,["message-back"]');
  assert.deepEqual(await forwarded(gw, '/random'), []);
});

everyhow('one namespace is left', async (t, gw, open) => {
  for (const [left, kept] of [NAMESPACES, [...NAMESPACES].reverse()]) {
    await t.test(left || '/', async () => {
      const peer = await open();
      const { sid } = await peer.join(left);
      await peer.join(kept);
      await peer.send(`41${left}`);
      await peer.send(`42${kept}["message","here"]`);
      await peer.gets(`42${kept}["message-back","here"]`);

      // What comes behind for who has left is for nobody.
      gw.emitter.of(left.replace(',', '') || '/').emit('away');
      await peer.send(`42${kept}1["message-with-ack","still"]`);
      await peer.gets(`43${kept}1["still"]`);

      const again = await peer.join(left, '{"again":true}');
      assert.notEqual(again.sid, sid);
      assert.equal(again.auth, '{"again":true}');
      await peer.send(`42${left}["message","back"]`);
      await peer.gets(`42${left}["message-back","back"]`);
    });
  }

  await t.test('none is left over', async () => {
    const peer = await open();
    for (const nsp of NAMESPACES) {
      await peer.join(nsp);
      await peer.send(`41${nsp}`);
    }
    await peer.join();
  });
});

everyhow('a message', async (t, gw, open, form) => {
  // The adapter's messages carry values, the commands the text itself.
  const kept = (packet) => (form === 'commands' ? packet
    : packet.replace(/\[.*/s, (json) => JSON.stringify(JSON.parse(json))));

  for (const nsp of NAMESPACES) {
    const peer = await open();
    await peer.join(nsp);

    for (const args of [
      '', ',1,"2",{"3":[true]}', ',null', ',[[[]]],{}', ',"\u00e4\u{1f389}"',
      ',{"z":1,"a":2,"10":3,"9":4}', ',1.0,-0,1e3,0.1,9007199254740993',
      ',"\\u0000\\n\\"\\u00e4"', `,"${'x'.repeat(100000)}"`,
      `,${placeholder(0)},{"a":${placeholder(1)}}`,
    ]) {
      await t.test(`${nsp || '/'} ${args.slice(0, 40)}`, async () => {
        await peer.send(`42${nsp}["message"${args}]`);
        assert.equal(kept(await peer.next()),
                     kept(`42${nsp}["message-back"${args}]`));
        await peer.send(`42${nsp}17["message-with-ack"${args}]`);
        assert.equal(kept(await peer.next()),
                     kept(`43${nsp}17[${args.slice(1)}]`));
      });
    }

    await t.test(`${nsp || '/'} an event of another name`, async () => {
      await peer.send(`42${nsp}["other",1]`);
      await peer.send(`42${nsp}9["toString",1]`);
      await peer.send(`42${nsp}["message-with-ack","no id"]`);
      await peer.send(`42${nsp}["message"]`);
      await peer.gets(`42${nsp}["message-back"]`);
    });
  }
});

everyhow('attachments', async (t, gw, open) => {
  const cases = {
    two: [`${placeholder(0)},${placeholder(1)}`,
          [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])]],
    nested: [`{"a":[${placeholder(0)},{"b":${placeholder(1)}}],"c":"d"},7,`
             + `[[${placeholder(2)}]]`, [bytes(3), bytes(70000), bytes(1)]],
    empty: [placeholder(0), [Buffer.alloc(0)]],
    'as many as there may be': [
      Array.from({ length: 10 }, (_, i) => placeholder(i)).join(','),
      Array.from({ length: 10 }, (_, i) => bytes(i + 1, i)),
    ],
  };

  for (const nsp of NAMESPACES) {
    const peer = await open();
    await peer.join(nsp);

    for (const [name, [args, parts]] of Object.entries(cases)) {
      const head = `${parts.length}-${nsp}`;

      await t.test(`${nsp || '/'} ${name}`, async () => {
        await peer.send(`45${head}["message",${args}]`, ...parts);
        await peer.gets(`45${head}["message-back",${args}]`, ...parts);
      });

      await t.test(`${nsp || '/'} ${name}, answered`, async () => {
        await peer.send(`45${head}789["message-with-ack",${args}]`, ...parts);
        await peer.gets(`46${head}789[${args}]`, ...parts);
      });
    }

    await t.test(`${nsp || '/'} out of their order`, async () => {
      const parts = [bytes(2), bytes(3)];
      await peer.send(
        `452-${nsp}["message",${placeholder(1)},${placeholder(0)}]`, ...parts);
      await peer.gets(
        `452-${nsp}["message-back",${placeholder(0)},${placeholder(1)}]`,
        parts[1], parts[0]);
    });

    await t.test(`${nsp || '/'} one after the other`, async () => {
      const parts = [bytes(2), bytes(3)];
      await peer.send(
        `452-${nsp}["message",${placeholder(0)},${placeholder(1)}]`);
      for (const part of parts) {
        await peer.send(part);
      }
      await peer.gets(
        `452-${nsp}["message-back",${placeholder(0)},${placeholder(1)}]`,
        ...parts);
    });
  }
});

everyhow('ids', async (t, gw, open) => {
  for (const nsp of NAMESPACES) {
    await t.test(nsp || '/', async () => {
      const peer = await open();
      await peer.join(nsp);
      const ids = shuffled([
        ...Array.from({ length: 200 }, (_, i) => i), 4294967295, 4294967296,
        Number.MAX_SAFE_INTEGER,
      ]);
      for (let i = 0; i < ids.length; i += 20) {
        await peer.send(...ids.slice(i, i + 20).map(
          (id) => `42${nsp}${id}["message-with-ack",${id}]`));
      }
      await peer.gets(...ids.map((id) => `43${nsp}${id}[${id}]`));
    });
  }

  await t.test('the same one in two namespaces', async () => {
    const peer = await open();
    for (const nsp of NAMESPACES) {
      await peer.join(nsp);
    }
    await peer.send('42/custom,5["message-with-ack","c"]',
                    '425["message-with-ack","m"]');
    // between namespaces there is no order
    assert.deepEqual([await peer.next(), await peer.next()].sort(),
                     ['43/custom,5["c"]', '435["m"]']);
  });
});

// Of one socket: those of another namespace may come in between.
everyhow('many in their order', async (t, gw, open) => {
  const peer = await open();
  const expected = NAMESPACES.map(() => []);

  for (const nsp of NAMESPACES) {
    await peer.join(nsp);
  }
  for (let post = 0; post < 30; post++) {
    const packets = [];
    for (let i = 0; i < 20; i++) {
      const n = post * 20 + i;
      const nsp = NAMESPACES[n % 2];
      const part = bytes(n % 50, n);
      switch (n % 3) {
      case 0:
        packets.push(`42${nsp}["message",${n}]`);
        expected[n % 2].push([`42${nsp}["message-back",${n}]`]);
        break;
      case 1:
        packets.push(`42${nsp}${n}["message-with-ack",${n}]`);
        expected[n % 2].push([`43${nsp}${n}[${n}]`]);
        break;
      default:
        packets.push(`451-${nsp}["message",${placeholder(0)}]`, part);
        expected[n % 2].push(
          [`451-${nsp}["message-back",${placeholder(0)}]`, part]);
      }
    }
    await peer.send(...packets);
  }

  const got = NAMESPACES.map(() => []);
  for (let n = 0; n < 600; n++) {
    const packet = await peer.next();
    got[packet.includes('/custom,') ? 1 : 0].push(
      packet.startsWith('45') ? [packet, await peer.next()] : [packet]);
  }
  assert.deepEqual(got, expected);
});

everyhow('invalid packets', async (t, gw, open) => {
  for (const packet of [
    'abc', '2{}', '2[]', '2abc["message-with-ack",1]', '2["message",1',
    '2["message"]]', '5["message"]', `51-["message",${placeholder(1)}]`,
  ]) {
    await t.test(`4${packet}`, async () => {
      const peer = await open();
      const { sid } = await peer.join();
      await peer.send('421["message-with-ack","before"]');
      await peer.gets('431["before"]');
      await peer.send(`4${packet}`, ...(packet.startsWith('51')
        ? [bytes(1)] : []));
      await peer.closed();

      let mine;
      await until(async () => {
        const list = await gw.redis.commands.xRange('up', '-', '+');
        mine = list.filter(({ message }) => message.sid === sid)
          .map(({ message }) => message.event);
        return mine.at(-1) === '$disconnect';
      }, 'the end is told');
      assert.deepEqual(mine,
                       ['$connect', 'message-with-ack', '$disconnect']);
    });
  }

  for (const packet of ['abc', '2["message"]', '2/custom,["message"]', '1',
                        '0[]', '0"x"']) {
    await t.test(`4${packet} before CONNECT`, async () => {
      const peer = await open();
      await peer.send(`4${packet}`);
      await peer.closed();
    });
  }
});

everyhow('no CONNECT', async (t, gw, open) => {
  const late = await open();
  const refused = await open();
  const peer = await open();
  const since = performance.now();

  await peer.join('/custom,');
  await refused.send('40/random');
  await refused.gets(`44/random,${INVALID}`);
  await Promise.all([late.closed(), refused.closed()]);
  assert.ok(performance.now() - since > 300, 'too early');

  await peer.send('42/custom,["message"]');
  await peer.gets('42/custom,["message-back"]');
}, { location: { socketio_connect_timeout: '400ms' } });

// Everybody gets what is his, all at once.
for (const form of FORMS) {
  for (const workers of [1, 3]) {
    test(`many peers, ${form}, workers: ${workers}`, async (t) => {
      const gw = await server(t, { form, workers });
      const kinds = Object.values(PEERS);

      const all = Array.from({ length: 60 }, (_, i) => i);

      await parallel(all, all.length, async (i) => {
        const peer = await kinds[i % 3].open(gw);
        const nsp = NAMESPACES[i % 2];
        const { auth } = await peer.join(nsp, `{"i":${i}}`);
        assert.equal(auth, `{"i":${i}}`);

        for (let n = 0; n < 20; n++) {
          const part = bytes(n, i);
          await peer.send(
            `42${nsp}["message",${i},${n}]`,
            `451-${nsp}${n}["message-with-ack",${placeholder(0)}]`, part);
          await peer.gets(`42${nsp}["message-back",${i},${n}]`,
                          `461-${nsp}${n}[${placeholder(0)}]`, part);
        }
      });
    });
  }
}
