// As much of a web framework as the demo needs: routes, JSON, errors.

import http from 'node:http';

const BODY_LIMIT = 16 * 1024;

/** Thrown by routes; the message is for the user. */
export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * routes: { 'GET /api/things/:id': handler }.  A handler gets the context
 * ({ userId, params, body }) and returns, or promises, what to send as JSON;
 * undefined is an empty reply.
 * authenticate(token): the user id; open: routes that need none.
 * changed(): called after each successful request that is no GET.
 */
export function createServer({ routes, open, authenticate, changed }) {
  const table = Object.entries(routes).map(([route, handler]) => {
    const [method, path] = route.split(' ');
    const pattern = new RegExp(
      `^${path.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`);
    return { method, pattern, handler, open: open.includes(route) };
  });

  async function answer(req) {
    const path = req.url.split('?')[0];
    const found = table.filter((route) => route.pattern.test(path));
    const route = found.find((it) => it.method === req.method);

    if (!route) {
      throw found.length > 0 ? new HttpError(405, 'Wrong method.')
        : new HttpError(404, 'There is nothing here.');
    }

    const [, token] = /^Bearer (.+)$/.exec(req.headers.authorization) || [];
    const userId = token && authenticate(token);

    if (!route.open && !userId) {
      throw new HttpError(401, 'Please log in.');
    }

    const params = decode(route.pattern.exec(path).groups);
    const body = req.method === 'GET' ? {} : await readBody(req);
    const result = await route.handler({ userId, params, body });

    if (req.method !== 'GET') {
      await changed();
    }
    return result;
  }

  return http.createServer(async (req, res) => {
    try {
      const result = await answer(req);
      send(res, result === undefined ? 204 : 200, result);

    } catch (error) {
      if (error instanceof HttpError) {
        send(res, error.status, { error: error.message });
        return;
      }
      console.log(`${req.method} ${req.url}: ${error.stack}`);
      send(res, 503, { error: 'This does not work at the moment.' });
    }
  });
}

function send(res, status, value) {
  if (res.destroyed) {
    return;
  }
  if (value === undefined) {
    res.writeHead(status).end();
    return;
  }
  const text = JSON.stringify(value);
  res.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    // what is left of a body that was not read
    ...(status === 413 && { Connection: 'close' }),
  }).end(text);
}

function decode(params = {}) {
  try {
    return Object.fromEntries(Object.entries(params)
      .map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    throw new HttpError(400, 'The address is malformed.');
  }
}

async function readBody(req) {
  const parts = [];
  let size = 0;

  for await (const part of req) {
    size += part.length;
    if (size > BODY_LIMIT) {
      throw new HttpError(413, 'This is too long.');
    }
    parts.push(part);
  }

  if (size === 0) {
    return {};
  }

  let body;
  try {
    body = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new HttpError(400, 'The body is no JSON.');
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw new HttpError(400, 'The body has to be an object.');
  }
  return body;
}
