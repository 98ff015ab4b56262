'use strict';

// Every test here has a short form, which "make test" runs, and a full one,
// for "make chaos".

const full = process.env.CHAOS === 'full';

/** One of two values: of the short form, or of the full one. */
function scale(short, long) {
  return full ? long : short;
}

module.exports = { full, scale };
