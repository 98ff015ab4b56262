// Checks of what comes in; what they return is safe to store.

import { HttpError } from './http.js';

/** A string of 1 to max characters, without blanks around it. */
export function text(value, what, max) {
  if (typeof value !== 'string' || value.trim() === '') {
    throw new HttpError(400, `${what} must not be empty.`);
  }
  if (value.trim().length > max) {
    throw new HttpError(400, `${what} is longer than ${max} characters.`);
  }
  return value.trim();
}

export function object(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new HttpError(400, 'This has to be an object.');
  }
  return value;
}

/** What a client calls a thing, to know it again. */
export function key(value) {
  if (typeof value !== 'string' || !/^[\w.:-]{1,64}$/.test(value)) {
    throw new HttpError(400, 'clientId must be 1 to 64 letters or digits.');
  }
  return value;
}

export function channelName(value) {
  const name = text(value, 'The name', 32).toLowerCase().replace(/\s+/g, '-');
  if (!/^[\p{L}\p{N}_-]+$/u.test(name)) {
    throw new HttpError(400,
                        'The name may have letters, digits, "-" and "_".');
  }
  return name;
}

export function flag(value, what) {
  if (typeof value !== 'boolean') {
    throw new HttpError(400, `${what} must be true or false.`);
  }
  return value;
}

/** Those of the ids that are in the list `among`. */
export function ids(value, what, among) {
  if (!Array.isArray(value) || !value.every((id) => among.includes(id))) {
    throw new HttpError(400, `${what} must be a list of members.`);
  }
  return [...new Set(value)];
}

export function emoji(value) {
  if (!/^\p{Extended_Pictographic}/u.test(value) || value.length > 16) {
    throw new HttpError(400, 'This is no emoji.');
  }
  return value;
}
