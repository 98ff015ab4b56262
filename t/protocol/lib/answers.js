'use strict';

// The forms in which a backend may answer an entry of the stream:
//
//   commands   JSON commands, with the arguments as they stand in the entry;
//              bytes, which no JSON has, take the other form
//   adapter    the stock emitter; for acknowledgements, which that has not, the
//              messages that the adapter of a node sends
//
// All take one connection, so that answers arrive in the order of the entries.

const { encode } = require('../../gateway/lib/msgpack');

const PREFIX = 'socket.io';

/** The arguments as values, each buffer in the place of its placeholder. */
function values({ args, bin }) {
  return bin.length === 0 ? JSON.parse(args)
    : JSON.parse(args, (key, value) => (
      value?._placeholder === true ? bin[value.num] : value));
}

/** An id of a client, whole: it may be any that fits 64 bits. */
const integer = (ack) => (
  Number.isSafeInteger(Number(ack)) ? Number(ack) : BigInt(ack));

class Adapter {
  constructor(redis) {
    this.redis = redis.commands;
    this.emitter = redis.emitter;
  }

  emit(entry, event) {
    this.emitter.of(entry.nsp).to(entry.sid).emit(event, ...values(entry));
  }

  ack(entry) {
    const { nsp, sid, ack } = entry;

    return this.redis.publish(`${PREFIX}#${nsp}#${sid}#`, encode([
      'backend', { type: 3, id: integer(ack), data: values(entry), nsp },
      { rooms: [sid] },
    ]));
  }
}

class Commands {
  constructor(redis) {
    this.redis = redis.commands;
    this.binary = new Adapter(redis);
  }

  emit(entry, event) {
    const { nsp, sid } = entry;

    return entry.bin.length > 0 ? this.binary.emit(entry, event)
      : this.#send({ nsp, to: sid, event }, entry);
  }

  ack(entry) {
    const { nsp, sid, ack } = entry;

    return entry.bin.length > 0 ? this.binary.ack(entry)
      : this.#send({ op: 'ack', nsp, sid }, entry, `"ack":${ack},`);
  }

  /** The arguments are text already, and so is more. */
  #send(command, { args }, more = '') {
    return this.redis.publish(
      `${PREFIX}-command`,
      `${JSON.stringify(command).slice(0, -1)},${more}"args":${args}}`);
  }
}

const FORMS = { commands: Commands, adapter: Adapter };

/** What emits, and acknowledges, in one of the forms. */
const answers = (form, redis) => new FORMS[form](redis);

module.exports = { answers, FORMS: Object.keys(FORMS) };
