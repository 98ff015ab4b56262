// Publishes chat messages of about 350 bytes to the main rooms of tokens.js.
//
//   node publish.js redis|http|ws PORT ROOMS COUNT RATE [BYTES]
//
// RATE 0: a burst.  BYTES: so long is a message, or some bytes less.  WARM=n in
// the environment: as many are sent to nobody before, so that the first ones
// are not late because of this program.
"use strict";
const { room } = require("./tokens");

const target = process.argv[2];
const [port, rooms, count, rate, bytes] = process.argv.slice(3).map(Number);

let x = 777;

function pick() {
  x = (Math.imul(x, 1103515245) + 12345) >>> 0;
  return (x >>> 8) % rooms;
}

// Text that a compressor halves or better, as it does with what people write.
function words(length) {
  const list = "the room was quiet when deploy went out to every host again "
               + "and nobody had seen what it changed";
  const known = list.split(" ");
  let text = "";
  for (let i = 1; text.length < length; i = (i * 48271) % 2147483647) {
    text += `${known[i % known.length]}${i % 7 ? "" : i % 1000} `;
  }
  return text.slice(0, length);
}

const OTHERS = 250;             // bytes of a message besides its content
const LEAST = 66;               // of one that has nothing but t and n
const content = bytes
  ? words(Math.max(bytes - OTHERS, 1))
  : "Has anyone looked at the deploy from this morning? Looks fine here.";

// A short message has no place for more than what sioload reads.
const short = (n) => ({
  t: Number(process.hrtime.bigint()), n, content: "x".repeat(bytes - LEAST),
});

// t is the time by which sioload knows the latency, n the number by which it
// sees gaps.
const message = (n, channel) => (bytes && bytes < OTHERS ? short(n) : {
  t: Number(process.hrtime.bigint()),
  n,
  id: "65a1f0c2b7e4d9" + String(n).padStart(10, "0"),
  channelId: channel,
  author: {
    id: "65a0be11c9d2f3a4b5c6d7e8",
    username: "marguerite",
    avatar: "a_3f9d1c",
  },
  content,
  type: 0,
  attachments: [],
  createdAt: "2026-01-15T09:26:53.589Z",
});

const packet = (n, channel) => (
  "42" + JSON.stringify(["MESSAGE_CREATE", message(n, channel)]));

// The emitter of Socket.IO.
async function redis() {
  const { createClient } = require("redis");
  const { Emitter } = require("@socket.io/redis-emitter");

  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  await client.connect();
  const emitter = new Emitter(client);

  return {
    send: (n, r) => emitter.to(r).emit("MESSAGE_CREATE", message(n, r)),
    busy: () => false,
    taken: () => client.ping(),
    end: async () => { await client.ping(); await client.close(); },
  };
}

// POST /pub/ROOM on one connection, pipelined.
async function http() {
  const socket = require("node:net").connect(port, "127.0.0.1");
  const status = "HTTP/1.1 20";
  let sent = 0;
  let answers = 0;
  let tail = "";
  let done;

  socket.setNoDelay(true);
  await new Promise((resolve) => socket.once("connect", resolve));

  socket.on("data", (data) => {
    tail += data.toString("latin1");
    for (let i; (i = tail.indexOf(status)) >= 0;) {
      answers++;
      tail = tail.slice(i + status.length);
    }
    if (tail.length > 4096) {
      tail = tail.slice(-32);
    }
    if (done && answers >= sent) {
      done();
    }
  });

  return {
    send(n, r) {
      const body = packet(n, r);
      sent++;
      socket.write(`POST /pub/${r} HTTP/1.1\r\nHost: a\r\n`
                   + "Content-Type: text/plain\r\n"
                   + `Content-Length: ${body.length}\r\n\r\n${body}`);
    },
    busy: () => sent - answers > 64,
    async taken() {
      if (answers < sent) {
        await new Promise((resolve) => { done = resolve; });
      }
    },
    async end() {
      await this.taken();
      socket.destroy();
    },
  };
}

// A WebSocket to /pub, one message "ROOM PACKET" each.
async function ws() {
  const WebSocket = require("ws");
  const socket = new WebSocket(`ws://127.0.0.1:${port}/pub`,
                               { perMessageDeflate: false });

  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });

  return {
    send: (n, r) => socket.send(`${r} ${packet(n, r)}`),
    busy: () => socket.bufferedAmount > 1 << 20,
    taken: async () => {},
    end: () => new Promise((resolve) => {
      socket.once("close", resolve);
      socket.close();
    }),
  };
}

async function main() {
  const to = await { redis, http, ws }[target]();
  if (process.env.WARM) {
    for (let n = 0; n < Number(process.env.WARM); n++) {
      to.send(n, room(-1));
      await new Promise(setImmediate);
    }
    // and nobody is busy with those any more
    await to.taken();
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
  const start = process.hrtime.bigint();
  const tick = () => new Promise((resolve) => {
    if (rate) {
      setTimeout(resolve, 1);
    } else {
      setImmediate(resolve);
    }
  });

  for (let n = 0; n < count;) {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const due = Math.min(count, rate ? 1 + seconds * rate : n + 64);

    while (n < due && !to.busy()) {
      to.send(n, room(rooms === 1 ? 0 : pick()));
      n++;
    }
    await tick();
  }

  await to.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
