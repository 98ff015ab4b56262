// The REST routes of the backend.

const KEY = 'token';

// of this tab only: another tab may be another user
export const session = {
  get token() { return sessionStorage.getItem(KEY); },
  set token(value) {
    if (value) {
      sessionStorage.setItem(KEY, value);
    } else {
      sessionStorage.removeItem(KEY);
    }
  },
};

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body) {
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(session.token && { Authorization: `Bearer ${session.token}` }),
      },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'The server cannot be reached.');
  }

  if (response.status === 204) {
    return undefined;
  }
  // an error may come from nginx, in HTML
  const value = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new ApiError(response.status, value.error
      || 'The server cannot answer at the moment.');
  }
  return value;
}

export const api = {
  get: (path) => request('GET', path),
  post: (path, body = {}) => request('POST', path, body),
  put: (path, body = {}) => request('PUT', path, body),
  patch: (path, body) => request('PATCH', path, body),
  delete: (path) => request('DELETE', path),
};
