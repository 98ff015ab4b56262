// The Socket.IO connection: stock client, stock reconnection.

import { io } from '/lib/socket.io.esm.min.js';

const TRANSPORTS = ['websocket', 'polling'];
const PATIENCE = 10000;     // ms until an answer counts as lost

// what nginx says if it cannot store an event
const REFUSALS = {
  unavailable: 'The server is unavailable.',
  rate_limited: 'This was too fast.',
};

/** Those of the page's ?transports=, e.g. polling; else all. */
function transports() {
  const named = new URLSearchParams(location.search).get('transports') ?? '';
  const known = named.split(',').filter((it) => TRANSPORTS.includes(it));

  return known.length > 0 ? known : TRANSPORTS;
}

/**
 * onConnect: connected for the first time or again, and in all rooms.
 * onEvent(name, payload): what the backend has published.
 * onStatus({ state, transport, attempt, reconnects }): for the user to see;
 * state is connecting, connected or reconnecting.
 * onRefused(error): the token is no good, and the client does not come back.
 * Returns { send, disconnect }.
 */
export function connect({ token, onConnect, onEvent, onStatus, onRefused }) {
  const status = {
    state: 'connecting', transport: '', attempt: 0, reconnects: 0,
  };
  const socket = io({ transports: transports(), auth: (cb) => cb({ token }) });
  const change = (values) => onStatus(Object.assign(status, values));

  socket.on('connect', () => {
    const { engine } = socket.io;
    engine.on('upgrade', ({ name }) => change({ transport: name }));
    change({
      state: 'connected', transport: engine.transport.name, attempt: 0,
    });
    onConnect();
  });

  socket.on('disconnect', () => {
    change({ state: 'reconnecting', transport: '' });
    // the server said so; all other reasons are tried again by the client
    if (!socket.active) {
      onRefused(new Error('The server has ended the connection.'));
    }
  });

  socket.on('connect_error', (error) => {
    if (!socket.active) {
      onRefused(error);
    }
  });

  socket.io.on('reconnect_attempt', (attempt) => change({
    state: 'reconnecting', attempt,
  }));

  socket.io.on('reconnect', () => change({
    reconnects: status.reconnects + 1,
  }));

  socket.onAny(onEvent);
  change({});

  /** Promises the answer of the backend. */
  async function send(event, payload) {
    const answer = await socket.timeout(PATIENCE).emitWithAck(event, payload)
      .catch(() => ({ error: 'There is no answer.' }));

    if (answer.error) {
      throw new Error(REFUSALS[answer.error] ?? answer.error);
    }
    return answer;
  }

  function disconnect() {
    socket.removeAllListeners();
    socket.io.removeAllListeners();
    socket.disconnect();
  }

  return { send, disconnect };
}
