// A consumer of the uplink: of the stream that "socketio_forward" of nginx
// writes events of clients to.  It knows Redis, and nothing of what the events
// mean.
//
// Several backends may consume one stream: each entry is for one of them.  What
// a backend has left behind, it takes up when it is back, before anything new;
// and if it does not come back, others claim it.  So is what it has failed at
// tried again.  An entry that was delivered too often is put aside, in
// "<stream>:dead".
//
// Each entry is handled at least once, and now and then twice: handle() has to
// take that.  Nothing is deleted here: how much the stream keeps is "maxlen" of
// the directive.

import { setTimeout as delay } from 'node:timers/promises';

import { RESP_TYPES } from 'redis';

const DEAD_KEPT = 10000;        // entries, or so
const PAUSE = 200;              // ms between attempts while Redis is in trouble

export class Uplink {
  /**
   * redis: a connected client, for all but waiting, which has one of its own.
   * stream, group; consumer: the name of this backend, which no other one has
   * while it runs, and which is the same after a restart.
   * handle(entry): a promise; what rejects is tried again later.  One entry at
   * a time, those of a socket in the order of its events, but for what is
   * tried again.  entry: { id, event, user, sid, nsp, args, ack }.
   * buried(entry, reason): an entry was put aside; without args.
   * claimAfter: ms without a result after which an entry is taken from whoever
   * has it: more than handling a batch takes.
   * maxDeliveries: how often an entry is tried, 2 or more.
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
    this.inHand = [];           // delivered, and not done with
    this.leftFrom = '-';        // what was left behind is read from there
    this.nextClaim = 0;
    this.claimFrom = '0-0';
    this.trimmed = 0;           // entries that nobody can handle any more
    this.trouble = '';
    this.stopping = new AbortController();
  }

  async start() {
    this.reader = this.redis.duplicate()
      .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    this.reader.on('error', () => {});      // the other one says so
    await this.reader.connect();
    this.running = this.#run();
  }

  /** Finishes what is in hand, unless Redis is away; then others get it. */
  async stop() {
    this.stopping.abort();
    await this.running;
    if (this.reader.isOpen) {
      this.reader.destroy();
    }
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
      this.inHand = await this.#next();
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

  #next() {
    if (this.leftFrom) {
      return this.#readLeft();
    }
    return Date.now() >= this.nextClaim ? this.#claim() : this.#readNew();
  }

  async #readNew() {
    try {
      const reply = await this.reader.xReadGroup(
        this.group, this.consumer, { key: this.stream, id: '>' },
        { COUNT: this.batch, BLOCK: this.block });

      return (reply?.[0].messages ?? []).map((it) => entryOf(it, 1));
    } catch (error) {
      // what Redis has sent meanwhile is lost, and ours all the same
      this.leftFrom = '-';
      throw error;
    }
  }

  // What comes again comes one by one: an entry that kills its consumer raises
  // the count of those that were delivered with it once only.

  /** What this consumer was given, and has not acknowledged. */
  async #readLeft() {
    const [pending] = await this.redis.xPendingRange(
      this.stream, this.group, this.leftFrom, '+', 1,
      { consumer: this.consumer });

    if (!pending) {
      this.leftFrom = undefined;
      this.#sayTrimmed();
      return [];
    }

    const { id, deliveriesCounter } = pending;
    const messages = present(await this.reader.xClaim(
      this.stream, this.group, this.consumer, 0, id));

    this.leftFrom = `(${id}`;
    this.trimmed += 1 - messages.length;
    return messages.map((it) => entryOf(it, deliveriesCounter + 1));
  }

  /** What anybody has had for too long. */
  async #claim() {
    const { nextId, messages, deletedMessages = [] } = (
      await this.reader.xAutoClaim(
        this.stream, this.group, this.consumer, this.claimAfter,
        this.claimFrom, { COUNT: 1 }));

    this.claimFrom = String(nextId);
    this.trimmed += deletedMessages.length;

    if (this.claimFrom === '0-0') {
      this.nextClaim = Date.now() + this.claimAfter / 2;
      this.#sayTrimmed();
    }

    return Promise.all(present(messages).map(async (it) => {
      const id = String(it.id);
      const [pending] = await this.redis.xPendingRange(
        this.stream, this.group, id, id, 1);
      return entryOf(it, pending?.deliveriesCounter ?? 1);
    }));
  }

  #sayTrimmed() {
    if (this.trimmed > 0) {
      this.log(`uplink: ${this.trimmed} entries were trimmed off the stream`
               + ' before they were done with: "maxlen" is too small');
    }
    this.trimmed = 0;
  }

  async #process({ fields, deliveries, ...entry }) {
    if (deliveries > this.maxDeliveries) {
      await this.#bury(entry, fields, deliveries, 'never finished');
      return;
    }
    try {
      await this.handle({ ...entry, args: argsOf(fields) });
    } catch (error) {
      // not the fault of the entry: it stays in hand
      if (!this.redis.isReady) {
        throw error;
      }
      this.log(`uplink: ${entry.id}, delivery ${deliveries}: ${error.stack}`);
      // else it stays pending, and is claimed
      if (deliveries === this.maxDeliveries) {
        await this.#bury(entry, fields, deliveries, error.message);
      }
      return;
    }
    await this.redis.xAck(this.stream, this.group, entry.id);
  }

  async #bury(entry, fields, deliveries, reason) {
    await this.redis.multi()
      .xAdd(`${this.stream}:dead`, '*', {
        ...fields, entry: entry.id, deliveries: String(deliveries), reason,
      }, { TRIM: {
        strategy: 'MAXLEN', strategyModifier: '~', threshold: DEAD_KEPT,
      } })
      .xAck(this.stream, this.group, entry.id)
      .exec();
    this.log(`uplink: ${entry.id} is put aside: ${reason}`);

    try {
      await this.buried(entry, reason);
    } catch (error) {
      this.log(`uplink: ${entry.id}: ${error.message}`);
    }
  }
}

/** What nginx says of an event; fields: all, with what the client says. */
function entryOf({ id, message: fields }, deliveries) {
  const text = (name) => String(fields[name] ?? '');

  return {
    id: String(id),
    event: text('event'),
    user: text('user'),
    sid: text('sid'),
    nsp: text('nsp'),
    ack: text('ack'),
    fields,
    deliveries,
  };
}

// null is what was trimmed, before Redis 7.0
function present(messages) {
  return messages.filter(Boolean);
}

/** The arguments of an event; binary ones stand in fields of their own. */
function argsOf(fields) {
  return JSON.parse(String(fields.args), (_, value) => (
    value?._placeholder === true ? fields[`bin${value.num}`] ?? value : value));
}
