// Who connects: connection i is in main room i mod MAINROOMS and in four
// filler rooms.
//
//   node tokens.js DIR CONNS MAINROOMS [ALG]
//
// writes DIR/tokens for Socket.IO, and DIR/paths1 and DIR/paths5 for plain
// WebSocket servers: subscriptions to the main room, or to all five.  With
// RS256 or ES256 the key to verify the tokens by is DIR/key.pem.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const crypto = require("node:crypto");
const jwt = require("jsonwebtoken");
const { SECRET } = require("./common");

const id = (kind, i) => (
  crypto.createHash("sha1").update(kind + i).digest("hex").slice(0, 24));

exports.room = (i) => id("main", i);

// The key to sign with; for all but HS256 a new pair.
function key(dir, alg) {
  if (alg === "HS256") {
    return SECRET;
  }
  const { publicKey, privateKey } = alg === "RS256"
    ? crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
    : crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });

  fs.writeFileSync(path.join(dir, "key.pem"),
                   publicKey.export({ type: "spki", format: "pem" }));
  return privateKey;
}

function main(dir, conns, rooms, algorithm = "HS256") {
  fs.mkdirSync(dir, { recursive: true });
  const secret = key(dir, algorithm);
  const lists = { tokens: [], paths1: [], paths5: [] };
  const exp = Math.floor(Date.now() / 1000) + 7 * 86400;
  let x = 12345;

  for (let i = 0; i < conns; i++) {
    const names = [id("main", i % rooms)];

    while (names.length < 5) {
      x = (Math.imul(x, 1103515245) + 12345) >>> 0;
      names.push(id("fill", (x >>> 4) % conns));
    }

    const claims = { sub: id("user", i), rooms: names, iat: exp - 86400, exp };
    lists.tokens.push(jwt.sign(claims, secret, { algorithm }));
    lists.paths1.push(`/sub/${names[0]}`);
    lists.paths5.push(`/sub/${names.join(",")}`);
  }

  for (const [name, lines] of Object.entries(lists)) {
    fs.writeFileSync(path.join(dir, name), lines.join("\n") + "\n");
  }
}

if (require.main === module) {
  main(process.argv[2], Number(process.argv[3]), Number(process.argv[4]),
       process.argv[5]);
}
