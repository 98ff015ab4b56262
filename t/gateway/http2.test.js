'use strict';

// Long-polling over HTTP/2: many requests on one connection.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const http2 = require('node:http2');

const { gateway, eachWorkers } = require('./lib/gateway');
const { Http2 } = require('./lib/http2');
const { until } = require('./lib/expect');

eachWorkers([1, 3], 'long-polling over HTTP/2', async (t, workers) => {
  const gw = await gateway(t, {
    workers, tls: true, listen: workers > 1 ? 'http2 reuseport' : 'http2',
  });
  const h2 = await Http2.open(gw, t);

  await t.test('the headers', async () => {
    const open = await h2.get();
    assert.equal(open.status, 200);
    assert.equal(open.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(open.headers['cache-control'], 'no-store');
    assert.equal(open.headers['content-length'], String(open.body.length));
    assert.match(open.body, /^0\{"sid":"[\w-]{20}","upgrades":/);

    const ok = await h2.post(JSON.parse(open.body.slice(1)).sid, '3');
    assert.equal(ok.headers['content-type'], 'text/html');
    assert.equal(ok.body, 'ok');

    const refused = await h2.get('nobody');
    assert.equal(refused.status, 400);
    assert.equal(refused.body, '{"code":1,"message":"Session ID unknown"}');
  });

  await t.test('GETs are held beside POSTs', async () => {
    const sid = await h2.joined(gw);
    for (let i = 0; i < 20; i++) {
      const { answer } = await h2.hold(sid);
      gw.emitter.to('r').emit('e', i);
      assert.equal((await answer).body, `42["e",${i}]`);
    }
  });

  await t.test('100 sessions on one connection', async () => {
    const sids = await Promise.all(Array.from({ length: 100 }, () => (
      h2.joined(gw))));
    const held = await Promise.all(sids.map((sid) => h2.hold(sid)));
    gw.emitter.to('r').emit('e', 'all');
    for (const { answer } of held) {
      assert.equal((await answer).body, '42["e","all"]');
    }
  });

  await t.test('large bodies', async () => {
    const sid = await h2.joined(gw);
    const text = 'x'.repeat(300000);
    assert.equal((await h2.post(sid, `6${text}`)).body, 'ok');
    const { answer } = await h2.hold(sid);
    gw.emitter.to('r').emit('e', text);
    assert.equal((await answer).body, `42["e","${text}"]`);
    assert.equal((await h2.post(sid, '6'.repeat(1000001))).status, 413);
    assert.equal(await h2.alive(sid), true);
  });

  await t.test('a second GET', async () => {
    const sid = await h2.joined(gw);
    const { answer } = await h2.hold(sid);
    const second = await h2.get(sid);
    assert.deepEqual([second.status, second.body], [400, '']);
    assert.equal((await answer).body, '1');
    assert.equal(await h2.alive(sid), false);
  });

  await t.test('an aborted GET', async () => {
    const sid = await h2.joined(gw);
    const other = await h2.joined(gw);
    const { stream, answer } = await h2.hold(sid);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await assert.rejects(answer);
    await until(async () => !await h2.alive(sid), 'it is gone');
    assert.equal(await h2.alive(other), true);
  });

  await t.test('the end of the connection', async () => {
    const second = await Http2.open(gw, t);
    const sid = await second.joined(gw);
    const idle = await second.joined(gw);
    await second.hold(sid);
    second.session.destroy();
    await until(async () => !await h2.alive(sid), 'it is gone');
    assert.equal(await h2.alive(idle), true);
  });
});
