// A consumer of the uplink: of the stream that "socketio_forward" of nginx
// writes events of clients to.  It knows Redis, and nothing of what the events
// mean.
//
// Several backends may consume one stream: each entry is for one of them.  One
// that a backend has died with, or has failed at, is claimed by whoever is
// there; one that was delivered too often is put aside, in "<stream>:dead".  So
// each entry is handled at least once, and now and then twice: handle() has to
// take that.  Nothing is deleted here: how much the stream keeps is "maxlen" of
// the directive.

import { setTimeout as delay } from 'node:timers/promises';

import { RESP_TYPES } from 'redis';

const DEAD_KEPT = 10000;        // entries, or so
const PAUSE = 200;              // ms between attempts while Redis is in trouble

export class Uplink {
  /**
   * redis: a connected client, for all but waiting, which has one of its own.
   * stream, group; consumer: the name of this backend, the same after a restart.
   * handle(entry): a promise; what rejects, is tried again later.  One entry at
   * a time, those of a socket in the order of its events, unless it was tried
   * again.  entry: { id, event, user, sid, nsp, args, ack }.
   * buried(entry, reason): an entry was put aside; without args.
   * claimAfter: ms without a result after which an entry is taken from whoever
   * has it: more than handling a batch takes.
   * maxDeliveries: how often an entry is tried.
   * batch: entries read at once; block: ms, how long a stop may have to wait.
   */
  constructor({
    redis, stream, group, consumer, handle, buried = () => {},
    claimAfter = 30000, maxDeliveries = 5, batch = 50, block = 1000,
    log = console.log,
  }) {
    Object.assign(this, {
      redis, stream, group, consumer, handle, buried, claimAfter,
      maxDeliveries, batch, block, log,
    });
    this.bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    this.inHand = [];           // delivered, and not done with
    this.nextClaim = 0;
    this.cursor = '0-0';        // of a claim that has not come to the end
    this.trouble = '';
    this.stopping = new AbortController();
  }

  async start() {
    this.reader = this.redis.duplicate();
    this.reader.on('error', () => {});      // the same as on the other one
    await this.reader.connect();
    this.running = this.#run();
  }

  /** Finishes what is in hand, unless Redis is away; then others get it. */
  async stop() {
    this.stopping.abort();
    await this.running;
    this.reader.destroy();
  }

  async #run() {
    const { signal } = this.stopping;

    while (!signal.aborted || this.inHand.length > 0) {
      try {
        await this.#turn();
        this.trouble = '';
      } catch (error) {
        await this.#recover(error);
        if (signal.aborted) {
          return;
        }
      }
    }
  }

  async #turn() {
    if (this.inHand.length === 0) {
      this.inHand = Date.now() >= this.nextClaim
        ? await this.#claim() : await this.#read();
    }
    while (this.inHand.length > 0) {
      await this.#process(this.inHand[0]);
      this.inHand.shift();
    }
  }

  async #recover(error) {
    if (error.message.startsWith('NOGROUP') && await this.#createGroup()) {
      return;
    }
    if (this.redis.isReady && error.message !== this.trouble) {
      this.trouble = error.message;
      this.log(`uplink: ${error.message}`);
    }
    await delay(PAUSE, undefined, { signal: this.stopping.signal })
      .catch(() => {});
  }

  // "0": nginx may have written entries before there was a group
  #createGroup() {
    return this.redis.xGroupCreate(this.stream, this.group, '0',
                                   { MKSTREAM: true })
      .catch(() => false);
  }

  /** New entries. */
  async #read() {
    const reply = await this.reader
      .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
      .xReadGroup(this.group, this.consumer, { key: this.stream, id: '>' },
                  { COUNT: this.batch, BLOCK: this.block });

    return (reply?.[0].messages ?? [])
      .map((it) => ({ ...it, id: String(it.id), deliveries: 1 }));
  }

  /** Entries that somebody has had for too long. */
  async #claim() {
    const { nextId, messages, deletedMessages } = await this.bytes.xAutoClaim(
      this.stream, this.group, this.consumer, this.claimAfter, this.cursor,
      { COUNT: this.batch });

    this.cursor = String(nextId);
    if (this.cursor === '0-0') {
      this.nextClaim = Date.now() + this.claimAfter / 2;
    }
    if (deletedMessages?.length > 0) {
      this.log(`uplink: ${deletedMessages.length} entries were trimmed off`
               + ' the stream before they were done with: "maxlen" is small');
    }

    // before 7.0, what was trimmed is null
    return Promise.all(messages.filter(Boolean).map(async (it) => {
      const id = String(it.id);
      const [pending] = await this.redis.xPendingRange(
        this.stream, this.group, id, id, 1);
      return { ...it, id, deliveries: pending?.deliveriesCounter ?? 1 };
    }));
  }

  async #process({ id, message, deliveries }) {
    const entry = headOf(id, message);

    if (deliveries > this.maxDeliveries) {
      await this.#bury(entry, message, deliveries);
      return;
    }
    try {
      await this.handle({ ...entry, args: argsOf(message) });
    } catch (error) {
      // not the fault of the entry: it stays in hand
      if (!this.redis.isReady) {
        throw error;
      }
      this.log(`uplink: entry ${id}, delivery ${deliveries}: ${error.stack}`);
      await this.#failed(entry, message, deliveries, error);
      return;
    }
    await this.redis.xAck(this.stream, this.group, id);
  }

  // one that is not acknowledged is claimed later
  async #failed(entry, message, deliveries, error) {
    if (deliveries >= this.maxDeliveries) {
      await this.#bury(entry, message, deliveries, error.message);
    }
  }

  async #bury(entry, message, deliveries, reason = 'never finished') {
    await this.redis.multi()
      .xAdd(`${this.stream}:dead`, '*', {
        ...message,
        entry: entry.id,
        deliveries: String(deliveries),
        reason,
      }, {
        TRIM: {
          strategy: 'MAXLEN', strategyModifier: '~', threshold: DEAD_KEPT,
        },
      })
      .xAck(this.stream, this.group, entry.id)
      .exec();
    this.log(`uplink: entry ${entry.id} is put aside: ${reason}`);

    try {
      await this.buried(entry, reason);
    } catch (error) {
      this.log(`uplink: entry ${entry.id}: ${error.message}`);
    }
  }
}

/** What nginx says of an event. */
function headOf(id, message) {
  const text = (name) => String(message[name] ?? '');

  return {
    id,
    event: text('event'),
    user: text('user'),
    sid: text('sid'),
    nsp: text('nsp'),
    ack: text('ack'),
  };
}

/** What the client says; binary arguments stand in fields of their own. */
function argsOf(message) {
  return JSON.parse(String(message.args), (_, value) => (
    value?._placeholder === true ? message[`bin${value.num}`] ?? value
      : value));
}
