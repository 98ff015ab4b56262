'use strict';

// Long-polling over HTTP/2, request by request.

const assert = require('node:assert/strict');
const http2 = require('node:http2');

const { RS } = require('./polling');
const { within } = require('./expect');

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
  request(method, path, body, headers = {}) {
    const stream = this.session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: body === undefined });
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

module.exports = { Http2 };
