// Answers to those whose events came over the uplink: JSON commands, which
// nginx hears on a channel of its own.

const CHANNEL = 'socket.io-command';        // <redis_prefix>-command

/** redis: the connection that the emitter publishes on: so all is in order. */
export function createAnswers(redis) {

  // Redis tells how many have heard it.  After a restart of Redis that may be
  // nobody yet: then the entry is tried again.
  async function send(command) {
    const heard = await redis.publish(CHANNEL, JSON.stringify(command));

    if (heard === 0) {
      throw new Error('No gateway has heard the answer.');
    }
  }

  /** Calls the callback that the client has given with its event, if any. */
  async function answer({ nsp, sid, ack }, ...args) {
    if (ack !== '') {
      await send({ op: 'ack', nsp, sid, ack: Number(ack), args });
    }
  }

  /** The client has to learn of it, with or without a callback. */
  async function refuse(entry, message) {
    const { nsp, sid, ack, event } = entry;

    if (ack !== '') {
      await answer(entry, { error: message });
    } else {
      await send({ op: 'emit', nsp, to: sid, event: 'error',
                   args: [{ message, event }] });
    }
  }

  return { answer, refuse };
}
