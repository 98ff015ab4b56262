// Events of clients, as routes are for requests: each has a handler, and what
// it returns is the answer.

import { HttpError } from './http.js';

/**
 * handlers: { 'thing/create': handler }.  A handler gets ({ userId, entryId },
 * ...arguments of the event) and promises the answer.  An HttpError it throws
 * is told to the client; any other error is for the uplink, to try again.
 */
export function createEvents(handlers, answers) {

  async function run({ event, user, id, args }) {
    if (!Object.hasOwn(handlers, event)) {
      throw new HttpError(404, 'There is no such event.');
    }
    return handlers[event]({ userId: user, entryId: id }, ...args);
  }

  return async function handle(entry) {
    let result;

    try {
      result = await run(entry);
    } catch (error) {
      if (!(error instanceof HttpError)) {
        throw error;
      }
      await answers.refuse(entry, error.message);
      return;
    }
    await answers.answer(entry, result);
  };
}
