'use strict';

// Long-polling over HTTP/2: many requests on one connection.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const http2 = require('node:http2');

const { gateway, eachWorkers } = require('./lib/gateway');
const { RS } = require('./lib/polling');
const { until, within } = require('./lib/expect');

const query = (sid) => `/socket.io/?EIO=4&transport=polling${
  sid ? `&sid=${sid}` : ''}`;

/** One HTTP/2 connection. */
class Http2 {
  static async open(gw, t) {
    const it = new Http2();
    it.session = http2.connect(gw.url, { rejectUnauthorized: false });
    it.session.on('error', () => {});
    t.after(() => it.session.destroy());
    await within(new Promise((resolve, reject) => {
      it.session.once('connect', resolve);
      it.session.once('error', reject);
    }), 'an HTTP/2 connection');
    return it;
  }

  /** A request: { stream, answer (a promise: status, headers, body) }. */
  request(method, path, body) {
    const stream = this.session.request(
      { ':method': method, ':path': path }, { endStream: body === undefined });
    const answer = within(new Promise((resolve, reject) => {
      let headers;
      const chunks = [];
      stream.on('response', (it) => { headers = it; });
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => {
        if (headers) {
          resolve({
            status: headers[':status'], headers,
            body: Buffer.concat(chunks).toString(),
          });
        }
      });
      stream.on('close', () => reject(new Error('the stream was closed')));
    }), 'an answer');

    // Whoever waits for it later still gets the failure.
    answer.catch(() => {});
    if (body !== undefined) {
      stream.end(body);
    }
    return { stream, answer };
  }

  get(sid) {
    return this.request('GET', query(sid)).answer;
  }

  post(sid, body) {
    return this.request('POST', query(sid), body).answer;
  }

  /** A session that is connected to "/", in room "r". */
  async joined(gw) {
    const { sid } = JSON.parse((await this.get()).body.slice(1));
    const auth = gw.auth({ user: 'ann', rooms: ['r'] });
    assert.equal((await this.post(sid, `40${JSON.stringify(auth)}`)).body,
                 'ok');
    const packets = [];
    while (packets.length < 2) {
      packets.push(...(await this.get(sid)).body.split(RS));
    }
    assert.match(packets[0], /^40\{"sid":/);
    assert.equal(packets[1], '42["ready"]');
    return sid;
  }

  /** A GET that the server has begun to handle. */
  async hold(sid) {
    const held = this.request('GET', query(sid));
    // Streams of one connection are begun in their order.
    assert.equal((await this.post(sid, '6')).body, 'ok');
    return held;
  }

  async alive(sid) {
    // A POST under way when the session ends may be left without an answer.
    const { status, body } = await this.post(sid, '6')
      .catch(() => this.post(sid, '6'));
    if (status === 200) {
      return true;
    }
    assert.equal(body, '{"code":1,"message":"Session ID unknown"}');
    return false;
  }
}

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
