// The token is what the gateway and the REST routes know a user by.

import jwt from 'jsonwebtoken';

export function createTokens(secret) {
  return {
    sign: (userId) => jwt.sign({ id: userId }, secret,
                               { algorithm: 'HS256', expiresIn: '12h' }),

    /** The user id, or undefined. */
    verify(token) {
      try {
        return jwt.verify(token, secret, { algorithms: ['HS256'] }).id;
      } catch {
        return undefined;
      }
    },
  };
}
