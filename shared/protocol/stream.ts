/**
 * The stream carrier: one POST that lists subscriptions, and one response of server-sent events for all of them, each
 * event one of tRPC's messages. Wire: docs/wire.md, section 6.
 */

/** Where below the router's base it is served. No identifier, so that it is hardly anybody's procedure. */
export const streamPath = ':stream'
